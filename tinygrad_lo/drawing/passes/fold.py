"""Equal parts of a large graph drawn once: which values share a stack, and loops as frames around them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from tinygrad_lo.drawing.passes.collapse import Choice, Unit, edges_of, keep_nearest, related
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.naming import ScopePath
from tinygrad_lo.explaining.formula import Names
from tinygrad_lo.program.repeats import Item, Loop, equal_parts

TERMS = 3  # a sum of more is drawn without its beginnings
CARRIED = 4  # names that the frame of a loop has room for
Turn = tuple[Loop, int]
Part = tuple[Turn | None, list[Node]]  # one of the equal values, with the sums inside it


def fold(names: Names, paths: dict[int, ScopePath], limit: int, focus: list[Node]) -> Choice:
    """At most `limit` values and stacks of equal values; the turn of a loop that has the focus is opened."""
    nodes = names.nodes
    ends = [nodes[-1], *focus]
    choice, groups = Choice({}), equal_parts(nodes)
    ids = {node.birth: f"n{place}" for place, node in enumerate(nodes)}
    alone = {node.birth for node in ends}
    every = [(item, part) for group in groups for item in group for part in parts_of(item)]
    opened = opened_births(nodes, every, focus)
    frames = Frames(groups, paths, names)
    for group in groups:
        for is_open, parts in split(group, opened).items():
            for unit in units_of(parts, alone):
                unit.path = frames.path_of(group[0], unit.members[-1], is_open=is_open)
                if unit.lanes:
                    unit.counts = frames.counts(unit)
                    choice.put(unit)
                else:
                    unit.id = ids[unit.members[0].birth]
                    choice.units[unit.members[0].birth] = unit
    choice.carried = carried_between(every, choice)
    choice.drawn = dict.fromkeys(choice.units[node.birth] for node in related(nodes, focus))
    feeding = [tail for head, tail in edges_of(nodes) if choice.of(head) and tail.op is None]
    choice.drawn |= dict.fromkeys(choice.units[leaf.birth] for leaf in feeding)
    keep_nearest(choice, nodes, ends, limit)
    choice.find_outputs(nodes)
    return choice


def parts_of(item: Item) -> Iterator[Part]:
    """The values of an item, each with its turn of the outermost loop around them."""
    loop = item.loops[0] if item.loops else None
    each = math.ceil(len(item.lanes) / loop.turns) if loop else 1
    lanes, place, members = {node.birth for node in item.lanes}, 0, []
    for node in item.members:
        members.append(node)
        if node.birth in lanes:
            # Counted from the end: the first turn may lack some.
            turn = (loop, loop.turns - 1 - (len(lanes) - 1 - place) // each) if loop else None
            yield turn, members
            place, members = place + 1, []


def opened_births(nodes: list[Node], every: list[tuple[Item, Part]], focus: list[Node]) -> set[int]:
    """The values that are drawn apart: of the turns with the focus, and of those only these turns lead to.

    The turn of one sample through a network leads to its turn through the loss; leaves that nothing else
    uses come along.
    """
    of = {node.birth: turn for _, (turn, members) in every for node in members if turn}
    opened, before = {node.birth for node in focus}, set[int]()
    while focus and len(opened) > len(before):
        before = opened
        beside = defaultdict[Loop, set[Turn]](set)
        users = defaultdict[int, set[int]](set)
        for head, tail in edges_of(nodes):
            for one, other in ((head, tail), (tail, head)):
                if one.birth in opened and other.birth in of:
                    beside[of[other.birth][0]].add(of[other.birth])
            if tail.op is None:
                users[tail.birth].add(head.birth)
        turns = {of[birth] for birth in opened if birth in of}
        known = {loop for loop, _ in turns}
        turns |= {
            turn for loop, some in beside.items() if loop not in known and len(some) == 1 for turn in some
        }
        opened = opened | {birth for birth, turn in of.items() if turn in turns}
        opened |= {birth for birth, heads in users.items() if heads <= opened}
    return opened


def split(group: list[Item], opened: set[int]) -> dict[bool, list[list[Node]]]:
    """The parts of a class: those that are opened, and the others."""
    sides: defaultdict[bool, list[list[Node]]] = defaultdict(list)
    for item in group:
        for _, members in parts_of(item):
            sides[members[-1].birth in opened].append(members)
    return sides


def units_of(parts: list[list[Node]], alone: set[int]) -> Iterator[Unit]:
    """A stack of equal values, and by themselves those that are to be seen, or that have no equals."""
    yield from (Unit([node]) for part in parts for node in part if node.birth in alone)
    rest = [[node for node in part if node.birth not in alone] for part in parts]
    rest = [part for part in rest if part]
    if len(rest) == 1 and len(rest[0]) < TERMS:
        yield from (Unit([node]) for node in rest[0])
    elif rest:
        yield Unit([node for part in rest for node in part], lanes=[part[-1] for part in rest])


def carried_between(every: list[tuple[Item, Part]], choice: Choice) -> set[tuple[Unit, Unit]]:
    """Which edges between units, tail first, go from one turn of a loop to the next."""
    units: defaultdict[Item, dict[Unit, None]] = defaultdict(dict)
    for item, (_, members) in every:
        units[item][choice.units[members[-1].birth]] = None
    pairs: set[tuple[Unit, Unit]] = set()
    for item in units:
        within = {x for k, x in enumerate(item.operands) if k not in item.carried}
        before = {item.operands[k] for k in item.carried} - within
        pairs |= {(tail, head) for x in before if x for tail in units[x] for head in units[item]}
    return pairs


class Frames:
    """The scopes around stacks, and loops as frames among them."""

    def __init__(self, groups: list[list[Item]], paths: dict[int, ScopePath], names: Names) -> None:
        self.paths, self.names = paths, names
        inside = Counter(loop for group in groups for loop in group[0].loops)
        self.drawn = {loop for loop, count in inside.items() if count > 1}
        self.around: dict[Loop, ScopePath] = {}  # the scopes around a loop, which its turns share
        self.keys: dict[Loop, tuple[str, int]] = {}
        for item in (item for group in groups for item in group):
            for loop in item.loops:
                known = [self.around[loop]] if loop in self.around else []
                self.around[loop] = alike([*known, *(paths[node.birth] for node in item.lanes)])
                # Leaves are older than the last op, so they stand outside.
                last = min(node.birth for node in item.lanes)
                self.keys[loop] = self.title(loop), min(last, self.keys.get(loop, ("", 0))[1])

    def title(self, loop: Loop) -> str:
        """What the frame of a loop says: `× 6, h and c carried on`."""
        words = [title_of([self.names.of(node) for node in item.lanes], short=True) for item in loop.carried]
        some = ", ".join(words[:-1]) + " and " * (len(words) > 1) + "".join(words[-1:])
        if len(words) > CARRIED:
            some = f"{len(words)} values"
        return f"× {loop.turns:,}".replace(",", "\u202f") + (f", {some} carried on" if words else "")

    def path_of(self, item: Item, last: Node, *, is_open: bool) -> ScopePath:
        """The scopes around the values of an item, and the loops."""
        loops = [loop for loop in item.loops[is_open:] if loop in self.drawn]
        path = self.paths[last.birth]
        if len(item.lanes) > 1 and not is_open:
            titles = alike([tuple((title, 0) for title, _ in self.paths[n.birth]) for n in item.lanes])
            path = path[: len(titles)]
        outer = path[: len(self.around[loops[0]])] if loops else path
        return (*outer, *(self.keys[loop] for loop in loops), *path[len(outer) :])

    def counts(self, unit: Unit) -> tuple[int, ...]:
        """How many a stack has, as a product with the turns of the loops around it."""
        turns = {key: loop.turns for loop, key in self.keys.items()}
        around = [turns[key] for key in unit.path if key in turns]
        each, rest = divmod(len(unit.lanes), math.prod(around))
        counts = [len(unit.lanes)] if rest else [*around, each]
        return tuple(count for count in counts if count > 1)


def alike(paths: Iterable[ScopePath]) -> ScopePath:
    """The scopes that all these paths begin with."""
    first, *others = dict.fromkeys(paths)
    count = len(first)
    for path in others:
        same = [one == other for one, other in zip(first, path, strict=False)]
        count = min(count, (*same, False).index(False))
    return first[:count]


def title_of(names: list[str], *, short: bool = False) -> str:
    """What a stack is called: `h1 … h6`, in short `h`, where the names begin alike."""
    start = common_start(names)
    if short:
        return start or names[0]
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"


def common_start(names: list[str]) -> str:
    """What the names begin with, without the numbers after it."""
    low, high = min(names), max(names)
    length = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[:length].rstrip("0123456789_[(. ")
