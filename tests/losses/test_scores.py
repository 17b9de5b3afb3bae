"""Losses of probabilities that a sigmoid or softmax made: from the scores, exact at any of them."""

import copy
import gc
import pickle
import warnings

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo import losses as L
from tinygrad_lo import nn as N

HALF = np.array([0.5, 0.5])
DTYPES = (np.float64, np.float32, np.float16)


def both_ways(f, p):
    """Value and gradient, the value under no_grad being the same to the last bit."""
    loss = f(p)
    p.grad = None
    loss.backward()
    with lo.no_grad():
        assert f(p).item() == loss.item()
    assert f(lo.Tensor(p.data)).item() == loss.item()
    return loss.item(), p.grad


def by_hand(s):
    e = np.exp(s - s.max())
    return e / e.sum()


# ------------------------------------------------------------------------------------ softmax


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("f", "value", "slope"),
    [
        (lambda s: L.kl_divergence(HALF, N.softmax(s)), "½ − log 2", 0.5),
        (lambda s: L.kl_divergence(HALF, by_hand(s)), "½ − log 2", 0.5),
        (lambda s: L.kl_divergence(HALF, np.exp(N.log_softmax(s))), "½ − log 2", 0.5),
        (lambda s: L.kl_divergence_with_logits(HALF, s), "½ − log 2", 0.5),
        (lambda s: L.distribution_cross_entropy(HALF, N.softmax(s)), "½", 0.5),
        (lambda s: L.information(N.softmax(s)[0]), "1", 1.0),
        (lambda s: L.information(1 - N.softmax(s)[1]), "1", 1.0),
        (lambda s: L.binary_cross_entropy(N.softmax(s)[:1], [1.0]), "1", 1.0),
        (lambda s: L.binary_cross_entropy(N.softmax(s)[1:], [0.0]), "1", 1.0),
        (lambda s: L.binary_cross_entropy(1.0 - N.softmax(s), [0.0, 1.0]), "1", 1.0),
        (lambda s: L.kl_divergence(HALF, N.softmax(s).reshape(2, 1).T[0]), "½ − log 2", 0.5),
    ],
)
@pytest.mark.parametrize("score", [95.0, 800.0])
def test_losses_of_a_softmax(f, value, slope, score, dtype):
    expected = {"½ − log 2": score / 2 - np.log(2), "½": score / 2, "1": score}[value]
    loss, g = both_ways(f, lo.Parameter(np.array([0.0, score], dtype)))
    assert loss == np.array(expected).astype(dtype) or abs(loss - expected) <= 2 * np.spacing(dtype(expected))
    np.testing.assert_array_equal(g, np.array([-slope, slope], dtype))


def test_kl_is_cross_entropy_less_entropy(rng):
    p = rng.dirichlet(np.ones(4), 3)
    s = lo.Parameter(rng.normal(0, 300, (3, 4)))
    expected = L.cross_entropy(s, p).item() - L.entropy(p).mean()
    for loss in (L.kl_divergence(p, N.softmax(s)), L.kl_divergence_with_logits(p, s)):
        assert loss.item() == pytest.approx(expected, rel=1e-14)
        np.testing.assert_allclose(
            lo.grad(loss, s), lo.grad(L.cross_entropy(s, p), s), rtol=1e-13, atol=1e-17
        )


def test_masked_scores_add_nothing():
    s = lo.Parameter([-np.inf, 0.0, 1.0])
    p = [0.0, 0.5, 0.5]
    for f in (lambda s: L.kl_divergence(p, N.softmax(s)), lambda s: L.kl_divergence_with_logits(p, s)):
        loss, g = both_ways(f, s)
        assert loss == pytest.approx(0.8132616875 - np.log(2))
        np.testing.assert_allclose(g, [0.0, 0.26894142 - 0.5, 0.73105858 - 0.5], rtol=1e-7)
        assert f(lo.Parameter([0.0, -np.inf, 1.0])).item() == np.inf


def test_plain_arrays_and_other_probabilities_have_no_graph():
    assert L.kl_divergence(HALF, N.softmax(np.array([0.0, 800.0]))) == np.inf
    assert L.binary_cross_entropy(N.sigmoid(np.array([-40.0])), [1.0]) == 40.0


def test_a_probability_that_vanished_elsewhere_warns_once():
    s = lo.Parameter([0.0, 95.0], dtype=np.float32)

    def f():
        # exp(s) * (1 / Σ) is no softmax that the graph recognizes.
        return L.kl_divergence(HALF, np.exp(s - 95.0) * (1.0 / np.exp(s - 95.0).sum()))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        losses = [f() for _ in range(3)]
    assert len(caught) == 1
    assert "rounded to 0" in str(caught[0].message)
    losses[0].backward()
    assert np.isfinite(s.grad).all()


# ------------------------------------------------------------------------------------ sigmoid


@pytest.mark.parametrize("z", [-1e4, -800.0, -99.0, -40.0, -1.0, 0.0, 0.3, 36.0, 40.0, 800.0, 1e4])
@pytest.mark.parametrize("y", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    "p",
    [
        N.sigmoid,
        lambda z: z.sigmoid(),
        lambda z: N.sigmoid(z.reshape(1, 1))[:, 0],
        lambda z: N.sigmoid(z).reshape(1, 1).T[0],
        lambda z: N.sigmoid(z).astype(np.float64),
    ],
)
def test_binary_cross_entropy_of_a_sigmoid(z, y, p):
    leaf = lo.Parameter([z])
    value, g = both_ways(lambda z: L.binary_cross_entropy(p(z), [y]), leaf)
    other, g_other = both_ways(lambda z: L.binary_cross_entropy_with_logits(z, [y]), leaf)
    assert value == pytest.approx(other, rel=1e-15)
    np.testing.assert_allclose(g, g_other, rtol=1e-14)


@pytest.mark.parametrize("score", [-40.0, -99.0])
def test_a_saturated_sigmoid_learns(score):
    z = lo.Parameter([score])
    loss = L.binary_cross_entropy(N.sigmoid(z), np.array([1.0]))
    loss.backward()
    assert loss.item() == -score
    assert z.grad.tolist() == [-1.0]


def test_infinite_scores_that_are_right_cost_nothing():
    z = lo.Parameter([-np.inf, np.inf])
    loss, g = both_ways(lambda z: L.binary_cross_entropy(N.sigmoid(z), [0.0, 1.0]), z)
    assert loss == 0.0
    assert g.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("score", [-40.0, -99.0])
def test_a_sigmoid_written_out_learns_too(score):
    z = lo.Parameter([score])
    L.binary_cross_entropy(1.0 / (1.0 + np.exp(-z)), np.array([1.0])).backward()
    np.testing.assert_allclose(z.grad, -1.0, rtol=1e-12)


def written_out(z):
    return 1.0 / (1.0 + np.exp(-z))


@pytest.mark.parametrize(
    ("score", "loss"),
    [
        (40.0, lambda z: L.binary_cross_entropy(written_out(z), [0.0])),
        (30.0, lambda z: L.binary_cross_entropy(written_out(z), [0.5])),
        (-87.5, lambda z: L.binary_cross_entropy(written_out(z.astype(np.float32)), [1.0])),
    ],
)
def test_a_sigmoid_written_out_warns_once_a_line_where_its_digits_are_lost(score, loss):
    z = lo.Parameter([score])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            loss(z)
    assert [w.filename for w in caught] == [__file__]
    assert "binary_cross_entropy_with_logits" in str(caught[0].message)


def test_right_answers_near_one_do_not_warn():
    z = lo.Parameter([40.0, -40.0])
    L.binary_cross_entropy(1.0 / (1.0 + np.exp(-z)), np.array([1.0, 0.0])).backward()


def test_a_clipped_probability_is_what_the_user_made_it():
    z = lo.Parameter([-40.0])
    loss = L.binary_cross_entropy(np.clip(N.sigmoid(z), 1e-7, 1.0), [1.0])
    assert loss.item() == pytest.approx(-np.log(1e-7))


def test_a_hard_answer_is_no_probability():
    p = lo.Tensor([-5.0, 5.0]).sigmoid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert L.binary_cross_entropy(p.astype(int), [0.0, 1.0]).item() == 50.0


# ------------------------------------------------------------- gradients by the probability itself


def test_the_gradient_by_the_probability():
    z = lo.Parameter([-2.0, 1.0])
    p = N.sigmoid(z)
    r = p.reshape(2, 1)[:, 0]
    loss = L.binary_cross_entropy(r, [1.0, 0.0], reduction="sum") + 3.0 * p.sum()
    by_p = np.array([-1.0 / p.data[0], 1.0 / (1.0 - p.data[1])])
    at_z, at_p, at_r = lo.grad(loss, [z, p, r])
    np.testing.assert_allclose(at_p, by_p + 3.0, rtol=1e-14)
    np.testing.assert_allclose(at_r, by_p, rtol=1e-14)
    np.testing.assert_allclose(at_z, p.data - [1.0, 0.0] + 3.0 * p.data * (1 - p.data), rtol=1e-14)
    np.testing.assert_array_equal(lo.grad(loss, z), at_z)


def test_the_second_derivative_by_the_probability():
    z = lo.Parameter([-2.0, 1.0])
    p, q = N.sigmoid(z), N.softmax(z)
    slope = lo.grad(L.binary_cross_entropy(p, [1.0, 1.0], reduction="sum"), p, create_graph=True)
    np.testing.assert_allclose(lo.grad(slope.sum(), p), 1 / p.data**2, rtol=1e-14)
    slope = lo.grad(L.kl_divergence(HALF, q), q, create_graph=True)
    np.testing.assert_allclose(slope.data, -0.5 / q.data, rtol=1e-14)
    np.testing.assert_allclose(lo.grad(slope.sum(), q), 0.5 / q.data**2, rtol=1e-14)


def test_gradcheck_of_both_orders(rng):
    for f in (
        lambda z: L.binary_cross_entropy(N.sigmoid(z), HALF),
        lambda z: L.binary_cross_entropy(N.softmax(z), HALF),
        lambda z: L.kl_divergence(HALF, N.softmax(z)),
        lambda z: L.entropy(N.softmax(z)),
        lambda z: L.information(1 - N.sigmoid(z)).sum(),
    ):
        for order in (1, 2):
            lo.gradcheck(f, rng.normal(0, 1, 2), order=order).raise_if_failed()


# -------------------------------------------------------------------- pictures, programs, memory

CASES = {
    "sigmoid": lambda z: L.binary_cross_entropy(N.sigmoid(z), np.array([1.0, 0.0])),
    "softmax": lambda z: L.kl_divergence(HALF, N.softmax(z)),
    "slice": lambda z: L.binary_cross_entropy(N.softmax(z)[:1], np.array([1.0])),
    "not": lambda z: L.information(1 - N.sigmoid(z)).sum(),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("scores", [[-2.0, 1.0], [-40.0, 400.0], [-800.0, 800.0]])
def test_source_and_compile_agree_to_the_last_bit(case, scores):
    z = lo.Parameter(scores, name="z")
    loss = CASES[case](z)
    loss.backward()
    text = lo.source(loss)
    space = {}
    exec(text, space)
    value, gradients = space["loss_and_gradients"](**text.arguments)
    assert value == loss.item()
    np.testing.assert_array_equal(gradients["z"], z.grad)
    w = lo.Parameter(scores)
    run = lo.compile(lambda: CASES[case](w))
    for _ in range(3):
        w.grad = None
        assert float(run()) == loss.item()
        np.testing.assert_array_equal(w.grad, z.grad)


def test_the_picture_shows_the_formula_that_the_user_wrote():
    z = lo.Parameter([-2.0, 1.0], name="z")
    p = N.sigmoid(z).named("p")
    text = lo.tree(L.binary_cross_entropy(p, np.array([1.0, 0.0])))
    assert "L_i = −(target log p + (1 − target) log(1 − p))" in text
    assert "p = σ(z)" in text
    q = N.softmax(z).named("q")
    text = lo.tree(L.kl_divergence(HALF, q))
    assert "log q = log(q)" in text
    assert "q = exp(log p)" in text
    told = lo.explain(L.binary_cross_entropy(p, np.array([1.0, 0.0]), reduction="sum"))
    assert "∂L/∂z = ∂L/∂L × ((1 − target) × p − target × σ(−z))" in told or "σ(z)" in told
    assert "logaddexp" in lo.source(L.binary_cross_entropy(p, np.array([1.0, 0.0])))
    assert "σ" in lo.draw(L.binary_cross_entropy(p, np.array([1.0, 0.0]))).source


def test_data_assigned_later_is_what_counts():
    with lo.no_grad():
        z = lo.Tensor([-40.0])
        p = N.sigmoid(z)
        z.data[0] = 3.0
        assert L.binary_cross_entropy(p, [1.0]).item() == 40.0
        p.data = np.array([0.5])
    assert L.binary_cross_entropy(p, [1.0]).item() == np.log(2)
    w = lo.Parameter([-1.0])
    p = N.sigmoid(w)
    w.data -= 1.0
    loss = L.binary_cross_entropy(p, [1.0])
    assert loss.item() == -np.log(p.data[0])
    with pytest.raises(lo.errors.MutationError):
        loss.backward()


def test_a_constant_probability_keeps_no_graph_and_copies():
    class Watched(lo.Parameter):
        __slots__ = ("__weakref__",)

    import weakref

    z = Watched([-40.0])
    s = z * 2.0
    alive = weakref.ref(z)
    with lo.no_grad():
        p = N.sigmoid(s)[:1]
    gc.disable()
    try:
        del z, s
        assert alive() is None
    finally:
        gc.enable()
    assert L.binary_cross_entropy(p, [1.0]).item() == 80.0
    assert copy.deepcopy(p).item() == pickle.loads(pickle.dumps(p)).item() == p.item()


def test_no_gradient_flows_to_what_was_computed_without_one():
    z = lo.Parameter([-40.0])
    with lo.no_grad():
        p = N.sigmoid(z)
    assert not L.binary_cross_entropy(p, [1.0]).requires_grad
    assert not L.kl_divergence([1.0], lo.Tensor([0.0]).exp()).requires_grad


def test_lazy_arrays_stay_lazy():
    da = pytest.importorskip("dask.array")
    z = lo.Parameter(da.from_array(np.array([[-40.0, 0.0], [0.0, 95.0]]), chunks=(1, 2)))
    y = np.array([[1.0, 0.0], [0.5, 0.5]])
    for f in (
        lambda z: L.binary_cross_entropy(N.sigmoid(z), y),
        lambda z: L.binary_cross_entropy(N.softmax(z), y),
        lambda z: L.kl_divergence(y, N.softmax(z)),
        lambda z: L.kl_divergence_with_logits(y, z),
    ):
        loss = f(z)
        assert hasattr(loss.data, "dask")
        eager = f(lo.Parameter(z.data.compute()))
        assert float(loss.data.compute()) == pytest.approx(eager.item(), rel=1e-14)


# ------------------------------------------------------------- what has changed since it was made


def test_the_gradient_by_a_score_does_not_depend_on_what_else_is_asked():
    h = lo.Parameter([40.0]).reshape(1)
    p = lo.nn.sigmoid(h)
    loss = L.binary_cross_entropy(p, np.array([0.0]))
    assert lo.grad(loss, h).tolist() == lo.grad(loss, [h, p])[0].tolist() == [1.0]


@pytest.mark.parametrize("change", ["assigned", "in place"])
def test_a_divisor_that_has_changed_is_not_looked_through(change):
    v, b = lo.Parameter([-1.0, -2.0]), lo.Parameter([2.0, 2.0])
    p = np.exp(v) / b
    if change == "assigned":
        b.data = b.data + 2.0
        loss = L.information(p).sum()
        loss.backward()
        assert (round(loss.item(), 4), b.grad.tolist()) == (4.3863, [0.5, 0.5])
    else:
        b.data += 2.0
        with pytest.raises(lo.errors.MutationError):
            L.information(p).sum().backward()


def test_a_constant_that_was_written_into_is_what_it_is_now():
    p = lo.nn.softmax(lo.Tensor([1.0, 2.0]))
    p.data[...] = [0.25, 0.75]
    np.testing.assert_allclose(L.information(p).numpy(), -np.log([0.25, 0.75]))
    places = np.array([0])
    q = lo.nn.softmax(lo.Tensor([[1.0, 2.0, 3.0]]))[np.array([0]), places]
    places[0] = 2
    np.testing.assert_allclose(L.information(q).numpy(), -np.log(q.numpy()))
