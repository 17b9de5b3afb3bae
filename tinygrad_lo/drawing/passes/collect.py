"""From a graph to what its picture shows: the passes in their order, and the edges in between."""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable

import numpy as np
from numpy import ndarray

from tinygrad_lo.drawing.contents import Contents, DrawnBox, DrawnValue, Edge, Stub
from tinygrad_lo.drawing.passes.collapse import Choice, choose, count_hidden, edges_of
from tinygrad_lo.drawing.passes.flow import Strengths, concrete, flow_back
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.naming import name_of, scopes
from tinygrad_lo.engine.ops.reductions import log_softmax_forward
from tinygrad_lo.explaining.formula import Names, is_drawn
from tinygrad_lo.explaining.steps import Rules, worked
from tinygrad_lo.program.value import ScopePath

MOST_INLINE = 6  # constants that the legend has room for; of more, each is drawn


def collect(
    names: Names, *, gradient: bool, max_nodes: int, overview: bool = False, focus: Iterable[Node] = ()
) -> Contents:
    """At most `max_nodes` values and boxes, with the plain arrays that enter them."""
    nodes, paths, focus = names.nodes, scopes(names.nodes), list(focus)
    root = nodes[-1]
    choice = choose(nodes, paths, max_nodes, focus, overview=overview)
    outputs = outputs_of(nodes, choice)
    differentiated = bool(gradient and root.needs and root.value.size == 1)
    gradients: dict[int, Array] = {}
    strengths: Strengths = {}
    if differentiated:
        leaving = {node.birth for values in outputs.values() for node in values}
        gradients, strengths = flow_back(root, leaving | {unit for unit in choice.drawn if unit < 0})
    sketch = Sketch(names, choice, paths, gradients, strengths)
    sketch.draw_edges()
    births = {node.birth for node in focus}
    return Contents(
        total=len(nodes),
        drawn=sum(unit < 0 for unit in choice.drawn),
        differentiated=differentiated,
        values=[
            *sketch.arrays.values(),
            *(sketch.value(node, births, differentiated) for node in sketch.alone),
        ],
        stubs=list(sketch.stubs.values()),
        edges=sketch.edges,
        groups=[sketch.group(unit, outputs.get(unit, [])) for unit in sorted(choice.drawn) if unit >= 0],
        constants=[(names.of(node), node.value) for node in sketch.inline.values()],
        focus=tuple(dict.fromkeys(map(names.of, focus))),
        cut=choice.cut,
        gradients=gradients,
        shown=sketch.shown,
        wires=sketch.wires,
    )


class Sketch:
    """The edges of a picture as they are met, and what is learned of values on the way."""

    def __init__(
        self,
        names: Names,
        choice: Choice,
        paths: dict[int, ScopePath],
        gradients: dict[int, Array],
        strengths: Strengths,
    ) -> None:
        self.names, self.choice, self.paths = names, choice, paths
        self.gradients, self.strengths, self.rules = gradients, strengths, Rules()
        self.places = {node.birth: place for place, node in enumerate(names.nodes)}
        self.uses = Counter(tail.birth for _, _, tail in edges_of(names.nodes))
        self.inline = inlined(names.nodes, choice, self.uses)
        self.gates, self.kinds = Gates(names, self.inline), Gates(names, everything=True)
        self.alone = [n for n in names.nodes if choice.by_itself(n) and n.birth not in self.inline]
        self.seen: dict[int, Array] = {}  # what the forward pass saw: .data may have been replaced since
        # The scopes that leaves and arrays are used in.
        self.homes: defaultdict[str, list[ScopePath]] = defaultdict(list)
        self.arrays: dict[str, DrawnValue] = {}
        self.stubs: dict[int, Stub] = {}
        self.edges: list[Edge] = []
        self.bundles: dict[tuple[str, str], Edge] = {}
        self.wires: dict[tuple[int, int], Edge] = {}
        drawn = ((node, choice.of(node)) for node in names.nodes if node.birth not in self.inline)
        self.shown = {self.places[node.birth]: self.id_of(unit) for node, unit in drawn if unit is not None}

    def id_of(self, unit: int) -> str:
        """The DOT name of a value or a box."""
        return f"n{self.places[unit]}" if unit < 0 else f"b{unit}"

    def draw_edges(self) -> None:
        """Every edge, and what is known of arrays and stubs when all edges are."""
        for node in self.names.nodes:
            unit = self.choice.of(node)
            if unit is None:
                continue
            path = self.choice.outside(self.paths[node.birth]) if unit < 0 else self.choice.boxes[unit].path
            for i, (parent, data) in enumerate(zip(node.parents, node.inputs, strict=False)):
                if parent is not None:
                    self.connect(node, unit, i, parent, data, path)
                elif unit < 0 and is_plain_array(node, data):
                    tail = self.array(data)
                    self.edge(tail, self.id_of(unit))
                    self.homes[tail].append(path)
        for unit, behind in count_hidden(self.names.nodes, self.choice, self.stubs).items():
            self.stubs[unit].behind = behind
        for array in self.arrays.values():
            array.path = common_path(self.homes[array.id])

    def connect(self, node: Node, unit: int, i: int, parent: Node, data: Array, path: ScopePath) -> None:
        """The edge from a tensor to a node of a drawn unit."""
        head, strength = self.id_of(unit), self.strengths.get((node.birth, i))
        other = self.choice.of(parent)
        if other is None:
            stub = self.stubs.setdefault(unit, Stub(f"hidden_{head}", path))
            edge = self.bundle(stub.id, head, strength)
            edge.count = 1
        else:
            self.uses[parent.birth] -= 1
            self.seen[parent.birth] = data
            if other == unit or parent.birth in self.inline:
                return
            tail = self.id_of(other)
            self.homes[tail].append(path)
            if unit >= 0 or other >= 0:
                edge = self.bundle(tail, head, strength)
            else:
                edge = self.edge(tail, head, strength)
                if strength is not None:
                    g = self.gradients[node.birth]
                    with np.errstate(all="ignore"):
                        edge.slope, edge.formula, _ = worked(self.rules, self.names, node, i, g)
        self.wires[self.places[node.birth], i] = edge

    def edge(self, tail: str, head: str, strength: float | None = None) -> Edge:
        """One edge more."""
        self.edges.append(Edge(f"e{len(self.edges)}", tail, head, strength))
        return self.edges[-1]

    def bundle(self, tail: str, head: str, strength: float | None) -> Edge:
        """Add to the one edge that stands for several."""
        edge = self.bundles.get((tail, head))
        if edge is None:
            edge = self.bundles[tail, head] = self.edge(tail, head, strength)
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

    def value(self, node: Node, focus: Container[int], differentiated: bool) -> DrawnValue:
        """A value that is drawn by itself."""
        birth, name = node.birth, self.names.of(node)
        id = self.id_of(birth)
        path = self.choice.outside(self.paths[birth])
        if node.op is None and id in self.homes:
            # A leaf stands with its only users, unless it is older than their scope.
            path = tuple(step for step in common_path(self.homes[id]) if birth < step[1])
        return DrawnValue(
            id,
            name,
            name_of(node) is not None,
            self.names.formula(node),
            role_of(node, self.names.nodes[-1]),
            self.seen.get(birth, node.value),
            path,
            expects=bool(differentiated and node.needs),
            gradient=self.gradients.get(birth),
            unseen=self.uses[birth],
            also=second_view(node, name),
            gate=self.gates.of_gate(node) if node.op is not None else "",
            focus=birth in focus,
        )

    def group(self, unit: int, outputs: list[Node]) -> DrawnBox:
        """What a box says of the values in it."""
        box = self.choice.boxes[unit]
        leaves = [node for node in box.members if node.op is None]
        parameters = [leaf for leaf in leaves if leaf.needs]
        title, role = box.title, "value"
        if title is None:
            first, last = self.names.of(leaves[0]), self.names.of(leaves[-1])
            title, outputs = f"{first}, {last}" if len(leaves) == 2 else f"{first} … {last}", leaves
            role = "parameter" if parameters else "data"
        births = [node.birth for node in parameters or outputs]
        return DrawnBox(
            self.id_of(unit),
            title,
            role,
            box.path,
            [self.id_of(node.birth) for node in box.members],
            Counter(self.kinds.of_gate(node) for node in box.members if node.op is not None).most_common(),
            sum(leaf.value.size for leaf in parameters),
            [node.value for node in outputs],
            [self.gradients[birth] for birth in births if birth in self.gradients],
        )


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
        if len(node.parents) != 2:
            continue
        for leaf, other in itertools.permutations(node.parents):
            if (
                leaf is not None
                and other is not None
                and other.op is not None
                and is_constant(leaf)
                and uses[leaf.birth] == 1
                and choice.by_itself(leaf)
            ):
                constants[leaf.birth] = leaf
    return constants if len(constants) <= MOST_INLINE else {}


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
