"""Thirty-one functions: twenty wrong ones caught, two that one point cannot show, nine right ones passed."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.graph import Op
from tinygrad_lo.engine.ops import TABLE, Shape
from tinygrad_lo.losses import cross_entropy, l2, multiclass_hinge, triplet
from tinygrad_lo.nn import relu

rng = np.random.default_rng(0)
X = np.array([[0.3, -1.2, 0.8], [2.5, 0.4, -0.7]])
SQUARE = rng.standard_normal((3, 3))
ROWS = rng.standard_normal((8, 3))
LARGE = rng.uniform(0.5, 2.0, 1000)
MASK = np.arange(1000) == 617
VALUES = np.arange(1.0, 7.0)


def own(name, forward, *rules):
    """An op outside of the table, called with tensors."""
    before = dict(TABLE)
    call = lo.define_op(name, forward, rules)
    TABLE.clear()
    TABLE.update(before)
    return call


sine = own("minus_sine", np.sin, lambda g, y, x: -g * np.cos(x))
square = own("twice_square", lambda x: x * x, lambda g, y, x: g * 4 * x)
half = own("half_square", lambda x: x * x, lambda g, y, x: g * x)
mean = own("summed_mean", lambda x: np.asarray(x.mean()), lambda g, y, x: g * np.ones(x.shape))
total = own("averaged_sum", lambda x: np.asarray(x.sum()), lambda g, y, x: g * np.ones(x.shape) / x.size)
product = own("turned_product", lambda a, b: a @ b, lambda g, y, a, b: b @ g.T, lambda g, y, a, b: a.T @ g)
shifted = own("shifted", lambda x: x**3, lambda g, y, x: g * np.roll(3 * x**2, 1))
tanh = own("tanh_of_input", np.tanh, lambda g, y, x: g * (1 - y))
logistic = own("plus_sigmoid", lambda x: 1 / (1 + np.exp(-x)), lambda g, y, x: g * y * (1 + y))
thousandth = own("thousandth", np.exp, lambda g, y, x: 1.001 * g * y)
spoiled = own("one_in_a_thousand", lambda x: x**2, lambda g, y, x: g * 2 * x * np.where(MASK, 2.0, 1.0))
decayed = own("decayed", np.sin, lambda g, y, x: g * np.cos(x) + 0.01 * x * g)
lasso = own("lasso", np.sin, lambda g, y, x: g * np.cos(x) + 0.01 * np.sign(x) * g)
nan_rule = own("nan_at_zero", lambda x: x * np.abs(x), lambda g, y, x: g * 2 * x * x / np.abs(x))
both = own("both_sides", lambda x: np.maximum(x, 0.0), lambda g, y, x: g * np.ones(x.shape))
softmax_loss = own(
    "unaveraged_softmax",
    lambda z: np.asarray(np.log(np.exp(z).sum(1)).mean()),
    lambda g, y, z: g * np.exp(z) / np.exp(z).sum(1, keepdims=True),
)
bias = own("one_row_bias", lambda a, b: a + b, lambda g, y, a, b: g, lambda g, y, a, b: g[0])
power = own("whole_power", lambda x: x**3, lambda g, y, x: g * 3 * x**3)
flipped = own("absolute", lambda x: 2 * x, lambda g, y, x: 2 * np.abs(g))

# name: (function, inputs, the cause that is named)
WRONG = {
    "sign": (lambda x: sine(x).sum(), (X,), "sign"),
    "factor 2": (lambda x: square(x).sum(), (X,), "factor 2"),
    "half": (lambda x: half(x).sum(), (X,), "factor 0.5"),
    "a mean taken for a sum": (lambda x: mean(x * x), (X,), "mean or sum"),
    "a sum taken for a mean": (lambda x: total(x * x), (X,), "mean or sum"),
    "transposed": (lambda a, b: (product(a, b) ** 2).sum(), (SQUARE, SQUARE + 1), "transpose"),
    "another order": (lambda x: shifted(x).sum(), (VALUES,), "transpose"),
    "tanh": (lambda x: tanh(x).sum(), (X,), None),
    "sigmoid": (lambda x: logistic(x).sum(), (X,), None),
    "a thousandth": (lambda x: thousandth(x).sum(), (X,), "factor 1.001"),
    "a thousandth of very little": (lambda x: 1e-9 * thousandth(x).sum(), (X,), "factor 1.001"),
    "one element of a thousand": (lambda x: spoiled(x).sum(), (LARGE,), "some elements"),
    "L2 too much": (lambda x: decayed(x).sum(), (X,), "regularizer"),
    "L1 too much": (lambda x: lasso(x).sum(), (X,), "regularizer"),
    "nan at zero": (lambda x: nan_rule(x).sum(), (np.array([0.0, 1.0, -2.0]),), "not finite"),
    "relu without its flat side": (lambda x: both(x).sum(), (X,), "some elements"),
    "not averaged": (softmax_loss, (ROWS,), "mean or sum"),
    "no sum over the rows": (lambda b: (bias(ROWS, b) ** 2).sum(), (np.array([0.1, 0.2, 0.3]),), None),
    "detached": (lambda x, y: (x.detach() * y).sum(), (X, X + 1), "disconnected"),
    "a path left out": (lambda x: (x * np.sin(x.detach())).sum(), (X,), None),
}
leaky = own("leaky", lambda x: np.where(x > 0, x, 0.1 * x), lambda g, y, x: g * np.where(x > 0, 1.0, 0.2))
HIDDEN = {
    "the other side of a kink": (lambda x: leaky(x).sum(), (VALUES,)),
    "a branch not taken": (lambda x: np.where(x > 2.6, x * np.sin(x.detach()), x**2).sum(), (X,)),
}
RIGHT = {
    "relu at 0": (lambda x: relu(x).sum(), (np.array([0.0, 1.0, -1.0]),)),
    "ties of max": (lambda x: x.max() + np.maximum(x, 1.0).sum(), (np.array([2.0, 1.0, 2.0]),)),
    "a kink undone by another": (lambda x: (relu(x) - relu(-x)).sum(), (np.array([0.0, 0.5]),)),
    "tiny": (lambda x: 1e-9 * np.tanh(x).mean(), (X,)),
    "huge": (lambda x: (x**2).sum(), (1e8 * X,)),
    "curved and flat": (lambda x: (x**4).sum() + np.exp(5 * x).sum(), (np.array([0.0, 1.0, 2.0]),)),
    "the hinge at its margin": (
        lambda s: multiclass_hinge(s, [0, 1]),
        (np.array([[2.0, 1.0, 1.0], [0.0, 1.0, 0.0]]),),
    ),
    "near the edge of its domain": (lambda x: np.sqrt(x).sum() + np.log(x).sum(), (np.array([1e-9, 1e-4]),)),
    "distances of equal points": (lambda a: triplet(a, a[::-1] * 1.0, a + 1.0), (ROWS[:4].round(),)),
}


def test_the_battery():
    assert len(WRONG) == 20
    assert len(HIDDEN) == 2
    assert len(RIGHT) == 9
    caught = sum(not lo.gradcheck(f, *x) for f, x, _ in WRONG.values())
    unverified = [lo.gradcheck(f, *x) for f, x in HIDDEN.values()]
    alarms = sum(not lo.gradcheck(f, *x) for f, x in RIGHT.values())
    said = sum(bool(report) and bool(report.unverified) for report in unverified)
    print(f"\n{caught} of 20 caught, {alarms} false alarms of 9, {said} of 2 reported as unverified")
    assert (caught, alarms, said) == (20, 0, 2)


@pytest.mark.parametrize("name", WRONG)
def test_the_cause_and_the_culprit_are_named(name):
    f, inputs, cause = WRONG[name]
    report = lo.gradcheck(f, *inputs)
    assert report.cause == cause, str(report)
    if name in ("detached", "a path left out"):
        assert report.culprit is None  # no rule is wrong
    else:
        assert report.culprit in str(report)
        assert report.where is not None
        assert "test_gradcheck_battery.py:" in report.where


@pytest.mark.parametrize("name", HIDDEN)
def test_what_one_point_cannot_show_further_points_do(name):
    f, inputs = HIDDEN[name]
    report = lo.gradcheck(f, *inputs)
    assert report
    assert "unverified: " in str(report)
    assert not lo.gradcheck(f, *inputs, points=3)


@pytest.mark.parametrize("name", RIGHT)
def test_right_functions_raise_no_alarm_at_further_points_either(name):
    f, inputs = RIGHT[name]
    if name == "near the edge of its domain":
        return
    report = lo.gradcheck(f, *inputs, points=3)
    assert report, str(report)


# ------------------------------------------------------- the checker of the project's own tests


def fresh(op, case):
    """The case with arrays in place of shapes."""
    domains = op.domain if isinstance(op.domain[0], tuple) else (op.domain,) * len(case)
    made = [
        rng.uniform(*domains[min(i, len(domains) - 1)], item)[()] if isinstance(item, Shape) else item
        for i, item in enumerate(case)
    ]
    return made, [i for i, item in enumerate(case) if isinstance(item, Shape)]


def cases(op: Op):
    return op.samples or [(Shape(4, 5),) * op.arity]


RULES = [
    pytest.param(op, i, id=f"{op.name}-{i}")
    for op in TABLE.values()
    for i, rule in enumerate(op.rules)
    if rule is not None
]


@pytest.mark.parametrize(("op", "number"), RULES)
def test_a_planted_error_in_any_op_fails_and_is_named(op, number, monkeypatch):
    case = next(c for c in cases(op) if np.size(op.apply(*fresh(op, c)[0])) > 1)
    made, where = fresh(op, case)
    if op.name == "where":
        made[0], where = made[0] > 0, [1, 2]
    weights = rng.uniform(0.5, 1.5, np.shape(op.apply(*made)))

    def f(*arrays):
        args = list(made)
        for i, x in zip(where, arrays, strict=True):
            args[i] = x
        return (op.apply(*args) * weights).sum()

    arrays = [made[i] for i in where]
    assert lo.gradcheck(f, *arrays, order=2)
    right = op.rules[number]
    wrong = (*op.rules[:number], lambda *args: right(*args) * 1.001, *op.rules[number + 1 :])
    monkeypatch.setattr(op, "rules", wrong)
    report = lo.gradcheck(f, *arrays)
    assert not report
    assert report.culprit == op.name
    assert report.cause == "factor 1.001" or not any(map(np.ndim, arrays))  # one number has no pattern
    assert report.faults[0].rule == number or op.arity is None


P = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
SIGNS = np.array([[1, -1, 1], [-1, 1, -1]])
LOSSES = {
    "mse": (lambda x: lo.losses.mse(x, P), X),
    "mae": (lambda x: lo.losses.mae(x, P), X),
    "msle": (lambda x: lo.losses.msle(x, P), P + 0.1),
    "huber": (lambda x: lo.losses.huber(x, P), X),
    "log_cosh": (lambda x: lo.losses.log_cosh(x, P), X),
    "quantile": (lambda x: lo.losses.quantile(x, P, q=0.8), X),
    "focal": (lambda x: lo.losses.focal(x, [0, 2]), X),
    "gaussian_nll": (lambda x: lo.losses.gaussian_nll(x, P, variance=P), X),
    "cross_entropy": (lambda x: cross_entropy(x, [0, 2]), X),
    "nll": (lambda x: lo.losses.nll(x, [0, 2]), np.log(P)),
    "binary_cross_entropy": (lambda x: lo.losses.binary_cross_entropy(x, P), P[::-1]),
    "binary_cross_entropy_with_logits": (lambda x: lo.losses.binary_cross_entropy_with_logits(x, P), X),
    "hinge": (lambda x: lo.losses.hinge(x, SIGNS), X),
    "squared_hinge": (lambda x: lo.losses.squared_hinge(x, SIGNS), X),
    "multiclass_hinge": (lambda x: multiclass_hinge(x, [0, 2]), X),
    "information": (lambda x: lo.losses.information(x).sum(), P),
    "entropy": (lambda x: lo.losses.entropy(lo.nn.softmax(x)).sum(), X),
    "distribution_cross_entropy": (
        lambda x: lo.losses.distribution_cross_entropy(P, lo.nn.softmax(x)).sum(),
        X,
    ),
    "kl_divergence_with_logits": (lambda x: lo.losses.kl_divergence_with_logits(P, x).sum(), X),
    "kl_divergence": (lambda x: lo.losses.kl_divergence(P, lo.nn.softmax(x)).sum(), X),
    "triplet": (lambda x: triplet(x, X + 1.0, X - 0.5), X + 0.1),
    "contrastive": (lambda x: lo.losses.contrastive(x, X + 0.3, [1, 0]), X),
    "cosine_similarity": (lambda x: lo.losses.cosine_similarity(x, P).sum(), X),
    "pairwise_distance": (lambda x: lo.losses.pairwise_distance(x, P).sum(), X),
    "l1": (lo.losses.l1, X),
    "l2": (l2, X),
    "elastic_net": (lambda x: lo.losses.elastic_net(x, l1=0.3, l2=0.7), X),
}
INDICES = {"hard_negatives", "semi_hard_negatives"}  # they choose rows, and have no derivative


def test_infinities_that_a_mask_puts_in_do_not_stop_the_search():
    report = lo.gradcheck(lambda x: lo.losses.focal(x, [0, 2]) + (x * x.detach()).sum(), X)
    assert not report
    assert report.culprit is None


def test_no_loss_is_forgotten():
    assert set(LOSSES) == set(lo.losses.__all__) - INDICES


@pytest.mark.parametrize("name", LOSSES)
def test_a_planted_error_in_any_op_of_a_loss_fails_and_is_named(name, monkeypatch):
    f, x = LOSSES[name]
    report = lo.gradcheck(f, x, order=2)
    assert report, str(report)
    leaf = lo.Parameter(x)
    out, tried = f(leaf), 0
    before = lo.grad(out, leaf)
    for op in {node.op.name: node.op for node in lo.engine.graph.reachable([out]) if node.op}.values():
        for i, rule in enumerate(op.rules):
            if rule is None:
                continue

            def wrong(*args, rule=rule):
                return rule(*args) * 1.01

            monkeypatch.setattr(op, "rules", (*op.rules[:i], wrong, *op.rules[i + 1 :]))
            if np.abs(lo.grad(f(leaf), leaf) - before).max() > 1e-3 * np.abs(before).max():
                tried += 1
                report = lo.gradcheck(f, x)
                assert not report
                assert report.culprit == op.name
            monkeypatch.undo()
    assert tried
