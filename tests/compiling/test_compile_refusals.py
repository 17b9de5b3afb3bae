"""What a compiled function refuses, and how it says so; and what it does not refuse."""

import math

import numpy as np
import pytest
from twins import agree

import tinygrad_lo as lo

W = lo.Parameter(np.arange(6.0).reshape(3, 2) / 3.0, name="W")
s = lo.Parameter(2.0, name="s")
X = np.random.default_rng(0).standard_normal((4, 3))


@pytest.fixture(autouse=True)
def _no_gradients():
    W.grad = s.grad = None


def unchanged():
    return W.grad is None and s.grad is None


LEAVING = {
    "float": lambda x: s * float((x @ W).sum()), "float of data": lambda x: s * float(x.sum()),
    "int": lambda x: s * int(x.sum()), "item": lambda x: s * x.sum().item(),
    "math": lambda x: s * math.exp(x.sum()),
    "numpy": lambda x: ((x @ W).numpy() * s).sum(), "asarray": lambda x: (np.asarray(x) * s).sum(),
    "array": lambda x: (np.array(x @ W) * s).sum(), "data": lambda x: (x.data * s).sum(),
    "data of a parameter": lambda x: (W.data * s).sum(), "grad": lambda x: s if W.grad is None else s * 2.0,
    "detach and numpy": lambda x: (x.detach().numpy() * s).sum(),
    "np.float64": lambda x: s * np.float64(x.sum()),
    "format": lambda x: s * len(f"{x.sum():.3f}"),
    "index": lambda x: s * [1.0, 2.0, 3.0, 4.0][np.argmax(x[:, 0])],
    "range": lambda x: s * len(range(np.argmax(x))), "np.full": lambda x: (np.full(2, x.sum()) * s).sum(),
    "nonzero": lambda x: (x @ W)[np.nonzero(x[:, 0])[0]].sum(),
    "one-hot": lambda x: (np.eye(3)[np.argmax(x, 1)] @ W).sum(),
    "mask": lambda x: (x @ W)[x[:, 0] > 0].sum(),
    "mining": lambda x: lo.losses.triplet(
        x @ W, x @ W, (x @ W)[lo.losses.hard_negatives(x @ W, np.array([0, 0, 1, 1]))]),
    "backward": lambda x: ((x @ W).sum().backward(), s)[1],
    "lo.grad": lambda x: lo.grad((x @ W).sum(), W).sum() * s,
    "value_and_grad": lambda x: lo.value_and_grad(lambda w: (x @ w).sum())(W)[0] * s,
    "assigning data": lambda x: (setattr(W, "data", np.zeros((3, 2))), s)[1],
    "zero_grad": lambda x: (lo.optim.SGD([s], lr=0.1).zero_grad(), s * s)[1],
    "assigning grad": lambda x: (setattr(W, "grad", np.zeros((3, 2))), s)[1],
}  # fmt: skip


@pytest.mark.parametrize("f", LEAVING.values(), ids=LEAVING.keys())
def test_values_that_leave_the_graph(f):
    before = W.data.copy()
    c = lo.compile(f)
    for _ in range(2):
        with pytest.raises(lo.errors.LoError, match="inside a compiled function") as caught:
            c(X)
        assert isinstance(caught.value, lo.errors.GraphError)
        assert unchanged()
    np.testing.assert_array_equal(W.data, before)
    assert W.requires_grad


def test_the_message_says_what_to_do():
    said = r"float\(t\) inside .*'S' would leave.*pass the result as an argument"
    with pytest.raises(lo.errors.GraphError, match=said):
        lo.compile(lambda x: s * float(lo.named(x.sum(), "S")))(X)


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x: None, "must return a tensor, the loss, got NoneType"),
        (lambda x: 3.0, "got float"),
        (lambda x: (s, s), "got tuple"),
        (lambda x: [s], "got list"),
        (lambda x: np.ones(1), "got ndarray"),
        (lambda x: x @ W, r"one number, got shape \(4, 2\); use .sum\(\) or .mean\(\)"),
        (lambda x: (x @ W)[:0], r"one number, got shape \(0, 2\)"),
    ],
)
def test_results_that_are_no_loss(f, message):
    with pytest.raises(lo.errors.GraphError, match=message):
        lo.compile(f)(X)
    assert unchanged()


def test_a_generator_function():
    def f(x):
        yield (x @ W).sum()

    with pytest.raises(lo.errors.GraphError, match="got generator"):
        lo.compile(f)(X)


def variadic(*args):
    return s


def with_keywords(**options):
    return s


def keyword_only(*, k):
    return s


@pytest.mark.parametrize("f", [variadic, with_keywords, keyword_only])
def test_signatures_without_a_fixed_number_of_arguments(f):
    with pytest.raises(lo.errors.OptionError, match=f"{f.__name__} takes .*; write them out"):
        lo.compile(f)


@pytest.mark.parametrize("f", [3, None, "f", s, X, max, dict])
def test_what_is_no_function_of_the_users(f):
    with pytest.raises(lo.errors.OptionError, match="compile: "):
        lo.compile(f)


@pytest.mark.parametrize("check", [1, None, "no"])
def test_check_is_true_or_false(check):
    with pytest.raises(lo.errors.OptionError, match=f"check must be True or False, got {check!r}"):
        lo.compile(lambda: s * 1.0, check=check)


def test_arguments_that_are_refused():
    c = lo.compile(lambda x: (x * W).sum())
    with pytest.raises(lo.errors.GraphError, match=r"the argument x was computed outside.*x\.detach\(\)"):
        c(W * 2.0)
    for value in ([X, X], (X,), {"a": X}, [[1.0], [lo.Tensor(2.0)]]):
        said = f"the argument x is a {type(value).__name__} of arrays"
        with pytest.raises(lo.errors.OptionError, match=said):
            c(value)
    for value in ("a", None, np.array([None, 1]), np.array([1j]), np.array(["a"])):
        with pytest.raises(lo.errors.DTypeError):
            c(value)
    with pytest.raises(TypeError, match="unexpected keyword argument 'y'"):
        c(y=W.data)
    for args in ((), (X, X)):
        with pytest.raises(TypeError, match="argument"):
            c(*args)
    assert unchanged()
    assert c(W.data) == (W.data * W.data).sum()


def test_lazy_arrays():
    da = pytest.importorskip("dask.array")
    lazy = da.ones((3, 2))
    with pytest.raises(lo.errors.UnsupportedError, match="programs run on NumPy"):
        lo.compile(lambda x: (x * W).sum())(lazy)
    with pytest.raises(lo.errors.UnsupportedError):
        lo.compile(lambda: (lazy * W).sum() * s)()


def test_errors_of_f_come_out_as_they_are():
    """Also on later calls, from the program: the errors that the engine raises."""
    c = lo.compile(lambda x: (x @ W).sum(), check=False)
    c(X)
    with pytest.raises(lo.errors.ShapeError, match="matmul"):
        c(np.ones((4, 5)))

    def f(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        lo.compile(f)(X)
    c = lo.compile(lambda i: np.exp(W)[i].sum(), check=False)
    c(np.array([0, 1]))
    with pytest.raises(lo.errors.IndexingError, match="7 out of range for axis 0"):
        c(np.array([0, 7]))
    agree(c, lambda i: np.exp(W)[i].sum(), [W], np.array([2, 1]))


# -------------------------------------------------------------------------- what works inside f


def test_facts_about_tensors():
    def f(x):
        h = x @ W
        if np.all(np.isfinite(h)) and np.any(h > 0) and not np.isnan(h).any():
            h = h * np.sign(h)
        best = (np.argmax(h, 1) == 1)[:, None]
        return (h * best).sum() + np.count_nonzero(h > 1.0) * s + (np.floor(x) * s).sum()

    c = lo.compile(f)
    rng = np.random.default_rng(1)
    for _ in range(10):
        agree(c, f, [W, s], rng.standard_normal((4, 3)))


def test_what_numpy_does_with_arguments():
    """Data arguments are arrays for f: what works on them as arrays works, or is refused in words."""
    forms = [
        lambda x, y: np.tanh((x - x.mean(0)) / x.std(0) @ W)[0].sum(),
        lambda x, y: ((y == 1) * (x @ W)[:, 0]).sum(),
        lambda x, y: (y[:, None] * (x @ W)).sum(), lambda x, y: (s * (2 * y - 1) / 2).sum(),
        lambda x, y: (x.astype(np.float32) @ W).sum(), lambda x, y: (np.maximum(x, 0)[::2] @ W).sum(),
        lambda x, y: sum((row @ W)[0] * label for row, label in zip(x, y, strict=True)),
        lambda x, y: (np.concatenate([x, np.ones((4, 1))], 1) * s).sum() + y.max() * s,
        lambda x, y: (np.sort(x, 0) @ W).sum(),
        lambda x, y: np.where(y == 1, (x @ W)[:, 0], 0.0).sum() + s * x.size * len(y) * x.argmax(1)[0],
        lambda x, y: (x @ W)[np.arange(4), y].sum() + (x @ W)[:, y].sum(),
        lambda x, y: (lo.Tensor(x) @ W).sum(),
        lambda x, y: (lo.nn.relu(x) @ W).sum() + (lo.Tensor(y) * s).sum(),
        lambda x, y: (x**2 @ W).sum() * y.sum(),
    ]  # fmt: skip
    rng = np.random.default_rng(1)
    for f in forms:
        c = lo.compile(f)
        for kind in (np.float64, np.float32):
            for _ in range(3):
                agree(
                    c, f, [W, s], rng.standard_normal((4, 3)).astype(kind), rng.integers(0, 2, 4), rtol=1e-5
                )


@pytest.mark.parametrize(
    "use", [lambda x: x.byteswap(), lambda x: x.ptp(), lambda x: np.partition(x, 1) + x * 0]
)
def test_what_tensors_do_not_have_is_refused_in_words(use):
    with pytest.raises(lo.errors.LoError) as caught:
        lo.compile(lambda x: (use(x) * s).sum())(X)
    assert "Data" not in str(caught.value)


def test_shapes_and_printing(capsys):
    def f(x):
        print("loss of", x.shape, len(x), x.dtype, repr(W.shape))
        return (x @ W).sum() / len(x) * x.ndim + np.zeros_like(x).sum() * s + np.size(x) * s

    c = lo.compile(f, check=False)
    agree(c, f, [W, s], X)
    assert "loss of (4, 3) 4 float64 (3, 2)" in capsys.readouterr().out


def test_a_gradient_inside():
    """The gradient penalty: create_graph makes the inner gradient a part of the program."""

    def f(x):
        h = np.tanh(x @ W).sum() * s
        g = lo.grad(h, W, create_graph=True)
        return h + ((g * g).sum() - 1.0) ** 2

    c = lo.compile(f)
    rng = np.random.default_rng(1)
    for _ in range(3):
        agree(c, f, [W, s], rng.standard_normal((4, 3)), rtol=1e-10)


def test_names_scopes_and_no_grad_inside():
    def f(x):
        with lo.scope("data loss"):
            h = lo.named(x @ W, "S")
        with lo.no_grad():
            target = np.tanh(h) * s
        return ((h - target) ** 2).sum() * s + (h.detach() * h).sum()

    agree(lo.compile(f), f, [W, s], X, calls=4)


def test_the_second_derivative_of_a_length_of_0_is_not_compiled():
    w = lo.Parameter(np.zeros(3))
    c = lo.compile(lambda x: ((lo.grad(np.linalg.norm(w) ** 2, w, create_graph=True) + x) ** 2).sum())
    with pytest.raises(
        lo.errors.GraphError, match=r"the second derivative of a length of 0 .* leave the graph"
    ):
        c(np.ones(3))


def test_an_element_set_to_data_ends_with_a_sentence():
    """NumPy would say: setting an array element with a sequence."""

    def f(x):
        array = np.zeros(2)
        array[0] = x[0, 0]
        return (array * s).sum()

    with pytest.raises(lo.errors.GraphError, match=r"float\(t\) inside a compiled function"):
        lo.compile(f)(X)
    with pytest.raises(lo.errors.GraphError, match=r"float\(t\) while a function is printed"):
        lo.javascript(f, X)


def test_arguments_can_be_named():
    compiled = lo.compile(lambda x, factor=2.0: (x @ W).sum() * factor)
    assert compiled(x=X, factor=3.0) == compiled(X, 3.0)
