"""From a graph to what its picture shows: the passes in their order, and the edges in between."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterable

import numpy as np
from numpy import ndarray

from tinygrad_lo.drawing.contents import Contents, DrawnBox, DrawnValue, Edge, Stub
from tinygrad_lo.drawing.passes.collapse import FEW, Choice, Unit, common_path, count_hidden, edges_of, known
from tinygrad_lo.drawing.passes.flow import Flow, concrete, flow_back
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.naming import ScopePath, name_of
from tinygrad_lo.engine.ops.reductions import log_softmax_forward
from tinygrad_lo.explaining.formula import Names, is_drawn
from tinygrad_lo.explaining.steps import Rules, worked

WORDED = 300  # values and boxes; edges of a larger picture do without rules and local derivatives
MOST_INLINE = 6  # constants that the legend has room for; of more, each is drawn


def collect(names: Names, choice: Choice, *, gradient: bool = True, focus: Iterable[Node] = ()) -> Contents:
    """What is shown of the values and boxes that are drawn, with the plain arrays that enter them."""
    nodes, focus = names.nodes, list(focus)
    root, flow = nodes[-1], Flow()
    if gradient and root.needs and root.value.size == 1:
        flow = flow_back(root, {birth for unit in choice.drawn for birth in unit.outputs})
    sketch = Sketch(names, choice, flow)
    for node in nodes:
        sketch.enter(node)
    sketch.settle()
    births = {node.birth for node in focus}
    return Contents(
        total=len(nodes), drawn=sum(not unit.is_box for unit in choice.drawn), cut=choice.cut,
        values=[*sketch.arrays.values(), *(sketch.value(n, n.birth in births) for n in sketch.alone)],
        stubs=[*sketch.stubs.values()], edges=sketch.edges, shown=sketch.shown, wires=sketch.wires,
        groups=[sketch.group(box) for box in choice.boxes if box in choice.drawn],
        constants=[(names.of(node), node.value) for node in sketch.inline.values()],
        focus=tuple(dict.fromkeys(map(names.of, focus))),
        differentiated=bool(flow.gradients), gradients=flow.gradients,
    )  # fmt: skip


class Sketch:
    """The edges of a picture as they are met, and what is learned of values on the way."""

    def __init__(self, names: Names, choice: Choice, flow: Flow) -> None:
        self.names, self.choice, self.flow, self.rules = names, choice, flow, Rules()
        self.places = {node.birth: place for place, node in enumerate(names.nodes)}
        self.uses = Counter(tail.birth for _, tail in edges_of(names.nodes))
        self.inline = inlined(names.nodes, choice, self.uses)
        self.alone = [n for n in names.nodes if choice.by_itself(n) and n.birth not in self.inline]
        self.gates, self.kinds = Gates(names, self.inline), Gates(names, everything=True)
        self.seen: dict[int, Array] = {}  # what the forward pass saw: .data may have been replaced since
        self.homes: defaultdict[str, list[ScopePath]] = defaultdict(list)  # the scopes of its users, by id
        self.arrays: dict[str, DrawnValue] = {}
        drawn = [n for n in self.alone if n.birth not in choice.makers]
        self.quoted = {tail.birth for _, tail in edges_of(drawn)}  # whose names stand in formulas
        self.stubs: dict[Unit, Stub] = {}
        self.edges: list[Edge] = []
        self.bundles: dict[tuple[str, str], Edge] = {}
        self.wires: dict[tuple[int, int], Edge] = {}
        units = ((self.places[node.birth], choice.of(node)) for node in names.nodes)
        self.shown = {place: unit.id for place, unit in units if unit is not None}
        for birth in self.inline:
            del self.shown[self.places[birth]]

    def enter(self, node: Node) -> None:
        """The edges that enter a node of a drawn unit."""
        unit = self.choice.of(node)
        if unit is None:
            return
        for i, (parent, data) in enumerate(zip(node.parents, node.inputs, strict=False)):
            if parent is not None:
                self.connect(node, i, parent, unit)
            elif not unit.is_box and is_plain_array(node, data):
                name, id = self.names.of_array(data), f"a{len(self.arrays)}"
                array = self.arrays.setdefault(name, DrawnValue(id, name, False, "", "constant", data, ()))
                self.homes[array.id].append(unit.path)
                self.edge(array.id, unit.id)

    def connect(self, node: Node, i: int, parent: Node, unit: Unit) -> None:
        """The edge from a tensor to a node of a drawn unit."""
        other, strength = self.choice.of(parent), self.flow.strengths.get((node.birth, i))
        if other is None:
            stub = self.stubs.setdefault(unit, Stub(f"hidden_{unit.id}", unit.path))
            edge = self.bundle(stub.id, unit.id, strength)
            edge.count = 1
            if not unit.is_box:
                stub.names[self.names.of(parent)] = None
        else:
            self.uses[parent.birth] -= 1
            self.seen[parent.birth] = node.inputs[i]
            carried = (other, unit) in self.choice.carried
            if (other is unit and not carried) or parent.birth in self.inline:
                return
            self.homes[other.id].append(unit.path)
            if unit.is_box or other.is_box:
                edge = self.bundle(other.id, unit.id, strength)
                edge.carried = carried
            else:
                edge = self.edge(other.id, unit.id, strength)
                if strength is not None and len(self.choice.drawn) <= WORDED:
                    g = self.flow.gradients[node.birth]
                    with np.errstate(all="ignore"):
                        edge.slope, edge.formula, _ = worked(self.rules, self.names, node, i, g)
        self.wires[self.places[node.birth], i] = edge

    def settle(self) -> None:
        """What is known of stubs and arrays when all edges are."""
        for unit, behind in count_hidden(self.names.nodes, self.choice, self.stubs).items():
            self.stubs[unit].behind = behind
        for array in self.arrays.values():
            array.path = common_path(self.homes[array.id])

    def edge(self, tail: str, head: str, strength: float | None = None) -> Edge:
        """One edge more."""
        self.edges.append(Edge(f"e{len(self.edges)}", tail, head, strength))
        return self.edges[-1]

    def bundle(self, tail: str, head: str, strength: float | None) -> Edge:
        """The one edge that stands for several, with one more."""
        if (tail, head) not in self.bundles:
            self.bundles[tail, head] = self.edge(tail, head, strength)
            return self.edges[-1]
        edge = self.bundles[tail, head]
        edge.count += 1
        if strength is not None:
            # Not max(): a nan must stay.
            edge.strength = strength if edge.strength is None else float(np.maximum(edge.strength, strength))
        return edge

    def value(self, node: Node, focus: bool) -> DrawnValue:
        """A value that is drawn by itself."""
        birth, name, unit = node.birth, self.names.of(node), self.choice.units[node.birth]
        source, data = known(node).source, self.seen.get(birth, node.value)
        maker, formula = self.choice.makers.get(birth), self.names.formula(node)
        if source is not None:  # the constant is the library's own, made of the user's data
            name, node, data = name_of(source) or "x", source, source.value
        path = unit.path
        if node.op is None and unit.id in self.homes:
            # A leaf stands with its only users, unless it is older than their scope.
            path = tuple(step for step in common_path(self.homes[unit.id]) if node.birth < step[1])
        return DrawnValue(
            unit.id, name, name_of(node) is not None, formula if maker is None else f"{maker.title}(…)",
            role_of(node, self.names.nodes[-1]), data, path, unseen=self.uses[birth], focus=focus,
            expects=bool(self.flow.gradients and node.needs), gradient=self.flow.gradients.get(birth),
            also=second_view(node, name), gate=self.gates.of_gate(node) if node.op is not None else "",
        )  # fmt: skip

    def title_of(self, leaves: list[Node]) -> str:
        """The title of a box of leaves, or of a stack: the first and the last."""
        between = ", " if len(leaves) == 2 and leaves[0].op is None else " … "
        return between.join(dict.fromkeys(map(self.names.of, (leaves[0], leaves[-1]))))

    def group(self, box: Unit) -> DrawnBox:
        """What a box says of the values in it."""
        if box.lanes:
            return self.stack(box)
        leaves = [node for node in box.members if node.op is None]
        parameters = [leaf for leaf in leaves if leaf.needs]
        if box.role == "value":
            drawn = self.scope_box(box, parameters)
        else:
            drawn = self.box(box, self.title_of(leaves), box.role, leaves, parameters or leaves)
        drawn.parameters = sum(leaf.value.size for leaf in parameters)
        return drawn

    def scope_box(self, box: Unit, parameters: list[Node]) -> DrawnBox:
        """A box of what was computed in a scope, and the names of what leaves it.

        These are all if they are few, else those that stand in formulas.
        """
        out = [node for node in self.alone if self.choice.makers.get(node.birth) is box]
        gates = Counter(self.kinds.of_gate(node) for node in [*box.members, *out] if node.op is not None)
        outputs = out or [*box.outputs.values()]
        drawn = self.box(box, box.title, box.role, outputs, parameters or outputs)
        named = [node for node in outputs if len(outputs) <= FEW or node.birth in self.quoted]
        drawn.gates, drawn.named = gates.most_common(), [*map(self.names.of, named)]
        return drawn

    def stack(self, box: Unit) -> DrawnBox:
        """What a stack says of its equal values."""
        lanes, inside = box.lanes, len(box.members) // len(box.lanes)
        formula = self.names.formula(lanes[0])
        drawn = self.box(box, self.title_of(lanes), role_of(lanes[0], self.names.nodes[-1]), lanes, lanes)
        drawn.formula = f"Σ of {inside + 1} terms" if inside > 1 else formula + " …" * bool(formula)
        drawn.lanes, drawn.counts, drawn.given = len(lanes), box.counts, any(map(name_of, lanes))
        return drawn

    def box(self, box: Unit, title: str, role: str, outputs: list[Node], asked: list[Node]) -> DrawnBox:
        """A box, with the gradients by these of its values."""
        gradients = (self.flow.gradients.get(node.birth) for node in asked)
        members = [f"n{self.places[node.birth]}" for node in box.members]
        return DrawnBox(
            box.id, title, role, box.path, members, outputs=[node.value for node in outputs],
            gradients=[g for g in gradients if g is not None], scope=box.scope,
        )  # fmt: skip


class Gates(Names):
    """What stands inside a gate: `×`, `+ 1`, `× λ`, `max(0, ·)`: formulas with a dot for each drawn input."""

    def __init__(self, names: Names, inline: Container[int] = (), *, everything: bool = False) -> None:
        self.__dict__.update(vars(names))
        self.inline = inline  # the births of the leaves that stand inside their gate
        self.everything = everything  # numbers are dots as well: `a + 1` and `a + b` are the same gate

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
    edges = edges_of(filter(choice.by_itself, nodes))
    inside = [leaf for node, leaf in edges if uses[leaf.birth] == 1 and is_named_number(leaf, node)]
    constants = {leaf.birth: leaf for leaf in inside if choice.by_itself(leaf)}
    return constants if len(constants) <= MOST_INLINE else {}


def is_named_number(leaf: Node, node: Node) -> bool:
    """Whether this is a number with a name, and no parameter, beside the computed value in a node."""
    is_number = leaf.op is None and not leaf.needs and np.ndim(leaf.value) == 0 and bool(name_of(leaf))
    return is_number and len(node.parents) == 2 and any(tail.op for _, tail in edges_of([node]))


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
