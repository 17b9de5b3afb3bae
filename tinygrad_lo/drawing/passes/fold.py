"""Equal parts of a large graph drawn once: which values share a stack, and loops as frames around them."""

from __future__ import annotations

import itertools
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
Turn = tuple[Loop, int]
Copy = list[Node]  # one of equal values, behind the sums inside it
chained = itertools.chain.from_iterable


def fold(names: Names, paths: dict[int, ScopePath], limit: int, focus: list[Node]) -> Choice:
    """At most `limit` values and stacks of equal values; the turn of a loop that has the focus is opened."""
    nodes, ends = names.nodes, [names.nodes[-1], *focus]
    wanted, groups = related(nodes, focus), equal_parts(nodes)
    opened = opened_births(nodes, wanted, [*chained(groups)], focus) if focus else set()
    frames, alone = Frames(groups, paths, names), {node.birth for node in ends}
    ids = {node.birth: f"n{place}" for place, node in enumerate(nodes)}
    choice = Choice({})
    for group in groups:
        for is_open, copies in by_opening(group, opened).items():
            for unit in units_of(copies, alone):
                unit.id = ids[unit.members[0].birth]
                frames.put(unit, group[0], is_open=is_open)
                choice.put(unit)
    choice.carried = carried_edges([*chained(groups)], choice)
    choice.drawn = dict.fromkeys(choice.units[node.birth] for node in wanted)
    leaves = (tail for head, tail in edges_of(nodes) if tail.op is None and choice.of(head))
    choice.drawn |= dict.fromkeys(choice.units[leaf.birth] for leaf in leaves)  # that enter what is drawn
    keep_nearest(choice, nodes, ends, limit)
    choice.find_outputs(nodes)
    return choice


def turns_of(item: Item) -> Iterator[tuple[Turn, Copy]]:
    """Each copy with its turn of the outermost loop, counted from the end: the first may lack some."""
    for loop in item.loops[:1]:
        each = math.ceil(len(item.copies) / loop.turns)
        for place, copy in enumerate(reversed(item.copies)):
            yield (loop, place // each), copy


def opened_births(nodes: list[Node], wanted: list[Node], items: list[Item], focus: list[Node]) -> set[int]:
    """The values of the turns with the focus, or that alone lead to it or from it, with their own leaves."""
    turn_of = {node.birth: turn for turn, copy in chained(map(turns_of, items)) for node in copy}
    turns = {turn_of.get(node.birth) for node in focus} | only_turns(turn_of, wanted)
    opened = {birth for birth, turn in turn_of.items() if turn in turns}
    elsewhere = {tail.birth for head, tail in edges_of(nodes) if head.birth not in opened}
    return opened | {node.birth for node in nodes if node.op is None}.difference(elsewhere)


def only_turns(turn_of: dict[int, Turn], nodes: list[Node]) -> set[Turn]:
    """The turns of loops that have only one with these values."""
    turns = {turn_of[node.birth] for node in nodes if node.birth in turn_of}
    counts = Counter(loop for loop, _ in turns)
    return {turn for turn in turns if counts[turn[0]] == 1}


def by_opening(group: list[Item], opened: set[int]) -> dict[bool, list[Copy]]:
    """The copies of a class: those that are opened, and the others."""
    sides: defaultdict[bool, list[Copy]] = defaultdict(list)
    for copy in chained(item.copies for item in group):
        sides[copy[-1].birth in opened].append(copy)
    return sides


def units_of(copies: list[Copy], alone: set[int]) -> Iterator[Unit]:
    """A stack of equal values, and by themselves those that are to be seen, or that have no equals."""
    seen = [copy[-1] for copy in copies if copy[-1].birth in alone]
    rest = [*filter(None, (copy[:-1] if copy[-1].birth in alone else copy for copy in copies))]
    if len(rest) == 1 and len(rest[0]) < FEW_TERMS:
        seen += rest.pop()
    yield from (Unit([node]) for node in seen)
    if rest:
        yield Unit([*chained(rest)], lanes=[copy[-1] for copy in rest])


def carried_edges(items: list[Item], choice: Choice) -> set[tuple[Unit, Unit]]:
    """Which edges between units, tail first, go from one turn of a loop to the next."""
    # As sets: of ten thousand lanes that are one unit there would be a hundred million pairs.
    drawn = {item: {choice.units[node.birth] for node in item.lanes} for item in items}
    pairs = ((before, item) for item in items for before in item.before())
    return {*chained(itertools.product(drawn.get(before, ()), drawn[item]) for before, item in pairs)}


class Frames:
    """The scopes around stacks, and loops with several ops as frames among them."""

    def __init__(self, groups: list[list[Item]], paths: dict[int, ScopePath], names: Names) -> None:
        self.paths, self.names = paths, names
        inside = Counter(chained(group[0].loops for group in groups))
        # The scopes around each loop, and its title, which is as old as its last op: leaves stand outside.
        self.around, self.keys = dict[Loop, ScopePath](), dict[Loop, tuple[str, int]]()
        lanes = lanes_by_loop([*chained(groups)])
        for loop in filter(lambda loop: inside[loop] > 1, lanes):
            self.around[loop] = common_path([paths[node.birth] for node in lanes[loop]])
            self.keys[loop] = self.title(loop), min(node.birth for node in lanes[loop])

    def title(self, loop: Loop) -> str:
        """What the frame of a loop says: `× 6, h and c carried on`."""
        words = [common_start([*map(self.names.of, item.lanes)]) for item in loop.carried]
        some = " and ".join(", ".join(words).rsplit(", ", 1))
        if len(words) > CARRIED:
            some = f"{len(words)} values"
        return f"× {loop.turns:,}" + (f", {some} carried on" if words else "")

    def put(self, unit: Unit, item: Item, *, is_open: bool) -> None:
        """Say of a unit which scopes and loops are around it, and how many equal values it has."""
        loops = [loop for loop in item.loops[is_open:] if loop in self.keys]
        path = self.paths[unit.members[-1].birth]
        if not is_open:
            path = path[: self.alike(item.lanes)]
        outer = path[: len(self.around[loops[0]])] if loops else path
        unit.path = (*outer, *map(self.keys.__getitem__, loops), *path[len(outer) :])
        unit.is_box = bool(unit.lanes)
        unit.counts = self.counts(unit)

    def alike(self, nodes: list[Node]) -> int:
        """In how many scopes these values are alike: those of turns by their titles."""
        paths = (self.paths[node.birth] for node in nodes)
        return len(common_path([tuple((title, 0) for title, _ in path) for path in paths]))

    def counts(self, unit: Unit) -> tuple[int, ...]:
        """How many a stack has, as a product with the turns of the loops around it."""
        around = [loop.turns for loop, key in self.keys.items() if key in unit.path]
        each, rest = divmod(len(unit.lanes), math.prod(around))
        return tuple(count for count in ([len(unit.lanes)] if rest else [*around, each]) if count > 1)


def lanes_by_loop(items: list[Item]) -> dict[Loop, list[Node]]:
    """The values that each loop makes."""
    lanes: defaultdict[Loop, list[Node]] = defaultdict(list)
    for item in items:
        for loop in item.loops:
            lanes[loop] += item.lanes
    return lanes


def common_start(names: list[str]) -> str:
    """What names begin with, without the numbers after it: h of h1 … h6."""
    low, high = min(names), max(names)
    length = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[:length].rstrip("0123456789_[(. ") or names[0]
