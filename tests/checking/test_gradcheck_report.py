"""What the report names: the op, the line, the cause; large parameters; what is refused, in its own words."""

import time
from pathlib import Path

import emscripten
import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.errors import DTypeError, GradcheckError, GraphError, NonFiniteError
from tinygrad_lo.losses import cross_entropy

X = np.array([[0.3, -1.2, 0.8], [2.5, 0.4, -0.7]])


@pytest.fixture
def define():
    before = dict(TABLE)
    yield lo.define_op
    TABLE.clear()
    TABLE.update(before)


def line_of(mark):
    """The number of the line in this file that ends with a mark."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(i for i, line in enumerate(lines, 1) if line.endswith(f"# {mark}"))


# ------------------------------------------------------------------------------- op, line, cause


def test_the_report_names_cause_op_line_and_numbers(define):
    wrong = define("wrong_sine", np.sin, [lambda g, y, x: -g * np.cos(x)])

    def f(x):
        y = wrong(x)  # the guilty line
        return (y * x).sum()

    report = lo.gradcheck(f, X)
    assert (report.cause, report.culprit) == ("sign", "wrong_sine")
    assert report.where == f"{__file__}:{line_of('the guilty line')}"
    cause, culprit = str(report).splitlines()[-2:]
    assert cause == "  cause: sign: the gradient has the wrong sign"
    assert culprit.startswith(f"  culprit: wrong_sine, called at {report.where}: by input 0[")
    fault = report.faults[0]
    assert fault.numeric == pytest.approx(-fault.analytic, rel=1e-6)
    with pytest.raises(GradcheckError, match="culprit: wrong_sine"):
        report.raise_if_failed()


def test_a_passing_report_names_nothing():
    report = lo.gradcheck(lambda x: np.sin(x).sum(), X)
    assert (report.cause, report.culprit, report.where, report.unverified) == (None, None, None, [])


def test_the_wrong_input_of_an_op_is_said(define):
    ratio = define("ratio", lambda a, b: a / b, [lambda g, y, a, b: g / b, lambda g, y, a, b: g * y / b])
    report = lo.gradcheck(lambda a, b: ratio(a, b).sum(), X, X + 3.0)
    assert report.faults[0].rule == 1
    assert "by input 1[" in str(report)


def test_two_wrong_ops_are_both_said(define):
    a = define("first", np.sin, [lambda g, y, x: g * np.sin(x)])
    b = define("second", np.exp, [lambda g, y, x: 2 * g * y])
    report = lo.gradcheck(lambda x: b(a(x)).sum(), X)
    assert report.culprit == "first"
    assert "also wrong: second" in str(report)


def test_ops_with_options_and_of_any_number_of_inputs(define, monkeypatch):
    scaled = define("scaled", lambda x, k: k * x**2, [lambda g, y, x, k: g * k * x, None])
    report = lo.gradcheck(lambda x: scaled(x, 3.0).sum(), X)
    assert (report.culprit, report.cause) == ("scaled", "factor 0.5")
    raised = define("raised", lambda x, power=2: x**power, [lambda g, y, x, power=2: g * x ** (power - 1)])
    assert lo.gradcheck(lambda x: raised(x, power=4).sum(), X).cause == "factor 0.25"
    for call, name in (
        (lambda x: (np.concatenate([x, x * 2.0], 1) ** 2).sum(), "concatenate"),
        (lambda x: np.einsum("ij,kj->ik", x, x + 1.0).sum(), "einsum"),
        (lambda x: (x[[0, 0, 1]] ** 2).sum(), "getitem"),
        (lambda x: (np.pad(x, 1) ** 2).sum(), "pad"),
        (lambda x: np.std(x, axis=0).sum(), "norm"),
    ):
        op = TABLE[name]
        right = op.rules[0]
        monkeypatch.setattr(op, "rules", (lambda *args, right=right: right(*args) * 7.0,))
        report = lo.gradcheck(call, X)
        assert (report.culprit, report.cause) == (name, "factor 7")
        monkeypatch.undo()


def test_a_rule_of_the_second_derivative_is_named(define):
    sine = define("sine", np.sin, [lambda g, y, x: g * np.cos(x.detach() if isinstance(x, lo.Tensor) else x)])

    def f(x):
        return (sine(x) * x).sum()  # the second order

    report = lo.gradcheck(f, X, order=2)
    assert (report.culprit, report.cause) == ("sine", "disconnected")
    assert report.where == f"{__file__}:{line_of('the second order')}"
    assert report.faults[0].order == 2
    assert "the derivative of its rule gives 0" in str(report)


def test_a_rule_that_cuts_the_arriving_gradient_is_named(define):
    """Right by x and lost by g: the second derivative of anything downstream goes missing."""

    def cut(g, y, x):
        return 2 * (g.detach() if isinstance(g, lo.Tensor) else g)

    double = define("double", lambda x: 2 * x, [cut])
    assert lo.gradcheck(lambda x: (double(x) ** 3).sum(), X)
    assert lo.gradcheck(lambda x: (double(x) ** 3).sum(), X, order=2).culprit == "double"


def test_a_wrong_rule_is_found_where_no_gradient_arrives(define):
    wrong = define("wrong_sine", np.sin, [lambda g, y, x: -g * np.cos(x)])
    report = lo.gradcheck(lambda x: np.where(x > 5, wrong(x), x * x).sum(), X)
    assert not report
    assert not report.count("FAIL")
    assert report.culprit == "wrong_sine"
    assert "changes no derivative at this point" in str(report)


def test_tied_elements_must_share_one_gradient(define):
    """Each of the ties has a possible slope, 1; together they are one gradient too much."""
    top = define("top", lambda x: np.asarray(np.max(x)), [lambda g, y, x: g * (x == y)])
    x = np.array([1.0, 3.0, 3.0])
    report = lo.gradcheck(lambda x: top(x) * 2.0, x)
    assert not report
    assert (report.culprit, report.cause) == ("top", "ties")
    assert lo.gradcheck(lambda x: top(x) * 2.0, np.array([1.0, 2.0, 3.0]))
    larger = define("larger", np.maximum, [lambda g, y, a, b: g * (a >= b), lambda g, y, a, b: g * (b >= a)])
    assert lo.gradcheck(lambda a, b: larger(a, b).sum(), x, x).culprit == "larger"
    twice = np.broadcast_to(x[:, None], (3, 2)) * 1.0
    assert lo.gradcheck(lambda a, b: larger(a, b).sum(), x[:, None], twice).culprit == "larger"
    assert lo.gradcheck(lambda a, b: np.maximum(a, b).sum(), x[:, None], twice)
    assert lo.gradcheck(lambda a, b: np.maximum(a, b).sum() + a.max() + np.clip(b, 1.0, 3.0).sum(), x, x)


def test_rules_must_be_linear_in_the_gradient(define):
    wrong = define("wrong_double", lambda x: 2 * x, [lambda g, y, x: 2 * np.abs(g)])
    report = lo.gradcheck(lambda x: -wrong(x).sum(), X)
    assert (report.culprit, report.cause) == ("wrong_double", "not linear")


def test_a_missing_penalty_and_a_missing_path_have_no_culprit():
    w = lo.Parameter(X)
    report = lo.gradcheck(lambda: (w**3).sum() + 0.1 * (w.detach() ** 2).sum(), params=[w])
    assert (report.culprit, report.cause) == (None, "regularizer")
    assert lo.gradcheck(lambda: np.sum(w * w.detach()), params=[w]).cause == "factor 0.5"
    assert (
        lo.gradcheck(lambda: (w.detach() * 2.0).sum() + (w[0] * 0.0).sum(), params=w).cause == "disconnected"
    )


def test_values_in_float32_are_said_and_known_to_fewer_digits():
    report = lo.gradcheck(lambda x: (x.astype(np.float32) ** 2).sum(), X)
    assert report
    assert all(row.known > 1e-7 for row in report.rows)
    assert "computes in float32, which shows large mistakes only; use float64" in str(report)
    assert not lo.gradcheck(lambda x: (x.astype(np.float32) ** 2).sum(), X, rtol=1e-7)


# -------------------------------------------------------------------------------------- inputs


def test_inputs_may_be_lists_and_dicts_of_arrays():
    net = {"W": X.astype(np.float32), "b": [np.ones(2), 0.5], "rate": 3}

    def f(p, rows):
        return (np.tanh(p["W"] @ rows) * p["b"][0]).sum() * p["b"][1] * p["rate"]

    report = lo.gradcheck(f, net, np.array([1.0, -0.5, 2.0]))
    assert report
    assert {row.name for row in report.rows} == {
        "input 0['W']",
        "input 0['b'][0]",
        "input 0['b'][1]",
        "input 1",
    }
    assert len(report.rows) == 12
    assert net["W"].dtype == np.float32


def test_a_parameter_given_twice_is_checked_once():
    w = lo.Parameter(X)
    assert len(lo.gradcheck(lambda: np.sum(w * w), params=[w, ("again", w)]).rows) == 6


def test_further_points_stay_where_the_function_is_defined():
    report = lo.gradcheck(lambda p: np.log(p).sum(), X**2, points=4)
    assert report
    assert len(report.rows) == 24
    assert "(point 4)" in report.rows[-1].place
    probabilities = np.array([0.2, 0.7])
    assert lo.gradcheck(lambda p: lo.losses.binary_cross_entropy(p, [1.0, 0.0]), probabilities, points=3)


# ----------------------------------------------------------------------------- large parameters


@pytest.mark.parametrize(
    ("size", "wrong"),
    [
        (40_000, [5, 17777, 39999]),
        *(pytest.param(200_000, places, marks=pytest.mark.slow) for places in ([7], [123456])),
    ],
)
def test_wrong_elements_among_many_are_found_by_bisection(define, size, wrong):
    mask = np.zeros(size)
    mask[wrong] = 1.0
    spoiled = define("spoiled", lambda x: x * x, [lambda g, y, x: g * x * (2.0 + mask)])
    x = np.linspace(0.5, 2.0, size)
    report = lo.gradcheck(lambda x: spoiled(x).sum(), x)
    assert {row.index[0] for row in report.rows if row.verdict == "FAIL" and len(row.index) == 1} == set(
        wrong
    )
    assert report.culprit == "spoiled"


def test_a_large_network_is_checked_in_seconds():
    rng = np.random.default_rng(0)
    W1 = lo.Parameter(rng.standard_normal((784, 32)) / 28, name="W1")
    b1, b2 = lo.Parameter(np.zeros(32), name="b1"), lo.Parameter(np.zeros(10), name="b2")
    W2 = lo.Parameter(rng.standard_normal((32, 10)) / 6, name="W2")
    images, labels = rng.random((64, 784)), rng.integers(0, 10, 64)

    def loss():
        return cross_entropy(lo.nn.relu(images @ W1 + b1) @ W2 + b2, labels)

    began = time.process_time()
    report = lo.gradcheck(loss, params=[W1, b1, W2, b2])
    took = time.process_time() - began
    print(f"\n784-32-10, batch 64: {len(report.rows)} derivatives in {took:.2f} s")
    assert report, str(report)
    assert len(report.rows) == 401 + 32 + 320 + 10
    assert took < 3.0 * emscripten.SLOWER


# ------------------------------------------------------------------------------------- refusals


def changes_its_input(x):
    y = (x * x).sum()
    x.data = x.data + 1.0
    return y


def changes_a_constant(x):
    table = np.ones(3)
    y = (x * table).sum()
    table[0] = 5.0
    return y


COUNTER = [0]


def counts(x):
    COUNTER[0] += 1
    return (x * float(COUNTER[0])).sum()


REFUSED = {
    "changes its input": (changes_its_input, GraphError, "changes 'input 0'; it must only read it"),
    "changes an array": (
        changes_a_constant,
        GraphError,
        r"changes an array in place that multiply \(at .*\d\)",
    ),
    "random": (
        lambda x: (x * np.random.default_rng().random()).sum(),
        GraphError,
        "gives another value when",
    ),
    "keeps state": (counts, GraphError, "gives another value when called again"),
    "a loss and its gradient": (
        lambda x: ((x**2).sum(), 2.0 * x),
        GraphError,
        r"got a tuple of 2; return the loss alone. If it is \(loss, gradient\).*lo.check_gradient\(f, x\)",
    ),
    "no tensor": (lambda x: float(x.sum().item()), GraphError, "got float: somewhere it leaves the graph"),
    "nothing": (lambda x: None, GraphError, "got None: is there a return"),
    "an integer": (
        lambda x: (x > 0).astype(int).sum(),
        DTypeError,
        f"returns {np.dtype(int)}, which has no der",
    ),
    "nan": (lambda x: np.log(x).sum(), NonFiniteError, r"value is nan here.*log: input -1.2 at \(0, 1\)"),
    "inf": (lambda x: (1.0 / (x - 0.3)).sum(), NonFiniteError, "divide: inputs 1.0, 0.0"),
    "off the graph": (lambda x: lo.Tensor(x.data).sum(), GraphError, "does not depend on its inputs"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_each_mistake_has_its_own_sentence(name):
    f, kind, words = REFUSED[name]
    with pytest.raises(kind, match=words):
        lo.gradcheck(f, X)


def test_a_labels_array_must_stay_as_it_is():
    labels = np.array([0, 2])

    def f(s, labels):
        out = cross_entropy(s, labels)
        labels[:] = 1
        return out

    with pytest.raises(GraphError, match=r"changes an input of shape \(2,\) that is not differentiated by"):
        lo.gradcheck(f, X, labels)
    assert labels.tolist() == [0, 2]


def test_rules_that_raise_or_draw_lots_are_refused(define):
    broken = define("broken", np.sin, [lambda g, y, x: g @ np.ones(7)])
    with pytest.raises(GradcheckError, match=r"the rule of broken \(called at .*\) .* raises ValueError"):
        lo.gradcheck(lambda x: broken(x).sum(), X)
    rng = np.random.default_rng(0)
    random = define("random_rule", np.sin, [lambda g, y, x: g * rng.random()])
    with pytest.raises(GraphError, match="different gradients"):
        lo.gradcheck(lambda x: random(x).sum(), X)


def test_integers_to_differentiate_by_are_said():
    with pytest.raises(DTypeError, match=f"input 0 is {np.dtype(int)}, not floating-point; input 1 is str"):
        lo.gradcheck(lambda x, s: lo.Parameter(1.0) * 2.0, np.array([1, 2]), "text")


# ---------------------------------------------------------------- where there is no derivative


@pytest.mark.parametrize(
    "f", [lambda x: lo.nn.relu(x).sum(), lambda x: np.abs(x).sum(), lambda x: np.maximum(x, 0.5 * x).sum()]
)
def test_the_slope_jumps_at_a_kink_and_its_second_derivative_raises_no_alarm(f):
    report = lo.gradcheck(lambda x: f(x) * 1.0 + (x**3).sum(), np.array([0.0, 0.7, -0.4]), order=2)
    assert report, str(report)


def test_a_gradient_that_fits_neither_side_of_a_jump_fails(define):
    def step(x):
        return np.where(x > 0, x + 1.0, x)

    right = define("right_step", step, [lambda g, y, x: g * 1.0])
    wrong = define("wrong_step", step, [lambda g, y, x: g * 5.0])
    assert lo.gradcheck(lambda x: right(x).sum(), np.array([0.0, 1.0]))
    report = lo.gradcheck(lambda x: wrong(x).sum(), np.array([0.0, 1.0]))
    assert report.count("FAIL") == 2


def test_a_function_may_differentiate_inside_and_no_grad_outside_changes_nothing():
    def penalty(x):
        return (lo.grad((np.tanh(x) ** 2).sum(), x, create_graph=True) ** 2).sum()

    with lo.no_grad():
        assert lo.gradcheck(penalty, X)
