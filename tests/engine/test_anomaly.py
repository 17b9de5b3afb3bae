"""lo.anomaly(): the first nan or inf, and the first changed array, by name and line."""

import inspect
import threading
from pathlib import Path

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.errors import GraphError, MutationError, NonFiniteError

HERE = Path(__file__).name


def line_of(text):
    """The number of the line in this file that ends with a mark."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(i for i, line in enumerate(lines, 1) if line.endswith(f"# {text}"))


def test_the_first_op_that_goes_wrong_is_named_with_its_line():
    w = lo.Parameter([1.0, 0.0, -1.0])
    with lo.anomaly():
        a = w * 2.0
        with pytest.raises(NonFiniteError) as caught:
            a.log()  # the log of zero
    text = str(caught.value)
    assert text.startswith("log: input 0.0 at (1,) -> -inf")
    assert f"{HERE}:{line_of('the log of zero')}" in text


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda w: w / 0.0, ["divide: inputs 2.0, 0.0 at ()", "inf"]),
        (lambda w: np.exp(w * 1000.0), ["exp: input 2000.0 at ()", "inf"]),
        (lambda w: np.sqrt(-w), ["sqrt: input -2.0 at ()", "nan"]),
        (lambda w: (-w) ** 0.5, ["power: negative base -2.0 with fractional exponent 0.5", "nan"]),
        (lambda w: (w * np.full(2, 1e308)).sum(), ["multiply", "inf"]),
        (lambda w: np.concatenate([w.reshape(1), np.ones(1)]) / np.array([1.0, 0.0]), ["divide", "(1,)"]),
    ],
)
def test_ops_are_named_with_their_inputs(call, words):
    with pytest.raises(NonFiniteError) as caught, lo.anomaly():
        call(lo.Parameter(2.0))
    for word in words:
        assert word in str(caught.value)


def test_a_sum_that_overflows_is_named():
    with pytest.raises(NonFiniteError, match="sum"), lo.anomaly():
        lo.Parameter(np.full(3, 1e308)).sum()


def test_plain_arrays_inside_an_op_are_watched_too():
    with pytest.raises(NonFiniteError, match=r"square"), lo.anomaly():
        lo.losses.l2(np.array([1e200]))


def test_an_infinity_that_was_put_in_is_not_blamed_on_an_op():
    with lo.anomaly():
        y = lo.Tensor([np.inf, np.nan]) * 2.0
        assert np.isinf(y.data[0])


def test_nothing_is_raised_outside():
    with np.errstate(all="ignore"):
        assert np.isnan(lo.Parameter(-1.0).log().item())


def test_healthy_computations_pass_unchanged(rng):
    W, X = lo.Parameter(rng.standard_normal((3, 2))), rng.standard_normal((4, 3))

    def loss():
        return lo.losses.cross_entropy((X @ W).relu(), [0, 1, 1, 0]) + 0.1 * lo.losses.l2(W)

    plain = lo.grad(loss(), W)
    with lo.anomaly():
        watched = loss()
        watched.backward()
        second = lo.grad(lo.grad(loss(), W, create_graph=True).sum(), W)
    np.testing.assert_array_equal(W.grad, plain)
    assert np.isfinite(second).all()


def test_a_gradient_that_is_not_finite_is_named_with_the_line_of_the_forward_pass():
    w = lo.Parameter([4.0, 0.0], name="w")
    with lo.anomaly():
        y = np.sqrt(w).sum()  # the root of zero
        with pytest.raises(NonFiniteError) as caught:
            y.backward()
    text = str(caught.value)
    assert "gradient of sqrt by 'w'" in text
    assert "inf at (1,), where the input is 0.0" in text
    assert f"{HERE}:{line_of('the root of zero')}" in text
    assert w.grad is None


def test_a_graph_made_outside_is_watched_in_the_backward_pass():
    w = lo.Parameter(0.0)
    y = np.sqrt(w)
    with pytest.raises(NonFiniteError, match="gradient of sqrt"), lo.anomaly():
        y.backward()


def test_the_untaken_branch_of_where_is_named_with_the_cure():
    """log's value at 0 is discarded by where, but its gradient is 0 · inf = nan."""
    x = lo.Parameter([2.0, 0.0])
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.where(x.data > 0, np.log(x), 0.0).sum()
    with (
        pytest.raises(NonFiniteError, match=r"gradient of log.*choose a safe input with np\.where before"),
        lo.anomaly(),
    ):
        y.backward()


def test_the_untaken_branch_is_named_with_the_cure_in_the_forward_pass():
    x = lo.Parameter([2.0, 0.0])
    with (
        pytest.raises(NonFiniteError, match=r"^log: input 0\.0 at \(1,\)[^$]*np\.where before"),
        lo.anomaly(),
    ):
        np.where(x.data > 0, np.log(x), 0.0)


def test_the_cure_cures():
    x = lo.Parameter([2.0, 0.0])
    with lo.anomaly():
        safe = np.where(x.data > 0, x, 1.0)
        np.where(x.data > 0, np.log(safe), 0.0).sum().backward()
    assert x.grad.tolist() == [0.5, 0.0]


def test_relu_of_nan_is_nan_and_its_origin_is_named():
    w = lo.Parameter([1.0, -1.0])
    with np.errstate(invalid="ignore"):
        assert np.isnan(np.sqrt(w).relu().data[1])
    with pytest.raises(NonFiniteError, match=r"^sqrt"), lo.anomaly():
        np.sqrt(w).relu()


def test_a_single_element_written_between_the_passes_is_found():
    W = lo.Parameter([[1.0, 2.0], [3.0, 4.0]], name="W")
    with lo.anomaly():
        loss = (W * W).sum()
        W.data[0, 1] = 7.0
        with pytest.raises(MutationError, match=rf"'W' of multiply was changed.*{HERE}:\d+"):
            loss.backward()


def test_a_numpy_constant_written_between_the_passes_is_found():
    W, x = lo.Parameter([1.0, 2.0]), np.array([3.0, 4.0])
    with lo.anomaly():
        loss = (W * x).sum()
        x[0] = 0.0
        with pytest.raises(MutationError, match="input 1 of multiply was changed"):
            loss.backward()


def test_a_data_tensor_written_between_the_passes_is_found():
    W, x = lo.Parameter([1.0, 2.0]), lo.Tensor([3.0, 4.0], name="x")
    with lo.anomaly():
        loss = (W * x).sum()
        x.data[0] = 0.0
        with pytest.raises(MutationError, match="'x' of multiply was changed"):
            loss.backward()


def test_labels_written_between_the_passes_are_found():
    s, labels = lo.Parameter([[1.0, 2.0], [3.0, 4.0]]), np.array([0, 1])
    with lo.anomaly():
        loss = lo.losses.cross_entropy(s, labels)
        labels[0] = 1
        with pytest.raises(MutationError, match="changed"):
            loss.backward()


@pytest.mark.parametrize("index", [lambda i: i, lambda i: (i, slice(None))], ids=["alone", "in a tuple"])
def test_an_index_written_between_the_passes_is_found(index):
    w, places = lo.Parameter(np.ones((3, 2))), np.array([0, 1])
    with lo.anomaly():
        loss = w[index(places)].sum()
        places[0] = 2
        with pytest.raises(MutationError, match="changed"):
            loss.backward()


def test_an_output_cannot_be_written_into():
    """exp's rule uses its output: .data is closed for writing, and detach() hands out a copy."""
    w = lo.Parameter([1.0, 2.0])
    with lo.anomaly():
        y = np.exp(w)
        with pytest.raises(ValueError, match="read-only"):
            y.data[0] = 0.0
        y.detach().data[0] = 0.0
        y.sum().backward()
    np.testing.assert_array_equal(w.grad, np.exp([1.0, 2.0]))


def test_a_constant_says_where_it_was_made():
    x = lo.Tensor([1.0])
    with lo.anomaly():
        y = (x * 2.0).sum()
        line = inspect.currentframe().f_lineno - 1
    with pytest.raises(GraphError, match=rf"it was made at .*{HERE}:{line}"):
        y.backward()


def test_only_this_thread_is_watched():
    found = []

    def other():
        with np.errstate(all="ignore"):
            found.append(lo.Parameter(0.0).log().item())

    with lo.anomaly():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert found == [-np.inf]
