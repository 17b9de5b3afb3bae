"""Random programs: with one wrong rule each, the check fails and names the op; with none, it passes."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.checking.report import WORDS
from tinygrad_lo.engine.backward import unbroadcast
from tinygrad_lo.engine.graph import reachable
from tinygrad_lo.engine.ops import TABLE, elementwise, indexing, reductions, shapes

COUNTS = [30, pytest.param(300, marks=pytest.mark.slow)]  # programs
LENGTH = 8  # steps of a program, each a few ops


def into(x, low, high):
    """The values of x, squeezed between two bounds."""
    return low + (high - low) * elementwise.sigmoid(x)


def tame(x):
    """The values of x, if they are small enough to go on with."""
    return x if np.abs(x.data).max(initial=0.0) <= 3.0 else np.tanh(x)


def unary(name):
    op = TABLE[name]
    low, high = op.domain
    return lambda x, y, rng: op.apply(x if (low, high) == (-2.0, 2.0) else into(x, low, high))


def binary(name):
    op = TABLE[name]

    def step(x, y, rng):
        y = y if fits(x, y) else y.sum()
        if not isinstance(op.domain[0], tuple):
            return op.apply(x, y)
        return op.apply(*(into(v, *domain) for v, domain in zip((x, y), op.domain, strict=True)))

    return step


def fits(x, y):
    """Whether x and y broadcast to something small."""
    try:
        return np.prod(np.broadcast_shapes(x.shape, y.shape)) <= 24
    except ValueError:
        return False


def reduction(name):
    def step(x, y, rng):
        axis = int(rng.integers(x.ndim)) if x.ndim and rng.random() < 0.7 else None
        return getattr(reductions, name)(x, axis=axis, keepdims=bool(rng.random() < 0.5))

    return step


def flat(x):
    return x.reshape(-1)


def choose(x, y, rng):
    y = y if fits(x, y) else y.sum()
    return np.where(x.data > 0, x, y)


def cut(x, y, rng):
    v = flat(x)
    return v[rng.integers(0, v.size, 3)] if rng.random() < 0.5 else v[::-2]


def product(x, y, rng):
    a, b = flat(x)[:, None], flat(y)[None, :3]
    return tame(a @ b) if rng.random() < 0.5 else np.einsum("ij,jk->ki", a[:6], b)


def labelled(x, y, rng):
    return indexing.pick(flat(x)[None, :], np.array([int(rng.integers(x.size))]))


SKIPPED = ("sign", "astype", "clip", "detach")
STEPS = [
    *(unary(op.name) for op in TABLE.values() if op.arity == 1 and not op.samples and op.name not in SKIPPED),
    *(binary(op.name) for op in TABLE.values() if op.arity == 2 and not op.samples and op.differentiable),
    *(reduction(name) for name in ("sum", "max", "min", "prod", "logsumexp", "mean", "var")),
    lambda x, y, rng: np.linalg.norm(flat(x)),
    lambda x, y, rng: reductions.log_softmax(flat(x), -1),
    lambda x, y, rng: elementwise.clip(x, -0.5, 1.0),
    lambda x, y, rng: np.cumsum(flat(x), 0),
    lambda x, y, rng: np.sort(flat(x), 0),
    lambda x, y, rng: x.T,
    lambda x, y, rng: np.broadcast_to(flat(x)[:4], (2, min(4, x.size))),
    lambda x, y, rng: np.concatenate([flat(x)[:5], flat(y)[:5]], 0),
    lambda x, y, rng: shapes.pad(flat(x)[:6], ((1, 2),), constant_values=0.5),
    lambda x, y, rng: x[None],
    choose,
    cut,
    product,
    product,
    labelled,
]


def program(seed):
    """A function of four arrays that calls some ops, always the same ones."""

    def f(*leaves):
        rng = np.random.default_rng(seed)
        values = list(leaves)
        used = set()
        for _ in range(LENGTH):
            i, j = rng.integers(max(0, len(values) - 5), len(values), 2)
            used |= {int(i)}
            with np.errstate(all="ignore"):
                values.append(STEPS[rng.integers(len(STEPS))](tame(values[i]), tame(values[j]), rng))
        ends = [v for k, v in enumerate(values) if k not in used]
        return sum(((v * rng.uniform(0.5, 1.5, v.shape)).sum() for v in ends), 0.0)

    return f


def point(seed, rounded):
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape) for shape in ((2, 3), (3,), (), (2, 1))]
    return [np.round(2 * x) / 2 for x in arrays] if rounded else arrays


def gradients(f, arrays):
    leaves = [lo.Parameter(x) for x in arrays]
    out = f(*leaves)
    found = lo.grad(out, leaves, allow_unused=True)
    return [np.zeros(x.shape) if g is None else np.asarray(g) for g, x in zip(found, arrays, strict=True)]


# ---------------------------------------------------------------------------------- the plants


def first_slice(part, shape):
    """What is left of a broadcast gradient when the sum over the copies is forgotten."""
    while part.ndim > len(shape):
        part = part[0]
    for axis, n in enumerate(shape):
        if n == 1:
            part = part.take([0], axis)
    return part


PLANTS = {
    "factor": lambda part, shape: 2.0 * part,
    "sign": lambda part, shape: -part,
    "transpose": lambda part, shape: unbroadcast(part, shape).ravel()[::-1].reshape(shape),
    "missing sum": lambda part, shape: first_slice(part, shape) if part.shape != shape else part * 1.0,
    "dropped branch": lambda part, shape: 0.0 * part,
    "0.1 %": lambda part, shape: 1.001 * part,
}


def planted(op, which, plant):
    """The op's rules, one of them wrong."""
    right = op.rules[which]

    def wrong(*args):
        part = np.asarray(right(*args))
        inputs = args[3:] if op.arity is None else args[2:]
        return plant(part, np.shape(inputs[args[0] if op.arity is None else which]))[()]

    return (*op.rules[:which], wrong, *op.rules[which + 1 :])


def change(right, wrong):
    """How much the gradient by some leaf has changed, relative to its length."""
    return max(
        np.linalg.norm(a - b) / max(np.linalg.norm(a), np.linalg.norm(b), 1e-300)
        for a, b in zip(right, wrong, strict=True)
    )


def plant_one(f, arrays, kinds, rng):
    """Make one rule wrong so that the gradient changes, in the way that is rarest so far, if it can be."""
    right = gradients(f, arrays)
    ops = {node.op.name: node.op for node in reachable([f(*map(lo.Parameter, arrays))]) if node.op}
    places = [(op, i) for op in ops.values() for i, rule in enumerate(op.rules) if rule is not None]
    rng.shuffle(places)
    for kind in sorted(kinds, key=kinds.__getitem__):
        for op, i in places[:6]:
            rules = op.rules
            op.rules = planted(op, i, PLANTS[kind])
            if change(right, gradients(f, arrays)) > 9e-4:
                return kind, op, rules
            op.rules = rules
    return None


@pytest.mark.parametrize("count", COUNTS)
def test_one_wrong_rule_is_caught_and_its_op_named(count):
    tried, caught, named, missed, seed = 0, 0, 0, [], 0
    kinds = dict.fromkeys(PLANTS, 0)
    while tried < count:
        seed += 1
        f, arrays = program(seed), point(seed, rounded=False)
        right = gradients(f, arrays)
        if not all(np.isfinite(g).all() for g in right) or not any(g.any() for g in right):
            continue
        found = plant_one(f, arrays, kinds, np.random.default_rng(seed))
        if found is None:
            continue
        kind, op, rules = found
        try:
            report = lo.gradcheck(f, *arrays)
        finally:
            op.rules = rules
        tried += 1
        kinds[kind] += 1
        caught += not report
        exactly = {fault.op for fault in report.faults} == {op.name} == {report.culprit}
        named += exactly
        if not exactly:
            missed.append((seed, kind, op.name, report.culprit))
    print(
        f"\n{tried} programs with one wrong rule: {caught} caught, {named} named exactly; {kinds}; {missed=}"
    )
    assert min(kinds.values()) >= count // 15
    assert caught >= 0.98 * tried
    assert named >= 0.98 * caught


@pytest.mark.parametrize("count", COUNTS)
def test_right_programs_raise_no_alarm(count):
    tried, alarms, verdicts, seed = 0, [], dict.fromkeys(WORDS, 0), 0
    while tried < count:
        seed += 1
        f, arrays = program(seed), point(seed, rounded=True)
        with np.errstate(all="ignore"):
            right = gradients(f, arrays)
        if not all(np.isfinite(g).all() for g in right):
            continue
        tried += 1
        report = lo.gradcheck(f, *arrays)
        for verdict in verdicts:
            verdicts[verdict] += report.count(verdict)
        if report.count("FAIL") or report.faults:
            alarms.append((seed, str(report)))
    print(f"\n{tried} right programs, inputs rounded: {len(alarms)} alarms; {verdicts}")
    assert not alarms, alarms[0][1]
    assert verdicts["KINK"] >= count // 3
    assert verdicts["UNVERIFIABLE"] <= 0.02 * sum(verdicts.values())


def test_an_op_that_is_given_one_tensor_twice_has_its_kinks():
    """It sorts tied numbers by themselves: only if keys and values move alike does the slope jump."""
    f, arrays = program(220), point(220, rounded=True)
    nodes = reachable([f(*map(lo.Parameter, arrays))])
    sorts = [node for node in nodes if node.op is TABLE["sort_by"] and node.parents[0] is node.parents[1]]
    assert sorts, "the table has grown, and the program of this seed is another one: take another seed"
    report = lo.gradcheck(f, *arrays)
    assert report, str(report)
    assert report.count("MEET") == 1


@pytest.mark.parametrize("kind", PLANTS)
def test_the_plants_are_wrong(kind):
    """A plant that changes nothing would make the counts above worthless."""
    part, shape = np.arange(1.0, 7.0).reshape(2, 3), (3,)
    assert not np.allclose(unbroadcast(PLANTS[kind](part, shape), shape), unbroadcast(part, shape), rtol=5e-4)
