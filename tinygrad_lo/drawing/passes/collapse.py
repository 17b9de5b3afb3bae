"""Which values of a graph are drawn, which of them share a box, and which are left out.

A large graph is collapsed by scope, from the inside outwards; what is then still too much is cut to
what is nearest to the loss.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from tinygrad_lo.engine.graph import Node, reachable
from tinygrad_lo.engine.naming import Label, ScopePath

BOXES = 24  # a picture of more boxes is no overview
# A scope around scopes, or one by itself, with a larger share of all ops is no box: it is the whole picture.
MOST, NEARLY_ALL = 0.8, 0.98
NOTHING = Label()
FEW = 3  # arrays that enter the same boxes keep their cards up to this number


@dataclass(slots=True, eq=False)
class Unit:
    """What is drawn as one: a value by itself, or as a box those of a scope, or leaves of the same boxes."""

    members: list[Node]
    path: ScopePath = ()  # the scopes around it
    id: str = ""  # in the DOT text: n5, or of boxes b2
    is_box: bool = False
    role: str = "value"  # of leaves parameter or data
    title: str = ""  # of a scope
    began: int = 0  # the birth at which the scope began
    outputs: dict[int, Node] = field(default_factory=dict)  # the members that are used outside, by birth
    takes: bool = True  # parameters of its own
    lanes: list[Node] = field(default_factory=list)  # of equal parts drawn once: what the members come to
    counts: tuple[int, ...] = ()  # of lanes: turns of the loops around them, and how many in each turn

    @property
    def scope(self) -> ScopePath:
        """The scope that a box stands for; () of leaves and of equal parts."""
        return (*self.path, (self.title, self.began)) if self.began else ()


@dataclass(slots=True)
class Choice:
    """What of a graph is drawn."""

    units: dict[int, Unit]  # of each value that belongs to the picture, by birth
    boxes: list[Unit] = field(default_factory=list)
    drawn: dict[Unit, None] = field(default_factory=dict)  # the units that are drawn
    cut: bool = False  # units were left out because there were too many
    carried: set[tuple[Unit, Unit]] = field(default_factory=set)  # edges to the next turn of a loop
    makers: dict[int, Unit] = field(default_factory=dict)  # by birth: the box that a value has come out of

    def of(self, node: Node) -> Unit | None:
        """The unit of a value, if it is drawn."""
        unit = self.units.get(node.birth)
        return unit if unit in self.drawn else None

    def by_itself(self, node: Node) -> bool:
        """Whether a value is drawn with a node of its own."""
        unit = self.of(node)
        return unit is not None and not unit.is_box

    def put(self, unit: Unit) -> None:
        """Add a unit: a box with a number of its own."""
        if unit.is_box:
            unit.id = f"b{len(self.boxes)}"
            self.boxes.append(unit)
        self.units |= dict.fromkeys((node.birth for node in unit.members), unit)

    def find_outputs(self, nodes: list[Node]) -> None:
        """Tell each drawn unit which of its values are used outside of it; the root always is."""
        self.units[nodes[-1].birth].outputs[nodes[-1].birth] = nodes[-1]
        for head, tail in edges_of(nodes):
            unit = self.of(tail)
            if unit is not None and self.units.get(head.birth) is not unit:
                unit.outputs[tail.birth] = tail


def edges_of(nodes: Iterable[Node]) -> Iterator[tuple[Node, Node]]:
    """Every edge between values: its head and its tail."""
    return ((head, tail) for head in nodes for tail in head.parents if tail is not None)


def choose(
    nodes: list[Node], paths: dict[int, ScopePath], limit: int, focus: list[Node], *, overview: bool,
    opened: ScopePath = (), closed: Iterable[ScopePath] = (),
) -> Choice:  # fmt: skip
    """At most `limit` values and boxes of the graph, the root and the focus among them.

    opened: a scope that is no box, and neither is what is around it; `closed` ones beside it are boxes, and
        only scopes in it become boxes to make room.
    """
    root, ids = nodes[-1], {node.birth: f"n{place}" for place, node in enumerate(nodes)}
    alone = {root.birth, *(node.birth for node in focus)}
    wanted = related(nodes, focus)
    # What is asked for is seen with what is around it: a box beside it would be its input and its output.
    spared = {*scopes_around(paths, focus), *(opened[: n + 1] for n in range(len(opened)))}
    sealed = sealed_scopes(wanted, paths) - spared
    scopes, levels = inside_out(wanted, paths, spared, spare=overview or len(wanted) > limit)
    scopes = [path for path in scopes if path[: len(opened)] == opened]
    beside = {*closed} - spared - sealed
    counts: Sequence[int] = range(len(scopes) + 1)  # of scopes to collapse
    if overview and scopes and not opened:  # whole levels, at least one
        counts = levels
    target = min(BOXES, limit) if overview else limit

    def collapsed(n: int) -> Choice:
        return in_units(wanted, ids, paths, {*scopes[:n], *beside}, sealed, alone)

    place = bisect.bisect_left(counts, True, key=lambda n: len(collapsed(n).drawn) <= target)
    choice = collapsed(counts[min(place, len(counts) - 1)])
    keep_nearest(choice, wanted, [root, *focus], limit)
    choice.find_outputs(nodes)
    return choice


def heights(scopes: Iterable[ScopePath]) -> dict[ScopePath, int]:
    """How many levels of scopes are inside of each."""
    height = dict.fromkeys(scopes, 0)
    for path in sorted(height, key=len, reverse=True):
        if len(path) > 1:
            height[path[:-1]] = max(height[path[:-1]], height[path] + 1)
    return height


def common_path(paths: list[ScopePath]) -> ScopePath:
    """The scopes that all these paths begin with."""
    steps = zip(*paths, strict=False)
    return tuple(step[0] for step in itertools.takewhile(lambda step: len(set(step)) == 1, steps))


def scopes_around(paths: dict[int, ScopePath], nodes: Iterable[Node]) -> Iterator[ScopePath]:
    """Every scope around each of these values."""
    every = (paths[node.birth] for node in nodes)
    return (path[:n] for path in every for n in range(1, len(path) + 1))


def inside_out(
    nodes: list[Node], paths: dict[int, ScopePath], spared: set[ScopePath], *, spare: bool
) -> tuple[list[ScopePath], list[int]]:
    """The scopes that can be boxes, every one before those around it, of equals the oldest first.

    Also, at which places of the list a level ends. `spared` ones stay open. spare: leave out scopes around
    nearly all ops, which as boxes would say nothing.
    """
    ops = [node for node in nodes if node.op is not None]
    sizes = Counter(scopes_around(paths, ops))
    height = heights(sizes)
    if spare:
        most = {path: len(ops) * (MOST if height[path] else NEARLY_ALL) for path in sizes}
        sizes = Counter({path: size for path, size in sizes.items() if size <= most[path]})
    scopes = sorted(sizes.keys() - spared, key=lambda path: (height[path], -path[-1][1]))
    ends = Counter(height[path] for path in scopes)
    return scopes, [*itertools.accumulate(ends.values())]


def sealed_scopes(nodes: list[Node], paths: dict[int, ScopePath]) -> set[ScopePath]:
    """Functions of the library that mostly move numbers, as a convolution does: they open when asked."""
    spans = {span for node in nodes for span in known(node).spans}
    ops: defaultdict[bool, list[Node]] = defaultdict(list)
    for node in nodes:
        if node.op is not None:
            ops[node.op.kind == "moves"].append(node)
    moves = Counter(scopes_around(paths, ops[True]))
    sizes = moves + Counter(scopes_around(paths, ops[False]))
    return {path for path in moves if path[-1] in spans and sizes[path] in range(2, 2 * moves[path] + 1)}


def known(node: Node) -> Label:
    """What is known of a value besides numbers; it is not noted on the value that this was asked."""
    return node.label if isinstance(node.label, Label) else NOTHING


def related(nodes: list[Node], focus: list[Node]) -> list[Node]:
    """What leads to the focus, and what it leads to; without a focus everything."""
    births = {node.birth for node in reachable(focus or nodes[-1:])}
    after = {node.birth for node in focus}
    for head, tail in edges_of(nodes):
        if tail.birth in after:
            after.add(head.birth)
    return [node for node in nodes if node.birth in births or node.birth in after]


def in_units(
    nodes: list[Node], ids: dict[int, str], paths: dict[int, ScopePath], collapsed: set[ScopePath],
    sealed: set[ScopePath], alone: set[int],
) -> Choice:  # fmt: skip
    """Every value in its unit, when these scopes are boxes."""
    choice = Choice({})
    inside: defaultdict[ScopePath, list[Node]] = defaultdict(list)
    apart: defaultdict[ScopePath, list[int]] = defaultdict(list)
    closed = collapsed | sealed
    for node in nodes:
        birth, path = node.birth, paths[node.birth]
        frames = next((path[:n] for n in range(len(path)) if path[: n + 1] in closed), path)
        choice.units[birth] = Unit([node], frames, ids[birth])
        if node.op is not None and frames != path:
            if birth in alone:
                apart[path[: len(frames) + 1]].append(birth)
            else:
                inside[path[: len(frames) + 1]].append(node)
    for path, members in inside.items():
        if len(members) > 1:  # a value alone shows more as a card
            title, began = path[-1]
            box = Unit(members, path[:-1], is_box=True, title=title, began=began, takes=path in collapsed)
            choice.put(box)
            choice.makers |= dict.fromkeys(apart[path], box)
    fold_leaves(nodes, choice, alone)
    choice.drawn = dict.fromkeys(choice.units.values())
    return choice


def leaves_of_boxes(
    nodes: list[Node], choice: Choice, alone: set[int]
) -> Iterator[tuple[Node, tuple[Unit, ...]]]:
    """Each leaf that only boxes use, which may take it, and these boxes in order."""
    users: defaultdict[int, dict[Unit, None]] = defaultdict(dict)
    for head, tail in edges_of(nodes):
        if tail.op is None and tail.birth not in alone:
            users[tail.birth][choice.units[head.birth]] = None
    for leaf in nodes:
        if leaf.birth in users and all(unit.is_box and unit.takes for unit in users[leaf.birth]):
            yield leaf, tuple(users[leaf.birth])


def fold_leaves(nodes: list[Node], choice: Choice, alone: set[int]) -> None:
    """Parameters stand in the only box that uses them, and so does what was made there.

    Leaves that go to the same boxes, and to nothing else, share a box of their own.
    """
    alike: defaultdict[tuple[str, tuple[Unit, ...]], list[Node]] = defaultdict(list)
    for leaf, to in [*leaves_of_boxes(nodes, choice, alone)]:
        if len(to) == 1 and (leaf.needs or leaf.birth < to[0].began):
            choice.units[leaf.birth] = to[0]
            to[0].members.append(leaf)
        else:
            alike["parameter" if leaf.needs else "data", to].append(leaf)
    for (role, _), leaves in alike.items():
        if len(leaves) > (FEW if any(np.ndim(leaf.value) for leaf in leaves) else 1):
            choice.put(Unit(leaves, is_box=True, role=role))


def keep_nearest(choice: Choice, nodes: list[Node], ends: list[Node], limit: int) -> None:
    """Of too much, keep what has the fewest edges to the root, the first end, or to the focus, the others."""
    if len(choice.drawn) <= limit:
        return
    units, has_focus = choice.units, len(ends) > 1
    near: defaultdict[Unit, dict[Unit, None]] = defaultdict(dict)
    for head, tail in edges_of(nodes):
        if tail.birth in units:
            near[units[head.birth]][units[tail.birth]] = None
            if has_focus:
                near[units[tail.birth]][units[head.birth]] = None
    chosen = dict.fromkeys(units[node.birth] for node in ends)
    waiting = deque(chosen)
    if has_focus:
        waiting.popleft()  # the root is drawn; what is shown is what is near to the focus
    while waiting and len(chosen) < limit:
        more = [unit for unit in near[waiting.popleft()] if unit not in chosen]
        chosen |= dict.fromkeys(more[: limit - len(chosen)])
        waiting += more
    choice.drawn, choice.cut = chosen, True


def count_hidden(nodes: list[Node], choice: Choice, heads: Iterable[Unit]) -> dict[Unit, int]:
    """How many values that are not drawn stand behind each of these drawn units.

    One pass, newest first: each hidden value carries one bit for every unit that it stands behind.
    """
    bits = {unit: 1 << i for i, unit in enumerate(heads)}
    reached: defaultdict[int, int] = defaultdict(int)
    behind: Counter[int] = Counter()
    for node in reversed(nodes):
        unit = choice.of(node)
        mask = bits.get(unit, 0) if unit is not None else reached.pop(node.birth, 0)
        if unit is None:
            behind[mask] += 1
        for _, tail in edges_of([node] if mask else []):
            reached[tail.birth] |= mask
    return {unit: sum(behind[mask] for mask in behind if mask & bit) for unit, bit in bits.items()}
