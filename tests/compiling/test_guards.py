"""What a function reads besides its arguments: closures, globals, containers, helpers, attributes."""

import functools
import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
from twins import agree

import tinygrad_lo as lo
from tinygrad_lo.compiling.guards import bits, is_plain

w = lo.Parameter([1.0, 2.0])
factor = 2.0
table = {"a": 1.0, "b": [1, 2, {"c": 3.0}], "t": (1, 2)}


def scaled(x):
    return x * factor


def shifted(x, by=[0.5]):  # noqa: B006
    return scaled(x) + by[0]


class Model:
    share = 2.0

    def __init__(self):
        self.p = lo.Parameter(1.5)
        self.scale = 3.0

    def loss(self, x):
        return self.p * x * self.scale

    def __call__(self, x):
        return self.loss(x) * self.share


@pytest.fixture(autouse=True)
def _as_written():
    global factor, table, scaled
    kept = scaled
    yield
    scaled = kept
    factor = 2.0
    table = {"a": 1.0, "b": [1, 2, {"c": 3.0}], "t": (1, 2)}
    shifted.__defaults__ = ([0.5],)
    w.data = np.array([1.0, 2.0])
    w.grad = None


# ------------------------------------------------------------------------- numbers and functions


def test_numbers_of_closures():
    number = 1

    def f():
        return (w * number + 1.0 / (w * number)).sum() * number

    c = lo.compile(f, check=False)
    values = [
        1, 1.0, True, 2, np.float32(2), 2.0, np.float64(2), -0.0, 0.0, math.nan, -math.nan, 1e300, math.inf,
        np.array(3.0), lo.Tensor(4.0), lo.Tensor(5.0), np.array([1.0, 3.0]), 2, 1,
    ]  # fmt: skip
    with np.errstate(all="ignore"):
        for value in [*values, *values[::-1]]:
            number = value
            expected = f()
            if expected.size == 1:
                agree(c, f, [w], calls=3)
                assert c().dtype == expected.dtype


def test_a_counter_of_its_own():
    count = 0

    def f():
        return (w * count).sum()

    c = lo.compile(f, check=False)
    for _ in range(5):
        count += 1
        agree(c, f, [w])


def test_globals_also_of_helpers():
    global factor, scaled

    def f():
        return shifted(w).sum()

    c = lo.compile(f, check=False)
    agree(c, f, [w])
    factor = 3.0
    agree(c, f, [w])
    shifted.__defaults__[0][0] = 5.0
    agree(c, f, [w])
    shifted.__defaults__ = ([7.0],)
    agree(c, f, [w])
    scaled = np.tanh
    agree(c, f, [w])
    factor = 4.0
    agree(c, f, [w])


def test_functions_inside_functions():
    global factor

    def outer():
        def inner(x):
            return x * factor

        return sum(inner(x) for x in [w[0], w[1]]) + max((scaled(w[i]) for i in range(2)), key=lambda t: 1)

    c = lo.compile(outer, check=False)
    agree(c, outer, [w])
    factor = 3.0
    agree(c, outer, [w])


@pytest.mark.parametrize("wrap", [lambda g: functools.partial(g, w), lambda g: functools.partial(g, x=w)])
def test_partial_functions(wrap):
    global factor
    made = wrap(scaled)

    def f():
        return made().sum()

    for form in (f, functools.partial(lambda inner: inner().sum(), made)):
        c = lo.compile(form, check=False)
        agree(c, form, [w])
        factor += 1.0
        agree(c, form, [w])


def test_arguments_of_partial_functions():
    options, array = {"k": 2.0}, np.array([1.0, 2.0])
    made = functools.partial(lambda a, o, x: (a * w * o["k"] * x).sum(), array, options)
    for form in (made, lambda x: made(x) * 2.0):
        c = lo.compile(form, check=False)
        agree(c, form, [w], np.float64(3.0))
        options["k"] += 1.0
        agree(c, form, [w], np.float64(3.0))
        array[0] += 1.0
        agree(c, form, [w], np.float64(4.0))


def test_a_decorated_helper():
    global factor

    @functools.wraps(scaled)
    def wrapper(*args):
        return scaled(*args)

    def f():
        return wrapper(w).sum()

    c = lo.compile(f, check=False)
    agree(c, f, [w])
    factor = 7.0
    agree(c, f, [w])


def test_defaults_used_and_overridden():
    def f(x, k=2.0, *, extra=1.0):
        return (w * x * k).sum() + extra

    c = lo.compile(f, check=False)
    x = np.array([3.0, 4.0])
    agree(c, f, [w], x)
    agree(c, f, [w], x, 3.0)
    agree(c, f, [w], x, np.array([1.0, 2.0]))
    agree(c, f, [w], x)
    f.__kwdefaults__["extra"] = 5.0
    agree(c, f, [w], x)


def test_defaults_that_are_assigned():
    """Whoever assigns defaults gets the new ones, or is told that this is not seen."""

    def f(x, k=2.0):
        return (w * x * k).sum()

    c = lo.compile(f, check=False)
    x = np.array([3.0, 4.0])
    agree(c, f, [w], x)
    f.__defaults__ = (7.0,)
    try:
        found = c(x)
    except lo.errors.StaleError:
        return
    assert found == 7.0 * 11.0


# ----------------------------------------------------------------------------------- containers


def test_entries_of_dicts_lists_and_tuples():
    leaves = [w, lo.Parameter([3.0, 4.0]), lo.Parameter([5.0, 6.0])]
    chosen = leaves[:2]

    def f():
        k = table["a"] * table["b"][2]["c"] * table["t"][0] * len(table) * table["b"][0]
        return chosen[0].sum() * k + (chosen[1] * chosen[0]).sum() * len(chosen)

    def put(place, key, value):
        place[key] = value

    c = lo.compile(f, check=False)
    agree(c, f, leaves)
    for change in (
        lambda: put(table, "a", 2), lambda: put(table, "a", 2.0), lambda: put(table, "a", True),
        lambda: put(table, "a", np.float32(0.5)), lambda: put(table["b"][2], "c", 7.0),
        lambda: put(table, "t", (4, 2)), lambda: table["b"].append(3), lambda: put(table["b"], 0, 9),
        lambda: put(table, "z", 1),
        lambda: chosen.append(leaves[2]), lambda: put(chosen, 0, leaves[2]), chosen.pop,
        lambda: put(chosen, 1, lo.Tensor([1.0, 2.0])),
        lambda: setattr(chosen[1], "data", np.array([3.0, 4.0])),
        lambda: put(chosen, 1, np.array([1.0, 5.0])), lambda: put(chosen[1], 0, 7.0), lambda: table.pop("z"),
    ):  # fmt: skip
        change()
        agree(c, f, leaves)


ROUND = """
import resource
import tinygrad_lo as lo
resource.setrlimit(resource.RLIMIT_CPU, (4, 4))
resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
w, numbers = lo.Parameter(3.0), [1.0]
numbers.append(numbers)
c = lo.compile(lambda: w * numbers[1][1][0], check=False)
assert c() == 3.0
numbers[0] = 2.0
assert c() == 6.0
"""


def test_a_list_that_contains_itself():
    """In a process of its own: a mistake here would never end."""
    pytest.importorskip("resource")
    done = subprocess.run([sys.executable, "-c", ROUND], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


def test_long_lists_of_numbers():
    numbers = [float(i) for i in range(200)]

    def f():
        return (w * sum(numbers)).sum()

    c = lo.compile(f, check=False)
    for place, value in [(50, 0.5), (199, 1), (0, 1.0), (0, 1)]:
        agree(c, f, [w])
        numbers[place] = value
    agree(c, f, [w])


def test_a_dict_in_another_order():
    parts = {"a": 2.0, "b": 3.0}

    def f():
        first, second = parts.values()
        return (w * first).sum() - second

    c = lo.compile(f, check=False)
    agree(c, f, [w])
    parts["a"] = parts.pop("a")  # now behind b
    agree(c, f, [w])


# ------------------------------------------------------------------------------ what is not seen


@pytest.mark.parametrize("form", [lambda m: m.loss, lambda m: m, lambda m: lambda x: m.loss(x) * 1.0])
def test_an_attribute_is_found_stale_and_recorded_anew(form):
    model = Model()
    f = form(model)
    c = lo.compile(f)
    agree(c, f, [model.p], 2.0, calls=1)
    for change in range(3):
        model.scale += 1.0
        found = []
        for _ in range(4):
            model.p.grad = None
            try:
                c(2.0)
            except lo.errors.StaleError as error:
                assert model.p.grad is None
                found.append(str(error))
                break
        assert len(found) == 1, change
        assert "attribute" in found[0]
        agree(c, f, [model.p], 2.0)


def is_stale_within(c, calls):
    """Whether one of so many calls says that its recording is stale."""
    for _ in range(calls):
        try:
            c()
        except lo.errors.StaleError:
            return True
    return False


@pytest.mark.parametrize("after", [1, 2, 3])
def test_stale_by_the_fourth_call(after):
    model = Model()
    c = lo.compile(lambda: model.p * model.scale)
    for _ in range(after):
        c()
    model.scale = 5.0
    assert is_stale_within(c, 4 - after)


def test_random_numbers_of_its_own_are_found_stale():
    generator, numbers = np.random.default_rng(0), itertools.count(1)
    for f in (lambda: w @ generator.random(2), lambda: w.sum() * next(numbers)):
        c = lo.compile(f)
        assert is_stale_within(c, 4)


# ---------------------------------------------------------------------------------- small parts


def test_bits_tell_numbers_apart():
    kinds = [1, 1.0, True, 0.0, -0.0, math.nan, "1", None, np.float64(1.0), np.float32(1.0), (1,), [1], [1.0]]
    assert len({repr(bits(value)) for value in kinds}) == len(kinds)
    assert bits(math.nan) == bits(math.nan)
    assert bits({"a": [1, {"b": 2}]}) == bits({"a": [1, {"b": 2}]}) != bits({"a": [1, {"b": 2.0}]})


def test_plain_containers():
    assert is_plain([1, 2.0, ("a", None), {"k": np.float64(1.0)}])
    assert not is_plain([1, [w]])
    assert not is_plain({"a": np.zeros(2)})
