"""Containers and holders of data that a function reads: each change leads to another recording."""

import array
import dataclasses
import functools
import itertools
import types
import typing
from collections import Counter, OrderedDict, defaultdict, deque

import numpy as np
import pytest
from twins import agree

import tinygrad_lo as lo

w = lo.Parameter([1.0, 2.0])
factor = 2.0


def scaled(x):
    return x * factor


@pytest.fixture(autouse=True)
def _as_written():
    global factor
    yield
    factor = 2.0
    w.data = np.array([1.0, 2.0])
    w.grad = None


@dataclasses.dataclass
class Options:
    """What an experiment is run with."""

    rate: float = 2.0
    parts: list = dataclasses.field(default_factory=lambda: [1.0, 2.0])

    def scaled(self, x):
        return x * self.rate * factor

    def __call__(self, x):
        return self.scaled(x) * self.parts[0]


@dataclasses.dataclass(slots=True)
class Slots:
    rate: float = 2.0


class Pair(typing.NamedTuple):
    rate: float
    more: list


class Words(list):
    """A list of the user's own kind."""


def number_from(held):
    """One number that depends on everything in a container."""
    if dataclasses.is_dataclass(held) or isinstance(held, types.SimpleNamespace):
        rest = len(held.parts) + held.parts[0] if hasattr(held, "parts") else 1.0
        return held.rate * rest
    if isinstance(held, memoryview):
        held = held.tolist()
    values = held.values() if hasattr(held, "values") else held
    total = 0.0
    for place, value in enumerate(values):
        value = number_from(value) if hasattr(value, "__iter__") and not isinstance(value, str) else value
        total += (place + 1) * (len(value) if isinstance(value, str) else float(value))
    return total + len(held)


inner = {"a": 1.0, "b": 2.0}
CONTAINERS = {
    "set": (lambda: {1.0, 2.0}, lambda c: c.add(5.0), lambda c: c.discard(1.0)),
    "set of text": (lambda: {"ab", "c"}, lambda c: c.add("long"), lambda c: c.remove("c")),
    "set of numbers of two kinds": (lambda: {1, 2}, lambda c: (c.remove(1), c.add(np.float64(7.0)))),
    "set of tuples": (lambda: {(1.0, 2.0)}, lambda c: c.add((3.0,))),
    "set in a dict": (lambda: {"kept": {1.0}}, lambda c: c["kept"].add(2.0)),
    "large set": (lambda: set(range(200)), lambda c: c.remove(7)),
    "deque": (lambda: deque([1.0, 2.0], maxlen=2), lambda c: c.append(3.0), lambda c: c.rotate(1)),
    "large deque": (lambda: deque(range(100)), lambda c: c.popleft()),
    "bytearray": (lambda: bytearray(b"ab"), lambda c: c.append(7), lambda c: c.__setitem__(0, 9)),
    "array": (lambda: array.array("d", [1.0, 2.0]), lambda c: c.append(3.0), lambda c: c.reverse()),
    "memoryview": (lambda: memoryview(bytearray(b"ab")), lambda c: c.__setitem__(0, 9)),
    "OrderedDict": (
        lambda: OrderedDict(inner), lambda c: c.update(c=3.0), lambda c: c.move_to_end("a"),
        lambda c: c.__setitem__("a", 9.0),
    ),
    "defaultdict": (lambda: defaultdict(float, inner), lambda c: c["new"], lambda c: c.update(a=4.0)),
    "Counter": (lambda: Counter("aab"), lambda c: c.update("b")),
    "mappingproxy": (lambda: types.MappingProxyType(inner), lambda c: inner.update(a=inner["a"] + 1.0)),
    "namespace": (
        lambda: types.SimpleNamespace(rate=1.0, parts=[1.0]), lambda c: c.parts.append(2.0),
        lambda c: setattr(c, "rate", 2.0), lambda c: setattr(c, "rate", 2),
    ),
    "dataclass": (Options, lambda c: setattr(c, "rate", 5.0), lambda c: c.parts.insert(0, 4.0)),
    "dataclass with slots": (Slots, lambda c: setattr(c, "rate", 5.0)),
    "named tuple": (lambda: Pair(1.0, [2.0]), lambda c: c.more.append(3.0)),
    "list of the user's": (lambda: Words([1.0]), lambda c: c.append(3.0)),
    "keys that are objects": (
        lambda: {w: 1.0, (1, "a"): 2.0, np.int64(3): 3.0}, lambda c: c.update({w: 4.0})),
}  # fmt: skip


@pytest.mark.parametrize("kind", CONTAINERS)
def test_containers_that_change(kind):
    make, *changes = CONTAINERS[kind]
    inner.update(a=1.0, b=2.0)
    held = make()

    def f():
        return (w * number_from(held)).sum()

    c = lo.compile(f, check=False)
    agree(c, f, [w], calls=3)
    for change in changes:
        before = f().item()
        change(held)
        agree(c, f, [w], calls=3)
        assert f().item() != before or "rate" in str(change.__code__.co_consts)
    held = make()
    agree(c, f, [w], calls=3)


@pytest.mark.parametrize("kind", CONTAINERS)
def test_containers_that_stay_are_recorded_once(kind):
    held, runs = CONTAINERS[kind][0](), itertools.count()

    def f():
        next(runs)
        return (w * number_from(held)).sum()

    c = lo.compile(f, check=False)
    for _ in range(4):
        c()
    assert next(runs) == 1


def test_tensors_and_functions_in_a_set():
    global factor
    members = {w}

    def f():
        return sum((member * 2.0).sum() for member in members) + sum(g(w).sum() for g in helpers)

    helpers = deque([scaled])
    c = lo.compile(f, check=False)
    leaves = [w, lo.Parameter([3.0, 4.0])]
    agree(c, f, leaves)
    members.add(leaves[1])
    agree(c, f, leaves)
    factor = 5.0
    agree(c, f, leaves)
    helpers.append(np.tanh)
    agree(c, f, leaves)


def test_what_a_dataclass_does_is_followed():
    global factor
    options = Options()
    for form in (options, options.scaled, lambda x: options(x) * 1.0):
        f = functools.partial(lambda g, x: g(x * w).sum(), form)
        c = lo.compile(f, check=False)
        for change in (lambda: None, lambda: setattr(options, "rate", options.rate + 1.0)):
            change()
            agree(c, f, [w], np.ones(2))
        factor += 1.0
        agree(c, f, [w], np.ones(2))


def test_a_long_list_that_gets_a_tensor():
    numbers = [float(i) for i in range(100)]

    def f():
        return (w * numbers[0]).sum() + (w * numbers[99]).sum()

    c = lo.compile(f, check=False)
    agree(c, f, [w])
    for value in (lo.Tensor(3.0), np.array(2.0), w, 3.0):
        numbers[99] = value
        agree(c, f, [w])
