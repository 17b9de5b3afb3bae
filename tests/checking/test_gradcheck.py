"""gradcheck: planted errors are caught, hard but right functions pass, nothing is left changed."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.ops import TABLE, elementwise, reductions
from tinygrad_lo.errors import DTypeError, GradcheckError, GraphError, OptionError
from tinygrad_lo.losses import cross_entropy, l2, multiclass_hinge
from tinygrad_lo.nn import batch_norm

X = np.array([[0.3, -1.2, 0.8], [2.5, 0.4, -0.7]])


@pytest.fixture
def define():
    before = dict(TABLE)
    yield lo.define_op
    TABLE.clear()
    TABLE.update(before)


def verdicts(report):
    return [row.verdict for row in report.rows]


# --------------------------------------------------------------------------------- right functions

RIGHT = {
    "cube": lambda x: (x**3).sum(),
    "mean of small numbers": lambda x: (1e-9 * np.tanh(x)).mean(),
    "very large": lambda x: (1e12 * np.sin(x)).sum(),
    "steep": lambda x: np.exp(5.0 * x).sum(),
    "softmax": lambda x: cross_entropy(x, [0, 2]),
    "hinge": lambda x: multiclass_hinge(x, [0, 2]),
    "logsumexp": lambda x: reductions.logsumexp(1000.0 * x),
    "norm": np.linalg.norm,
    "linear": lambda x: (3.0 * x).sum(),
    "product": np.prod,
    "flat parts": lambda x: elementwise.relu(x).sum(),
    "wiggly": lambda x: np.sin(50.0 * x).sum(),
}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("name", RIGHT)
def test_right_gradients_pass(name, order):
    report = lo.gradcheck(RIGHT[name], X, order=order)
    assert report, str(report)
    assert "FAIL" not in verdicts(report)
    assert len(report.rows) == 6 * order
    assert verdicts(report).count("UNVERIFIABLE") <= 1


def test_rows_hold_the_numbers():
    report = lo.gradcheck(lambda x: (x**3).sum(), np.array([1.0, 2.0]))
    first, second = report.rows
    assert (first.name, first.index, first.order, first.verdict) == ("input 0", (0,), 1, "OK")
    assert second.analytic == 12.0
    assert second.numeric == pytest.approx(12.0, rel=1e-8)
    assert second.error == pytest.approx(abs(second.numeric - 12.0) / 12.0, abs=1e-12)


# --------------------------------------------------------------------------------- planted errors

PLANTED = {
    "sign": lambda g, y, x: -g * np.cos(x),
    "factor 2": lambda g, y, x: 2.0 * g * np.cos(x),
    "mean instead of sum": lambda g, y, x: g * np.cos(x) / x.size,
    "disconnected": lambda g, y, x: g * 0.0,
    "a thousandth": lambda g, y, x: g * np.cos(x) * 1.001,
    "l2 too much": lambda g, y, x: g * (np.cos(x) + 0.01 * x),
    "transposed": lambda g, y, x: g * np.cos(x)[::-1],
    "one element": lambda g, y, x: g * np.cos(x) * (1.0 - 0.5 * (x == x.max())),
    "nan": lambda g, y, x: g * np.nan,
    "inf": lambda g, y, x: g * np.inf,
}


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e9])
@pytest.mark.parametrize("name", PLANTED)
def test_planted_errors_are_caught_at_any_size_of_the_gradient(define, name, scale):
    """An absolute tolerance would pass all of them at 1e-9."""
    wrong = define("wrong_sine", np.sin, [PLANTED[name]])

    def f(x):
        return (wrong(x) * scale).sum()

    report = lo.gradcheck(f, X)
    assert not report
    assert "FAIL" in verdicts(report)
    with pytest.raises(GradcheckError, match="gradcheck FAILED"):
        report.raise_if_failed()
    define("right_sine", np.sin, [lambda g, y, x: g * np.cos(x)])
    assert lo.gradcheck(lambda x: (TABLE["right_sine"].apply(x) * scale).sum(), X)


def test_an_error_in_one_of_many_elements_is_shown_first(define):
    wrong = define("wrong_sine", np.sin, [PLANTED["one element"]])
    report = lo.gradcheck(lambda x: wrong(x).sum(), X)
    assert verdicts(report).count("FAIL") == 1
    text = str(report).splitlines()
    assert text[0] == "gradcheck FAILED: of 6 derivatives 5 agree, 1 disagree"
    assert text[2].split()[:2] == ["input", "0[1,"]
    assert text[2].endswith("FAIL")


def test_an_error_in_the_second_derivative_alone_is_caught(define):
    """The rule's value is right, and what it is made of is not: detached, it is a constant."""
    sine = define("sine", np.sin, [lambda g, y, x: g * np.cos(x.detach() if isinstance(x, lo.Tensor) else x)])

    def f(x):
        return sine(x).sum()

    assert lo.gradcheck(f, X)
    assert not lo.gradcheck(f, X, order=2)


def test_an_error_by_a_parameter_is_caught_and_named(define):
    wrong = define("wrong_sine", np.sin, [PLANTED["sign"]])
    a, b = lo.Parameter(X, name="a"), lo.Parameter(X, name="b")

    def f():
        y = wrong(a) * np.sin(b)
        return y.sum()

    report = lo.gradcheck(f, params=[a, b])
    assert {row.name for row in report.rows if row.verdict == "FAIL"} == {"a"}
    assert {row.name for row in report.rows if row.verdict == "OK"} == {"b"}


def test_a_gradient_that_is_cut_off_is_caught():
    assert not lo.gradcheck(lambda x: (x * x.detach()).sum(), X)


# --------------------------------------------------------------------- what is checked, and where


def test_params_are_restored_bitwise_and_their_gradients_untouched(rng):
    W = lo.Parameter(rng.standard_normal((3, 2)), name="W", dtype=np.float32)
    b = lo.Parameter(rng.standard_normal(2).astype(np.float32))
    W.grad = np.ones((3, 2), np.float32)
    held, copied, grad = W.data, W.data.copy(), W.grad
    report = lo.gradcheck(lambda: cross_entropy(X @ W + b, [0, 1]), params=[W, ("b", b)], order=2, points=2)
    assert report, str(report)
    assert len(report.rows) == 8 * 2 * 2
    assert W.data is held
    np.testing.assert_array_equal(W.data, copied)
    assert W.grad is grad
    assert (W.grad == 1.0).all()
    assert b.grad is None
    assert W.dtype == np.float32


def test_running_statistics_stay(rng):
    net = lo.nn.Sequential(lo.nn.BatchNorm1d(3), lo.nn.Linear(3, 2))
    before, x = net.state_dict(), rng.normal(5.0, 1.0, (6, 3))
    loss = lambda x: cross_entropy(net(x), [0, 1, 1, 0, 1, 0])
    assert lo.gradcheck(lambda: loss(x), params=net)
    assert lo.gradcheck(loss, x, params=net.parameters())
    assert lo.taylor_test(loss, x, gradient=lambda x: lo.value_and_grad(loss)(x)[1])
    lo.numerical_gradient(loss, x)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    loss(x)
    assert (net[0].running_mean > 0.1).all()


def test_params_are_restored_after_an_error():
    w = lo.Parameter([1.0, 2.0])
    held = w.data

    def f():
        if w.data[0] != 1.0:
            raise ZeroDivisionError
        return (w * w).sum()

    with pytest.raises(ZeroDivisionError):
        lo.gradcheck(f, params=[w])
    assert w.data is held


def test_inputs_are_copied():
    x = X.copy()
    t = lo.Tensor(x, name="T")
    report = lo.gradcheck(lambda a, b: (a * b).sum(), t, x)
    assert {row.name for row in report.rows} == {"T", "input 1"}
    np.testing.assert_array_equal(x, X)
    assert t.grad is None


def test_inputs_that_are_no_floats_are_passed_as_they_are():
    seen = []

    def f(s, labels, text, count):
        seen.append((type(labels), text, count))
        return cross_entropy(s, labels)

    labels = np.array([0, 2])
    assert len(lo.gradcheck(f, X, labels, "text", 3).rows) == 6
    assert set(seen) == {(np.ndarray, "text", 3)}


def test_models_are_params():
    class Model:
        def __init__(self):
            self.W = lo.Parameter(X, name="W")

        def named_parameters(self):
            return [("W", self.W)]

    model = Model()
    assert len(lo.gradcheck(lambda: l2(model.W), params=model).rows) == 6
    assert len(lo.gradcheck(lambda: l2(model.W), params=model.W).rows) == 6


def test_points_move_and_repeat_with_the_seed():
    def numbers(**options):
        return [row.analytic for row in lo.gradcheck(lambda x: (x**3).sum(), X, **options).rows]

    three = numbers(points=3)
    assert len(three) == 18
    assert three[:6] == numbers()
    assert len(set(three)) == 18
    assert numbers(points=3) == three
    assert numbers(points=3, seed=1) != three


def test_large_parameters_are_sampled_and_the_rest_checked_along_one_direction():
    x = np.linspace(0.1, 2.0, 500)
    report = lo.gradcheck(lambda x: (x**2).sum(), x)
    assert report
    assert len(report.rows) == 401
    assert len({row.index for row in report.rows}) == 401
    assert report.rows[-1].index == "along a ±1 direction of the other 100"
    assert "… and 389 more" in str(report)


@pytest.mark.parametrize("place", range(0, 500, 61))
def test_an_error_in_one_of_many_sampled_elements_is_caught(define, place):
    mask = np.zeros(500)
    mask[place] = 1.0
    wrong = define("wrong_square", lambda x: x**2, [lambda g, y, x: g * x * (2.0 + mask)])
    assert not lo.gradcheck(lambda x: wrong(x).sum(), np.linspace(0.5, 2.0, 500))


def test_the_tolerance_says_how_well_a_derivative_must_be_known(define):
    """Claims are judged by the error bar, whatever rtol is."""
    off = define("off_by_a_millionth", np.sin, [lambda g, y, x: g * np.cos(x) * (1 + 1e-6)])
    assert not lo.gradcheck(lambda x: off(x).sum(), X)
    assert not lo.gradcheck(lambda x: off(x).sum(), X, rtol=1e-2)

    def beside_a_million(x):
        return 1e6 + (1e-4 * x).sum()

    report = lo.gradcheck(beside_a_million, X)
    assert report
    assert all(1e-7 < row.known < 1e-4 for row in report.rows)
    assert "(known least: input 0[" in str(report)
    assert lo.gradcheck(beside_a_million, X, rtol=1e-7).outcome == "UNDECIDED"


# ------------------------------------------------------------------------------------- the report


def test_the_report_is_a_table():
    report = lo.gradcheck(lambda x: (x**3).sum(), np.array([1.0, 2.0]), order=2)
    head, titles, *rows = str(report).splitlines()
    assert head == "gradcheck passed: of 4 derivatives 4 agree, known to 1e-08 or better"
    assert titles.split()[-5:] == ["rel.", "error", "known", "to", "verdict"]
    assert len(rows) == 4
    assert sum("(order 2)" in row for row in rows) == 2
    columns = titles.index("analytic"), titles.index("verdict")
    assert all(row[columns[0] - 1] == " " and row[columns[0]] != " " for row in rows)
    assert all(row[columns[1] :] == "OK" for row in rows)
    assert report.raise_if_failed() is None


def test_a_scalar_parameter_without_a_name_reads_well():
    w = lo.Parameter(2.0)
    assert "scalar parameter" in str(lo.gradcheck(lambda: w * w, params=[w]))


# --------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": 3}, "order must be 1 or 2, got 3"),
        ({"order": True}, "order"),
        ({"points": 0}, "points must be an int >= 1, got 0"),
        ({"points": 1.5}, "points"),
        ({"rtol": 0.0}, "rtol must be in"),
        ({"rtol": 1.0}, "rtol"),
        ({"rtol": np.nan}, "rtol"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(OptionError, match=words):
        lo.gradcheck(lambda x: x.sum(), X, **options)


@pytest.mark.parametrize("inputs", [(), (3,), ([1, 2],), (np.array([1, 2]),)])
def test_nothing_to_differentiate_by(inputs):
    with pytest.raises(DTypeError, match="nothing to differentiate by"):
        lo.gradcheck(lambda *args: lo.Parameter(1.0) * 2.0, *inputs)


@pytest.mark.parametrize("params", [[np.ones(2)], [lo.Tensor([1.0])], [lo.Parameter([1.0]) * 2.0]])
def test_params_must_be_leaves_that_require_grad(params):
    with pytest.raises(DTypeError, match="params must be leaves that require grad"):
        lo.gradcheck(lambda: lo.Parameter(1.0) * 2.0, params=params)


@pytest.mark.parametrize("f", [lambda x: x.data.sum(), lambda x: None, lambda x: x[:0]])
def test_the_function_returns_a_tensor(f):
    with pytest.raises(GraphError, match="must return a tensor, got"):
        lo.gradcheck(f, X)


def test_array_results_are_summed_with_random_weights(define):
    report = lo.gradcheck(batch_norm, X, order=2)
    assert report
    assert set(verdicts(report)) == {"OK"}, "a plain sum would be constant"
    assert "the result has shape (2, 3): checked is its sum with random weights" in str(report)
    turned = define("turned", lambda x: x.T * 1.0, [lambda g, y, x: np.reshape(g, x.shape)])
    assert lo.gradcheck(lambda x: turned(x).sum(), X), "every weight is 1"
    assert lo.gradcheck(turned, X).culprit == "turned"
    numbers = [[row.analytic for row in lo.gradcheck(batch_norm, X, seed=seed).rows] for seed in (0, 0, 1)]
    assert numbers[0] == numbers[1] != numbers[2]


def test_inputs_in_a_tuple_are_met_with_a_sentence():
    with pytest.raises(DTypeError, match=r"given one by one: gradcheck\(f, x\), not gradcheck\(f, \(x,\)\)"):
        lo.gradcheck(lambda x: x.sum(), (X,))
    with pytest.raises(DTypeError, match=r"gradcheck\(f, x, y\).*got a tuple of 2"):
        lo.gradcheck(lambda x, y: (x * y).sum(), (X, X))


def test_a_function_that_leaves_the_graph_is_refused():
    with pytest.raises(GraphError, match="does not depend on its inputs"):
        lo.gradcheck(lambda x: lo.Tensor(x.data).sum(), X)


def test_a_function_that_is_random_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(GraphError, match="gives another value when called again"):
        lo.gradcheck(lambda x: (x * rng.random()).sum(), X)


def test_a_function_that_changes_its_input_is_refused():
    """What it writes would be taken for the point at which it is checked."""

    def f(x):
        y = (x * x).sum()
        x.data[:] = 1.0
        return y

    with pytest.raises((GraphError, DTypeError)):
        lo.gradcheck(f, X)
