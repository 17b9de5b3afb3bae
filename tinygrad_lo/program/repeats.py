"""Equal parts of any graph: what the same ops made several times, beside each other or one after the other.

First loops are rolled up: runs of ops, in the order of their births, that do the same with operands that are
the same, or move along. What one turn hands to the next is carried. Then what is alike in what it is made
from and in what it is used for is one class, in whatever order it was made.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.ops.arithmetic import power
from tinygrad_lo.engine.ops.registry import record
from tinygrad_lo.program.classes import ADD, sums_inside

POWER = record(power)
FEWEST = 3  # turns of a loop
PERIODS = 24  # lengths of a turn that are tried
ROUNDS = 3  # loops in loops
MISSING = 4  # a quarter of the first turn, its begin, may have been made of constants, and be no ops


@dataclass(slots=True, eq=False)
class Loop:
    """Turns of the same ops; those of a loop inside a turn count each time."""

    turns: int
    carried: list[Item] = field(default_factory=list)  # what a turn takes from the turn before


@dataclass(slots=True, eq=False, repr=False)
class Item:
    """One op, a sum of several terms, or a leaf, with all that loops have found to be the same."""

    head: Hashable  # what it does, to what sort of operands
    lanes: list[Node]  # its values, oldest first
    members: list[Node]  # the same, and the sums inside sums
    operands: list[Item | None] = field(default_factory=list)  # None where an input is no tensor
    loops: tuple[Loop, ...] = ()  # around it, outermost first
    carried: frozenset[int] = frozenset()  # which operands come from the turn before
    others: list[tuple[int, Item | None]] = field(
        default_factory=list
    )  # operands of other turns, and which one

    @property
    def is_sum(self) -> bool:
        """Whether the order of its operands says nothing."""
        return self.lanes[0].op is ADD or (self.lanes[0].op is not None and self.lanes[0].op.arity is None)


def equal_parts(nodes: list[Node]) -> list[list[Item]]:
    """The classes of a graph's values (oldest first), in the order of their births."""
    items = items_of(nodes)
    for _ in range(ROUNDS):
        rolled = rolled_up(items)
        if len(rolled) == len(items):
            break
        items = rolled
    return classes_of(items)


def items_of(nodes: list[Node]) -> list[Item]:
    """One item for each value; the sums that are only the beginning of a longer one are members of that."""
    inner = sums_inside(nodes)
    items: dict[int, Item] = {}
    begun: dict[int, tuple[list[Item | None], list[Node]]] = {}
    for node in nodes:
        inputs = [None if p is None else items.get(p.birth) for p in node.parents]
        operands, members = inputs, [node]
        first = node.parents[0] if node.op is ADD else None
        if first is not None and first.birth in begun:
            terms, members = begun.pop(first.birth)
            operands, members = [*terms, *inputs[1:]], [*members, node]
        if node.birth in inner:
            begun[node.birth] = operands, members
        else:
            items[node.birth] = Item(head_of(node, operands), [node], members, operands)
    return list(items.values())


def head_of(node: Node, operands: list[Item | None]) -> Hashable:
    """What a value is, whatever it is made from: numbers beside tensors may differ, exponents may not."""
    shape = np.shape(node.value)
    if node.op is None:
        return node.needs, shape
    rest = node.inputs[1 if node.op is POWER and node.parents[1] is None else len(node.parents) :]
    options = tuple(str(np.shape(x)) if isinstance(x, ndarray) else repr(x) for x in rest)
    return node.op, shape, options, len(operands)


# ------------------------------------------------------------------------------------------------- loops


class Span(NamedTuple):
    """A loop in a trace: where it begins, the length of a turn, and how many there are."""

    begin: int
    period: int
    turns: int
    first: int  # the first place that there is: a turn may lack what was made of constants alone

    @property
    def end(self) -> int:
        """The place behind it."""
        return self.begin + self.period * self.turns


class Trace:
    """The ops of a graph in order, as arrays of whole numbers."""

    def __init__(self, items: list[Item]) -> None:
        self.leaves = [item for item in items if item.lanes[0].op is None]
        self.steps = [item for item in items if item.lanes[0].op is not None]
        place: dict[Item | None, int] = {item: i for i, item in enumerate(self.steps)}
        kinds: dict[Hashable, int] = {}
        heads = [(item.head, item.loops, tuple(sorted(item.carried))) for item in self.steps]
        self.heads = np.array([kinds.setdefault(head, len(kinds)) for head in heads], int)
        # Operands are places; of leaves, a negative number that tells their sort.
        sort: dict[Item | None, int]
        sort = {item: -2 - kinds.setdefault(item.head, len(kinds)) for item in self.leaves} | {None: -1}
        self.starts = np.cumsum([0, *(len(item.operands) for item in self.steps)])
        of = [place[x] if x in place else sort[x] for item in self.steps for x in item.operands]
        self.operands = np.array(of, int)
        self.owners = np.repeat(np.arange(len(self.steps)), np.diff(self.starts))
        self.last_use = np.arange(len(self.steps))
        inside = self.operands >= 0
        np.maximum.at(self.last_use, self.operands[inside], self.owners[inside])

    def periods(self) -> list[int]:
        """After how many ops the same op on the same sort of operands comes again: the most telling first."""
        ahead = np.where(self.operands >= 0, self.owners - self.operands, self.operands)
        last: dict[Hashable, int] = {}
        found: Counter[int] = Counter()
        words, ends = ahead.tolist(), self.starts.tolist()
        for i, head in enumerate(self.heads.tolist()):
            key = (head, *words[ends[i] : ends[i + 1]])
            if key in last:
                found[i - last[key]] += i - last[key]
            last[key] = i
        return [period for period, _ in found.most_common(PERIODS)]

    def repeats(self, period: int) -> Array:
        """For each op but the last ones, whether the op one period later does the same."""
        n = len(self.steps) - period
        same = self.heads[:n] == self.heads[period:]
        counts = np.diff(self.starts)
        same &= counts[:n] == counts[period:]
        edges = np.flatnonzero(same[self.owners[: self.starts[n]]])
        here = self.operands[edges]
        owners = self.owners[edges]
        there = self.operands[edges - self.starts[owners] + self.starts[owners + period]]
        differs = (here != there) & ((here < 0) | (there - here != period))
        same[owners[differs]] = False
        return same

    def spans(self) -> Iterator[Span]:
        """Every loop that there could be."""
        for period in self.periods():
            same = self.repeats(period)
            edges = np.flatnonzero(np.diff(np.concatenate([[0], same, [0]])))
            for begin, end in edges.reshape(-1, 2).tolist():
                if (end - begin) // period + 2 >= FEWEST:
                    yield self.best_begin(begin, end + period, period)

    def follows(self, at: int) -> bool:
        """Whether an op has the one before it as an operand."""
        return at - 1 in self.operands[self.starts[at] : self.starts[at + 1]]

    def best_begin(self, begin: int, end: int, period: int) -> Span:
        """Where a turn begins: where there are most turns, and the fewest values pass from one to the next.

        The first turn may take from anywhere what the others take from the turn before.
        """
        taken: dict[int, list[int]] = {}
        first = begin
        while first > max(begin - period, 0) and (more := self.taken_before(first - 1, period)) is not None:
            first -= 1
            taken[first] = more
        crossing = self.crossing(begin, end)
        choices, low, high = [], 0, end
        missing = period // MISSING if any(taken.values()) else 0
        for at in range(begin + period - 1, first - 1 - missing, -1):
            low, high = max([low, *taken.get(at, ())]), min([high, *taken.get(at, ())])
            if at <= high and low < max(at, first) + period:
                turns = (end - at) // period
                lacks = max(first - at, 0)
                choices.append((-turns, lacks, int(crossing[min(at + period, end) - begin]), -at))
        turns, _, _, at = min(choices)
        return Span(-at, period, -turns, max(-at, first))

    def crossing(self, begin: int, end: int) -> Array:
        """How many values that are made in a stretch are used behind each place of it."""
        change = np.ones(end - begin + 2, int)
        change[0] = change[-1] = 0
        np.add.at(change, np.minimum(self.last_use[begin:end], end) - begin + 1, -1)
        return np.cumsum(change)

    def taken_before(self, at: int, period: int) -> list[int] | None:
        """Of an op of the first turn: where its successor has operands that differ from its own."""
        here, there = (self.operands[self.starts[i] : self.starts[i + 1]] for i in (at, at + period))
        if self.heads[at] != self.heads[at + period]:
            return None
        taken = there[(here != there) & ((here < 0) | (there - here != period))]
        return taken.tolist() if (taken >= 0).all() else None


def rolled_up(items: list[Item]) -> list[Item]:
    """The items, those of a loop's turns as one; the largest loops first."""
    trace = Trace(items)
    taken = np.zeros(len(trace.steps), bool)
    same: dict[Item, Item] = {}
    for span in sorted(trace.spans(), key=lambda span: (span.first - span.end, span)):
        stretch = slice(span.first, span.end)
        around = {item.loops for item in trace.steps[stretch]}
        if span.turns >= FEWEST and not taken[stretch].any() and len(around) == 1:
            taken[stretch] = True
            # One op beside its equals is no loop, only one behind them.
            if span.period > 1 or trace.follows(span.end - 1):
                roll(trace.steps, span, same)
    return merged(items, same) if same else items


def roll(steps: list[Item], span: Span, same: dict[Item, Item]) -> None:
    """Note for each item of a loop the one that stands for it, which is of the second turn."""
    begin, period, turns, first = span
    loop = Loop(turns)
    places: dict[Item | None, int] = {steps[i]: i - begin for i in range(first, span.end)}
    carried: dict[Item, None] = {}
    for rel in range(period):
        item = steps[begin + period + rel]
        before = {k for k, x in enumerate(item.operands) if places.get(x, period) < period}
        for at in range(begin + rel, span.end, period):
            if at >= first:
                same[steps[at]] = item
                other = enumerate(steps[at].operands)
                item.others += [(k, x) for k, x in other if x not in places and x is not item.operands[k]]
        item.loops += (loop,)
        item.carried |= before
        carried |= dict.fromkeys(steps[begin + period + places[item.operands[k]]] for k in sorted(before))
    loop.carried = list(carried)


def merged(items: list[Item], same: dict[Item, Item]) -> list[Item]:
    """One item for all that are the same."""
    lanes: defaultdict[Item, list[Item]] = defaultdict(list)
    for item in items:
        lanes[same.get(item, item)].append(item)
    for item, every in lanes.items():
        item.lanes = sorted((node for one in every for node in one.lanes), key=age)
        item.members = sorted((node for one in every for node in one.members), key=age)
        item.operands = [same.get(x, x) if x else None for x in item.operands]
        others = dict.fromkeys(pair for one in every for pair in one.others)
        item.others = [(k, same.get(x, x)) for k, x in others if x]
    return [item for item in items if item in lanes]


def age(node: Node) -> int:
    """Sorts nodes oldest first."""
    return -node.birth


# ----------------------------------------------------------------------------------------------- classes


def classes_of(items: list[Item]) -> list[list[Item]]:
    """Items that are made alike, and then used alike."""
    made: dict[Item, int] = {}
    numbers: dict[Hashable, int] = {}
    items = sorted(items, key=lambda item: item.lanes[0].op is not None)  # what stands in a loop may be older
    for item in items:
        below = [made[x] if x and k not in item.carried else -1 for k, x in enumerate(item.operands)]
        key = (item.head, item.loops, tuple(sorted(below) if item.is_sum else below))
        made[item] = numbers.setdefault(key, len(numbers))
    uses: defaultdict[Item, set[Hashable]] = defaultdict(set)
    used: dict[Item, int] = {}
    numbers.clear()
    for item in reversed(items):
        # What is carried is used by an older item, whose class is not yet known.
        used[item] = numbers.setdefault((made[item], frozenset(uses[item])), len(numbers))
        for k, operand in [*enumerate(item.operands), *item.others]:
            if operand is not None:
                uses[operand].add((used[item], None if item.is_sum else k))
    groups: defaultdict[int, list[Item]] = defaultdict(list)
    for item in items:
        groups[used[item]].append(item)
    return sorted(groups.values(), key=lambda group: -group[0].lanes[0].birth)
