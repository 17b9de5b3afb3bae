"""Every op of the table, and every function written with them, against exact numbers: a sweep.

Values, first and second derivatives at 1e-8 and 1e8, at 200 points in ±750, at the ends of the dtype, at
ties and at 0, in float64, float32 and float16. A new op is swept without a line here.
"""

import itertools

import numpy as np
import pytest
from exactness import BOUNDS, Exact, derivatives, exact_np, rng_of, worst
from samples import cases, positions, spelled

from tinygrad_lo.engine.ops import COMPOSED, TABLE, Shape, linear, reductions

# One of the three is quick enough for every run; float64 takes up to 1 400 digits.
SLOW = pytest.mark.slow
DTYPES = (pytest.param("float64", marks=SLOW), "float32", pytest.param("float16", marks=SLOW))
ORDERS = ("value", "first", "second")

# What is left out, and why: name -> (which points, reason).
LEFT_OUT = {
    "divide": (
        lambda a, b: (a / b != 0) & (np.abs(a / b) < np.finfo(a.dtype).tiny),
        "the slope is −y / b, and a quotient below the smallest normal number has lost digits",
    ),
    "power": (
        lambda a, b: (a != 0) & ~np.isfinite(a ** (b - 2)),
        "b (b − 1) a^(b − 2) is finite for a tiny b, but not its last factor",
    ),
    "bernoulli_known": (lambda p, y, z: (y < 0) | (y > 1), "a target is in [0, 1]"),
    "log_probability": (
        lambda p: (p != 0) & (np.abs(p) < np.finfo(p.dtype).tiny),
        "the slope ends at 1 / the smallest normal number: a choice, tested with the losses",
    ),
    "bernoulli_slope": (lambda p, y: (p < 1e-4) | (p > 1 - 1e-4) | (y < 0) | (y > 1), "as bernoulli"),
    "bernoulli": (
        lambda p, y: (p < 1e-4) | (p > 1 - 1e-4) | (y < 0) | (y > 1),
        "logarithms end at −100, and slopes at a floor: a choice, tested with the losses",
    ),
}
LEFT_OUT["exp2"] = (lambda x: np.isinf(np.exp2(x)), "2^x overflows, log 2 times it does not yet")
LEFT_OUT["hypot"] = (
    lambda a, b: ~np.isfinite(np.hypot(a, b)) | (a == 0) & (b == 0),
    "the length overflows, or is 0: no slope exists, and 0 is given",
)
LEFT_OUT["hypot_slope"] = LEFT_OUT["arctan2"] = (
    lambda a, b: ~np.isfinite(np.hypot(a, b)) | (np.hypot(a, b) < np.finfo(a.dtype).tiny ** 0.5),
    "the same, or 1 / length² overflows",
)

FILLINGS = ("near", "small", "large", "wide", "ends", "ties", "large ties", "zeros")

# Of ops on arrays: name -> (which fillings, reason).
NOT_FILLED = {
    "cosine": (("large", "wide", "ends", "ties", "large ties", "zeros"), "of vectors of length 1"),
    "prod": (("ends",), "a partial product overflows or vanishes before the others come"),
    "var": (("ties", "large ties"), "the mean is rounded, and the spread is nothing, or a unit or two of it"),
    "std": (
        ("ties", "large ties", "zeros", "ends"),
        "as var; of two equal points and a third, second derivatives cancel",
    ),
    **dict.fromkeys(("inv", "solve", "det", "log_det"), (FILLINGS, "LAPACK: as good as the matrix is")),
    "median": (("ties", "large ties", "zeros"), "as sort"),
    "sort": (("ties", "large ties", "zeros"), "of equals, the first stays the first: a choice at a kink"),
    "sort_by": (("ties", "large ties", "zeros"), "as sort"),
}
# What comes less close: (name, order) -> (units, reason).
WIDER = {
    ("direction", 2): (np.inf, "in float16, 1 / length² is no number; losses compute it in float32"),
    ("log_softmax", 0): (
        np.inf,
        "log p of p near 1 is as wrong as p: log1p would make cross_entropy's op 1.6 times as slow",
    ),
    ("softmax", 1): (np.inf, "1 − p of a probability that is nearly 1"),
    ("softmax", 2): (np.inf, "the same"),
    ("power", 1): (40, "b − 1 is rounded, and its error multiplied by log a"),
    ("power", 2): (60, "the same"),
}


def specials(dtype):
    """0, 1e-8, 1e8 and what is about 1; as far as the dtype has them."""
    small, large = (1e-8, 1e8) if dtype != "float16" else (1e-4, 1e4)
    sizes = np.array([small, 3 * small, 0.5, 1.0, 1.7, 2.0, 3.0, 40.0, large, 0.7 * large])
    return np.concatenate([[0.0], sizes, -sizes])


def ends(dtype):
    """The largest, the smallest, the smallest normal number, and where squares become too large or small."""
    info = np.finfo(dtype)
    sizes = [
        info.max,
        info.tiny,
        info.smallest_subnormal,
        1.5 * info.max**0.5,
        0.7 * info.tiny**0.5,
        1 - info.epsneg,
    ]
    return np.array([*sizes, *(-x for x in sizes)], float)


def domain_of(entry, i):
    pairs = entry.domain if isinstance(entry.domain[0], tuple) else (entry.domain,)
    return pairs[min(i, len(pairs) - 1)]


# ---------------------------------------------------------------- ops on each element alone


def groups(op, dtype):
    """Points in groups of like size: a list of lists of columns, one for each input."""
    rng = rng_of(f"{op.name} {dtype}")
    n = op.arity
    wide = rng.uniform(-750, 750, (n, 200))
    near = np.array([rng.uniform(*domain_of(op, i), 20) for i in range(n)])
    usual, far = specials(dtype), ends(dtype)
    if n == 1:
        middle, edge = usual[None], far[None]
    else:
        both = np.concatenate([usual, far])
        ties = np.tile(usual, (n, 1))
        middle = np.concatenate([ties, rng.choice(usual, (n, 60))], axis=1)
        edge = np.concatenate(
            [np.tile(far, (n, 1)), rng.choice(far, (n, 15)), rng.choice(both, (n, 15))], axis=1
        )
    return [x.astype(dtype) for x in (near, wide, middle, edge)]


def defined(f, columns):
    """Which points the exact function is defined at."""
    keep = []
    for at in range(len(columns[0])):
        try:
            exact = Exact(f, [c[at : at + 1] for c in columns], [], np.ones(1), "float64").at()
        except (ZeroDivisionError, ValueError, OverflowError):
            exact = np.array([np.nan])
        keep.append(bool(exact[0] == exact[0]))
    return np.array(keep)


def alone(op):
    return not op.samples and op.differentiable


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", [op for op in TABLE.values() if alone(op)], ids=lambda op: op.name)
def test_elementwise_ops_are_exact(op, dtype):
    wrt = [i for i, rule in enumerate(op.rules) if rule is not None]
    pairs = list(itertools.combinations_with_replacement(wrt, 2))
    found = dict.fromkeys(range(3), (0.0, ""))

    def f(*arrays):
        return np.asarray(spelled(op, arrays, exact_np), object)

    for points in groups(op, dtype):
        columns = list(points)
        if op.name == "where":
            columns[0] = columns[0] > 0
        if op.name in LEFT_OUT:
            with np.errstate(all="ignore"):
                out = LEFT_OUT[op.name][0](*columns)
            columns = [c[~out] for c in columns]
        try:
            Exact(f, columns, [(i, ...) for i in wrt], np.ones(1), dtype).at()
        except (ZeroDivisionError, OverflowError):
            keep = defined(f, columns)
            columns = [c[keep] for c in columns]
        exact = Exact(f, columns, [(i, ...) for i in wrt], np.ones(1), dtype)
        with np.errstate(all="ignore"):
            y, firsts, seconds = derivatives(op.apply, columns, wrt, 1.0, [(i, ..., j) for i, j in pairs])

        def where(at, columns=columns):
            return ", ".join(str(c[at]) for c in columns)

        found[0] = max(found[0], worst(*exact.value_gap(y), y, where))
        for k, i in enumerate(wrt):
            found[1] = max(found[1], worst(*exact.gap(firsts[i], k), firsts[i], where))
        for i, j in pairs:
            h = seconds[i, ..., j]
            found[2] = max(found[2], worst(*exact.gap(h, wrt.index(i), wrt.index(j)), h, where))
    assert_within(op.name, dtype, found)


# --------------------------------------------------------------------- ops on whole arrays


def filling(kind, shape, domain, dtype, rng):
    """An array of one kind of numbers."""
    low, high = (1e-8, 1e8) if dtype != "float16" else (1e-4, 1e4)
    x = {
        "near": lambda: rng.uniform(*domain, shape),
        "small": lambda: rng.uniform(*domain, shape) * low,
        "large": lambda: rng.uniform(*domain, shape) * high,
        "wide": lambda: rng.uniform(-750, 750, shape),
        "ends": lambda: rng.choice(
            ends(dtype) / (1 + 31 * (np.abs(ends(dtype)) > 2)), shape
        ),  # sums must fit
        "ties": lambda: rng.choice([1.7, -3.0], shape),
        "large ties": lambda: high + rng.choice([0.0, 0.0, np.spacing(np.dtype(dtype).type(high))], shape),
        "zeros": lambda: rng.choice([0.0, 0.0, 2.5], shape),
    }[kind]()
    return np.asarray(x).astype(dtype)


def array_cases():
    for entry in [*TABLE.values(), *COMPOSED.values()]:
        if entry.name in COMPOSED or (entry.differentiable and not alone(entry)):
            samples = entry.samples if entry.name in COMPOSED else cases(entry)
            fitting = [(i, sample) for i, sample in enumerate(samples) if 1 < size_of(sample) <= 16]
            for i, sample in fitting[:2]:
                kinds = [k for k in FILLINGS if k not in NOT_FILLED.get(entry.name, ((),))[0]]
                if i != fitting[0][0]:
                    kinds = [k for k in kinds if k != "ends"]  # which take the most digits
                yield pytest.param(entry, sample, kinds, id=f"{entry.name}-{i}")


def public(op):
    """What users call, where it does something before the op: float16 is reduced as float32."""
    found = next((f for room in (linear, reductions) if (f := getattr(room, op.name, None))), op.apply)
    return found if hasattr(found, "__wrapped__") else op.apply


def size_of(sample):
    parts = [*sample[0], *sample[1:]] if isinstance(sample[0], list) else sample
    return sum(int(np.prod(part)) for part in parts if isinstance(part, Shape))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("entry", "sample", "kinds"), list(array_cases()))
def test_ops_on_arrays_are_exact(entry, sample, kinds, dtype):
    count = len(sample[0]) if isinstance(sample[0], list) else 0
    sample = (*sample[0], *sample[1:]) if count else sample
    rng = rng_of(f"{entry.name} {sample} {dtype}")
    call = entry.function if entry.name in COMPOSED else public(entry)
    wrt = [
        i for i in positions(sample) if entry.name in COMPOSED or entry.rules[0 if entry.arity is None else i]
    ]
    found = dict.fromkeys(range(3), (0.0, ""))

    def listed(arrays):
        return (list(arrays[:count]), *arrays[count:]) if count else arrays

    def f(*arrays):
        arrays = [object if isinstance(x, np.dtype) else x for x in arrays]
        return np.asarray(spelled(entry, listed(arrays), exact_np), object)

    for kind in kinds:
        made = [
            filling(kind, item, domain_of(entry, i), dtype, rng) if isinstance(item, Shape) else item
            for i, item in enumerate(sample)
        ]
        made = [np.dtype(dtype) if isinstance(x, np.dtype) else x for x in made]
        variables = [(i, place) for i in wrt for place in np.ndindex(made[i].shape)]
        exact = Exact(f, made, variables, 1.0, dtype)
        try:
            seed = rng.choice([1.0, -2.0], exact.at().shape)
        except (ZeroDivisionError, OverflowError):
            continue
        exact.seed = seed
        k, m = rng.choice(len(variables), 2)
        (i, place), (j, other) = variables[k], variables[m]
        with np.errstate(all="ignore"):
            y, firsts, seconds = derivatives(
                lambda *x: call(*listed(x)), made, wrt, seed.astype(dtype), [(i, place, j)]
            )

        def where(_, made=made):
            return " ".join(", ".join(map(repr, made)).split())

        found[0] = max(found[0], worst(*exact.value_gap(y), y, where))
        found[1] = max(found[1], worst(*exact.gap(firsts[i][place], k), firsts[i][place], where))
        h = seconds[i, place, j][other]
        found[2] = max(found[2], worst(*exact.gap(h, k, m), h, where))
    assert_within(entry.name, dtype, found)


def assert_within(name, dtype, found):
    wrong = [
        f"{ORDERS[order]}: {text}"
        for order, (gap, text) in found.items()
        if gap > WIDER.get((name, order), (BOUNDS[order],))[0]
    ]
    assert not wrong, "\n".join(["", *wrong])
