"""The forward and the backward pass of a graph as data: statements over named values.

Rules are run on tensors under a recording, so the backward pass consists of the same ops as the forward.
Equal statements are shared and unused ones dropped, without changing a number by one bit.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy import float64, ndarray

from tinygrad_lo.engine.backward import Part, contributions, start, sweep
from tinygrad_lo.engine.graph import Array, Node, Op, mode, reachable, tick
from tinygrad_lo.engine.leaves import let_go
from tinygrad_lo.engine.machine.arguments import memory
from tinygrad_lo.engine.machine.recording import Effect, NodeRow, Recording, runs_always
from tinygrad_lo.engine.naming import ScopePath, label, name_of, scopes
from tinygrad_lo.engine.ops.reductions import spread
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.options import Followed, Option
from tinygrad_lo.program.simplify import number_value, simplified
from tinygrad_lo.program.text import identifier, section
from tinygrad_lo.program.value import Value

Mark = tuple[int, int]  # births: of the first backward node, and of its forward node


class Program:
    """The statements that compute a loss and its gradients, in order.

    Attributes:
        lines: statements and effects.
        loss: what the program computes.
        gradients: (leaf, its gradient) for every leaf that the loss reaches, oldest first.
        outputs: the loss and the gradients.
        leaves: the parameters and data that are used, oldest first.
        arguments: names for them.
        decisive: values on which a decision depends: the engine's own, to the last bit.
        first: (leaf, its gradient) as numbers, from the run that was recorded.
        recording: the recording it was made under.
        failed: whether an op or a check raised in it.
        parts: of a `whole` program, which keeps every value and gradient, what each gate hands to each of
            its inputs: by (birth of the node, number of the input).
        locals: of a whole program, the same between numbers where 1 arrives: local derivatives.
        slopes: of a whole program, the gradient by each value: by its birth.
        options: the leaf that an option has become, whose way into the graph was followed.
        numbers: what a number inside a gate has become, by the gate's birth and the number of the input.
    """

    def __init__(
        self, loss: Node, recording: Recording | None = None, *, whole: bool = False, exact: bool = True,
        numbers: Mapping[tuple[int, int], Followed] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        runs_again = recording is not None  # on other data, where it must decide as the engine does
        self.recording = recording or Recording()
        self.recording.copies = False
        self.lines: list[Value] = []
        self.gradients: list[tuple[Node, Value]] = []
        self.first: list[tuple[Node, Array]] = []
        self._values: dict[int, Value] = {}  # by birth of the node
        self._known: dict[Any, Value] = {}  # by what is computed, so that nothing is computed twice
        self._whole = whole
        self.parts: dict[tuple[int, int], Value] = {}
        self.locals: dict[tuple[int, int], Value] = {}
        self.slopes: dict[int, Value] = {}
        self.options: dict[Option, Node] = {}
        self._scope: ScopePath = ()
        self._backward = False
        loss = self.recording.origin(loss)
        effects = self.recording.effects
        rows = self.recording.history([loss, *(effect.node for effect in effects), *self.recording.always])
        for row in rows if numbers else ():
            follow(row, numbers)
        self._paths = scopes(row.node for row in rows)
        deciding = deciding_nodes(rows, effects) if runs_again and exact else []
        with self.recording, mode("scope", None), mode("grad_off", False):
            self._forward(rows, effects, {node.birth for node in reachable(deciding)})
            self.loss = self.value_of(loss)
            self._backward = True
            if loss.needs:
                self._gradients(loss, rows)
            self.numbers = {key: self.argument(x) for key, x in numbers.items()}
        self.failed = self.recording.failed
        self.outputs = [self.loss, *(g for _, g in self.gradients)] + (self._kept(rows) if whole else [])
        self.lines = self._needed(runs_again)
        self._divide(deciding)
        self.leaves = self._used_leaves()
        self.arguments = {x: f"{identifier(x.name or 'x', 'x')}_{i}" for i, x in enumerate(self.leaves)}

    def _kept(self, rows: list[NodeRow]) -> list[Value]:
        """Of a whole program, every value and gradient."""
        kept = *self.slopes.values(), *self.parts.values(), *self.locals.values(), *self.numbers.values()
        return [*(self.value_of(row.node) for row in rows), *kept]

    def _used_leaves(self) -> list[Value]:
        """The parameters and data that are read or returned, oldest first."""
        used = dict.fromkeys([*(arg for line in self.lines for arg in line.inputs), *self.outputs])
        leaves = [value for value in used if value.kind in ("parameter", "data")]
        return sorted(leaves, key=lambda value: -value.ref.birth)

    def forget(self) -> None:
        """Let go of the numbers it was recorded with: what runs again needs none of them."""
        self.first = []
        self._values.clear()
        self._known.clear()
        self.recording = Recording()
        for leaf in self.leaves:
            if leaf.ref.plain:
                let_go(leaf.ref)

    def _forward(self, rows: list[NodeRow], effects: list[Effect], whole: set[int]) -> None:
        """The nodes and what happened beside them, in the order of birth; some as the engine ran them."""
        happened: list[NodeRow | Effect] = [*rows, *effects]
        for event in sorted(happened, key=lambda event: -event.birth):
            if isinstance(event, Effect):
                args = (self.value_of(event.node), *event.facts)
                line = Value("effect", 0.0, event.answer, event.action, args)
                line.scope = self._scope
                self.lines.append(line)
            elif event.op is not None:
                self._scope = self._paths[event.birth]
                self._add(event, whole=event.birth in whole)

    def _divide(self, deciding: list[Node]) -> None:
        """The sections of the text; and the lines of which a decision of Python's is made."""
        self.decisive = set(map(self.value_of, deciding))
        for line in reversed(self.lines):
            line.section = section(line.scope, line.backward)
            if line in self.decisive:
                self.decisive.update(line.inputs)

    def _gradients(self, loss: Node, forward: list[NodeRow]) -> None:
        """Run the rules on tensors, newest node first, and write down what they do."""
        names = {row.birth: row.name for row in forward if row.name is not None}
        inputs = {row.birth: row.inputs for row in forward}
        marks: list[Mark] = []
        sent: dict[tuple[int, int], Any] = {}
        local: dict[tuple[int, int], Any] = {}
        seed = self._seed(loss)

        def work(node: Node, g: Any) -> Iterable[Part]:
            marks.append((tick(), node.birth))
            for part in contributions(node, g, node, inputs[node.birth]):
                if self._whole:
                    sent[node.birth, part[0]] = part[2]
                yield part
            numbers = (node, *(parent for parent in node.parents if parent is not None))
            if self._whole and seed.value.shape == () and all(x.value.shape == () for x in numbers):
                for i, _, part in contributions(node, seed, node, inputs[node.birth]):
                    local[node.birth, i] = part

        leaves, arrived, kept = sweep(loss, seed, work, inputs if self._whole else names)
        grads = {birth: like(g, leaves[birth]) for birth, g in arrived.items() if leaves[birth].needs}
        self._add_backward(kept | grads, marks, names, [*sent.values(), *local.values()])
        self.parts = {key: self.value_of(part) for key, part in sent.items()}
        self.locals = {key: self.value_of(part) for key, part in local.items()}
        self.slopes = {birth: self.value_of(g) for birth, g in (kept | grads).items() if self._whole}
        self.first = [(leaves[birth], g.value) for birth, g in grads.items()]
        self.gradients = [(leaves[birth], self.value_of(grads[birth])) for birth in sorted(grads)[::-1]]

    def _add_backward(
        self, grads: dict[int, Any], marks: list[Mark], names: dict[int, str], sent: list[Any]
    ) -> None:
        """Write down what gradients were computed by, in the scopes of their forward nodes."""
        rows = [row for row in self.recording.history([*grads.values(), *sent]) if row.op is not None]
        for row, owner in zip(rows, owners([row.birth for row in rows], marks), strict=True):
            if row.birth not in self._values:
                self._scope = self._paths.get(owner, ())
                self._add(row)
        for birth, g in grads.items():  # the gradient by S is dS
            value = self.value_of(g)
            if value.backward and birth in names:
                named_first(value, f"d{names[birth]}")

    def _seed(self, loss: Node) -> Any:
        """The gradient 1 of the loss, a constant of the program."""
        one = start(loss, None)
        seed = Tensor(one if np.ndim(one) == 0 else one.reshape(-1)[0])
        self._values[seed.birth] = number_value(seed.value)
        return spread(seed, one.shape) if np.ndim(one) else seed

    def _add(self, row: NodeRow, whole: bool = False) -> None:
        """Write down one node; a composite one by its steps, unless it is wanted whole."""
        op: Any = row.op
        result = None
        if op.composite and not whole:
            with mode("grad_off", True):
                result = op.forward(*row.inputs)
        if isinstance(result, Node):
            for step in self.recording.history([result], known=self._values):
                if step.op is not None:
                    self._add(step, whole=step.op is op)
            value = self.value_of(result)
        else:
            count = len(row.parents)
            args = list(map(self.argument, row.inputs[:count]))
            options = (self.argument(x) if type(x) is Followed else x for x in row.inputs[count:])
            value = self.emit(op, (*args, *options), row.node.value)
        self._values[row.birth] = value
        named_first(value, row.name)

    def argument(self, x: Any) -> Value:
        """The value that an input of an op has become; a followed number is computed from its option."""
        if type(x) is Followed:
            option = x.option
            if option not in self.options:
                self.options[option] = Tensor(float64(option.value), name=option.title)
            x = x.made(self.options[option])
        return self.value_of(x) if isinstance(x, Node) else number_value(x)

    def value_of(self, node: Node) -> Value:
        """The value that a node has become; a leaf, or what an option has become, when it is first met."""
        if node.op is not None and node.birth not in self._values:
            for row in self.recording.history([node], known=self._values):
                if row.op is not None:
                    self._add(row)
        value = self._values.get(node.birth)
        if value is None:
            origin = self.recording.origin(node)
            if origin is not node:
                value = self.value_of(origin)
            else:
                value = Value("parameter" if node.needs else "data", node.value, node)
                value.name = name_of(node)
            self._values[node.birth] = value
        return value

    def emit(self, op: Op, args: tuple[Any, ...], data: Any) -> Value:
        """The value of one statement: an older one that is the same, or a new line."""
        line = Value("line", data, op=op, args=args)
        simpler = simplified(line, data)
        if simpler is not None:
            return simpler if isinstance(simpler, Value) else self.emit(*simpler, data)
        if op.arity != 0:  # what is drawn is drawn anew
            same = self._known.setdefault((op, *map(key_of, args)), line)
            if same is not line:
                return same
        line.scope = self._scope
        line.backward = self._backward
        self.lines.append(line)
        return line

    def _needed(self, runs_again: bool) -> list[Value]:
        """The lines that something depends on, in order."""
        needed = dict.fromkeys(self.outputs)
        kept = []
        for line in reversed(self.lines):
            always = line.kind == "effect" or (runs_again and not line.backward and runs_always(line.op))
            if always or line in needed:
                kept.append(line)
                needed |= dict.fromkeys(line.inputs)
        return kept[::-1]

    def run(self, data: list[Any]) -> tuple[list[Any], float]:
        """Compute (loss, *gradients) from the leaves' data, line by line, without checks and other effects.

        Also returns what rounding can do: that of the largest value on the way, with some room.
        """
        values = dict(zip(self.leaves, data, strict=True))
        noise = 0.0

        def value(arg: Any) -> Any:
            return values.get(arg, arg.ref) if isinstance(arg, Value) else arg

        with np.errstate(all="ignore"):
            for line in self.lines:
                if line.kind == "line":
                    result = values[line] = line.op.forward(*map(value, line.args))
                    if line.dtype.kind == "f":
                        sizes = np.abs(np.asarray(result))
                        top = float(sizes[np.isfinite(sizes)].max(initial=0.0))
                        noise = max(noise, 64 * float(np.finfo(line.dtype).eps) * top)
        return list(map(value, self.outputs)), noise


def follow(row: NodeRow, numbers: Mapping[tuple[int, int], Followed]) -> None:
    """Put the numbers that are followed in the places of those that a node was made with."""
    row.inputs[:] = [numbers.get((row.birth, i), x) for i, x in enumerate(row.inputs)]


def named_first(value: Value, name: str | None) -> None:
    """Name a line that has no name yet."""
    if value.kind == "line" and value.name is None:
        value.name = name


def deciding_nodes(rows: list[NodeRow], effects: list[Effect]) -> list[Node]:
    """The nodes that decide something: branches of Python, and what has no slope.

    Comparisons inside losses and layers are left out: these meet at their kinks without a jump.
    """
    flat = [row.node for row in rows if row.op is not None and not any(row.op.rules)]
    losses = [(began, row.birth) for row in rows for _, began in label(row.node).spans]
    flat = [node for node in flat if not any(end <= node.birth < began for began, end in losses)]
    return flat + [effect.node for effect in effects if effect.action is None]


def like(g: Any, leaf: Node) -> Any:
    """A gradient in the dtype of its leaf."""
    dtype = leaf.value.dtype
    return g if g.dtype == dtype else g.astype(dtype)


def owners(births: list[int], marks: list[Mark]) -> list[int]:
    """For the birth of each node, that of the forward node whose rule made it; 0 where none did.

    Births count down: what is born after a mark, and before the next one, belongs to it. Oldest come first.
    """
    began = [-birth for birth, _ in marks]  # they count up
    owner = [0, *(node for _, node in marks)]
    return [owner[bisect.bisect_left(began, -birth)] for birth in births]


def key_of(arg: Any) -> Any:
    """What makes two arguments the same."""
    if isinstance(arg, Value):
        return (type(arg.ref), repr(arg.ref)) if arg.kind == "constant" else arg
    if isinstance(arg, ndarray):
        return memory(arg)
    if isinstance(arg, (tuple, list)):
        return tuple(map(key_of, arg))
    if isinstance(arg, slice):
        return ("slice", arg.start, arg.stop, arg.step)
    return (type(arg), repr(arg))
