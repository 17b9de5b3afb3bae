"""Equal parts of a large graph drawn once: which values share a stack, and loops as frames around them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator

from tinygrad_lo.drawing.passes.collapse import Choice, Unit, common_path, edges_of, keep_nearest, related
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.naming import ScopePath
from tinygrad_lo.explaining.formula import Names
from tinygrad_lo.program.repeats import Item, Loop, equal_parts

FEW_TERMS = 3  # a sum of more is drawn without its beginnings
CARRIED = 4  # names that the frame of a loop has room for
Copy = list[Node]  # one of equal values, behind the sums inside it


def fold(names: Names, paths: dict[int, ScopePath], limit: int, focus: list[Node]) -> Choice:
    """At most `limit` values and stacks of equal values; the turn of a loop that has the focus is opened."""
    nodes, ends = names.nodes, [names.nodes[-1], *focus]
    wanted, groups = related(nodes, focus), equal_parts(nodes)
    opened = opened_births(nodes, wanted, groups, focus) if focus else set()
    frames, alone = Frames(groups, paths, names), {node.birth for node in ends}
    ids = {node.birth: f"n{place}" for place, node in enumerate(nodes)}
    choice = Choice({})
    for group in groups:
        for is_open, copies in split(group, opened).items():
            for unit in units_of(copies, alone):
                unit.path = frames.path_of(group[0], unit.members[-1], is_open=is_open)
                if unit.lanes:
                    unit.counts = frames.counts(unit)
                    choice.put(unit)
                else:
                    unit.id = ids[unit.members[0].birth]
                    choice.units[unit.members[0].birth] = unit
    choice.carried = carried_edges(groups, choice)
    choice.drawn = dict.fromkeys(choice.units[node.birth] for node in wanted)
    leaves = [tail for head, tail in edges_of(nodes) if choice.of(head) and tail.op is None]
    choice.drawn |= dict.fromkeys(choice.units[leaf.birth] for leaf in leaves)
    keep_nearest(choice, nodes, ends, limit)
    choice.find_outputs(nodes)
    return choice


def turns_of(item: Item) -> Iterator[tuple[tuple[Loop, int], Copy]]:
    """Each copy with its turn of the outermost loop, counted from the end: the first may lack some."""
    for loop in item.loops[:1]:
        each = math.ceil(len(item.copies) / loop.turns)
        for place, copy in enumerate(reversed(item.copies)):
            yield (loop, place // each), copy


def opened_births(
    nodes: list[Node], wanted: list[Node], groups: list[list[Item]], focus: list[Node]
) -> set[int]:
    """The values of the turns that have the focus, or that alone lead to it or from it; and their own leaves."""
    pairs = [pair for group in groups for item in group for pair in turns_of(item)]
    turn_of = {node.birth: turn for turn, copy in pairs for node in copy}
    reached = defaultdict[Loop, set[tuple[Loop, int]]](set)
    for turn in (turn_of[node.birth] for node in wanted if node.birth in turn_of):
        reached[turn[0]].add(turn)
    turns = {turn_of.get(node.birth) for node in focus}.union(*(x for x in reached.values() if len(x) == 1))
    opened = {birth for birth, turn in turn_of.items() if turn in turns}
    elsewhere = {tail.birth for head, tail in edges_of(nodes) if head.birth not in opened}
    return opened | {node.birth for node in nodes if node.op is None and node.birth not in elsewhere}


def split(group: list[Item], opened: set[int]) -> dict[bool, list[Copy]]:
    """The copies of a class: those that are opened, and the others."""
    sides: defaultdict[bool, list[Copy]] = defaultdict(list)
    for item in group:
        for copy in item.copies:
            sides[copy[-1].birth in opened].append(copy)
    return sides


def units_of(copies: list[Copy], alone: set[int]) -> Iterator[Unit]:
    """A stack of equal values, and by themselves those that are to be seen, or that have no equals."""
    seen = [copy[-1] for copy in copies if copy[-1].birth in alone]
    yield from (Unit([node]) for node in seen)
    rest = [copy[:-1] if copy[-1].birth in alone else copy for copy in copies]
    rest = [copy for copy in rest if copy]
    members = [node for copy in rest for node in copy]
    if len(rest) == 1 and len(members) < FEW_TERMS:
        yield from (Unit([node]) for node in members)
    elif rest:
        yield Unit(members, lanes=[copy[-1] for copy in rest])


def carried_edges(groups: list[list[Item]], choice: Choice) -> set[tuple[Unit, Unit]]:
    """Which edges between units, tail first, go from one turn of a loop to the next."""
    items = [item for group in groups for item in group]
    units = {item: dict.fromkeys(choice.units[node.birth] for node in item.lanes) for item in items}
    pairs = [(x, item) for item in items for x in item.before()]
    return {(tail, head) for x, item in pairs for tail in units[x] for head in units[item]}


class Frames:
    """The scopes around stacks, and loops as frames among them."""

    def __init__(self, groups: list[list[Item]], paths: dict[int, ScopePath], names: Names) -> None:
        self.paths, self.names = paths, names
        inside = Counter(loop for group in groups for loop in group[0].loops)
        lanes: defaultdict[Loop, list[Node]] = defaultdict(list)
        for item in (item for group in groups for item in group):
            for loop in item.loops:
                lanes[loop] += item.lanes if inside[loop] > 1 else []
        # What stands in the frame of each loop that has several ops: the scopes around it, and its own title.
        # Leaves are older than the last op, so they stand outside.
        self.around = {
            loop: common_path([paths[n.birth] for n in some]) for loop, some in lanes.items() if some
        }
        self.keys = {loop: (self.title(loop), min(n.birth for n in lanes[loop])) for loop in self.around}

    def title(self, loop: Loop) -> str:
        """What the frame of a loop says: `× 6, h and c carried on`."""
        words = [common_start([*map(self.names.of, item.lanes)]) for item in loop.carried]
        some = " and ".join(", ".join(words).rsplit(", ", 1))
        if len(words) > CARRIED:
            some = f"{len(words)} values"
        return f"× {loop.turns:,}" + (f", {some} carried on" if words else "")

    def path_of(self, item: Item, last: Node, *, is_open: bool) -> ScopePath:
        """The scopes around the values of an item, and the loops; scopes of turns are alike by their titles."""
        loops = [loop for loop in item.loops[is_open:] if loop in self.keys]
        path, paths = self.paths[last.birth], [self.paths[node.birth] for node in item.lanes]
        if not is_open:
            path = path[: len(common_path([tuple((title, 0) for title, _ in path) for path in paths]))]
        outer = path[: len(self.around[loops[0]])] if loops else path
        return (*outer, *(self.keys[loop] for loop in loops), *path[len(outer) :])

    def counts(self, unit: Unit) -> tuple[int, ...]:
        """How many a stack has, as a product with the turns of the loops around it."""
        around = [loop.turns for loop, key in self.keys.items() if key in unit.path]
        each, rest = divmod(len(unit.lanes), math.prod(around))
        return tuple(count for count in ([len(unit.lanes)] if rest else [*around, each]) if count > 1)


def common_start(names: list[str]) -> str:
    """What names begin with, without the numbers after it: h of h1 … h6."""
    low, high = min(names), max(names)
    length = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[:length].rstrip("0123456789_[(. ") or names[0]
