"""What a picture shows, before any look: values, gradients, edges, boxes, and how much was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy import ndarray

from tinygrad_lo.drawing.collapse import Box, Choice, Path, choose, count_hidden
from tinygrad_lo.drawing.flow import Flow, backward, concrete
from tinygrad_lo.drawing.gates import Gates
from tinygrad_lo.drawing.numeric import Numeric
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.naming import name_of, scopes
from tinygrad_lo.explaining.formula import Names, is_drawn

WORDED = 300  # values and boxes; edges of a larger picture do without their formulas
INLINE = 6  # constants that the legend has room for; of more, each is drawn


@dataclass(slots=True)
class Value:
    """One value of the picture.

    Attributes:
        id: its name in the DOT text and in the SVG, from its place in the graph: the same in every run.
        given: whether the user or a loss named it.
        role: "value", "parameter", "data", "constant", "loss" or "result" (the root, when no
            gradient starts there).
        gate: the op as it stands in a circuit: `×`, `+ 1`.
        expects: whether a gradient belongs here; when it is None all the same, none arrived.
        unseen: how many of its uses are not drawn.
        also: a second view of the value, under a caption: probabilities beside their logarithms.
        numeric: what a gradient check found.
        wrong: whether a gradient check found the rule of its op wrong.
        focus: whether the picture is about it.
    """

    id: str
    name: str
    given: bool
    formula: str
    role: str
    data: Array
    path: Path
    expects: bool = False
    gradient: Array | None = None
    unseen: int = 0
    also: tuple[str, Array] | None = None
    gate: str = ""
    numeric: Numeric | None = None
    wrong: bool = False
    focus: bool = False


@dataclass(slots=True)
class Group:
    """Values that are drawn as one box.

    Attributes:
        title: of their scope; of leaves, their names.
        role: "value", or of leaves "parameter" or "data".
        members: the ids that its values would have by themselves.
        gates: the ops inside, the most frequent first, each with its number.
        parameters: how many numbers in it are parameters.
        outputs: the values that are used outside of the box.
        gradients: by its parameters; without parameters, by its outputs.
        numeric: what a gradient check found of its parameters.
        wrong: whether a gradient check found the rule of one of its ops wrong.
    """

    id: str
    title: str
    role: str
    path: Path
    members: list[str] = field(default_factory=list)
    gates: list[tuple[str, int]] = field(default_factory=list)
    parameters: int = 0
    outputs: list[Array] = field(default_factory=list)
    gradients: list[Array] = field(default_factory=list)
    numeric: list[Numeric] = field(default_factory=list)
    wrong: bool = False


@dataclass(slots=True)
class Stub:
    """In place of the inputs of a drawn value that are not drawn: how many values stand behind."""

    id: str
    path: Path
    behind: int = 0


@dataclass(slots=True)
class Edge:
    """From an input to the value made from it. In the SVG, edge number i has the id `e<i>`.

    Attributes:
        operand: which of the head's inputs it is.
        strength: the largest |gradient| that is sent back along it; None where none is sent.
        slope: the local derivative, between scalars.
        formula: what the head's gate sends back along it: `Xᵀ @ ∂L/∂S`.
        count: how many edges of the graph it stands for.
    """

    tail: str
    head: str
    operand: int = 0
    strength: float | None = None
    slope: Array | None = None
    formula: str = ""
    count: int = 1


@dataclass(slots=True)
class Contents:
    """Everything that a picture shows. The last value is the root.

    Attributes:
        total: how many values the graph has, drawn or not.
        drawn: how many of them are among `values`, which also holds plain arrays.
        constants: named numbers that stand inside gates and formulas.
        focus: the names of what the picture is about. cut: whether values were left out to stay small.
        gradients: by every leaf, drawn or not, and by what is drawn; by birth.
    """

    total: int
    drawn: int
    differentiated: bool
    values: list[Value]
    stubs: list[Stub]
    edges: list[Edge]
    groups: list[Group] = field(default_factory=list)
    constants: list[tuple[str, Array]] = field(default_factory=list)
    focus: tuple[str, ...] = ()
    cut: bool = False
    gradients: dict[int, Array] = field(default_factory=dict)

    @property
    def boxed(self) -> int:
        """How many values are inside boxes."""
        return sum(len(group.members) for group in self.groups)


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
    paths = scopes(names.nodes)
    choice = choose(root, names, paths, max_nodes, focus, overview=overview)
    differentiated = gradient and root.needs and root.value.size == 1
    inline = inlined(names.nodes, choice)
    outputs = outputs_of(names.nodes, choice)
    kept = {unit for unit in choice.drawn if unit < 0} | {
        node.birth for found in outputs.values() for node in found
    }

    def seen(head: Node, tail: Node) -> bool:
        unit = choice.of(head)
        return unit is not None and choice.of(tail) != unit

    def told(head: Node, tail: Node) -> bool:
        return (choice.of(head) or 0) < 0 and (choice.of(tail) or 0) < 0

    flow = Flow()
    if differentiated:
        flow = backward(root, names, kept, seen, told, worded=len(choice.drawn) <= WORDED)
    sketch = Sketch(names, choice, flow, inline)
    for node in names.nodes:
        unit = choice.of(node)
        if unit is not None:
            sketch.enter(node, unit, paths[node.birth])
    counts = count_hidden(names.nodes, choice, sketch.stubs)
    for unit, stub in sketch.stubs.items():
        stub.behind = counts[unit]

    values = list(sketch.arrays.values())
    for array in values:
        array.path = shared(sketch.homes[array.id])
    gates = Gates(names, inline)
    wanted = {node.birth for node in focus}
    for node in names.nodes:
        birth = node.birth
        if choice.of(node) != birth or birth in inline:
            continue
        id = sketch.ids[birth]
        path = choice.outside(paths[birth])
        if node.op is None and id in sketch.homes:
            # A leaf stands with its only users, unless it is older than their scope.
            path = tuple(step for step in shared(sketch.homes[id]) if birth < step[1])
        values.append(
            Value(
                id,
                names.of(node),
                name_of(node) is not None,
                names.formula(node),
                role(node, root),
                sketch.seen.get(birth, node.value),
                path,
                expects=differentiated and node.needs,
                gradient=flow.gradients.get(birth),
                unseen=sketch.uses[birth],
                also=second_view(node, names.of(node)),
                gate=gates.of_gate(node) if node.op is not None else "",
                focus=birth in wanted,
            )
        )
    return Contents(
        len(names.nodes),
        sum(unit < 0 for unit in choice.drawn),
        differentiated,
        values,
        list(sketch.stubs.values()),
        sketch.edges,
        [
            summary(i, choice.boxes[i], outputs.get(i, []), names, sketch.ids, flow)
            for i in range(len(choice.boxes))
            if i in choice.drawn
        ],
        [(names.of(node), node.value) for node in inline.values()],
        tuple(dict.fromkeys(names.of(node) for node in focus)),
        choice.cut,
        flow.gradients,
    )


class Sketch:
    """The edges of a picture as they are found, and what is learned of values on the way."""

    def __init__(self, names: Names, choice: Choice, flow: Flow, inline: dict[int, Node]) -> None:
        self.names, self.choice, self.flow, self.inline = names, choice, flow, inline
        self.ids = {node.birth: f"n{place}" for place, node in enumerate(names.nodes)}
        self.uses = Counter(p.birth for node in names.nodes for p in node.parents if p is not None)
        self.seen: dict[int, Array] = {}  # what the forward pass saw: .data may have been replaced since
        self.homes: dict[str, list[Path]] = {}  # of leaves and arrays: the scopes that they are used in
        self.arrays: dict[str, Value] = {}
        self.stubs: dict[int, Stub] = {}
        self.edges: list[Edge] = []
        self.bundles: dict[tuple[str, str], Edge] = {}

    def id_of(self, unit: int) -> str:
        """The DOT name of a value or a box."""
        return self.ids[unit] if unit < 0 else f"b{unit}"

    def enter(self, node: Node, unit: int, path: Path) -> None:
        """The edges that enter a node of a drawn unit."""
        path = self.choice.outside(path) if unit < 0 else self.choice.boxes[unit].path
        head = self.id_of(unit)
        for i, (parent, data) in enumerate(zip(node.parents, node.inputs, strict=False)):
            key = (node.birth, i)
            strength = self.flow.strengths.get(key)
            if parent is None:
                if unit < 0 and isinstance(data, ndarray) and data.ndim and is_drawn(node, data):
                    tail = self.array(data)
                    self.edges.append(Edge(tail, head, i))
                    self.homes.setdefault(tail, []).append(path)
                continue
            other = self.choice.of(parent)
            if other is None:
                stub = self.stubs.setdefault(unit, Stub(f"hidden_{head}", path))
                self.bundle(stub.id, head, i, strength).count = 1
                continue
            self.uses[parent.birth] -= 1
            self.seen[parent.birth] = data
            if other == unit or parent.birth in self.inline:
                continue
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
        fresh = Value(f"a{len(self.arrays)}", name, False, "", "constant", data, ())
        return self.arrays.setdefault(name, fresh).id


def inlined(nodes: list[Node], choice: Choice) -> dict[int, Node]:
    """Named numbers that stand inside their gate: used once, on a computed value, like λ in `× λ`."""
    uses = Counter(p.birth for node in nodes for p in node.parents if p is not None)
    found: dict[int, Node] = {}
    for node in nodes:
        parents = node.parents
        if len(parents) != 2 or choice.of(node) != node.birth:
            continue
        for leaf, other in (parents, parents[::-1]):
            if leaf is None or leaf.op is not None or leaf.needs or np.ndim(leaf.value):
                continue
            computed = other is not None and other.op is not None
            if computed and uses[leaf.birth] == 1 and name_of(leaf) and choice.of(leaf) == leaf.birth:
                found[leaf.birth] = leaf
    return found if len(found) <= INLINE else {}


def outputs_of(nodes: list[Node], choice: Choice) -> dict[int, list[Node]]:
    """The values in each box that are used outside of it."""
    found: dict[int, dict[int, Node]] = {}
    for node in nodes:
        for parent in node.parents:
            if parent is not None:
                unit = choice.of(parent)
                if unit is not None and unit >= 0 and choice.units.get(node.birth) != unit:
                    found.setdefault(unit, {})[parent.birth] = parent
    return {unit: list(outputs.values()) for unit, outputs in found.items()}


def summary(
    index: int, box: Box, outputs: list[Node], names: Names, ids: dict[int, str], flow: Flow
) -> Group:
    """What a box says of the values in it."""
    gates = Gates(names, everything=True)
    leaves = [node for node in box.members if node.op is None]
    parameters = [leaf for leaf in leaves if leaf.needs]
    ops = Counter(gates.of_gate(node) for node in box.members if node.op is not None)
    title, kind = box.title, "value"
    if title is None:
        first, last = names.of(leaves[0]), names.of(leaves[-1])
        title = f"{first}, {last}" if len(leaves) == 2 else f"{first} … {last}"
        kind, outputs = "parameter" if parameters else "data", leaves
    by = parameters or outputs
    return Group(
        f"b{index}",
        title,
        kind,
        box.path,
        [ids[node.birth] for node in box.members],
        ops.most_common(),
        sum(leaf.value.size for leaf in parameters),
        [node.value for node in outputs],
        [flow.gradients[node.birth] for node in by if node.birth in flow.gradients],
    )


def second_view(node: Node, name: str) -> tuple[str, Array] | None:
    """Log-probabilities show their probabilities as well: p = e^(log p)."""
    if node.op is None or node.op.name != "log_softmax" or concrete(node.value) is None:
        return None
    title = f"{name.removeprefix('log ')} = e^({name})" if name.startswith("log ") else f"e^{name}"
    return title, np.exp(node.value)


def role(node: Node, root: Node) -> str:
    """What a value is for the reader."""
    if node.op is None:
        return "parameter" if node.needs else "data"
    if node is not root:
        return "value"
    return "loss" if node.needs and node.value.size == 1 else "result"


def shared(paths: Iterable[Path]) -> Path:
    """The scopes that all these paths begin with."""
    first, *others = paths
    for path in others:
        same = 0
        while same < min(len(first), len(path)) and first[same] == path[same]:
            same += 1
        first = first[:same]
    return first
