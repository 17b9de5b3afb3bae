"""Writing down every op while a function runs: also those that need no gradient, and what happens beside.

While a recording is open in a thread, each op of that thread makes a node, so that it is known how the
result comes from the data. Plain arrays stay plain for the user's code; the recording remembers which
tensor stands for which array, and finds it again when the array enters the next op.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node, Op, mode, modes, node_of, tick
from tinygrad_lo.engine.machine.arguments import memory, plain
from tinygrad_lo.engine.machine.refusals import refusal
from tinygrad_lo.engine.naming import label, name_of, quoted, rename
from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.errors import GraphError, NotFollowedError


class Data(Tensor):
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
        if function in OTHERWISE and modes.recording is not None and only_data(args):
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


COPY = TABLE["detach"]


def is_laid_out_anew(data: Array) -> bool:
    """Whether the engine, which copies views that need no gradient, changes how this lies in memory."""
    return type(data) is ndarray and data.base is not None and not data.flags.c_contiguous


# Functions that NumPy computes in another way than we do: of data alone, NumPy's own are recorded.
OTHERWISE = (np.std, np.linalg.norm, np.einsum)


def only_data(values: tuple[Any, ...]) -> bool:
    """Whether no tensor of the user's is among the arguments."""
    return all(value.plain for value in values if isinstance(value, Node))


def absent(name: str) -> property:
    """An attribute that is not there, so that __getattr__ is asked."""

    def get(self: Data) -> NoReturn:
        raise AttributeError(name)

    return property(get)


# What users find on tensors and not on arrays, f must not find while it is recorded, either.
OWN = (*Node.__slots__, "parents", "inputs", "plain")
TENSORS_ONLY = [n for n in dir(Tensor) if not (n.startswith("_") or hasattr(ndarray, n) or n in OWN)]
for hidden in TENSORS_ONLY:
    setattr(Data, hidden, absent(hidden))


@dataclass(eq=False, slots=True)
class Effect:
    """What happened beside the graph at some birth: an action on a value, or a branch taken on one.

    Attributes:
        action: called with the value's data and the facts; None for a branch.
        answer: the truth of the value that Python branched on.
    """

    birth: int
    node: Node | None  # None when the program has been written
    action: Callable[..., None] | None = None
    facts: tuple[Any, ...] = ()
    answer: bool = True


class Recording(mode):
    """Inside `with Recording() as recording:` every op of this thread is written down.

    Attributes:
        effects: checks, updates and branches, in the order in which they happened.
        refused: the error for a value that Python asked for, which it may have caught.
        copies: whether views that need no gradient are copied, as the engine does in f (and rules do not).
        always: what runs also where the result does not depend on it: random numbers, indices of data.
        failed: whether an op or a check has raised; f, which went on, may go another way on other data.
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
        self.refused: GraphError | None = None  # the first value that Python asked for
        self.arrays: dict[tuple[Any, ...], Node] = {}
        self.began = tick()

    def __enter__(self) -> Any:
        return self.begin(self)

    def call(self, op: Op, inputs: tuple[Any, ...]) -> Any:
        """Run an op and write it down: `slow`, for whoever is being recorded."""
        arity = len(inputs) - 1 if op.arity is None else op.arity
        failed = self.failed
        parents: list[Any] = []
        raw: list[Any] = []
        tensors = needs = False
        plainly = True
        for i, value in enumerate(inputs):
            if i >= arity:
                if holds_array(value):
                    self.steady = False
                    value = frozen(value)
                raw.append(value)
            elif isinstance(value, Node):
                tensors = True
                plainly = plainly and value.plain  # of what f has: a tensor made of an argument is a tensor
                if value.op is None:
                    value = self.origin(value)
                parents.append(value)
                raw.append(value.value)
                needs = needs or value.needs
            else:
                value = plain(value, op.name)
                raw.append(value)
                parents.append(self.tensor_of(value) if type(value) is ndarray else None)
                self.steady = self.steady and not isinstance(value, np.generic)
        self.failed = True
        try:
            data = op.forward(*raw)
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            raise refusal(op, tuple(raw), error) from error
        self.failed = failed
        if not tensors and arity and not any(parent is not None for parent in parents):
            return data
        needs = needs and not modes.grad_off and op.differentiable
        out = node_of(op, data, tuple(parents), tuple(raw), needs=needs)
        if plainly:
            out.__class__ = Data
        if runs_always(op):
            self.always.append(out)
        if modes.scope is not None:
            label(out).scope = modes.scope
        copied = self.copies and tensors and not (needs or plainly) and op is not COPY
        if copied and is_laid_out_anew(data):
            return self.call(COPY, (out,))
        if tensors:
            return out
        if type(data) is ndarray:
            self.arrays[memory(data)] = out
        else:
            self.steady = False
        return data

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
        if name_of(made) is None and (name := name_of(node)) is not None:
            rename(made, name)
        return made

    def tensor_of(self, array: Array) -> Node:
        """The tensor that stands for a plain array: the op that made it, or a leaf."""
        key = memory(array)
        if key not in self.arrays:
            leaf = Data(0.0)
            leaf.value = array  # kept alive, so that no other array gets its place in memory
            self.arrays[key] = leaf
        return self.arrays[key]

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
        rest = [value for i, value in enumerate(values) if i not in places] + list(options.values())
        if any(map(holds_array, rest)):
            self.leave(f"np.{name}", (*values, *options.values()))

        def forward(*raw: Any) -> Array:
            given = list(values)
            for i, value in zip(places, raw, strict=True):
                given[i] = value
            answer = function(*given, **options)
            if isinstance(answer, tuple):
                self.leave(f"np.{name}", values)
            return np.asarray(answer)[()]

        texts = [f"{{{places.index(i)}}}" if i in places else repr(v) for i, v in enumerate(values)]
        spelling = ", ".join([*texts, *(f"{key}={value!r}" for key, value in options.items())])
        op = Op(name, forward, (None,) * len(places), f"np.{name}({spelling})", name, "", len(places))
        return self.call(op, tuple(values[i] for i in places))

    def effect(self, action: Callable[..., None], x: Any, facts: tuple[Any, ...]) -> None:
        """Write down what was done with a value beside the graph."""
        node = self.origin(x) if isinstance(x, Node) else self.tensor_of(x) if type(x) is ndarray else None
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
    return op.arity == 0 or op is TABLE["gather"]


def frozen(value: Any) -> Any:
    """An option as it is now: what its arrays become later must not change the recording."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(frozen, value))
    return value.copy() if isinstance(value, ndarray) else value


def holds_array(value: Any) -> bool:
    """Whether an option is, or holds, an array or tensor."""
    if value is None or type(value) is bool:
        return False
    if isinstance(value, (tuple, list)):
        return any(map(holds_array, value))
    return isinstance(value, (Node, ndarray))
