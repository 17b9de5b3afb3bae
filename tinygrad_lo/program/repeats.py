"""Equal parts of any graph: what the same ops made several times, beside each other or one after the other.

First loops are rolled up: runs of ops, in the order of their births, that do the same with operands that are
the same, or move along. What one turn hands to the next is carried. Then what is alike in what it is made
from and in what it is used for is one class, in whatever order it was made.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node, Op
from tinygrad_lo.program.classes import sums_inside
from tinygrad_lo.program.ops import ADD, POWER

LEAST_TURNS = 3  # turns of a loop
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
    """One op, a sum of several terms, or a leaf, with all that loops have found to be the same.

    Attributes:
        head: what it does, to what sort of operands.
        copies: its values, oldest first, each behind the sums inside it, if it is one.
        operands: what it is made from; NO_TENSOR where that is no tensor.
        loops: around it, outermost first.
        carried: which operands come from the turn before.
        others: operands that it has in some turns only, and which one each is.
    """

    head: Hashable
    copies: list[list[Node]]
    operands: list[Item] = field(default_factory=list)
    loops: tuple[Loop, ...] = ()
    carried: frozenset[int] = frozenset()
    others: dict[tuple[int, Item], None] = field(default_factory=dict)

    @property
    def lanes(self) -> list[Node]:
        """Its values."""
        return [copy[-1] for copy in self.copies]

    @property
    def first(self) -> Node:
        """Its oldest value."""
        return self.copies[0][-1]

    @property
    def op(self) -> Op | None:
        """What it does last; None of a leaf."""
        return self.first.op

    @property
    def is_sum(self) -> bool:
        """Whether the order of its operands says nothing."""
        return self.op is ADD or getattr(self.op, "arity", 0) is None

    def before(self) -> set[Item]:
        """The operands that it takes from the turn before, and not from its own as well."""
        own = {x for k, x in enumerate(self.operands) if k not in self.carried}
        return {self.operands[k] for k in self.carried} - own


NO_TENSOR = Item(("plain",), [])  # a number or an array without a tensor around it


def equal_parts(nodes: list[Node]) -> list[list[Item]]:
    """The classes of a graph's values (oldest first), in the order of their births."""
    items = items_of(nodes)
    for _ in range(ROUNDS):
        items = rolled_up(items)
    return classes_of(items)


def items_of(nodes: list[Node]) -> list[Item]:
    """One item for each value; the sums that are only the beginning of a longer one are part of that."""
    inner = sums_inside(nodes)
    items: dict[int, Item] = {}
    begun: dict[int, Item] = {}  # sums, by the birth of their beginning
    for node in nodes:
        item = Item(
            None, [[node]], [NO_TENSOR if p is None else items.get(p.birth, NO_TENSOR) for p in node.parents]
        )
        first = node.parents[0] if node.op is ADD else None
        if first is not None and first.birth in begun:
            head = begun.pop(first.birth)
            item.operands, item.copies = [*head.operands, item.operands[1]], [[*head.copies[0], node]]
        item.head = head_of(node, len(item.operands))
        (begun if node.birth in inner else items)[node.birth] = item
    return list(items.values())


def head_of(node: Node, count: int) -> Hashable:
    """What a value is, whatever it is made from: numbers beside tensors may differ, exponents may not."""
    if node.op is None:
        return node.needs, np.shape(node.value)
    rest = node.inputs[1 if node.op is POWER else len(node.parents) :]
    options = tuple(str(np.shape(x)) if isinstance(x, ndarray) else repr(x) for x in rest)
    return node.op, np.shape(node.value), options, count


# ------------------------------------------------------------------------------------------------- loops


class Stretch(NamedTuple):
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
        self.steps = [item for item in items if item.op is not None]
        self.kinds: dict[Hashable, int] = {}
        heads = ((item.head, item.loops, *sorted(item.carried)) for item in self.steps)
        self.heads = np.array([*map(self.number, heads)], int)
        # Operands are places; of what is no op, a negative number that tells its sort.
        places = dict(zip(self.steps, itertools.count(), strict=False))
        operands = [*gathered("operands", self.steps)]
        for x in operands:
            places.setdefault(x, -1 - self.number(x.head))
        self.operands = np.array([*map(places.__getitem__, operands)], int)
        self.counts = np.array([len(item.operands) for item in self.steps], int)
        self.starts = np.cumsum([0, *self.counts])
        self.owners = np.repeat(np.arange(len(self.steps)), self.counts)

    def number(self, head: Hashable) -> int:
        """A number for a head, and for no other."""
        return self.kinds.setdefault(head, len(self.kinds))

    @functools.cached_property
    def last_use(self) -> Array:
        """The place of the last op that uses each op; its own, where none does."""
        last, inside = np.arange(len(self.steps)), self.operands >= 0
        np.maximum.at(last, self.operands[inside], self.owners[inside])
        return last

    def operands_of(self, at: int) -> Array:
        """The operands of one op."""
        return self.operands[self.starts[at] : self.starts[at + 1]]

    def periods(self) -> list[int]:
        """After how many ops the same op on the same sort of operands comes again: the most telling first."""
        ahead = np.where(self.operands >= 0, self.owners - self.operands, self.operands)
        last: dict[Hashable, int] = {}
        found: Counter[int] = Counter()
        words, ends = ahead.tolist(), self.starts.tolist()
        for i, head in enumerate(self.heads.tolist()):
            key = (head, *words[ends[i] : ends[i + 1]])
            distance = i - last.get(key, i)
            found[distance] += distance
            last[key] = i
        del found[0]
        return [period for period, _ in found.most_common(PERIODS)]

    def repeats(self, period: int) -> Array:
        """For each op but the last ones, whether the op one period later does the same."""
        n = len(self.steps) - period
        same = (self.heads[:n] == self.heads[period:]) & (self.counts[:n] == self.counts[period:])
        edges = np.flatnonzero(same[self.owners[: self.starts[n]]])
        here = self.operands[edges]
        owners = self.owners[edges]
        there = self.operands[edges - self.starts[owners] + self.starts[owners + period]]
        same[owners[differs(here, there, period)]] = False
        return same

    def spans(self) -> Iterator[Stretch]:
        """Every loop that there could be."""
        for period in self.periods():
            same = self.repeats(period)
            edges = np.flatnonzero(np.diff(np.concatenate([[0], same, [0]])))
            for begin, end in edges.reshape(-1, 2).tolist():
                if (end - begin) // period + 2 >= LEAST_TURNS:
                    yield self.best_begin(begin, end + period, period)

    def best_begin(self, begin: int, end: int, period: int) -> Stretch:
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
                choices.append((-turns, lacks, int(crossing[max(0, min(at + period, end) - begin)]), -at))
        turns, _, _, at = min(choices)
        return Stretch(-at, period, -turns, max(-at, first))

    def crossing(self, begin: int, end: int) -> Array:
        """How many values that are made in a stretch are used behind each place of it."""
        change = np.ones(end - begin + 2, int)
        change[0] = change[-1] = 0
        np.add.at(change, np.minimum(self.last_use[begin:end], end) - begin + 1, -1)
        return np.cumsum(change)

    def taken_before(self, at: int, period: int) -> list[int] | None:
        """Of an op of the first turn: where its successor has operands that differ from its own."""
        if self.heads[at] != self.heads[at + period]:
            return None
        there = self.operands_of(at + period)
        taken = there[differs(self.operands_of(at), there, period)]
        return taken.tolist() if (taken >= 0).all() else None


def differs(here: Array, there: Array, period: int) -> Array:
    """Which operands are not those of the op one period later: neither the same nor moved along."""
    return (here != there) & ((here < 0) | (there - here != period))


def rolled_up(items: list[Item]) -> list[Item]:
    """The items, those of a loop's turns as one; the largest loops first."""
    trace = Trace(items)
    taken = np.zeros(len(trace.steps), bool)
    same: dict[Item, Item] = {}
    for span in sorted(trace.spans(), key=lambda span: (span.first - span.end, span)):
        stretch = slice(span.first, span.end)
        if span.turns < LEAST_TURNS or taken[stretch].any():
            continue
        if len({item.loops for item in trace.steps[stretch]}) > 1:  # some are in a loop already
            continue
        taken[stretch] = True
        # One op beside its equals is no loop, only one behind them.
        if span.period > 1 or span.end - 2 in trace.operands_of(span.end - 1):
            roll_turns(trace.steps, span, same)
    return merged(items, same)


def roll_turns(steps: list[Item], span: Stretch, same: dict[Item, Item]) -> None:
    """Note for each item of a loop the one that stands for it, which is of the second turn."""
    begin, period, turns, first = span
    loop, second = Loop(turns), steps[begin + period : begin + 2 * period]
    places = {steps[i]: i - begin for i in range(first, span.end)}
    carried: dict[Item, None] = {}
    for at in range(first, span.end):
        item = second[(at - begin) % period]
        same[steps[at]] = item
        item.others |= {(k, x): None for k, x in enumerate(steps[at].operands) if x not in places}
    for item in second:
        before = [k for k, x in enumerate(item.operands) if places.get(x, period) < period]
        carried |= dict.fromkeys(second[places[item.operands[k]] % period] for k in before)
        item.loops, item.carried = (*item.loops, loop), item.carried.union(before)
    loop.carried = list(carried)


def merged(items: list[Item], same: dict[Item, Item]) -> list[Item]:
    """One item for all that are the same."""
    every: defaultdict[Item, list[Item]] = defaultdict(list)
    for item in items:
        every[same.get(item, item)].append(item)
    for item, equals in every.items():
        item.copies = sorted(gathered("copies", equals), key=lambda copy: -copy[-1].birth)
        item.operands = [same.get(x, x) for x in item.operands]
        item.others = {(k, same.get(x, x)): None for k, x in gathered("others", equals)}
    return [item for item in items if item in every]


def gathered(what: str, items: list[Item]) -> Iterator[Any]:
    """What all these items have of something."""
    return itertools.chain.from_iterable(map(operator.attrgetter(what), items))


# ----------------------------------------------------------------------------------------------- classes


def classes_of(items: list[Item]) -> list[list[Item]]:
    """Items that are made alike, and then used alike."""
    items = sorted(items, key=lambda item: item.op is not None)  # what a loop uses may be younger than its op
    made, groups = made_alike(items), dict[Hashable, list[Item]]()
    uses: defaultdict[Item, set[tuple[int, int]]] = defaultdict(set)
    numbers: dict[Hashable, int] = {}
    for item in reversed(items):
        # What is carried is used by an older item, whose class is not yet known.
        key = made[item], frozenset(uses[item])
        number = numbers.setdefault(key, len(numbers))
        groups.setdefault(number, []).append(item)
        for k, operand in [*enumerate(item.operands), *item.others]:
            uses[operand].add((number, 0 if item.is_sum else k))
    every = (group[::-1] for group in groups.values())
    return sorted(every, key=lambda group: -group[0].first.birth)


def made_alike(items: list[Item]) -> dict[Item, int]:
    """A number for each item, equal where they are made alike."""
    made, numbers = {NO_TENSOR: 0}, dict[Hashable, int]()
    for item in items:
        below = [*map(made.get, item.operands)]
        for k in item.carried:
            below[k] = 0
        key = item.head, item.loops, *(sorted(below) if item.is_sum else below)  # type: ignore[type-var]
        made[item] = numbers.setdefault(key, len(numbers) + 1)
    return made
