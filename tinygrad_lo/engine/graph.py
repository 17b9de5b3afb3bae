"""The graph: what an op is, what a node is, and the order in which nodes are born.

A node is born after its inputs, so the order of births is a topological order of every graph and
nothing here ever has to recurse. Births count -1, -2, -3, ...: the smaller, the newer, which is the
order in which a heap hands nodes to the reverse sweep.

Nodes point only at their inputs. There are no closures and no back-links, hence no reference
cycles: a graph dies with its loss, and the garbage collector finds nothing.
"""

from __future__ import annotations

import inspect
import itertools
import keyword
import math
import threading
from collections.abc import Callable, Container, Iterable
from contextlib import ContextDecorator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tinygrad_lo.errors import GraphError, UnsupportedError

# What flows through a rule: NumPy arrays and scalars, Tensors, Dask or CuPy arrays. Said once.
Array = Any
Rule = Callable[..., Array]
T = TypeVar("T")

tick: Callable[[], int] = itertools.count(-1, -1).__next__


@dataclass(frozen=True, slots=True)
class Kink:
    """Where the slope of an op jumps, so that the rules know no second derivative.

    Attributes:
        met: of the output and the inputs, where they sit exactly there, in the output's shape.
        even: of an op that is a length |x|, its rule for a gradient that is c · |x|: then there is no kink.
        branches: whether there are two second derivatives, of which the rules give one, or none: nan.
    """

    met: Callable[..., Array]
    even: Rule | None = None
    branches: bool = True


@dataclass(eq=False, slots=True)
class Op:
    """One row of the table: a function, and its derivative by each of its inputs.

    A rule is called as `rule(g, y, *inputs)` with the arriving gradient `g` and the output `y`, and
    returns the gradient by one input. With several inputs it may return it broadcast, as NumPy
    stretched the input: undoing that is the sweep's job.
    It uses operators, array methods, NumPy functions that dispatch, and other ops of the table, so
    the same text runs on arrays (the gradient) and on tensors (the gradient as a graph).

    Attributes:
        arity: how many inputs may be tensors; inputs after these are options and have no rule.
            None: any number of tensors, then one option (`concatenate`); such an op has one rule,
            called as `rule(i, g, y, *inputs)` for the gradient by input number i.
        spelling: the op as NumPy text, `{0}` standing for the first input.
        symbol: the op as it is drawn: a sign between two inputs, or a template with `{0}`.
        domain: where its inputs may be sampled: one (low, high), or one for each input.
        samples: inputs for the generated tests, shapes standing for arrays, when the op cannot take
            arrays of any shape.
        refuse: turns the exception that NumPy raised into the error that a reader needs.
        composite: the forward is written with functions that take tensors too: run on tensors, it shows
            its steps, from which programs are printed.
        kink: where its slope jumps; asked only by the sweep that makes gradients as graphs.
        aside: the gradient by the first input of an op that hands it to its last one, of which the first
            was made, instead: for who asks for it.
        ufunc: the NumPy function that it is, element by element.
        elementwise: whether an element of the result is made of those in its place alone, so that it may be
            written over an input.
        fresh: whether the result never shares memory with an input; of any other op, it may be a view.
        scalar: the op as text on Python floats, with functions of `math`; None where it needs arrays.
        kind: "compares", "moves" (numbers to other places) or "mixes" (elements): for explanations.
        apply: the quickest function that calls it.
    """

    name: str
    forward: Callable[..., Array]
    rules: tuple[Rule | None, ...]
    spelling: str
    symbol: str
    about: str
    arity: int | None = 1
    domain: tuple[Any, ...] = (-2.0, 2.0)
    samples: tuple[tuple[Any, ...], ...] = ()
    refuse: Callable[..., Exception | None] | None = None
    composite: bool = False
    kink: Kink | None = None
    aside: Rule | None = None
    ufunc: Callable[..., Any] | None = None
    elementwise: bool = False
    fresh: bool = False
    scalar: str | None = None
    kind: str = ""
    apply: Callable[..., Any] = field(default=lambda: None, repr=False)

    @property
    def differentiable(self) -> bool:
        """Whether a gradient flows to any input."""
        return any(rule is not None for rule in self.rules)

    def __repr__(self) -> str:
        return f"Op({self.name!r})"


def same(g: Array, y: Array, *inputs: Array) -> Array:
    """The rule of +: the gradient passes unchanged. The sweep knows it and does not call it."""
    return g


class Label:
    """What is known of a node besides numbers: names, scopes, and under anomaly() its origin."""

    __slots__ = ("derived", "name", "recorded", "scope", "spans", "where")

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self.scope: Scope | None = None
        self.spans: tuple[tuple[str, int], ...] = ()  # (loss, birth at which it began), inner first
        self.where: str | None = None
        self.recorded: tuple[int, ...] = ()  # checksums of the inputs, see anomaly.py
        self.derived: Node | None = None  # of a derivative that is a graph: what it is the derivative of


class Node:
    """A value of the graph and how it was made. `Tensor` extends it with everything users touch.

    Everyone may read `value`, `birth`, `needs`, `op`, `parents` and `inputs`; only the engine writes.
    An op of arity 1 or 2 keeps its edges in slots instead of tuples (one object for the collector
    instead of three). Which slots are set:

        arity 1:  _pa the parent,  _a its array,  _b the options
        arity 2:  _pa _pb the parents or None,  _a _b the inputs as the forward saw them
        others:   _pa the tuple of parents,  _a the tuple of inputs
        leaves:   op is None;  arrived stamp spent, which only leaves have;  _pa None, or of a constant
                  that may be a probability how it was made, see scores.py
    """

    plain = False  # True for the stand-in of a plain array in a recording: dtype rules treat it as one
    __slots__ = (
        "_a",
        "_b",
        "_label",
        "_pa",
        "_pb",
        "arrived",
        "birth",
        "needs",
        "op",
        "spent",
        "stamp",
        "value",
    )
    value: Array
    birth: int
    needs: bool  # whether a gradient is wanted; None, which is as false, where only no_grad kept it from True
    op: Op | None  # the op that made this value; None for a leaf
    arrived: Array  # of a leaf: the gradient that backward passes have added up
    spent: int  # of a leaf: 0, or 1 after a step has used the gradient, or 2 when more was added since
    stamp: int  # of a leaf: the birth clock when .data was last assigned
    _a: Any
    _b: Any
    _pa: Any
    _pb: Any
    _label: str | Label | None

    @property
    def parents(self) -> tuple[Node | None, ...]:
        """The tensors among the inputs, in order and with repeats; None where an input is none."""
        op = self.op
        if op is None:
            return ()
        if op.arity == 2:
            return (self._pa, self._pb)
        if op.arity == 1:
            return (self._pa,)
        return tuple(self._pa)

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The inputs as the forward saw them: arrays, numbers, then options."""
        op = self.op
        if op is None:
            return ()
        if op.arity == 2:
            return (self._a, self._b)
        if op.arity == 1:
            return (self._a, *self._b)
        return tuple(self._a)


def label(node: Node) -> Label:
    """The node's label as an object, made when it was only a name or nothing."""
    found = node._label
    if not isinstance(found, Label):
        found = node._label = Label(found)
    return found


def name_of(node: Node) -> str | None:
    """The name that the user or a loss gave to this value."""
    found = node._label
    return found.name if isinstance(found, Label) else found


def quoted(node: Node, otherwise: str = "a tensor") -> str:
    """The name in quotes, or `otherwise`: for messages."""
    name = name_of(node)
    return repr(name) if name is not None else otherwise


def spelled(node: Node, otherwise: str) -> str:
    """The tensor as a message can write it in Python: its name, "0.weight" as model[0].weight."""
    path = (name_of(node) or "").split(".")
    if len(path) > 1:
        path.insert(0, "model")
    written = path[0] + "".join(f"[{key}]" if key.isdecimal() else f".{key}" for key in path[1:])
    words = [path[0], *(key for key in path[1:] if not key.isdecimal())]
    good = all(word.isidentifier() and not keyword.iskeyword(word) for word in words)
    return written if good else otherwise


def named(x: T, name: str) -> T:
    """Give a tensor the name under which drawings, explanations and errors show it.

    Plain arrays pass through, so a loss written with it runs on both.

    Raises:   UnsupportedError: the name is not text.
    Example:
        >>> import tinygrad_lo as lo
        >>> S = lo.named(lo.Parameter([1.0, 2.0]) * 3.0, "S")
        >>> S.name
        'S'
    """
    if isinstance(x, Node):
        if x._label is None and type(name) is str:
            x._label = name
        else:
            rename(x, name)
    return x


def rename(node: Node, name: Any) -> None:
    """Set or clear the node's name, keeping scopes and origin."""
    if name is not None and not isinstance(name, str):
        raise UnsupportedError(f"a name is text or None, got {type(name).__name__}: {name!r}")
    if isinstance(node._label, Label):
        node._label.name = name
    else:
        node._label = name


# --------------------------------------------------------------------------------------- modes


class Modes(threading.local):
    """The switches of one thread."""

    grad_off: bool = False
    scope: Scope | None = None
    watch: Any = None  # the watcher of anomaly.py
    kinks: bool = True  # whether a second derivative at a kink is warned of
    recording: Any = None  # what writes down every op, for a program: explaining/recording.py

    def __init__(self) -> None:
        # The open blocks as [mode, switch, what to set back]; this line runs once in each thread.
        self.open: list[list[Any]] = []


modes = Modes()

# Not empty while any thread has a switch on. One shared list makes the question cost 3 ns for every
# op; only when it is not empty does an op read the switches of its own thread (24 ns).
active: list[object] = []


class mode(ContextDecorator):
    """Set one switch of this thread for the length of a `with` block, or of a decorated function."""

    def __init__(self, switch: str, value: Any) -> None:
        self.switch = switch
        self.value = value

    def __enter__(self) -> Any:
        return self.begin(self.value)

    def begin(self, value: Any) -> Any:
        """Set the switch. Nothing is kept on self: a decorated function may run in many threads."""
        modes.open.append([self, self.switch, getattr(modes, self.switch)])
        setattr(modes, self.switch, value)
        active.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        # Blocks may end in another order than they began: a generator that holds one can be closed
        # inside somebody else's. Then the later block takes over what there was before this one.
        place = next((i for i in reversed(range(len(modes.open))) if modes.open[i][0] is self), None)
        if place is None:
            raise GraphError(f"{self.switch}: the block was entered in another thread than it is left in")
        _, switch, old = modes.open.pop(place)
        later = next((block for block in modes.open[place:] if block[1] == switch), None)
        if later is None:
            setattr(modes, switch, old)
        else:
            later[2] = old
        active.remove(self)

    def __call__(self, function: Any) -> Any:
        """Decorate a function: it runs inside the block."""
        if inspect.isgeneratorfunction(function):
            raise UnsupportedError(
                f"{function.__name__} is a generator function, which runs after the decorator has ended; "
                f"write the with block inside it"
            )
        return super().__call__(function)


def no_grad() -> mode:
    """Compute without building a graph, inside `with lo.no_grad():`, in this thread only.

    Results need no gradient and remember no inputs. For measuring accuracy, and for updates written
    by hand. Works as a decorator, too: `@lo.no_grad()`.

    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter(3.0)
        >>> with lo.no_grad():
        ...     y = w * w
        >>> y.requires_grad
        False
    """
    return mode("grad_off", True)


class Scope:
    """One entry of a `with lo.scope(...)` block; entering twice makes two."""

    __slots__ = ("began", "name", "outer")

    def __init__(self, name: str, outer: Scope | None) -> None:
        self.name = name
        self.outer = outer
        self.began = tick()


class scope(mode):
    """Group the values made inside `with lo.scope("data loss"):` under that title.

    Drawings show a scope as a frame, `lo.tree` as a heading, errors name it. Scopes nest. Every loss
    of the library opens one with its own name.

    Raises:   UnsupportedError: the name is not text.
    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter(2.0, name="w")
        >>> with lo.scope("regularization"):
        ...     loss = w * w
        >>> print(lo.tree(loss))
        v1 = w × w = 4  ‹regularization›
        ├─ w = 2  parameter
        └─ w (above)
    """

    def __init__(self, name: str) -> None:
        super().__init__("scope", None)
        if not isinstance(name, str):
            raise UnsupportedError(f"a scope's name is text, got {type(name).__name__}: {name!r}")
        self.name = name

    def __enter__(self) -> Any:
        return self.begin(Scope(self.name, modes.scope))


def scoped(name: str, began: int, out: T) -> T:
    """Mark everything from birth `began` to `out` as one scope; `began = tick()` at a loss's entry.

    Entering a context manager would send every op of the loss through the slow path; an interval of
    births costs nothing.
    """
    if isinstance(out, Node):
        label(out).spans += ((name, began),)
    return out


def scopes(nodes: Iterable[Node]) -> dict[int, tuple[tuple[str, int], ...]]:
    """Birth of each node -> the path of scopes around it, outermost first, each as (title, key).

    The key tells two scopes with one title apart.
    """
    nodes = sorted(nodes, key=lambda node: -node.birth)  # oldest first
    spans = []  # (began, ended, title) of every loss among the nodes
    for node in nodes:
        if isinstance(node._label, Label):
            spans += [(began, node.birth, title) for title, began in node._label.spans]
    spans.sort(reverse=True)  # an outer loss begins before the ones inside it: -5 is earlier than -9
    coming = iter([*spans, (-math.inf, 0, "")])
    following = next(coming)
    around: list[tuple[float, int, str]] = []  # the losses that have begun and not ended
    paths = {}
    for node in nodes:
        while following[0] >= node.birth:
            around.append(following)
            following = next(coming)
        around = [span for span in around if span[1] <= node.birth]
        path: list[tuple[str, int]] = []
        found = node._label.scope if isinstance(node._label, Label) else None
        while found is not None:
            path.append((found.name, found.began))
            found = found.outer
        path.reverse()
        if node.op is not None:
            path += [(title, int(began)) for began, _, title in around]
        paths[node.birth] = tuple(path)
    return paths


# ------------------------------------------------------------------------------- reading graphs


def reachable(roots: Iterable[Node], known: Container[int] = ()) -> list[Node]:
    """Every node that the roots were made from, and the roots, oldest first; nothing behind known births."""
    found: dict[int, Node] = {}
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        if node.birth not in found and node.birth not in known:
            found[node.birth] = node
            waiting += [parent for parent in node.parents if parent is not None]
    return [found[birth] for birth in sorted(found, reverse=True)]
