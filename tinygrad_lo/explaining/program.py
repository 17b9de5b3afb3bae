"""The forward and the backward pass of a graph as data: statements over named values.

A `Program` is what the graph computes and what `backward()` computes from it, written down op by op:
rules were run on tensors under a recording, so the backward pass consists of the same ops as the
forward. `source` prints it for readers, `compile` for the machine, tests run it.

Nothing here changes a number, not by one bit: equal statements are shared, `x * 1.0` is x, and what is
never used is dropped (see simplify.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.backward import Part, contributions, start, sweep
from tinygrad_lo.engine.graph import Array, Node, Op, mode, reachable, tick
from tinygrad_lo.engine.machine.arguments import memory
from tinygrad_lo.engine.naming import Label, name_of, scopes
from tinygrad_lo.engine.ops.reductions import spread
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.explaining.recording import Effect, Recording, runs_always
from tinygrad_lo.explaining.simplify import simplified
from tinygrad_lo.explaining.value import Path, Value


class Program:
    """The statements that compute a loss and its gradients, in order.

    Attributes:
        lines: statements and effects.
        loss: what the program computes.
        gradients: (leaf, its gradient) for every leaf that the loss reaches, oldest first.
        leaves: the parameters and data that are used, oldest first.
        decisive: values on which a decision depends: the engine's own, to the last bit.
        first: (leaf, its gradient) as numbers, from the run that was recorded.
        recording: the recording it was made under.
    """

    def __init__(self, loss: Node, recording: Recording | None = None) -> None:
        self.recording = recording or Recording()
        self.recording.copies = False
        self.lines: list[Value] = []
        self.gradients: list[tuple[Node, Value]] = []
        self.first: list[tuple[Node, Array]] = []
        self._values: dict[int, Value] = {}  # by birth of the node
        self._known: dict[Any, Value] = {}  # by what is computed, so that nothing is computed twice
        self._scope: Path = ()
        self._backward = False
        self._marks: list[tuple[int, int]] = []  # (birth of the first backward node, its forward node)
        self._runs_again = recording is not None  # on other data, where it must decide as the engine does
        self._deciding: list[Node] = []

        loss = self.recording.origin(loss)
        effects = self.recording.effects
        beside = [effect.node for effect in effects if effect.node is not None]
        forward = reachable([loss, *beside, *self.recording.always])
        self._paths = scopes(forward)
        with self.recording, mode("scope", None), mode("grad_off", False):
            self._forward(forward, effects)
            self.loss = self.value_of(loss)
            self._backward = True
            if loss.needs:
                self._gradients(loss, forward)
        self._known.clear()
        self.lines = self._needed()
        self.decisive = {self.value_of(node) for node in self._deciding}
        for line in reversed(self.lines):
            if line in self.decisive:
                self.decisive.update(line.inputs)
        used = {arg: None for line in self.lines for arg in line.inputs}
        used |= dict.fromkeys([self.loss, *(g for _, g in self.gradients)])
        leaves = [value for value in used if value.kind in ("parameter", "data")]
        self.leaves = sorted(leaves, key=lambda value: -value.ref.birth)

    def forget(self) -> None:
        """Let go of the numbers it was recorded with: what runs again needs none of them."""
        self.first = []
        self._values.clear()
        self._deciding.clear()
        self.recording = Recording()
        for line in self.lines:
            if line.kind == "effect":
                line.op.node = None
        for leaf in self.leaves:
            if leaf.ref.plain:
                leaf.ref.value = None

    # -------------------------------------------------------------------------------- writing down

    def _forward(self, nodes: list[Node], effects: list[Effect]) -> None:
        """The nodes and what happened beside them, in the order of birth."""
        if self._runs_again:
            self._deciding = deciding(nodes, effects)
        whole = {node.birth for node in reachable(self._deciding)}  # as the engine ran them, to the last bit
        waiting = iter(sorted(effects, key=lambda effect: -effect.birth))
        effect = next(waiting, None)
        for node in nodes:
            while effect is not None and effect.birth > node.birth:
                self._happen(effect)
                effect = next(waiting, None)
            if node.op is not None:
                self._scope = self._paths[node.birth]
                self._add(node, whole=node.birth in whole)
        while effect is not None:
            self._happen(effect)
            effect = next(waiting, None)

    def _happen(self, effect: Effect) -> None:
        assert effect.node is not None
        line = Value("effect", 0.0, op=effect, args=(self.value_of(effect.node), *effect.facts))
        line.scope = self._scope
        self.lines.append(line)

    def _gradients(self, loss: Node, forward: list[Node]) -> None:
        """Run the rules on tensors, newest node first, and write down what they do."""
        one = start(loss, None)
        seed: Any = Tensor(one if np.ndim(one) == 0 else one.reshape(-1)[0])
        self._values[seed.birth] = Value("constant", seed.value, seed.value)
        if np.ndim(one):
            seed = spread(seed, one.shape)
        named = {node.birth: node for node in forward if name_of(node) is not None}
        leaves, grads, kept = sweep(loss, seed, self._pull, named)
        grads = {birth: g for birth, g in grads.items() if leaves[birth].needs}
        for birth, node in leaves.items():
            if birth in grads and grads[birth].dtype != node.value.dtype:
                grads[birth] = grads[birth].astype(node.value.dtype)
        asked = [*kept.values(), *grads.values()]
        backward = reachable(asked)
        owner = owners(backward, self._marks)
        for node in backward:
            if node.birth not in self._values and node.op is not None:
                self._scope = self._paths.get(owner[node.birth], ())
                self._add(node)
        for birth, g in [*kept.items(), *grads.items()]:
            value = self.value_of(g)
            name = name_of(named[birth] if birth in named else leaves[birth])
            if value.kind == "line" and value.backward and value.name is None and name is not None:
                value.name = f"d{name}"
        self.first = [(leaves[birth], g.value) for birth, g in grads.items()]
        self.gradients = [(leaves[birth], self.value_of(grads[birth])) for birth in sorted(grads)[::-1]]

    def _pull(self, node: Node, g: Array) -> Iterable[Part]:
        """Run the rules of one node on tensors, plain arrays among its inputs as tensors too."""
        inputs = list(node.inputs)
        for i, parent in enumerate(node.parents):
            if parent is not None:
                inputs[i] = parent
            elif type(inputs[i]) is ndarray:
                inputs[i] = self.recording.tensor_of(inputs[i])
        # What is born from here on, until the next node is pulled, belongs to this one.
        self._marks.append((tick(), node.birth))
        return contributions(node, g, node, inputs)

    def _add(self, node: Node, whole: bool = False) -> None:
        """Write down one node; a composite one by its steps, unless it is wanted whole."""
        op = node.op
        assert op is not None
        if op.composite and not whole:
            self._add_steps(node, op)
            return
        parents = node.parents
        args: list[Any] = []
        for i, x in enumerate(node.inputs):
            if i >= len(parents):
                args.append(x)
            elif (parent := parents[i]) is not None:
                args.append(self.value_of(parent))
            elif type(x) is ndarray:
                args.append(self.value_of(self.recording.tensor_of(x)))
            else:
                args.append(Value("constant", x, x))
        value = self.emit(op, tuple(args), node.value)
        name = name_of(node)
        if name is not None and value.kind == "line" and value.name is None:
            value.name = name
        self._values[node.birth] = value

    def _add_steps(self, node: Node, op: Op) -> None:
        """Run the forward of a composite op on tensors, and write down the ops it is made of."""
        parents = node.parents
        inputs = [
            parents[i]
            if i < len(parents) and parents[i] is not None
            else self.recording.tensor_of(x)
            if i < len(parents) and type(x) is ndarray
            else x
            for i, x in enumerate(node.inputs)
        ]
        with mode("grad_off", True):
            result = op.forward(*inputs)
        if not isinstance(result, Node):
            self._add(node, whole=True)
            return
        for step in reachable([result], known=self._values):
            if step.op is not None:
                self._add(step, whole=step.op is op)
        value = self._values[node.birth] = self.value_of(result)
        if value.kind == "line" and value.name is None:
            value.name = name_of(node)

    def value_of(self, node: Node) -> Value:
        """The value that a node has become; a leaf becomes one when it is first met."""
        found = self._values.get(node.birth)
        if found is None:
            made = self.recording.origin(node)
            if made is not node:
                found = self.value_of(made)
            else:
                found = Value("parameter" if node.needs else "data", node.value, node)
                found.name = name_of(node)
            self._values[node.birth] = found
        return found

    def emit(self, op: Op, args: tuple[Any, ...], data: Any) -> Value:
        """The value of one statement: an older one that is the same, or a new line."""
        made = Value("line", data, op=op, args=args)
        same = simplified(self, made, data)
        if same is not None:
            return same
        key = None
        if op.arity != 0:
            key = (
                op,
                *[arg if type(arg) is Value and arg.kind != "constant" else key_of(arg) for arg in args],
            )
            if key in self._known:
                return self._known[key]
        made.scope = self._scope
        made.backward = self._backward
        self.lines.append(made)
        if key is not None:
            self._known[key] = made
        return made

    def constant(self, number: Any) -> Value:
        """A number as a value."""
        return Value("constant", number, number)

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
        return [value(output) for output in (self.loss, *(g for _, g in self.gradients))], noise

    def _needed(self) -> list[Value]:
        """The lines that something depends on, in order."""
        needed = dict.fromkeys([self.loss, *(g for _, g in self.gradients)])
        kept = []
        for line in reversed(self.lines):
            always = self._runs_again and not line.backward and line.kind == "line" and runs_always(line.op)
            if line in needed or line.kind == "effect" or always:
                kept.append(line)
                needed |= dict.fromkeys(line.inputs)
        return kept[::-1]


def deciding(nodes: list[Node], effects: list[Effect]) -> list[Node]:
    """The nodes that decide something: branches of Python, and what has no slope.

    Comparisons inside losses and layers are left out: these meet at their kinks without a jump.
    """
    steps = [node for node in nodes if node.op is not None and not any(node.op.rules)]
    if steps:
        labels = [(node, node.label) for node in nodes if isinstance(node.label, Label)]
        spans = [(began, node.birth) for node, found in labels for _, began in found.spans]
        steps = [s for s in steps if not any(end <= s.birth < began for began, end in spans)]
    return steps + [e.node for e in effects if e.action is None and e.node is not None]


def owners(nodes: list[Node], marks: list[tuple[int, int]]) -> dict[int, int]:
    """Birth of each node -> birth of the forward node whose rule made it; 0 where none did.

    A mark is (birth, forward node). Births count down: what is born after a mark, and before the next one,
    belongs to the mark's forward node. Nodes and marks come oldest first.
    """
    found = {}
    coming = iter(marks)
    following = next(coming, None)
    owner = 0
    for node in nodes:
        while following is not None and node.birth < following[0]:
            owner = following[1]
            following = next(coming, None)
        found[node.birth] = owner
    return found


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
