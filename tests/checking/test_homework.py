"""check_gradient: right gradients pass, mistakes get their name, and untrustworthy functions are refused."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import (
    DTypeError,
    GradcheckError,
    GraphError,
    MutationError,
    NonFiniteError,
    ShapeError,
)

X = np.random.default_rng(0).normal(size=(4, 3))
SQUARE = np.random.default_rng(1).normal(size=(3, 3))


def cubes(change=lambda g: g):
    """Σ x³ with a gradient that may be changed."""
    return lambda x: (np.sum(x**3), change(3.0 * x**2))


# --------------------------------------------------------------------------------- right functions

RIGHT = {
    "cubes": (cubes(), X),
    "a number": (lambda x: (x**2, 2 * x), 3.0),
    "a 0-d array": (lambda x: (x**2, 2 * x), np.array(3.0)),
    "numbers in a list are one array": (lambda x: (np.sum(x**2), 2 * x), [1.0, -2.0, 0.5]),
    "a gradient that is a list": (lambda x: (np.sum(x**2), [2 * v for v in x]), [1.0, -2.0, 0.5]),
    "nested lists": (lambda x: (np.sum(x**2), 2 * x), [[1.0, -2.0], [0.5, 3.0]]),
    "a loss of shape (1, 1)": (lambda x: (np.sum(x**2, keepdims=True), 2 * x), X),
    "float32": (lambda x: (np.sum(x**2), 2 * x), X.astype(np.float32)),
    "a tensor": (lambda x: (np.sum(x**2), 2 * x), lo.Tensor(X)),
    "a list of arrays": (lambda p: (np.sum(p[0] @ p[1]), [np.ones((4, 1)) * p[1], p[0].sum(0)]), [X, X[0]]),
    "a dict": (lambda p: (np.sum(p["W"]) * p["b"], {"b": np.sum(p["W"]), "W": p["b"] * np.ones((4, 3))}),
               {"W": X, "b": 2.0}),
    "beside a pole": (lambda x: (np.log(x).sum(), 1 / x), np.array([1e-9, 1.0])),
    "a kink": (lambda x: (np.abs(x).sum(), np.sign(x)), np.array([0.0, 1.0, -2.0])),
    "tiny": (lambda x: (1e-12 * np.sum(x**3), 3e-12 * x**2), X),
    "large array": (lambda x: (np.sum(x**3), 3 * x**2), np.random.default_rng(2).normal(size=(30, 30))),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_right_gradients_pass(name):
    report = lo.check_gradient(*RIGHT[name])
    assert report, str(report)
    assert (report.cause, report.culprit, report.passed) == (None, None, True)
    assert "all right" in str(report)
    report.raise_if_failed()


def test_what_a_function_prints_is_heard_once(capsys):
    def loud(x):
        print("hello")
        return np.sum(x**2), 2 * x

    assert lo.check_gradient(loud, X)
    assert capsys.readouterr().out == "hello\n"


# -------------------------------------------------------------------------------------- mistakes

WRONG = {
    "sign": (cubes(lambda g: -g), X, "sign", "has the wrong sign"),
    "twice": (cubes(lambda g: 2 * g), X, "factor 2", "twice"),
    "half": (cubes(lambda g: g / 2), X, "factor 0.5", "half"),
    "minus twice": (cubes(lambda g: -2 * g), X, "factor -2", "twice what it should be and has the wrong"),
    "sum for mean": (lambda x: (np.mean(x**3), 3 * x**2), X, "mean or sum", "12 times"),
    "mean for sum": (cubes(lambda g: g / 12), X, "mean or sum", "1/12"),
    "over a batch that x does not show": (cubes(lambda g: g / 7), X, "factor 0.1429", "is 1/7 of what"),
    "base 2": (cubes(lambda g: g / np.log(2)), X, "factor 1.443", "base 2"),
    "some factor": (cubes(lambda g: 1.37 * g), X, "factor 1.37", "1.37 times"),
    "a thousandth": (cubes(lambda g: 1.002 * g), X, "factor 1.002", "1.002 times"),
    "rounded": (cubes(lambda g: g.astype(np.float16)), X, None, "nearly right"),
    "a loss that is rounded": (lambda x: (float(np.round(np.sum(x))), x), X, None, "stays the same when x"),
    "transposed": (lambda x: (np.sum(np.sin(x) * SQUARE), (np.cos(x) * SQUARE).T), SQUARE, "transpose",
                   "order of the transpose"),
    "transposed and reshaped": (cubes(lambda g: g.T.reshape(4, 3)), X, "transpose", "of the transpose"),
    "another order": (cubes(lambda g: g.ravel()[::-1].reshape(4, 3)), X, "transpose", "another order"),
    "regularizer missing": (lambda x: (np.sum(x**3 + 0.1 * x**2), 3 * x**2), X, "regularizer", "0.2·x"),
    "regularizer too much": (lambda x: (np.sum(x**3), 3 * x**2 + 0.01 * x), X, "regularizer", "too much"),
    "L1 missing": (lambda x: (np.sum(x**3 + 0.1 * np.abs(x)), 3 * x**2), X, "regularizer", "0.1·sign(x)"),
    "disconnected": (cubes(lambda g: 0.0 * g), X, "disconnected", "0 everywhere"),
    "a mask": (cubes(lambda g: g * (X > 0)), X, "some elements", "is 0 there"),
    "a column": (cubes(lambda g: g * np.array([1.0, 0.3, 1.0]) + np.array([0, 0.1, 0])), X, "some elements",
                 "only in column 1"),
    "a row": (cubes(lambda g: g + np.array([[0], [0.1], [0], [0]]) * X**4), X, "some elements",
              "only in row 1"),
    "one element's sign": (cubes(lambda g: g * np.where(X[2, 1] == X, -1, 1)), X, "sign", "at [2, 1]"),
    "anything": (cubes(lambda g: g + np.cos(7 * X)), X, None, "none of the known"),
    "one of several": (lambda p: (np.sum(p["W"] ** 2) + p["b"], {"W": 2 * p["W"], "b": -1.0}),
                       {"W": X, "b": 2.0}, "sign", "the gradient by b has"),
}  # fmt: skip


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e6])
@pytest.mark.parametrize("name", WRONG)
def test_mistakes_are_named(name, scale):
    fn, x, cause, said = WRONG[name]

    def scaled(x):
        loss, g = fn(x)
        return scale * loss, {k: scale * v for k, v in g.items()} if isinstance(g, dict) else scale * g

    if scale != 1.0 and name == "rounded":
        pytest.skip("float16 holds neither")
    report = lo.check_gradient(scaled, x)
    assert not report
    assert any(row.verdict == "FAIL" for row in report.rows)
    if scale == 1.0:  # the strengths of regularizers grow with the loss
        assert said in str(report), str(report)
    assert report.cause == cause, str(report)
    with pytest.raises(GradcheckError, match="FAILED"):
        report.raise_if_failed()


def net(after):
    """Two layers with a softmax, and their gradients by hand, `after` something is done to each."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(6, 4)), np.array([0, 2, 1, 1, 0, 2])

    def loss_and_gradient(w):
        h = np.tanh(x @ w["W1"] + w["b1"])
        p = np.exp(h @ w["W2"] + w["b2"])
        p /= p.sum(axis=1, keepdims=True)
        ds = (p - np.eye(3)[y]) / 6.0
        dz = ds @ w["W2"].T * (1.0 - h**2)
        slopes = {"W1": x.T @ dz, "b1": dz.sum(axis=0), "W2": h.T @ ds, "b2": ds.sum(axis=0)}
        return -np.log(p[np.arange(6), y]).mean(), {name: after(g) for name, g in slopes.items()}

    shapes = {"W1": (4, 5), "b1": 5, "W2": (5, 3), "b2": 3}
    return loss_and_gradient, {name: rng.normal(size=shape) for name, shape in shapes.items()}


@pytest.mark.parametrize("after", [np.float32, lambda g: np.float32(g).astype(float)])
def test_a_right_gradient_in_float32_passes_with_a_word(after):
    report = lo.check_gradient(*net(after))
    assert report, report
    assert report.said[0].startswith("the gradient by each of W1, b1, W2 and b2 is float32, and right to its")
    assert lo.check_gradient(lambda x: (np.sum(x**2), after(2 * x)), np.array([1.1, 2.3]))
    large = lo.check_gradient(cubes(after), np.random.default_rng(0).normal(size=2000))
    assert large, large
    wrong = lo.check_gradient(cubes(lambda g: after(2 * g)), X)
    assert (wrong.cause, len(wrong.said)) == ("factor 2", 1)
    assert not lo.check_gradient(cubes(lambda g: after((1.0 + 1e-5) * g)), X)
    assert not lo.check_gradient(lambda x: (1.0000001 * np.sum(x), np.ones(3)), X[0])  # 1 is no float32


@pytest.mark.parametrize("digits", [4, 6])
def test_a_rounded_gradient_has_no_cause(digits):
    """All mistakes that experiments look for are larger: the right gradient fits each of them as well."""
    rounded = np.vectorize(lambda value: float(f"{value:.{digits}g}"))
    report = lo.check_gradient(*net(rounded))
    assert not report
    assert report.cause is None, report
    assert all("is nearly right, in its first digits" in said for said in report.said)
    for f, x in ((np.mean, X[0]), (lambda x: x / 3.0, 2.0)):  # one factor, if any
        one = lo.check_gradient(lambda x, f=f: (f(x), rounded(np.full(np.shape(x), 1 / 3))), x)
        assert "nearly right" in one.said[0], one
    score = lo.check_gradient(cubes(lambda g: np.round(g, 7)), X).score
    assert 0.9 <= score < 0.99, "better than one that is wrong, not as good as a right one"


def test_one_wrong_element_of_many_is_seen_though_it_was_not_sampled():
    x = np.linspace(0.1, 3.0, 3000)
    sampled = {row.index for row in lo.check_gradient(cubes(), x).rows}
    missed = next(i for i in range(3000) if (i,) not in sampled)
    report = lo.check_gradient(cubes(lambda g: g + 5.0 * (np.arange(3000) == missed)), x)
    assert report.cause == "some elements"
    assert "somewhere among many elements" in str(report)


def test_a_reference_shows_a_loss_that_is_another():
    y = np.array([0, 2, 1, 0])

    def svm(scores, margin=1.0, share=4):
        rows = np.arange(4)
        margins = np.maximum(0.0, scores - scores[rows, y][:, None] + margin)
        margins[rows, y] = 0.0
        table = (margins > 0) / share
        table[rows, y] = -table.sum(axis=1)
        return margins.sum() / share, table

    def reference(scores):
        return lo.losses.multiclass_hinge(scores, y)

    assert "value and gradient are those of reference" in str(lo.check_gradient(svm, X, against=reference))
    report = lo.check_gradient(lambda s: svm(s, share=1), X, against=reference)
    assert (bool(report), report.cause) == (False, "mean or sum")
    assert "reference gives" in str(report)
    report = lo.check_gradient(lambda s: svm(s, margin=0.5), X, against=reference)
    assert not report
    assert "your loss is" in str(report)
    assert lo.check_gradient(svm, X, against=svm), "a pair"
    assert lo.check_gradient(svm, X, against=lambda s: svm(np.asarray(s))[0]), "a number"


def test_a_reference_takes_the_structure_of_x():
    def product(p):
        return np.sum(p[0]) * p[1], [p[1] * np.ones((4, 3)), np.sum(p[0])]

    report = lo.check_gradient(product, [X, 2.0], against=lambda p: p[0].sum() * p[1])
    assert report, str(report)
    twice = lo.check_gradient(product, (X, 2.0), against=lambda p: 2.0 * p[0].sum() * p[1])
    assert twice.cause == "factor 0.5"
    other = lo.check_gradient(cubes(), X, against=lambda x: (x**3).sum() + 0.1 * (x**2).sum())
    assert other.cause == "regularizer"


# -------------------------------------------------------------------------------------- refusals


def grows(buffer=[0.0]):  # noqa: B006
    def fn(x):
        buffer[0] = buffer[0] + 2 * x
        return np.sum(x**2), buffer[0]

    return fn


def spoils(x):
    x -= 1.0
    return np.sum(x**2), 2 * x


def sets(p):
    p["W"][0] = 0.0
    return np.sum(p["W"]), {"W": np.ones((4, 3))}


REFUSED = {
    "changes x": (spoils, X, MutationError, "changes x in place"),
    "changes a part": (sets, {"W": X}, MutationError, "changes W in place"),
    "random loss": (lambda x: (np.random.default_rng().normal(), x), X, GraphError, "another loss"),
    "keeps a gradient": (grows(), X, GraphError, "another gradient"),
    "no pair": (np.sum, X, DTypeError, r"two things, \(loss, gradient\)"),
    "three": (lambda x: (1.0, x, x), X, DTypeError, "3 values"),
    "nothing": (lambda x: None, X, DTypeError, "end with return"),
    "swapped": (lambda x: (2 * x, np.sum(x**2)), X, ShapeError, "in this order"),
    "several losses": (lambda x: (x**2, 2 * x), X, ShapeError, r"shape \(4, 3\), but a loss is one"),
    "int loss": (lambda x: (3, 2 * x), X, DTypeError, "the loss is 3, an integer"),
    "int gradient": (lambda x: (np.sum(x), np.ones((4, 3), int)), X, DTypeError, "an integer"),
    "bool gradient": (lambda x: (np.sum(x), x > 0), X, DTypeError, "by x is ndarray of bool"),
    "shape": (lambda x: (np.sum(x), np.ones(3)), X, ShapeError, r"shape \(3,\), but x has \(4, 3\)"),
    "transposed shape": (lambda x: (np.sum(x), np.ones((3, 4))), X, ShapeError, "return its .T"),
    "not summed": (lambda x: (np.sum(x), np.ones((6, 4, 3))), X, ShapeError, "axis 0"),
    "one number": (lambda x: (np.sum(x), 1.0), X, ShapeError, "one number for each element"),
    "ragged": (lambda x: (np.sum(x), [[1.0], [1.0, 2.0]]), X, ShapeError, "ragged"),
    "nan loss": (lambda x: (np.sum(np.log(x)), 1 / x), X, NonFiniteError, "the loss is nan"),
    "inf gradient": (lambda x: (np.sum(x), x / 0.0), X, NonFiniteError, "by x is -?inf at "),
    "float32 loss": (lambda x: (np.float32(np.sum(x)), x), X, DTypeError, "compute in float64"),
    "masked": (lambda x: (np.sum(x), np.ma.array(x, mask=x > 0)), X, DTypeError, "masked"),
    "(1,) for ()": (lambda x: (x, np.array([1.0])), 2.0, ShapeError, "return one number"),
    "a list as pair": (lambda x: [np.sum(x), x], X, DTypeError, "without brackets"),
    "text": (lambda x: ("a", x), X, DTypeError, "must be numbers, got 'a'"),
    "complex": (lambda x: (np.sum(x), x + 1j), X, DTypeError, "must be numbers"),
    "tensors": (lambda x: (lo.Tensor(x).sum(), x), X, DTypeError, "lo.gradcheck"),
    "dict for array": (lambda x: (np.sum(x), {"W": x}), X, DTypeError, "must be numbers"),
    "array for dict": (lambda p: (1.0, p["W"]), {"W": X}, DTypeError, "same names"),
    "other names": (lambda p: (1.0, {"b": p["W"]}), {"W": X}, DTypeError, r"got \['b'\]"),
    "too few": (lambda p: (1.0, [p[0]]), [X, X], DTypeError, "list of 2 arrays"),
    "int x": (cubes(), np.array([1, 2]), DTypeError, r"astype\(float\)"),
    "int number": (cubes(), 3, DTypeError, "3.0"),
    "text x": (cubes(), "x", DTypeError, "array of numbers"),
    "nan x": (cubes(), np.array([np.nan]), NonFiniteError, "x has nan"),
    "empty x": (cubes(), np.zeros((0, 3)), ShapeError, "no elements"),
    "called already": ((1.0, X), X, DTypeError, "function itself"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_untrustworthy_functions_are_refused_in_a_sentence(name):
    fn, x, error, said = REFUSED[name]
    with pytest.raises(error, match=said):
        lo.check_gradient(fn, x)


def test_the_students_own_errors_are_theirs():
    with pytest.raises(ZeroDivisionError):
        lo.check_gradient(lambda x: 1 / 0, X)


def test_x_is_not_changed():
    before = X.copy()
    lo.check_gradient(cubes(), X)
    with pytest.raises(MutationError):
        lo.check_gradient(spoils, X)
    assert np.array_equal(X, before)


def test_a_flat_place_shows_little():
    report = lo.check_gradient(lambda x: (float(np.sum(x > 0)), np.zeros((4, 3))), X)
    assert report
    assert "shows little" in str(report)


def test_against_is_a_function():
    with pytest.raises(DTypeError, match="check_loss takes names"):
        lo.check_gradient(cubes(), X, against="mse")


def test_a_loss_that_hides_its_slope_is_not_passed():
    report = lo.check_gradient(lambda x: (1e20 + np.sum(x), np.ones((4, 3))), X)
    assert not report
    assert str(report).startswith("check_gradient UNDECIDED\n  nothing could be verified: f (1e+20)")
    with pytest.raises(GradcheckError, match="nothing could be verified"):
        report.raise_if_failed()
