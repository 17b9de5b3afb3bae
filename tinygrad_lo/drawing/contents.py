"""What a picture shows, before any look: values, gradients, edges, and how much was left out."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node, name_of, scopes
from tinygrad_lo.engine.sweep import Part, pull, start, walk
from tinygrad_lo.explaining.formula import Names, is_drawn

# The scopes around a value, outermost first, each as (title, key): see engine.graph.scopes.
Path = tuple[tuple[str, int], ...]
# One edge: the birth of the node that it enters, and which of its inputs it is.
Key = tuple[int, int]


@dataclass(slots=True)
class Value:
    """One value of the picture.

    Attributes:
        id: its name in the DOT text, from its place in the graph: the same in every run.
        given: whether the user or a loss named it.
        role: "value", "parameter", "data", "constant", "loss" or "result" (the root, when no
            gradient starts there).
        expects: whether a gradient belongs here; when it is None all the same, none arrived.
        unseen: how many of its uses are not drawn.
        also: a second view of the value, under a caption: probabilities beside their logarithms.
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


@dataclass(slots=True)
class Stub:
    """In place of the inputs of a drawn value that are not drawn: how many values stand behind."""

    id: str
    path: Path
    behind: int = 0


@dataclass(slots=True)
class Edge:
    """From an input to the value made from it.

    Attributes:
        strength: the largest |gradient| that is sent back along it; None where none is sent.
        slope: the local derivative, between scalars.
    """

    tail: str
    head: str
    strength: float | None = None
    slope: Array | None = None


@dataclass(slots=True)
class Contents:
    """Everything that a picture shows. The last value is the root.

    Attributes:
        total: how many values the graph has, drawn or not.
        drawn: how many of them are among `values`, which also holds plain arrays.
    """

    total: int
    drawn: int
    differentiated: bool
    values: list[Value]
    stubs: list[Stub]
    edges: list[Edge]


@dataclass(slots=True)
class Flow:
    """What a backward pass sent: gradients at values by birth, and what passed each edge."""

    gradients: dict[int, Array] = field(default_factory=dict)
    strengths: dict[Key, float | None] = field(default_factory=dict)
    slopes: dict[Key, Array] = field(default_factory=dict)


def collect(root: Node, names: Names, *, gradient: bool, max_nodes: int) -> Contents:
    """The values nearest to the root, at most `max_nodes`, with the plain arrays that enter them."""
    drawn = nearest(root, max_nodes)
    nodes = [node for node in names.nodes if node._birth in drawn]
    differentiated = gradient and root._needs and root._value.size == 1
    flow = backward(root, drawn) if differentiated else Flow()
    paths = scopes(names.nodes)
    ids = {node._birth: f"n{i}" for i, node in enumerate(names.nodes)}
    uses = Counter(parent._birth for node in names.nodes for parent in node.parents if parent is not None)
    seen = {root._birth: root._value}
    homes: dict[str, list[Path]] = {}  # of leaves and arrays: the scopes that they are used in
    arrays: dict[str, Value] = {}
    stubs: dict[int, Stub] = {}
    edges: list[Edge] = []

    for node in nodes:
        head, path = ids[node._birth], paths[node._birth]
        hidden = []
        for i, (parent, data) in enumerate(zip(node.parents, node.inputs, strict=False)):
            key = (node._birth, i)
            strength, slope = flow.strengths.get(key), flow.slopes.get(key)
            if parent is not None and parent._birth not in drawn:
                hidden.append(strength)
                continue
            if parent is not None:
                tail = ids[parent._birth]
                uses[parent._birth] -= 1
                # What the forward pass saw: .data of a parameter may have been replaced since.
                seen[parent._birth] = data
            elif isinstance(data, ndarray) and data.ndim and is_drawn(node, data):
                name = names.of_array(data)
                fresh = Value(f"a{len(arrays)}", name, False, "", "constant", data, ())
                tail = arrays.setdefault(name, fresh).id
            else:
                continue
            edges.append(Edge(tail, head, strength, slope))
            homes.setdefault(tail, []).append(path)
        if hidden:
            stubs[node._birth] = stub = Stub(f"hidden_{head}", path)
            edges.append(Edge(stub.id, head, max((s for s in hidden if s is not None), default=None)))
    count_hidden(names.nodes, drawn, stubs)

    for array in arrays.values():
        array.path = shared(homes[array.id])
    values = list(arrays.values())
    for node in nodes:
        birth = node._birth
        path = paths[birth]
        if node.op is None and ids[birth] in homes:
            # A leaf stands with its only users, unless it is older than their scope.
            path = tuple(step for step in shared(homes[ids[birth]]) if birth < step[1])
        values.append(
            Value(
                ids[birth],
                names.of(node),
                name_of(node) is not None,
                names.formula(node),
                role(node, root),
                seen[birth],
                path,
                expects=differentiated and node._needs,
                gradient=flow.gradients.get(birth),
                unseen=uses[birth],
                also=second_view(node, names.of(node)),
            )
        )
    return Contents(len(names.nodes), len(nodes), differentiated, values, list(stubs.values()), edges)


def second_view(node: Node, name: str) -> tuple[str, Array] | None:
    """Log-probabilities show their probabilities as well: p = e^(log p)."""
    if node.op is None or node.op.name != "log_softmax" or concrete(node._value) is None:
        return None
    title = f"{name.removeprefix('log ')} = e^({name})" if name.startswith("log ") else f"e^{name}"
    return title, np.exp(node._value)


def role(node: Node, root: Node) -> str:
    """What a value is for the reader."""
    if node.op is None:
        return "parameter" if node._needs else "data"
    if node is not root:
        return "value"
    return "loss" if node._needs and node._value.size == 1 else "result"


def shared(paths: list[Path]) -> Path:
    """The scopes that all these paths begin with."""
    first = paths[0]
    for path in paths[1:]:
        same = 0
        while same < min(len(first), len(path)) and first[same] == path[same]:
            same += 1
        first = first[:same]
    return first


def nearest(root: Node, limit: int) -> set[int]:
    """The births of the values with the fewest edges to the root, the root among them."""
    chosen = {root._birth}
    waiting = deque([root])
    while waiting:
        for parent in waiting.popleft().parents:
            if parent is not None and parent._birth not in chosen:
                if len(chosen) >= limit:
                    return chosen
                chosen.add(parent._birth)
                waiting.append(parent)
    return chosen


def count_hidden(nodes: list[Node], drawn: set[int], stubs: dict[int, Stub]) -> None:
    """Fill in how many values stand behind each stub.

    One pass, newest first: each hidden value carries one bit for every stub that it stands behind.
    """
    bits = {birth: 1 << i for i, birth in enumerate(stubs)}
    reached: dict[int, int] = {}
    behind: Counter[int] = Counter()
    for node in reversed(nodes):
        birth = node._birth
        mask = bits.get(birth, 0) if birth in drawn else reached.pop(birth, 0)
        if birth not in drawn:
            behind[mask] += 1
        if mask:
            for parent in node.parents:
                if parent is not None and parent._birth not in drawn:
                    reached[parent._birth] = reached.get(parent._birth, 0) | mask
    for mask, count in behind.items():
        for birth, bit in bits.items():
            if mask & bit:
                stubs[birth].behind += count


# ----------------------------------------------------------------------------------- gradients


def backward(root: Node, drawn: set[int]) -> Flow:
    """A backward pass that is only looked at: no `.grad` changes.

    The plain `pull` runs under `anomaly()` too: a picture must be able to show where a nan began.
    """
    flow = Flow()

    def watch(node: Node, g: Array) -> Iterable[Part]:
        shown = node._birth in drawn
        for i, parent, part in pull(node, g):
            if shown:
                flow.strengths[node._birth, i] = largest(part)
            yield i, parent, part
        if shown:
            flow.slopes.update(slopes(node))

    with np.errstate(all="ignore"):  # a picture shows nan and ∞; it need not warn of them as well
        _, leaves, kept = walk(root, start(root, None), watch, drawn)
    flow.gradients = {**leaves, **kept}
    return flow


def slopes(node: Node) -> dict[Key, Array]:
    """The local derivatives between scalars: what the rules answer to a gradient of 1."""
    if np.ndim(node._value) or not any(np.ndim(x) == 0 for x in node.inputs):
        return {}
    parts = pull(node, node._value.dtype.type(1))
    return {(node._birth, i): part for i, _, part in parts if np.ndim(node.inputs[i]) == 0}


def largest(x: Array) -> float | None:
    """The largest |x|, nan if there is one; None of an empty array, or one that is not computed."""
    known = concrete(x)
    return float(np.max(np.abs(known))) if known is not None and known.size else None


def concrete(x: Array) -> ndarray[Any, Any] | None:
    """The numbers of an array, or None where they are lazy or on another device."""
    return np.asarray(x) if isinstance(x, (ndarray, np.generic, float, int)) else None
