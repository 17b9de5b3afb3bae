"""The forward and the backward pass of a graph as data: statements over named values.

A `Program` is what the graph computes and what `backward()` computes from it, written down op by op:
rules were run on tensors under a recording, so the backward pass consists of the same ops as the
forward. `source` prints it for readers, `compile` for the machine, tests run it.

Nothing here changes a number, not by one bit: equal statements are shared, `x * 1.0` is x, and what is
never used is dropped (see simplify.py).
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.backward import start, sweep
from tinygrad_lo.engine.graph import Array, Node, Op, mode
from tinygrad_lo.engine.leaves import NodeRow, history, let_go, replayed, spans
from tinygrad_lo.engine.machine.arguments import memory
from tinygrad_lo.engine.naming import name_of, scopes
from tinygrad_lo.engine.ops.reductions import spread
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.program.recording import Effect, Recording, runs_always
from tinygrad_lo.program.simplify import number_value, simplified
from tinygrad_lo.program.text import identifier, one_line, section
from tinygrad_lo.program.value import ScopePath, Value


class Program:
    """The statements that compute a loss and its gradients, in order.

    Attributes:
        lines: statements and effects.
        loss: what the program computes.
        outputs: the loss and the gradients.
        gradients: (leaf, its gradient) for every leaf that the loss reaches, oldest first.
        leaves: the parameters and data that are used, oldest first.
        arguments: names for them.
        decisive: values on which a decision depends: the engine's own, to the last bit.
        first: (leaf, its gradient) as numbers, from the run that was recorded.
        recording: the recording it was made under.
        failed: whether an op or a check raised in it.
    """

    def __init__(self, loss: Node, recording: Recording | None = None) -> None:
        self.recording = recording or Recording()
        self.recording.copies = False
        self.lines: list[Value] = []
        self.gradients: list[tuple[Node, Value]] = []
        self.first: list[tuple[Node, Array]] = []
        self._values: dict[int, Value] = {}  # by birth of the node
        self._inputs: dict[int, list[Any]] = {}  # of each node, as tensors
        self._known: dict[Any, Value] = {}  # by what is computed, so that nothing is computed twice
        self._scope: ScopePath = ()
        self._backward = False
        self._marks: list[tuple[int, int]] = []  # (birth of the first backward node, its forward node)
        self._runs_again = recording is not None  # on other data, where it must decide as the engine does
        loss = self.recording.origin(loss)
        effects = self.recording.effects
        beside = [effect.node for effect in effects if effect.node is not None]
        self._rows = {row.birth: row for row in history([loss, *beside, *self.recording.always])}
        self._paths = scopes(row.node for row in self._rows.values())
        deciding = deciding_nodes(self._rows.values(), effects) if self._runs_again else []
        with self.recording, mode("scope", None), mode("grad_off", False):
            self._forward(effects, {row.birth for row in history(deciding)})
            self.loss = self.value_of(loss)
            self._backward = True
            if loss.needs:
                self._gradients(loss)
        self.failed = self.recording.failed
        self.outputs = [self.loss, *(g for _, g in self.gradients)]
        self.lines = self._needed()
        self.decisive = self._behind(map(self.value_of, deciding))
        self.leaves = self._used_leaves()
        self.arguments = {
            leaf: f"{identifier(leaf.name or 'x', 'x')}_{i}" for i, leaf in enumerate(self.leaves)
        }
        self._comment()
        for working in (self._known, self._rows, self._inputs):
            working.clear()

    def _comment(self) -> None:
        """What stands above and behind the lines, for readers."""
        for line in self.lines:
            line.section = section(line.scope, line.backward)
            line.comment = one_line(line.name or "")

    def _behind(self, values: Iterable[Value]) -> set[Value]:
        """The values, and the lines that they are computed from."""
        behind = set(values)
        for line in reversed(self.lines):
            if line in behind:
                behind.update(line.inputs)
        return behind

    def _used_leaves(self) -> list[Value]:
        """The parameters and data that anything is computed from, oldest first."""
        used = dict.fromkeys(arg for line in self.lines for arg in line.inputs) | dict.fromkeys(self.outputs)
        leaves = [value for value in used if value.kind in ("parameter", "data")]
        return sorted(leaves, key=lambda value: -value.ref.birth)

    def forget(self) -> None:
        """Let go of the numbers it was recorded with: what runs again needs none of them."""
        self.first = []
        self._values.clear()
        self.recording = Recording()
        for line in self.lines:
            if line.kind == "effect":
                line.op.node = None
        for leaf in self.leaves:
            if leaf.ref.plain:
                let_go(leaf.ref)

    # -------------------------------------------------------------------------------- writing down

    def _forward(self, effects: list[Effect], whole: set[int]) -> None:
        """The nodes and what happened beside them, in the order of birth; some as the engine ran them."""
        happened: list[NodeRow | Effect] = [*self._rows.values(), *effects]
        for event in sorted(happened, key=lambda event: -event.birth):
            if isinstance(event, Effect):
                self._happen(event)
            elif event.op is not None:
                self._scope = self._paths[event.birth]
                self._add(event, whole=event.birth in whole)

    def _happen(self, effect: Effect) -> None:
        assert effect.node is not None
        line = Value("effect", 0.0, op=effect, args=(self.value_of(effect.node), *effect.facts))
        line.scope = self._scope
        self.lines.append(line)

    def _gradients(self, loss: Node) -> None:
        """Run the rules on tensors, newest node first, and write down what they do."""
        names = {row.birth: row.name for row in self._rows.values() if row.name is not None}
        leaves, arrived, kept = sweep(loss, self._seed(loss), replayed(self._inputs, self._marks), names)
        grads = {birth: like(g, leaves[birth]) for birth, g in arrived.items() if leaves[birth].needs}
        rows = [row for row in history([*kept.values(), *grads.values()]) if row.op is not None]
        for row, owner in zip(rows, owners([row.birth for row in rows], self._marks), strict=True):
            if row.birth not in self._values:
                self._scope = self._paths.get(owner, ())
                self._add(row)
        self._name_gradients({**kept, **grads}, names)
        self.first = [(leaves[birth], g.value) for birth, g in grads.items()]
        self.gradients = [(leaves[birth], self.value_of(grads[birth])) for birth in sorted(grads)[::-1]]

    def _name_gradients(self, grads: dict[int, Any], names: dict[int, str]) -> None:
        """The gradient by S is dS."""
        for birth, g in grads.items():
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
        op = row.op
        assert op is not None
        inputs = self._inputs[row.birth] = self.recording.as_tensors(row.parents, row.inputs)
        if op.composite and not whole:
            with mode("grad_off", True):
                result = op.forward(*inputs)
            if isinstance(result, Node):
                self._add_steps(row, result)
                return
        count = len(row.parents)
        args = [self.value_of(x) if isinstance(x, Node) else number_value(x) for x in inputs[:count]]
        value = self._values[row.birth] = self.emit(op, (*args, *inputs[count:]), row.node.value)
        named_first(value, row.name)

    def _add_steps(self, row: NodeRow, result: Node) -> None:
        """Write down the ops that a composite one is made of."""
        for step in history([result], known=self._values):
            if step.op is not None:
                self._add(step, whole=step.op is row.op)
        value = self._values[row.birth] = self.value_of(result)
        named_first(value, row.name)

    def value_of(self, node: Node) -> Value:
        """The value that a node has become; a leaf becomes one when it is first met."""
        value = self._values.get(node.birth)
        if value is None:
            origin = self.recording.origin(node)
            if origin is not node:
                value = self.value_of(origin)
            else:
                value = Value("parameter" if node.needs else "data", node.value, node)
                row = self._rows.get(node.birth)
                value.name = name_of(node) if row is None else row.name
            self._values[node.birth] = value
        return value

    def emit(self, op: Op, args: tuple[Any, ...], data: Any) -> Value:
        """The value of one statement: an older one that is the same, or a new line."""
        line = Value("line", data, op=op, args=args)
        same = simplified(self, line, data)
        if same is not None:
            return same
        if op.arity != 0:  # what is drawn is drawn anew
            key = (op, *map(key_of, args))
            same = self._known.setdefault(key, line)
            if same is not line:
                return same
        line.scope = self._scope
        line.backward = self._backward
        self.lines.append(line)
        return line

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
        return [value(output) for output in self.outputs], noise

    def _needed(self) -> list[Value]:
        """The lines that something depends on, in order."""
        needed = dict.fromkeys(self.outputs)
        kept = []
        for line in reversed(self.lines):
            always = self._runs_again and not line.backward and line.kind == "line" and runs_always(line.op)
            if line in needed or line.kind == "effect" or always:
                kept.append(line)
                needed |= dict.fromkeys(line.inputs)
        return kept[::-1]


def named_first(value: Value, name: str | None) -> None:
    """Name a line that has no name yet."""
    if value.kind == "line" and value.name is None:
        value.name = name


def deciding_nodes(rows: Iterable[NodeRow], effects: list[Effect]) -> list[Node]:
    """The nodes that decide something: branches of Python, and what has no slope.

    Comparisons inside losses and layers are left out: these meet at their kinks without a jump.
    """
    flat = [row.node for row in rows if row.op is not None and not any(row.op.rules)]
    losses = spans(row.node for row in rows) if flat else []
    flat = [node for node in flat if not any(end <= node.birth < began for began, end in losses)]
    return flat + [e.node for e in effects if e.action is None and e.node is not None]


def like(g: Any, leaf: Node) -> Any:
    """A gradient in the dtype of its leaf."""
    dtype = leaf.value.dtype
    return g if g.dtype == dtype else g.astype(dtype)


def owners(births: list[int], marks: list[tuple[int, int]]) -> list[int]:
    """For the birth of each node, that of the forward node whose rule made it; 0 where none did.

    A mark is (birth, forward node). Births count down: what is born after a mark, and before the next one,
    belongs to the mark's forward node. Nodes and marks come oldest first.
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
