"""Where a compiled function may be called, of what it may be made, and what it says of itself."""

import functools

import numpy as np
import pytest
from twins import agree, assert_same, compiled_once, eager

import tinygrad_lo as lo

W = lo.Parameter(np.arange(6.0).reshape(3, 2) / 3.0, name="W")
s = lo.Parameter(2.0, name="s")
X = np.random.default_rng(0).standard_normal((4, 3))


@pytest.fixture(autouse=True)
def _no_gradients():
    W.grad = s.grad = None


def unchanged():
    return W.grad is None and s.grad is None


def loss_of(x):
    h = x @ W
    return (h * h).sum() * s if h.sum() > 0 else np.tanh(h).sum()


def test_inside_modes_it_is_the_function_itself():
    c = lo.compile(loss_of)
    expected = eager(loss_of, [W, s], X)
    for mode in (lo.anomaly, lambda: lo.scope("training")):
        for _ in range(4):
            with mode():
                found = compiled_once(c, [W, s], X)
            assert_same(found, expected)
            assert_same(compiled_once(c, [W, s], X), expected)
    W.grad = s.grad = None
    for _ in range(3):
        with lo.no_grad(), pytest.raises(lo.errors.GraphError, match="computed under no_grad"):
            c(X)
        assert unchanged()
    assert_same(compiled_once(c, [W, s], X), expected)


def test_what_needs_no_gradient_is_refused_as_by_backward():
    """Also under no_grad, inside f or around the call, and on later calls."""
    data = lo.Tensor(X)

    def of_data():
        return (data * data).sum()

    def of_frozen():
        return (frozen * frozen).sum()

    def inside(x):
        with lo.no_grad():
            return loss_of(x)

    frozen = lo.Parameter([1.0, 2.0], name="frozen")
    step = lo.compile(of_frozen)
    step()
    frozen.requires_grad = False
    for c in (lo.compile(of_data), lambda: lo.compile(inside)(X), step):
        for _ in range(3):
            with pytest.raises(lo.errors.GraphError, match="compile: this tensor does not require grad"):
                c()
    assert unchanged()
    with lo.no_grad():
        assert of_frozen().item() == 5.0


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("make", [lambda: lo.Parameter(3.0), lambda: lo.Parameter([1.0, 2.0])])
def test_the_value_has_the_shape_of_the_engines(make, shape, check):
    p = make()

    def f():
        return (p * p).sum().reshape(shape)

    c = lo.compile(f, check=check)
    values = [c() for _ in range(6)]
    for value in values:
        assert type(value) is type(f().data)
        assert value.shape == shape
        assert value.dtype == float
        np.testing.assert_array_equal(value, f().data)
    if shape:
        values[-1][...] = 7.0  # it is the caller's own
        assert c() == values[0] == f().data
    np.testing.assert_allclose(p.grad, (7 if shape else 6) * 2.0 * p.data)


def test_anomaly_names_what_is_not_finite():
    p = lo.Parameter(0.0, name="p")
    c = lo.compile(lambda: np.log(p) * p)
    with np.errstate(all="ignore"):
        c()
    with lo.anomaly(), pytest.raises(lo.errors.NonFiniteError, match="log"):
        c()


def test_inside_another_compiled_function():
    """It would add its gradients and return a number: refused; what it was made of is at hand."""
    inner = lo.compile(loss_of)
    inner(X)
    W.grad = s.grad = None
    said = "loss_of is compiled, and is called inside another.*__wrapped__"
    for _ in range(2):
        with pytest.raises(lo.errors.GraphError, match=said):
            lo.compile(lambda x: inner(x) * 3.0)(X)
        assert unchanged()

    def outer(x):
        return inner.__wrapped__(x) * 3.0 + loss_of(x * 2.0) * s

    agree(lo.compile(outer), outer, [W, s], X, calls=4)
    agree(inner, loss_of, [W, s], X)


def test_as_a_part_of_an_eager_loss_it_is_no_tensor():
    """It has added its gradients already: a number comes back, which no graph can take for more."""
    found = lo.compile(loss_of)(X)
    assert isinstance(found, np.float64)
    assert not isinstance(found, lo.Tensor)


# ---------------------------------------------------------------------------- forms of functions


class Layer(lo.nn.Module):
    def __init__(self):
        self.p = lo.Parameter([1.0, 2.0])
        self.rate = 0.5

    def forward(self, x):
        return (x * self.p).sum() * self.rate

    def squared(self, x):
        """The square of it."""
        return self(x) ** 2


def test_modules_and_their_methods():
    layer, x = Layer(), np.array([3.0, 4.0])
    for form in (layer, layer.squared, lambda x: layer(x) + layer.squared(x), layer.forward):
        c = lo.compile(form, check=False)
        for _ in range(3):
            agree(c, form, [layer.p], x)
            layer.rate += 0.25  # modules are looked into
            layer.p.data = layer.p.data * 1.1
        before = layer.p
        layer.p = lo.Parameter([7.0, 8.0])
        agree(c, form, [layer.p], x)
        layer.p = before


def test_callables_partials_and_lambdas():
    class Loss:
        def __call__(self, x, k=2.0):
            return loss_of(x) * k

    def scaled(k, x):
        return loss_of(x) * k

    partials = functools.partial(scaled, 3.0), functools.partial(Loss(), k=5.0)
    for form in (Loss(), *partials, lambda x: loss_of(x) * 2.0):
        agree(lo.compile(form), form, [W, s], X, calls=4)


def test_names_and_documentation_are_kept():
    c = lo.compile(loss_of)
    assert (c.__name__, c.__doc__, c.__wrapped__) == ("loss_of", None, loss_of)
    squared = lo.compile(Layer().squared)
    assert (squared.__name__, squared.__doc__) == ("squared", "The square of it.")
    assert lo.compile(lambda: s * 1.0).__name__ == "<lambda>"


def test_hostile_names():
    """Names are only names: in programs, too."""
    hostile = (
        "import os",
        "x\n    raise SystemExit",
        "λ",
        "class",
        "None",
        "np",
        "step",
        "",
        '"',
        "\\",
        "loss",
        "dot",
    )
    for name in hostile:
        p, q = lo.Parameter([1.0, 2.0], name=name), lo.Parameter(3.0, name=name)

        def f(x, p=p, q=q):
            return (p * p * x).sum() * q + lo.named(q * q, "MISS")

        agree(lo.compile(f), f, [p, q], np.array([3.0, 4.0]))
        agree(lo.compile(lambda q=q: q * q + q), lambda q=q: q * q + q, [q])

    def g(run_, step, MISS, out, w0, loss, nd, left, due, recorded, np_=2.0):
        return (W * run_).sum() * step + MISS * out - w0 * loss + nd * left - due * recorded * np_ + s

    agree(lo.compile(g), g, [W, s], *(float(i) for i in range(10)), calls=4)


# -------------------------------------------------------------------------------- what it shows


def test_source_is_the_program_that_runs():
    c = lo.compile(loss_of)
    assert "not recorded yet" in c.source
    c(X)
    first = c.source
    assert isinstance(first, str)
    assert "dot(" in first
    compile(first, "source", "exec")
    c(-X)
    second = c.source
    assert second != first
    c(X)
    assert c.source == first
    c(-X)
    assert c.source == second
    numbers = lo.compile(lambda a: s * a + a)
    numbers(np.float64(2.0))
    assert "empty" not in numbers.source
    assert "np." not in numbers.source


def test_verify():
    layer = Layer()
    layer_like = type("Box", (), {"scale": 2.0})()

    def f(x):
        return (layer.p * x).sum() * layer_like.scale + lo.nn.dropout(layer.p, 0.5).sum()

    c = lo.compile(f, check=False)
    x = np.array([3.0, 4.0])
    with pytest.raises(lo.errors.GraphError, match="verify: no recording of f fits these arguments; call it"):
        c.verify(x)
    lo.seed(1)
    c(x)
    layer.p.grad = None
    lo.seed(2)
    assert c.verify(x) is None
    assert layer.p.grad is None
    found = float(c(x))
    lo.seed(2)
    assert found == pytest.approx(f(x).item())  # verify drew nothing
    with pytest.raises(lo.errors.GraphError, match="no recording"):
        c.verify(np.ones(3))
    layer_like.scale = 3.0
    layer.p.grad = None
    with pytest.raises(lo.errors.StaleError, match="f was recorded, but now its value is"):
        c.verify(x)
    assert layer.p.grad is None
    lo.seed(4)
    found = c(x)
    lo.seed(4)
    assert found == pytest.approx(f(x).item())


def test_verify_takes_what_the_function_takes():
    p = lo.Parameter([1.0, 2.0])
    c = lo.compile(lambda x, k=2.0: (p * x).sum() * k, check=False)
    c(np.ones(2))
    assert c.verify(np.ones(2)) is None
    with pytest.raises(TypeError, match="argument: 'x'"):
        c.verify()
