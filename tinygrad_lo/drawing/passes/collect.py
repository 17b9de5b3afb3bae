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
from tinygrad_lo.drawing.passes.flow import Flow, concrete, flow_back
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.naming import name_of, scopes
from tinygrad_lo.engine.ops.reductions import log_softmax_forward
from tinygrad_lo.explaining.formula import Names, is_drawn
from tinygrad_lo.explaining.steps import Rules, worked
from tinygrad_lo.program.value import ScopePath

WORDED = 300  # values and boxes; edges of a larger picture do without rules and local derivatives
MOST_INLINE = 6  # constants that the legend has room for; of more, each is drawn


def collect(
    names: Names, *, gradient: bool, max_nodes: int, overview: bool = False, focus: Iterable[Node] = ()
) -> Contents:
    """At most `max_nodes` values and boxes, with the plain arrays that enter them."""
    nodes, paths, focus = names.nodes, scopes(names.nodes), list(focus)
    choice = choose(nodes, paths, max_nodes, focus, overview=overview)
    outputs = outputs_of(nodes, choice)
    root, flow = nodes[-1], Flow()
    if gradient and root.needs and root.value.size == 1:
        leaving = {node.birth for values in outputs.values() for node in values}
        flow = flow_back(root, leaving | {unit for unit in choice.drawn if unit < 0})
    sketch = Sketch(names, choice, paths, flow)
    for node in nodes:
        sketch.enter(node)
    for unit, behind in count_hidden(nodes, choice, sketch.stubs).items():
        sketch.stubs[unit].behind = behind
    for array in sketch.arrays.values():
        array.path = common_path(sketch.homes[array.id])
    alone = [node for node in nodes if choice.by_itself(node) and node.birth not in sketch.inline]
    focused = {node.birth for node in focus}
    return Contents(
        total=len(nodes),
        drawn=sum(unit < 0 for unit in choice.drawn),
        differentiated=bool(flow.gradients),
        values=[*sketch.arrays.values(), *(sketch.value(node, node.birth in focused) for node in alone)],
        stubs=list(sketch.stubs.values()),
        edges=sketch.edges,
        groups=[sketch.group(unit, outputs[unit]) for unit in sorted(choice.drawn) if unit >= 0],
        constants=[(names.of(node), node.value) for node in sketch.inline.values()],
        focus=tuple(dict.fromkeys(map(names.of, focus))),
        cut=choice.cut,
        gradients=flow.gradients,
        shown=sketch.shown,
        wires=sketch.wires,
    )


class Sketch:
    """The edges of a picture as they are met, and what is learned of values on the way."""

    def __init__(self, names: Names, choice: Choice, paths: dict[int, ScopePath], flow: Flow) -> None:
        self.names, self.choice, self.paths, self.flow, self.rules = names, choice, paths, flow, Rules()
        self.places = {node.birth: place for place, node in enumerate(names.nodes)}
        self.uses = Counter(tail.birth for _, tail in edges_of(names.nodes))
        self.inline = inlined(names.nodes, choice, self.uses)
        self.gates, self.kinds = Gates(names, self.inline), Gates(names, everything=True)
        self.seen: dict[int, Array] = {}  # what the forward pass saw: .data may have been replaced since
        self.homes: defaultdict[str, list[ScopePath]] = defaultdict(list)  # the scopes of its users, by id
        self.arrays: dict[str, DrawnValue] = {}
        self.stubs: dict[int, Stub] = {}
        self.edges: list[Edge] = []
        self.bundles: dict[tuple[str, str], Edge] = {}
        self.wires: dict[tuple[int, int], Edge] = {}
        units = [None if node.birth in self.inline else choice.of(node) for node in names.nodes]
        self.shown = {i: self.id_of(unit) for i, unit in enumerate(units) if unit is not None}

    def id_of(self, unit: int) -> str:
        """The DOT name of a value or a box."""
        return f"n{self.places[unit]}" if unit < 0 else f"b{unit}"

    def enter(self, node: Node) -> None:
        """The edges that enter a node of a drawn unit."""
        unit = self.choice.of(node)
        if unit is None:
            return
        head = self.id_of(unit)
        path = self.choice.outside(self.paths[node.birth]) if unit < 0 else self.choice.boxes[unit].path
        for i, (parent, data) in enumerate(zip(node.parents, node.inputs, strict=False)):
            if parent is not None:
                self.connect(node, i, parent, unit, path)
            elif unit < 0 and is_plain_array(node, data):
                name, id = self.names.of_array(data), f"a{len(self.arrays)}"
                array = self.arrays.setdefault(name, DrawnValue(id, name, False, "", "constant", data, ()))
                self.homes[array.id].append(path)
                self.edge(array.id, head)

    def connect(self, node: Node, i: int, parent: Node, unit: int, path: ScopePath) -> None:
        """The edge from a tensor to a node of a drawn unit."""
        head, strength = self.id_of(unit), self.flow.strengths.get((node.birth, i))
        other = self.choice.of(parent)
        if other is None:
            stub = self.stubs.setdefault(unit, Stub(f"hidden_{head}", path))
            edge = self.bundle(stub.id, head, strength)
            edge.count = 1
        else:
            self.uses[parent.birth] -= 1
            self.seen[parent.birth] = node.inputs[i]
            if other == unit or parent.birth in self.inline:
                return
            tail = self.id_of(other)
            self.homes[tail].append(path)
            if unit >= 0 or other >= 0:
                edge = self.bundle(tail, head, strength)
            else:
                edge = self.edge(tail, head, strength)
                if strength is not None and len(self.choice.drawn) <= WORDED:
                    g = self.flow.gradients[node.birth]
                    with np.errstate(all="ignore"):
                        edge.slope, edge.formula, _ = worked(self.rules, self.names, node, i, g)
        self.wires[self.places[node.birth], i] = edge

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
        birth, name = node.birth, self.names.of(node)
        id, path = self.id_of(birth), self.choice.outside(self.paths[birth])
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
            expects=bool(self.flow.gradients and node.needs),
            gradient=self.flow.gradients.get(birth),
            unseen=self.uses[birth],
            also=second_view(node, name),
            gate=self.gates.of_gate(node) if node.op is not None else "",
            focus=focus,
        )

    def group(self, unit: int, outputs: list[Node]) -> DrawnBox:
        """What a box says of the values in it."""
        box, names, gradients = self.choice.boxes[unit], self.names, self.flow.gradients
        leaves = [node for node in box.members if node.op is None]
        parameters = [leaf for leaf in leaves if leaf.needs]
        title, role = box.title, "value"
        if title is None:
            between = ", " if len(leaves) == 2 else " … "
            title, outputs = f"{names.of(leaves[0])}{between}{names.of(leaves[-1])}", leaves
            role = "parameter" if parameters else "data"
        gates = Counter(self.kinds.of_gate(node) for node in box.members if node.op is not None)
        return DrawnBox(
            self.id_of(unit),
            title,
            role,
            box.path,
            [self.id_of(node.birth) for node in box.members],
            gates.most_common(),
            sum(leaf.value.size for leaf in parameters),
            [node.value for node in outputs],
            [gradients[node.birth] for node in parameters or outputs if node.birth in gradients],
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
        tensors = [parent for parent in node.parents if parent is not None]
        leaves = [leaf for leaf in tensors if leaf.op is None]
        if len(node.parents) == len(tensors) == 2 and len(leaves) == 1:
            leaf = leaves[0]
            is_constant = not leaf.needs and np.ndim(leaf.value) == 0 and name_of(leaf)
            if is_constant and uses[leaf.birth] == 1 and choice.by_itself(leaf):
                constants[leaf.birth] = leaf
    return constants if len(constants) <= MOST_INLINE else {}


def outputs_of(nodes: list[Node], choice: Choice) -> dict[int, list[Node]]:
    """The values in each box that are used outside of it."""
    outputs: defaultdict[int, dict[int, Node]] = defaultdict(dict)
    for head, tail in edges_of(nodes):
        unit = choice.of(tail)
        if unit is not None and unit >= 0 and choice.units.get(head.birth) != unit:
            outputs[unit][tail.birth] = tail
    return {unit: list(outputs[unit].values()) for unit in choice.drawn if unit >= 0}


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


def common_path(paths: list[ScopePath]) -> ScopePath:
    """The scopes that all these paths begin with."""
    steps = zip(*paths, strict=False)
    return tuple(step[0] for step in itertools.takewhile(lambda step: len(set(step)) == 1, steps))
