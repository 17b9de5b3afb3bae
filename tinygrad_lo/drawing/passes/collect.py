"""From a graph to what its picture shows: the passes in their order, and the edges in between."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Container, Iterable

import numpy as np
from numpy import ndarray

from tinygrad_lo.drawing.contents import Contents, DrawnBox, DrawnValue, Edge, Stub
from tinygrad_lo.drawing.passes.collapse import Box, Choice, choose, count_hidden, edges_of
from tinygrad_lo.drawing.passes.flow import Flow, concrete, flow_back
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.naming import name_of, scopes
from tinygrad_lo.engine.ops.reductions import log_softmax_forward
from tinygrad_lo.explaining.formula import Names, is_drawn
from tinygrad_lo.program.value import ScopePath

WORDED = 300  # values and boxes; edges of a larger picture do without their formulas
MOST_INLINE = 6  # constants that the legend has room for; of more, each is drawn


def collect(
    root: Node,
    names: Names,
    *,
    gradient: bool,
    max_nodes: int,
    overview: bool = False,
    focus: list[Node] | None = None,
) -> Contents:
    """At most `max_nodes` values and boxes, with the plain arrays that enter them."""
    focus = focus or []
    nodes = names.nodes
    paths = scopes(nodes)
    choice = choose(root, names, paths, max_nodes, focus, overview=overview)
    outputs = outputs_of(nodes, choice)
    differentiated = bool(gradient and root.needs and root.value.size == 1)
    flow = watched(root, names, choice, outputs) if differentiated else Flow()
    sketch = Sketch(names, choice, flow, paths, {node.birth for node in focus})
    sketch.draw_edges()
    values = [sketch.value(node, root, differentiated) for node in sketch.alone()]
    return Contents(
        total=len(nodes),
        drawn=sum(unit < 0 for unit in choice.drawn),
        differentiated=differentiated,
        values=[*sketch.arrays.values(), *values],
        stubs=list(sketch.stubs.values()),
        edges=sketch.edges,
        groups=sketch.groups(outputs),
        constants=[(names.of(node), node.value) for node in sketch.inline.values()],
        focus=tuple(dict.fromkeys(names.of(node) for node in focus)),
        cut=choice.cut,
        gradients=flow.gradients,
    )


def watched(root: Node, names: Names, choice: Choice, outputs: dict[int, list[Node]]) -> Flow:
    """What a backward pass sends to what is drawn."""
    kept = {unit for unit in choice.drawn if unit < 0}
    kept.update(node.birth for values in outputs.values() for node in values)
    worded = len(choice.drawn) <= WORDED
    return flow_back(root, names, kept, choice.crosses, choice.between_values, worded=worded)


class Sketch:
    """The edges of a picture as they are found, and what is learned of values on the way."""

    def __init__(
        self, names: Names, choice: Choice, flow: Flow, paths: dict[int, ScopePath], focus: set[int]
    ) -> None:
        self.names, self.choice, self.flow, self.paths, self.focus = names, choice, flow, paths, focus
        self.ids = {node.birth: f"n{place}" for place, node in enumerate(names.nodes)}
        self.uses = Counter(tail.birth for _, _, tail in edges_of(names.nodes))
        self.inline = inlined(names.nodes, choice, self.uses)
        self.gates = Gates(names, self.inline)
        self.kinds = Gates(names, everything=True)
        self.seen: dict[int, Array] = {}  # what the forward pass saw: .data may have been replaced since
        self.homes: dict[str, list[ScopePath]] = {}  # of leaves and arrays: the scopes that they are used in
        self.arrays: dict[str, DrawnValue] = {}
        self.stubs: dict[int, Stub] = {}
        self.edges: list[Edge] = []
        self.bundles: dict[tuple[str, str], Edge] = {}

    def id_of(self, unit: int) -> str:
        """The DOT name of a value or a box."""
        return self.ids[unit] if unit < 0 else f"b{unit}"

    def draw_edges(self) -> None:
        """Every edge, and what is known of arrays and stubs when all edges are."""
        for node in self.names.nodes:
            self.enter(node)
        for unit, behind in count_hidden(self.names.nodes, self.choice, self.stubs).items():
            self.stubs[unit].behind = behind
        for array in self.arrays.values():
            array.path = common_path(self.homes[array.id])

    def alone(self) -> list[Node]:
        """The values with a node of their own."""
        nodes = filter(self.choice.by_itself, self.names.nodes)
        return [node for node in nodes if node.birth not in self.inline]

    def enter(self, node: Node) -> None:
        """The edges that enter a node of a drawn unit."""
        unit = self.choice.of(node)
        if unit is None:
            return
        outside = self.choice.outside(self.paths[node.birth])
        path = outside if unit < 0 else self.choice.boxes[unit].path
        for i, (parent, data) in enumerate(zip(node.parents, node.inputs, strict=False)):
            if parent is not None:
                self.connect(node, unit, i, parent, data, path)
            elif unit < 0 and is_plain_array(node, data):
                tail = self.array(data)
                self.edges.append(Edge(tail, self.id_of(unit), i))
                self.homes.setdefault(tail, []).append(path)

    def connect(self, node: Node, unit: int, i: int, parent: Node, data: Array, path: ScopePath) -> None:
        """The edge from a tensor to a node of a drawn unit."""
        head, key = self.id_of(unit), (node.birth, i)
        strength = self.flow.strengths.get(key)
        other = self.choice.of(parent)
        if other is None:
            stub = self.stubs.setdefault(unit, Stub(f"hidden_{head}", path))
            self.bundle(stub.id, head, i, strength).count = 1
            return
        self.uses[parent.birth] -= 1
        self.seen[parent.birth] = data
        if other == unit or parent.birth in self.inline:
            return
        tail = self.id_of(other)
        self.homes.setdefault(tail, []).append(path)
        if unit < 0 and other < 0:
            slope, formula = self.flow.slopes.get(key), self.flow.formulas.get(key, "")
            self.edges.append(Edge(tail, head, i, strength, slope, formula))
        else:
            self.bundle(tail, head, i, strength)

    def bundle(self, tail: str, head: str, operand: int, strength: float | None) -> Edge:
        """Add to the one edge that stands for several."""
        edge = self.bundles.get((tail, head))
        if edge is None:
            edge = self.bundles[tail, head] = Edge(tail, head, operand, strength)
            self.edges.append(edge)
            return edge
        edge.count += 1
        if strength is not None:
            # Not max(): a nan must stay.
            edge.strength = strength if edge.strength is None else float(np.maximum(edge.strength, strength))
        return edge

    def array(self, data: Array) -> str:
        """The id of a plain array."""
        name = self.names.of_array(data)
        new = DrawnValue(f"a{len(self.arrays)}", name, False, "", "constant", data, ())
        return self.arrays.setdefault(name, new).id

    def value(self, node: Node, root: Node, differentiated: bool) -> DrawnValue:
        """A value that is drawn by itself."""
        birth, name = node.birth, self.names.of(node)
        id = self.ids[birth]
        path = self.choice.outside(self.paths[birth])
        if node.op is None and id in self.homes:
            # A leaf stands with its only users, unless it is older than their scope.
            path = tuple(step for step in common_path(self.homes[id]) if birth < step[1])
        return DrawnValue(
            id,
            name,
            name_of(node) is not None,
            self.names.formula(node),
            role_of(node, root),
            self.seen.get(birth, node.value),
            path,
            expects=bool(differentiated and node.needs),
            gradient=self.flow.gradients.get(birth),
            unseen=self.uses[birth],
            also=second_view(node, name),
            gate=self.gates.of_gate(node) if node.op is not None else "",
            focus=birth in self.focus,
        )

    def groups(self, outputs: dict[int, list[Node]]) -> list[DrawnBox]:
        """The drawn boxes."""
        boxes = enumerate(self.choice.boxes)
        return [self.group(i, box, outputs.get(i, [])) for i, box in boxes if i in self.choice.drawn]

    def group(self, index: int, box: Box, outputs: list[Node]) -> DrawnBox:
        """What a box says of the values in it."""
        leaves, computed = box.leaves(), box.computed()
        parameters = [leaf for leaf in leaves if leaf.needs]
        title, role = box.title, "value"
        if title is None:
            title, outputs = self.title_of(leaves), leaves
            role = "parameter" if parameters else "data"
        births = [node.birth for node in parameters or outputs]
        return DrawnBox(
            f"b{index}",
            title,
            role,
            box.path,
            [self.ids[node.birth] for node in box.members],
            Counter(map(self.kinds.of_gate, computed)).most_common(),
            sum(leaf.value.size for leaf in parameters),
            [node.value for node in outputs],
            [self.flow.gradients[birth] for birth in births if birth in self.flow.gradients],
        )

    def title_of(self, leaves: list[Node]) -> str:
        """The names of leaves that share a box."""
        first, last = self.names.of(leaves[0]), self.names.of(leaves[-1])
        return f"{first}, {last}" if len(leaves) == 2 else f"{first} … {last}"


class Gates(Names):
    """What stands inside a gate: `×`, `+ 1`, `× λ`, `max(0, ·)`: formulas with a dot for each drawn input.

    inline: the births of the leaves that stand inside their gate. everything: whether numbers are
    dots as well, so that `a + 1` and `a + b` are the same gate.
    """

    def __init__(self, names: Names, inline: Container[int] = (), *, everything: bool = False) -> None:
        self.__dict__.update(vars(names))
        self.inline = inline
        self.everything = everything

    def operands(self, node: Node) -> list[str]:
        """The node's inputs as text, dots in place of edges."""
        texts = super().operands(node)
        for i, (parent, data) in enumerate(zip(node.parents, node.inputs, strict=False)):
            by_edge = is_plain_array(node, data) if parent is None else parent.birth not in self.inline
            if by_edge or self.everything:
                texts[i] = "·"
        return texts

    def of_gate(self, node: Node) -> str:
        """The text of the gate that makes this value."""
        text = self.formula(node)
        call = re.fullmatch(r"(\w+)\(·(?:, ·)*\)", text)
        if call:
            return call[1]
        bare = text.removeprefix("· ").removesuffix(" ·")
        if bare != text:
            return bare.removesuffix(" · ·").strip() or "·"
        # A dot that touches a sign is easily missed: (·)², −(·).
        return re.sub(r"(?<![(|‖√\w ,])·|·(?=[²³⁰¹⁴-⁹⁻ᵀ\[])", "(·)", text)


def is_plain_array(node: Node, data: Array) -> bool:
    """Whether an input is an array, without a tensor around it, that has a place in the picture."""
    return isinstance(data, ndarray) and data.ndim > 0 and is_drawn(node, data)


def inlined(nodes: list[Node], choice: Choice, uses: Counter[int]) -> dict[int, Node]:
    """Named numbers that stand inside their gate: used once, on a computed value, like λ in `× λ`."""
    constants: dict[int, Node] = {}
    for node in filter(choice.by_itself, nodes):
        for leaf, other in beside_each_other(node):
            if (
                is_constant(leaf)
                and other.op is not None
                and uses[leaf.birth] == 1
                and choice.by_itself(leaf)
            ):
                constants[leaf.birth] = leaf
    return constants if len(constants) <= MOST_INLINE else {}


def beside_each_other(node: Node) -> list[tuple[Node, Node]]:
    """The two tensors that an op of two combines, in both orders."""
    if len(node.parents) != 2:
        return []
    first, second = node.parents
    return [] if first is None or second is None else [(first, second), (second, first)]


def is_constant(leaf: Node) -> bool:
    """Whether this is a named number without a gradient."""
    return leaf.op is None and not leaf.needs and np.ndim(leaf.value) == 0 and bool(name_of(leaf))


def outputs_of(nodes: list[Node], choice: Choice) -> dict[int, list[Node]]:
    """The values in each box that are used outside of it."""
    outputs: dict[int, dict[int, Node]] = {}
    for head, _, tail in edges_of(nodes):
        unit = choice.of(tail)
        if unit is not None and unit >= 0 and choice.units.get(head.birth) != unit:
            outputs.setdefault(unit, {})[tail.birth] = tail
    return {unit: list(values.values()) for unit, values in outputs.items()}


def second_view(node: Node, name: str) -> tuple[str, Array] | None:
    """Log-probabilities show their probabilities as well: p = e^(log p)."""
    if node.op is None or node.op.forward is not log_softmax_forward or concrete(node.value) is None:
        return None
    title = f"{name.removeprefix('log ')} = e^({name})" if name.startswith("log ") else f"e^{name}"
    return title, np.exp(node.value)


def role_of(node: Node, root: Node) -> str:
    """What a value is for the reader."""
    if node.op is None:
        return "parameter" if node.needs else "data"
    if node is not root:
        return "value"
    return "loss" if node.needs and node.value.size == 1 else "result"


def common_path(paths: Iterable[ScopePath]) -> ScopePath:
    """The scopes that all these paths begin with."""
    steps = zip(*paths, strict=False)
    return tuple(step[0] for step in itertools.takewhile(lambda step: len(set(step)) == 1, steps))
