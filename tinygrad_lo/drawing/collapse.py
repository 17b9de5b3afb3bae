"""Which values of a graph are drawn, which of them share a box, and which are left out.

A large graph is collapsed by scope, the deepest scopes first; what is then still too much is cut to
what is nearest to the loss.
"""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from tinygrad_lo.engine.graph import Node, reachable
from tinygrad_lo.explaining.formula import Names

# The scopes around a value, outermost first, each as (title, key): see engine.graph.scopes.
Path = tuple[tuple[str, int], ...]

BOXES = 10  # a picture of more boxes is no overview
FEW = 3  # arrays that enter the same boxes keep their cards up to this number


@dataclass(slots=True)
class Box:
    """Values that are drawn as one: those of a scope, or leaves that go to the same boxes.

    Attributes:
        title: of the scope; of leaves None.
        path: the scopes around the box.
    """

    title: str | None
    path: Path
    members: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Choice:
    """What of a graph is drawn.

    A unit is a value by itself, called by its birth (births are negative), or a box, called by its
    place in `boxes`.

    Attributes:
        units: the unit of each value that belongs to the picture, by birth.
        drawn: the units that are drawn.
        collapsed: the scopes that are boxes, and those inside them.
        cut: whether units were left out because there were too many.
    """

    units: dict[int, int]
    boxes: list[Box]
    drawn: dict[int, None]
    collapsed: set[Path]
    cut: bool = False

    def of(self, node: Node | None) -> int | None:
        """The unit of a value, if it is drawn."""
        unit = self.units.get(node.birth) if node is not None else None
        return unit if unit in self.drawn else None

    def outside(self, path: Path) -> Path:
        """The scopes of the path that are frames, and not boxes."""
        return next((path[:n] for n in range(len(path)) if path[: n + 1] in self.collapsed), path)


def choose(
    root: Node, names: Names, paths: dict[int, Path], limit: int, focus: list[Node], *, overview: bool
) -> Choice:
    """At most `limit` values and boxes of the graph, the root and the focus among them."""
    nodes = related(names.nodes, focus) if focus else names.nodes
    alone = {root.birth, *(node.birth for node in focus)}
    scopes = nested({paths[node.birth]: None for node in nodes if node.op is not None})
    # What is asked for is seen with what is around it: a box beside it would be its input and its output.
    opened = set(nested(paths[node.birth] for node in focus))
    scopes = [path for path in scopes if path not in opened]
    # How many scopes may be collapsed: any number; or, for an overview, whole levels, at least one.
    counts = list(range(len(scopes) + 1))
    if overview and scopes:
        depths = [len(path) for path in scopes]
        counts = [n for n in counts[1:] if n == len(scopes) or depths[n] < depths[n - 1]]
    target = min(BOXES, limit) if overview else limit
    tried: dict[int, Choice] = {}

    def fits(n: int) -> bool:
        tried[n] = choice = grouped(nodes, paths, set(scopes[:n]), alone)
        return len(choice.drawn) <= target

    found = counts[min(bisect.bisect_left(counts, True, key=fits), len(counts) - 1)]
    if found not in tried:
        fits(found)
    choice = tried[found]
    if len(choice.drawn) > limit:
        choice.drawn, choice.cut = nearest(choice, nodes, root, focus, limit), True
    return choice


def nested(paths: Iterable[Path]) -> list[Path]:
    """Every scope, as the path that ends with it: the deepest first, of equals the oldest."""
    found: dict[Path, None] = {}
    for path in paths:
        for n in range(len(path), 0, -1):
            if path[:n] in found:
                break
            found[path[:n]] = None
    return sorted(found, key=lambda path: (-len(path), -path[-1][1]))


def related(nodes: list[Node], focus: list[Node]) -> list[Node]:
    """What leads to the focus, and what it leads to."""
    before = {node.birth for node in reachable(focus)}
    after = {node.birth for node in focus}
    for node in nodes:
        if any(parent is not None and parent.birth in after for parent in node.parents):
            after.add(node.birth)
    return [node for node in nodes if node.birth in before or node.birth in after]


def grouped(nodes: list[Node], paths: dict[int, Path], collapsed: set[Path], alone: set[int]) -> Choice:
    """Every value in its unit, when these scopes are boxes."""
    choice = Choice({}, [], {}, collapsed)
    if not collapsed:
        choice.units = {node.birth: node.birth for node in nodes}
        choice.drawn = dict.fromkeys(choice.units)
        return choice
    homes = {path: choice.outside(path) for path in {paths[node.birth] for node in nodes}}
    held: defaultdict[Path, list[Node]] = defaultdict(list)
    for node in nodes:
        path = paths[node.birth]
        outer = homes[path]
        choice.units[node.birth] = node.birth
        if node.op is not None and outer != path and node.birth not in alone:
            held[path[: len(outer) + 1]].append(node)
    for path, members in held.items():
        if len(members) > 1:  # a value alone shows more as a card
            put(choice, Box(path[-1][0], path[:-1]), members)
    fold_leaves(
        nodes, choice, {i: path[-1][1] for i, path in enumerate(p for p in held if len(held[p]) > 1)}, alone
    )
    choice.drawn = dict.fromkeys(choice.units.values())
    return choice


def put(choice: Choice, box: Box, members: list[Node]) -> None:
    """Add a box with these members."""
    for node in members:
        choice.units[node.birth] = len(choice.boxes)
    box.members = members
    choice.boxes.append(box)


def fold_leaves(nodes: list[Node], choice: Choice, began: dict[int, int], alone: set[int]) -> None:
    """Parameters stand in the only box that uses them, and so does what was made there.

    Leaves that go to the same boxes, and to nothing else, share a box of their own.
    """
    users: defaultdict[int, dict[int, None]] = defaultdict(dict)
    for node in nodes:
        for parent in node.parents:
            if parent is not None and parent.op is None:
                users[parent.birth][choice.units[node.birth]] = None
    alike: defaultdict[tuple[bool, tuple[int, ...]], list[Node]] = defaultdict(list)
    for leaf in nodes:
        to = tuple(users[leaf.birth])
        if leaf.op is not None or leaf.birth in alone or not to or min(to) < 0:
            continue
        if len(to) == 1 and (leaf.needs or leaf.birth < began[to[0]]):
            choice.units[leaf.birth] = to[0]
            choice.boxes[to[0]].members.append(leaf)
        else:
            alike[leaf.needs, to].append(leaf)
    for leaves in alike.values():
        if len(leaves) > FEW or (len(leaves) > 1 and not any(map(np.ndim, (x.value for x in leaves)))):
            put(choice, Box(None, ()), leaves)


def nearest(choice: Choice, nodes: list[Node], root: Node, focus: list[Node], limit: int) -> dict[int, None]:
    """The units with the fewest edges to the root, or to the focus; the root is always among them."""
    units = choice.units
    near: defaultdict[int, dict[int, None]] = defaultdict(dict)
    for node in nodes:
        head = units[node.birth]
        for parent in node.parents:
            if parent is not None and parent.birth in units:
                near[head][units[parent.birth]] = None
                if focus:
                    near[units[parent.birth]][head] = None
    chosen = dict.fromkeys([units[root.birth], *(units[node.birth] for node in focus)])
    waiting = deque(chosen)
    if focus:
        waiting.popleft()  # the root is drawn; what is shown is what is near to the focus
    while waiting:
        for unit in near[waiting.popleft()]:
            if unit not in chosen:
                if len(chosen) >= limit:
                    return chosen
                chosen[unit] = None
                waiting.append(unit)
    return chosen


def count_hidden(nodes: list[Node], choice: Choice, heads: Iterable[int]) -> Counter[int]:
    """How many values that are not drawn stand behind each of these drawn units.

    One pass, newest first: each hidden value carries one bit for every unit that it stands behind.
    """
    bits = {unit: 1 << i for i, unit in enumerate(heads)}
    reached: dict[int, int] = {}
    behind: Counter[int] = Counter()
    for node in reversed(nodes):
        unit = choice.of(node)
        mask = reached.pop(node.birth, 0) if unit is None else bits.get(unit, 0)
        if unit is None:
            behind[mask] += 1
        if mask:
            for parent in node.parents:
                if parent is not None and choice.of(parent) is None:
                    reached[parent.birth] = reached.get(parent.birth, 0) | mask
    counts: Counter[int] = Counter()
    for mask, count in behind.items():
        for unit, bit in bits.items():
            if mask & bit:
                counts[unit] += count
    return counts
