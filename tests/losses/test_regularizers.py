"""l1, l2 and elastic_net: the numbers of the slides, lists, dtypes, gradients."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import errors
from tinygrad_lo.losses.regularizers import elastic_net, l1, l2


def test_l2_prefers_weights_that_are_spread_out():
    """Lecture 2: both give the same score on x = (1, 1, 1, 1)."""
    assert l2(np.array([1.0, 0.0, 0.0, 0.0])) == 1.0
    assert l2(np.array([0.25, 0.25, 0.25, 0.25])) == 0.25


def test_half():
    assert l2(np.array([3.0, 4.0]), half=True) == 12.5
    assert l2([np.array([3.0]), np.array([4.0])], half=True) == 12.5


def test_a_list_is_summed_over():
    a, b = lo.Parameter([[1.0, 2.0], [3.0, 4.0]]), lo.Parameter(5.0)
    loss = l2([a, b])
    assert loss.item() == 55.0
    loss.backward()
    assert a.grad.tolist() == [[2.0, 4.0], [6.0, 8.0]]
    assert b.grad == 10.0
    assert l2(w for w in (a, b)).item() == 55.0


def test_tensors_give_tensors_and_arrays_plain_numbers():
    w = np.array([1.0, 2.0])
    assert type(l2(lo.Parameter(w))) is lo.Tensor
    assert type(l2(w)) is np.float64
    assert l2(lo.Parameter(w)).item() == l2(w) == l2([w]) == 5.0


@pytest.mark.parametrize("half", [False, True])
def test_derivatives(half, rng):
    arrays = rng.standard_normal((2, 3)), rng.standard_normal(4)
    lo.gradcheck(lambda a, b: l2([a, b], half=half), *arrays, order=2).raise_if_failed()
    expected = 1.0 if half else 2.0
    np.testing.assert_allclose(lo.hessian(lambda w: l2(w, half=half))(np.ones(2)), expected * np.eye(2))


def test_float32_stays():
    w = lo.Parameter([1.0, 2.0], dtype=np.float32)
    loss = 1e-3 * l2([w, w], half=True)
    loss.backward()
    assert loss.dtype == w.grad.dtype == np.float32
    np.testing.assert_allclose(w.grad, [2e-3, 4e-3], rtol=1e-6)


def test_the_scope_is_named():
    w = lo.Parameter([1.0], name="W")
    assert "‹l2›" in lo.tree(l2(w))


# ----------------------------------------------------------------------------- l1 and elastic_net

SPREAD, ONE, OTHER = np.full(4, 0.25), np.array([1.0, 0.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0, 0.0])


@pytest.mark.parametrize("single", [ONE, OTHER])
def test_l1_does_not_mind_where_the_weights_are(single):
    """Lectures 0 and 2: the same score on x = (1, 1, 1, 1), the same L1, another L2."""
    assert SPREAD.sum() == single.sum() == 1.0
    assert l2(SPREAD) == 0.25 < l2(single) == 1.0
    assert l1(SPREAD) == l1(single) == 1.0


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_elastic_net_as_the_lectures_write_it(beta):
    w = np.array([3.0, -4.0])
    assert elastic_net(w, l1=1 - beta, l2=beta) == pytest.approx(beta * 25 + (1 - beta) * 7)
    assert elastic_net(w, l1=1.0, l2=beta) == pytest.approx((beta * w**2 + np.abs(w)).sum())


def test_the_ends_of_elastic_net():
    w = np.array([[3.0, -4.0]])
    assert elastic_net(w, l1=1, l2=0) == l1(w) == 7.0
    assert elastic_net(w, l1=0, l2=1) == l2(w) == 25.0
    p = lo.Parameter(w)
    nothing = elastic_net(p, l1=0.0, l2=0.0)
    nothing.backward()
    assert nothing.item() == 0.0
    assert p.grad.tolist() == [[0.0, 0.0]]


def test_lists_are_summed_over():
    a, b = lo.Parameter([[1.0, -2.0], [0.0, 4.0]]), lo.Parameter(-5.0)
    loss = l1([a, b])
    assert loss.item() == 12.0
    loss.backward()
    assert a.grad.tolist() == [[1.0, -1.0], [0.0, 1.0]]
    assert b.grad == -1.0
    assert l1(w for w in (a, b)).item() == 12.0
    assert elastic_net((w for w in (a, b)), l1=10.0, l2=1.0).item() == 120.0 + 46.0
    assert type(elastic_net(a.data, l1=1.0, l2=1.0)) is type(l1(a.data)) is np.float64


def test_derivatives_of_l1_and_elastic_net(rng):
    arrays = rng.standard_normal((2, 3)), rng.standard_normal(4)
    lo.gradcheck(lambda a, b: l1([a, b]), *arrays, order=2).raise_if_failed()
    lo.gradcheck(lambda a, b: elastic_net([a, b], l1=0.3, l2=0.7), *arrays, order=2).raise_if_failed()


def test_float32_stays_with_every_regularizer():
    for regularizer in (l1, lambda w: elastic_net(w, l1=np.float64(0.1), l2=0.2)):
        w = lo.Parameter([1.0, -2.0], dtype=np.float32)
        loss = regularizer([w, w])
        loss.backward()
        assert loss.dtype == w.grad.dtype == regularizer(w.data).dtype == np.float32


def test_weights_of_1e30_in_float32():
    w = lo.Parameter([1e30, -1e30], dtype=np.float32)
    for loss in (l1(w), elastic_net(w, l1=1.0, l2=0.0)):
        assert loss.item() == pytest.approx(2e30)


def test_small_integers_do_not_wrap():
    w = np.array([-128, 100], np.int8)
    assert l1(w) == l1([w]) == 228.0
    assert l2(w) == l2(lo.Tensor(w)).item() == 26384.0


def test_scopes_are_named():
    w = lo.Parameter([1.0], name="W")
    assert "‹l1›" in lo.tree(l1(w))
    assert "‹elastic_net›" in lo.tree(elastic_net(w, l1=1.0, l2=1.0))


REFUSED = [
    (lambda: elastic_net(ONE, l1=-1, l2=0.1), errors.OptionError,
     "elastic_net: l1 must be finite and >= 0, got -1"),
    (lambda: elastic_net(ONE, l1=1, l2=-0.5), errors.OptionError, "l2 must be finite and >= 0, got -0.5"),
    (lambda: elastic_net(ONE, l1=np.nan, l2=0.1), errors.OptionError, "l1 must be finite and >= 0, got nan"),
    (lambda: elastic_net(ONE, l1=0, l2=np.inf), errors.OptionError, "l2 must be finite and >= 0, got inf"),
    (lambda: elastic_net(ONE, l1="1", l2=0), errors.OptionError, "got '1'"),
    (lambda: elastic_net(ONE, l1=True, l2=0), errors.OptionError, "got True"),
    (lambda: elastic_net([], l1=1, l2=1), errors.OptionError, "elastic_net: empty list"),
    (lambda: l1(w for w in ()), errors.OptionError, "l1: empty list of parameters (was a generator"),
    (lambda: l1(None), errors.OptionError, "l1: params must be a tensor, a list of them, of (name"),
    (lambda: l1(None), errors.OptionError, "pairs, a dict or a model, got NoneType"),
    (lambda: l1("W"), errors.OptionError, "got str"),
    (lambda: l1(["abc"]), errors.DTypeError, "str"),
    (lambda: l2(ONE, half=2), errors.OptionError, "l2: half must be True or False, got 2"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), REFUSED, ids=[words for *_, words in REFUSED])
def test_refusals(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)


def test_weights_in_every_form_that_users_write():
    model = lo.nn.Linear(2, 1, rng=0)
    weights = [p.numpy() for p in model.parameters()]
    expected = sum((w**2).sum() for w in weights)
    forms = [
        model,
        dict(model.named_parameters()),
        list(model.named_parameters()),
        model.parameters(),
        weights,
    ]
    for params in forms:
        assert float(lo.losses.l2(params).item()) == pytest.approx(expected)


def test_a_set_of_weights_has_no_order():
    with pytest.raises(errors.OptionError, match="l2: params is a set"):
        l2({lo.Parameter([1.0])})
