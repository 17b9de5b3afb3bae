"""The graph: what an op is, what a node is, and the order in which nodes are born.

A node is born after its inputs, so births are a topological order of every graph and nothing has to
recurse. They count -1, -2, -3, ...: the smaller, the newer, as the heap of the reverse sweep wants it.

Nodes point only at their inputs, hence no reference cycles: a graph dies with its loss.
"""

from __future__ import annotations

import inspect
import itertools
import sys
import threading
from collections.abc import Callable, Container, Iterable
from contextlib import ContextDecorator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np

from tinygrad_lo.engine.machine.release import freed_in_a_loop
from tinygrad_lo.errors import GraphError, UnsupportedError

# What flows through a rule: NumPy arrays and scalars, Tensors, Dask or CuPy arrays. Said once.
Array = Any
Rule = Callable[..., Array]
Call = Callable[..., Any]  # said where a rule names an op that stands below it in its file
T = TypeVar("T")
SPENT_AGAIN = 2  # Node.spent of a leaf: more was added to a gradient that a step has used

tick: Callable[[], int] = itertools.count(-1, -1).__next__


@dataclass(frozen=True, slots=True)
class Kink:
    """Where the slope of an op jumps, as that of |x| at 0. First derivatives do not ask; second ones do.

    Attributes:
        met: `met(y, *inputs)` is a mask of the elements that sit exactly on the kink.
        even: of a length |x|: the rule for an arriving gradient c · |x|. What is made of the length is then
            smooth, as |x|² is, and its gradient is c · x.
        branches: whether one side's second derivative can be given (|x|), or none exists (‖x‖: nan).
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
        aside: a second rule for the first input. An op such as bernoulli_known takes a probability and the
            score that it was made of, and sends the gradient to the score; `lo.grad(loss, p)` asks aside.
        ufunc: the NumPy function that it is, element by element.
        elementwise: whether an element of the result is made of those in its place alone, so that it may be
            written over an input.
        fresh: whether the result never shares memory with an input; of any other op, it may be a view.
        pole: whether it is infinite or undefined at some finite input.
        scalar: the op as text on Python floats, with functions of `math`; None where it needs arrays.
        javascript: of a user's op, the same in JavaScript; those of the table are made from `scalar`.
        probability: "makes" one of scores, or "keeps" it one (moved, or 1 − p): see scores.py.
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
    pole: bool = False
    scalar: str | None = None
    javascript: str | None = None
    kind: str = ""
    probability: str = ""
    apply: Callable[..., Any] = field(default=lambda: None, repr=False)

    @property
    def differentiable(self) -> bool:
        """Whether a gradient flows to any input."""
        return any(rule is not None for rule in self.rules)

    def __repr__(self) -> str:
        return f"Op({self.name!r})"


def same(g: Array, y: Array, *inputs: Array) -> Array:
    """The rule of +: the gradient passes unchanged. The hot sweep knows it and saves the call."""
    return g


class Node:
    """A value of the graph and how it was made. `Tensor` extends it with everything users touch.

    Everyone may read `value`, `birth`, `needs`, `op`, `parents` and `inputs`; only the engine writes.
    An op of arity 1 or 2 keeps its edges in slots instead of tuples (one object for the collector
    instead of three). Which slots are set:

        arity 1:  from_a the parent,  in_a its array,  in_b the options
        arity 2:  from_a from_b the parents or None,  in_a in_b the inputs as the forward saw them
        others:   from_a the tuple of parents,  in_a the tuple of inputs
        leaves:   op is None;  arrived stamp spent, which only leaves have;  from_a None, or, of a constant
                  that may be a probability, a note of its origin (scores.py)
    """

    plain = False  # True for the stand-in of a plain array in a recording: dtype rules treat it as one
    __slots__ = (
        "arrived", "birth", "from_a", "from_b", "in_a", "in_b", "label", "needs", "op", "spent", "stamp",
        "value",
    )  # fmt: skip
    value: Array
    birth: int
    needs: Any  # whether a gradient is wanted: True, False, or None (False only because of no_grad)
    op: Op | None  # the op that made this value; None for a leaf
    arrived: Array  # of a leaf: the gradient that backward passes have added up
    spent: int  # of a leaf: 0, or 1 after a step has used the gradient, or SPENT_AGAIN when more was added
    stamp: int  # of a leaf: what the clock of births said when .data was last assigned
    in_a: Any
    in_b: Any
    from_a: Any
    from_b: Any
    label: Any  # None, a name, or a Label of naming.py
    if sys.platform == "emscripten":
        __del__ = freed_in_a_loop

    @property
    def parents(self) -> tuple[Node | None, ...]:
        """The tensors among the inputs, in order and with repeats; None where an input is none."""
        op = self.op
        if op is None:
            return ()
        if op.arity == 2:
            return (self.from_a, self.from_b)
        if op.arity == 1:
            return (self.from_a,)
        return tuple(self.from_a)

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The inputs as the forward saw them: arrays, numbers, then options."""
        op = self.op
        if op is None:
            return ()
        if op.arity == 2:
            return (self.in_a, self.in_b)
        if op.arity == 1:
            return (self.in_a, *self.in_b)
        return tuple(self.in_a)


TENSOR: Any = None  # the class of what ops return; tensor.py says which
new = object.__new__


def results_are(tensor: type[Node]) -> None:
    """Say of which class the results of ops are; tensor.py does, once."""
    global TENSOR
    TENSOR = tensor


def constant(data: Array, source: Array = None) -> Any:
    """A tensor that remembers no inputs and needs no gradient.

    A view is copied: changed in place, the array that it looks into would change a live graph unseen.
    `source`, where given, is the only array of others that it could look into.
    """
    view = isinstance(data, np.ndarray) and data.base is not None
    if view and (source is None or np.may_share_memory(data, source)):
        data = data.copy()
    out = new(TENSOR)
    out.value = data
    out.needs = False
    out.op = out.label = out.arrived = out.from_a = None
    out.stamp = out.spent = 0
    out.birth = tick()
    return out


def node_of(op: Op, data: Array, parents: tuple[Any, ...], raw: tuple[Any, ...], *, needs: bool) -> Any:
    """The node of an op of any arity, its slots filled."""
    out = new(TENSOR)
    out.value = data
    out.needs = needs
    out.op = op
    out.label = None
    if op.arity == 1:
        out.from_a, out.in_a, out.in_b = parents[0], raw[0], raw[1:]
    elif op.arity == 2:
        out.from_a, out.from_b, out.in_a, out.in_b = (*parents, *raw)
    else:
        out.from_a, out.in_a = parents, raw
    out.birth = tick()
    return out


class Recorder(Protocol):
    """What writes down every op of a thread, so that a program can be made of them."""

    failed: bool  # whether an op or a check has raised

    def call(self, op: Op, inputs: tuple[Any, ...]) -> Any:
        """Run an op and write it down."""

    def stand_in(self, value: Node, dtype: Any) -> Node:
        """A tensor of what stands for a plain array."""

    def fact(self, function: Callable[..., Any], values: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """The answer of a NumPy function without a derivative."""

    def effect(self, action: Callable[..., None], x: Any, facts: tuple[Any, ...]) -> None:
        """Something was checked or changed beside the graph."""

    def guard(self, condition: Node, answer: bool) -> None:
        """Python is about to branch on a value."""

    def leave(self, how: str, values: tuple[Any, ...]) -> None:
        """A value is about to leave the graph."""


class Watcher(Protocol):
    """What looks at every op of a thread as it runs: `lo.anomaly()`."""

    def run(self, op: Op, inputs: tuple[Any, ...]) -> Array:
        """The value of an op."""

    def made(self, node: Node) -> None:
        """An op has made this node."""

    def pull(self, node: Node, g: Array) -> Iterable[tuple[int, Node, Array]]:
        """What a node sends to its inputs in a backward pass."""


class Modes(threading.local):
    """The switches of one thread."""

    grad_off: bool = False
    scope: Any = None  # the innermost of naming.py
    watch: Watcher | None = None
    kinks: bool = True  # whether a second derivative at a kink is warned of
    recording: Recorder | None = None
    effects: bool = True  # whether running statistics move

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
        """Set the switch. self keeps no state of an entry: a decorated function may run in many threads."""
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
        late = (inspect.isgeneratorfunction, inspect.iscoroutinefunction, inspect.isasyncgenfunction)
        if any(kind(function) for kind in late):
            raise UnsupportedError(
                f"{function.__name__} is a generator or async function, which runs after the decorator "
                f"has ended; write the with block inside it"
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
