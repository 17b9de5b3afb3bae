"""Writing down every op while a function runs: also those that need no gradient, and what happens beside.

Plain arrays stay plain for the user's code; the recording remembers which tensor stands for which array.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.disguise import without_items
from tinygrad_lo.engine.graph import Array, Node, Op, mode, modes, node_of, reachable, tick
from tinygrad_lo.engine.machine.arguments import memory, plain
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.engine.machine.refusals import refusal
from tinygrad_lo.engine.naming import mark, name_of, quoted, rename
from tinygrad_lo.engine.ops.elementwise import detach
from tinygrad_lo.engine.ops.indexing import gather
from tinygrad_lo.engine.ops.registry import record
from tinygrad_lo.engine.tensor import DISGUISES, Tensor
from tinygrad_lo.errors import GraphError, NotFollowedError

COPY = record(detach)
GATHER = record(gather)
# Functions that NumPy computes in another way than we do: of data alone, NumPy's own are recorded.
OTHERWISE = (np.std, np.linalg.norm, np.einsum)
# What users find on tensors and not on arrays, f must not find while it is recorded, either.
SLOTS = (*Node.__slots__, "parents", "inputs", "plain")
TENSORS_ONLY = [n for n in dir(Tensor) if not (n.startswith("_") or hasattr(ndarray, n) or n in SLOTS)]


# A class of tensors without what arrays lack: a property that cannot be read asks __getattr__.
ArrayLike: Any = type("ArrayLike", (Tensor,), {"__slots__": (), **dict.fromkeys(TENSORS_ONLY, property())})


class Data(ArrayLike):
    """Stands for a plain array while a function is recorded; what is computed from such alone is such."""

    __slots__ = ()
    plain = True

    def _write(self, _: Any) -> NoReturn:
        raise NotFollowedError(
            "inside a compiled function, an operator like += would write into an array in place, which the "
            "program would not do; write x = x + ..."
        )

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _write

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
        data_alone = all(value.plain for value in args if isinstance(value, Node))
        if data_alone and function in OTHERWISE and modes.recording is not None:
            return modes.recording.fact(function, args, options)
        return super().__array_function__(function, types, args, options)

    def std(self, *args: Any, **options: Any) -> Any:
        """As the array's own."""
        return np.std(self, *args, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in TENSORS_ONLY:
            raise NotFollowedError(
                f"{quoted(self, 'this')} is an array, inside a compiled function as outside, and has no "
                f".{name}; use a function such as lo.nn.relu(x) or np.exp(x), or make a tensor of it with "
                f"lo.Tensor(x)"
            )
        raise NotFollowedError(
            f"inside a compiled function {quoted(self, 'an array')} is followed as a tensor, which has no "
            f".{name}; use a NumPy function that tensors take, or do it outside and pass the result in"
        )


DISGUISES[Data] = without_items(Data)


@dataclass(eq=False, slots=True)
class Effect:
    """What happened beside the graph at some birth: an action on a value, or a branch taken on one.

    Attributes:
        action: called with the value's data and the facts; None for a branch.
        answer: the truth of the value that Python branched on.
    """

    birth: int
    node: Node
    action: Callable[..., None] | None = None
    facts: tuple[Any, ...] = ()
    answer: bool = True


class NodeRow(NamedTuple):
    """One node of a graph, read once, with tensors in place of the arrays among its inputs."""

    node: Node
    birth: int
    op: Op | None
    name: str | None
    parents: tuple[Node | None, ...]
    inputs: list[Any]


class Begun:
    """What a run changes beside the graph, as it was when the recording first met it."""

    def __init__(self) -> None:
        self.states: dict[np.random.Generator, Any] = {}
        self.arrays: list[tuple[Array, Array]] = []

    def meet(self, *things: Any) -> None:
        """Remember generators and arrays that are new."""
        for thing in things:
            if isinstance(thing, np.random.Generator):
                if thing not in self.states:
                    self.states[thing] = thing.bit_generator.state
            elif type(thing) is ndarray and self.of(thing) is None:
                self.arrays.append((thing, thing.copy()))

    def of(self, array: Array) -> Array | None:
        """What stood in an array."""
        return next((before for known, before in self.arrays if known is array), None)


class Recording(mode):
    """Inside `with Recording() as recording:` every op of this thread is written down.

    Attributes:
        effects: checks, updates and branches, in the order in which they happened.
        refused: the error for the first value that Python asked for, which it may have caught.
        arrays: the tensors that stand for plain arrays, which these keep alive: no other gets their place.
        copies: whether views that need no gradient are copied, as the engine does in f (and rules do not).
        always: what runs also where the result does not depend on it: random numbers, indices of data.
        failed: whether an op or a check has raised; f, which went on, may go another way on other data.
        begun: what f draws from and writes into, as it was before.
        steady: whether every number and array in it is known to come from somewhere that can be watched.
    """

    def __init__(self, where: str = "while a program is written down", *, copies: bool = False) -> None:
        super().__init__("recording", None)
        self.where = where
        self.copies = copies
        self.effects: list[Effect] = []
        self.always: list[Node] = []
        self.failed = False
        self.steady = True
        self.refused: GraphError | None = None
        self.arrays: dict[tuple[Any, ...], Node] = {}
        self.began = tick()
        self.begun = Begun()

    def __enter__(self) -> Any:
        return self.begin(self)

    def call(self, op: Op, inputs: tuple[Any, ...]) -> Any:
        """Run an op and write it down: `backward.call`, for whoever is being recorded."""
        count = len(inputs) - 1 if op.arity is None else op.arity
        operands = [self.operand(x, op) for x in inputs[:count]]
        parents = tuple([parent for parent, _ in operands])
        values = tuple([value for _, value in operands])
        if len(inputs) > count:
            values += tuple(map(self.option, inputs[count:]))
        data = self.forward(op, values)
        known = [parent for parent in parents if parent is not None]
        if count and not known:
            return data
        wanted = op.differentiable and not modes.grad_off and any(parent.needs for parent in known)
        out = node_of(op, data, parents, values, needs=wanted)
        return self.answer(op, out, [x for x in inputs[:count] if isinstance(x, Node)])

    def answer(self, op: Op, out: Node, tensors: list[Node]) -> Any:
        """What f gets: the recorded node where it called the op with tensors, else the array itself."""
        if all(x.plain for x in tensors):  # a tensor of f's that is made of an argument is no array
            out.__class__ = Data
        mark(out)
        if runs_always(op):
            self.always.append(out)
        if tensors:
            return self.copied(out)
        data = out.value
        if type(data) is ndarray:
            self.arrays[memory(data)] = out  # it stands for this array from here on
        else:
            self.steady = False
        return data

    def copied(self, out: Node) -> Any:
        """In f, the engine copies views that need no gradient, which may change how they lie in memory."""
        if out.needs or out.plain or not self.copies:
            return out
        view = type(out.value) is ndarray and out.value.base is not None
        return self.call(COPY, (out,)) if view and not out.value.flags.c_contiguous else out

    def forward(self, op: Op, values: tuple[Any, ...]) -> Array:
        """The result of an op; where it raises, f may catch that."""
        if op.arity == 0 and not isinstance(values[-1], (int, np.integer)):  # it draws random numbers
            self.begun.meet(generator(values[-1]))
        failed, self.failed = self.failed, True
        try:
            data = op.forward(*values)
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            raise refusal(op, values, error) from error
        self.failed = failed
        return data

    def operand(self, value: Any, op: Op) -> tuple[Node | None, Any]:
        """The tensor that stands for an operand, if any does, and its array or number."""
        if isinstance(value, Node):
            parent = value if value.op is not None else self.origin(value)
            return parent, parent.value
        value = plain(value, op.name)
        self.steady = self.steady and not isinstance(value, np.generic)
        return (self.tensor_of(value) if type(value) is ndarray else None), value

    def option(self, value: Any) -> Any:
        """An option as it is now: what its arrays become later must not change the recording."""
        if holds_array(value):
            self.steady = False
            return frozen(value)
        return value

    def origin(self, node: Node) -> Node:
        """The tensor that a leaf made of a plain array inside the recording stands for: what made the array.

        Of a tensor from before the recording, the data may be assigned: it stands for itself.
        """
        if node.op is not None or node.needs or node.birth > self.began:
            return node
        data = node.value
        made = self.arrays.get(memory(data)) if type(data) is ndarray else None
        if made is None:
            return node
        if name_of(made) is None:
            rename(made, name_of(node))
        return made

    def tensor_of(self, array: Array) -> Node:
        """The tensor that stands for a plain array: the op that made it, or a leaf."""
        key = memory(array)
        if key not in self.arrays:
            leaf = self.arrays[key] = Data(0.0)
            leaf.value = array  # this very one, neither read nor copied
        return self.arrays[key]

    def history(self, roots: Iterable[Node], known: Container[int] = ()) -> list[NodeRow]:
        """All that the roots were made from, and the roots, oldest first; nothing behind known births."""
        nodes = reachable(roots, known)
        return [NodeRow(n, n.birth, n.op, name_of(n), n.parents, self.as_tensors(n)) for n in nodes]

    def as_tensors(self, node: Node) -> list[Any]:
        """The inputs of a node as tensors where they are arrays; numbers and options as they are."""
        tensors = list(node.inputs)
        for i, parent in enumerate(node.parents):
            if parent is not None:
                tensors[i] = parent
            elif type(tensors[i]) is ndarray:
                tensors[i] = self.tensor_of(tensors[i])
        return tensors

    def stand_in(self, node: Node, dtype: Any) -> Array:
        """The array of an argument from which f makes a tensor: that tensor stands for the argument."""
        data = node.value
        if type(data) is not ndarray or (dtype is not None and np.dtype(dtype) != data.dtype):
            self.leave("Tensor(x) of a number, or in another dtype,", (node,))
        self.arrays.setdefault(memory(data), node)
        return data

    def fact(self, function: Callable[..., Any], values: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Ask a NumPy function without a derivative, as an op."""
        name = function.__name__
        places = [i for i, value in enumerate(values) if isinstance(value, (Node, ndarray))]
        rest = [value for i, value in enumerate(values) if i not in places]
        if any(map(holds_array, (*rest, *options.values()))):
            self.leave(f"np.{name}", (*values, *options.values()))

        def forward(*raw: Any) -> Array:
            arrays = dict(zip(places, raw, strict=True))
            answer = function(*(arrays.get(i, value) for i, value in enumerate(values)), **options)
            if isinstance(answer, tuple):
                self.leave(f"np.{name}", values)
            return np.asarray(answer)[()]

        holes = [f"{{{places.index(i)}}}" if i in places else repr(x) for i, x in enumerate(values)]
        texts = ", ".join([*holes, *(f"{key}={value!r}" for key, value in options.items())])
        op = Op(name, forward, (None,) * len(places), f"np.{name}({texts})", name, "", len(places))
        return self.call(op, tuple(values[i] for i in places))

    def effect(self, action: Callable[..., None], x: Any, facts: tuple[Any, ...]) -> None:
        """Write down what was done with a value beside the graph."""
        node = self.origin(x) if isinstance(x, Node) else self.tensor_of(x) if type(x) is ndarray else None
        self.begun.meet(*facts)
        if node is not None:
            self.effects.append(Effect(tick(), node, action, facts))

    def guard(self, condition: Node, answer: bool) -> None:
        """Write down which way Python went."""
        self.effects.append(Effect(tick(), self.origin(condition), answer=answer))

    def leave(self, how: str, values: tuple[Any, ...]) -> NoReturn:
        """Refuse to give a value to Python."""
        node = next((value for value in values if isinstance(value, Node)), None)
        who = quoted(node) if node is not None else "a value"
        error = GraphError(
            f"{how} {self.where}: {who} would leave the graph, and what Python computes from it could not "
            f"be run again on other data. Compute with operators and NumPy functions, or do it outside and "
            f"pass the result as an argument"
        )
        self.refused = self.refused or error
        raise error


def runs_always(op: Op) -> bool:
    """Whether an op must run also where nothing needs its value: it draws, or its index may be wrong."""
    return op.arity == 0 or op is GATHER


def frozen(value: Any) -> Any:
    """An option as it is now: what its arrays become later must not change the recording."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(frozen, value))
    return value.copy() if isinstance(value, ndarray) else value


def holds_array(value: Any) -> bool:
    """Whether an option is, or holds, an array or tensor."""
    if isinstance(value, (tuple, list)):
        return any(map(holds_array, value))
    return isinstance(value, (Node, ndarray))
