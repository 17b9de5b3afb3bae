"""lo.fit on arrays of other libraries: Dask's stay lazy until one compute a step."""

import numpy as np
import pytest
from strict_array import StrictArray

import tinygrad_lo as lo

ROWS, BATCH, EPOCHS = 60, 15, 5
dask = pytest.importorskip("dask", reason="needs the extra 'dask'")
da = pytest.importorskip("dask.array", reason="needs the extra 'dask'")


class Counting:
    """A Dask scheduler that counts how often it is asked."""

    def __init__(self):
        self.times = 0

    def __call__(self, *args, **options):
        self.times += 1
        return dask.get(*args, **options)


@pytest.fixture
def counting():
    scheduler = Counting()
    with dask.config.set(scheduler=scheduler):
        yield scheduler


def chunked(x):
    return da.from_array(x, chunks=(20, *x.shape[1:]))


def strict_in(net):
    for p in net.parameters():
        p.data = StrictArray(p.data)


def numbers(rng, loss):
    X = rng.standard_normal((ROWS, 4))
    return X, rng.integers(0, 3, ROWS) if loss == "cross_entropy" else rng.standard_normal((ROWS, 3))


def fitted(loss, wrap, data, move=lambda net: None, **options):
    lo.seed(1)
    net = lo.nn.Sequential(lo.nn.Linear(4, 6), lo.nn.Tanh(), lo.nn.Linear(6, 3))
    move(net)
    optimizer = lo.optim.Adam(net, lr=0.003)
    history = lo.fit(
        net, getattr(lo.losses, loss), tuple(map(wrap, data)), optimizer=optimizer, epochs=EPOCHS, rng=7,
        clip_norm=0.05, penalty=lambda: 0.01 * lo.losses.l2(list(net.parameters())), progress=False,
        schedule=(lo.optim.StepLR(optimizer, every=4, factor=0.9), "step"), **options,
    )  # fmt: skip
    return [p.data for p in net.parameters()], history


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize("size", [BATCH, None])
def test_dask_is_one_compute_a_step_and_equals_numpy(loss, size, rng, counting):
    data = numbers(rng, loss)
    weights, history = fitted(loss, chunked, data, batch_size=size)
    assert counting.times == EPOCHS * (1 if size is None else ROWS // BATCH)
    expected, eager = fitted(loss, np.array, data, batch_size=size)
    for ours, theirs in zip(weights, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    for figure in ("loss", "gradient norm", "update ratio"):
        np.testing.assert_allclose(history[figure], eager[figure], rtol=1e-10)


def test_what_an_epoch_measures_is_one_compute_each(rng, counting):
    data = numbers(rng, "cross_entropy")
    validation = tuple(map(chunked, data))
    _, history = fitted("cross_entropy", chunked, data, batch_size=None, validation=validation)
    assert counting.times == EPOCHS * 2
    counting.times = 0
    measured = {"metrics": {"accuracy": lo.training.accuracy}, "validation": validation}
    _, measured = fitted("cross_entropy", chunked, data, batch_size=None, **measured)
    assert counting.times == EPOCHS * 3
    assert measured["validation loss"] == history["validation loss"]
    assert measured["accuracy"] == measured["validation accuracy"]


def test_data_that_no_one_could_hold_is_only_looked_at_in_blocks(counting):
    most = []

    def block(block_id):
        most.append(1)
        return np.full((10, 4), float(block_id[0] % 3))

    X = da.map_blocks(block, chunks=((10,) * 12, (4,)), meta=np.empty((0, 4)))
    net = lo.nn.Linear(4, 3)
    opt = lo.optim.SGD(net, lr=0.001)
    lo.fit(net, lo.losses.mse, (X, da.zeros((120, 3), chunks=(10, 3))), optimizer=opt, epochs=2,
           batch_size=None, progress=False)  # fmt: skip
    assert counting.times == 2
    assert len(most) == 24  # each block once a step, none for a first look


@pytest.mark.parametrize("wrong", [3, -1])
def test_a_wrong_lazy_label_is_met_when_it_is_computed(wrong, rng, counting):
    X, y = numbers(rng, "cross_entropy")
    y[47] = wrong
    net = lo.nn.Linear(4, 3)
    before = [p.data for p in net.parameters()]
    with pytest.raises(lo.errors.LabelError, match=f"label {wrong} at row 7; allowed") as caught:
        lo.fit(net, lo.losses.cross_entropy, (chunked(X), chunked(y)), optimizer=lo.optim.SGD(net, lr=0.1),
               epochs=1, batch_size=None, progress=False)  # fmt: skip
    assert "(row 0 is row 40 of the whole lazy array)" in caught.value.__notes__
    assert counting.times == 1
    assert all(p.data is w for p, w in zip(net.parameters(), before, strict=True))


@pytest.mark.parametrize("sums", [1.0, 0.5])
def test_lazy_distributions_are_checked_along_whole_rows(sums, rng, counting):
    q = da.from_array(np.tile([0.25 * sums, 0.25 * sums, 0.5 * sums], (8, 1)), chunks=(4, 1))
    loss = lo.losses.cross_entropy(lo.Parameter(rng.standard_normal((8, 3))), q)
    assert counting.times == 0
    if sums == 1.0:
        assert np.isfinite(loss.data.compute())
    else:
        with pytest.raises(lo.errors.DomainError, match=r"row 0 sums to 0\.5"):
            loss.data.compute()


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_a_library_that_converts_nothing_trains_like_numpy(loss, rng):
    data = numbers(rng, loss)
    metrics = {"metrics": {"accuracy": lo.training.accuracy}} if loss == "cross_entropy" else {}
    fresh = data[0] + 1.0, data[1]
    strict = tuple(map(StrictArray, fresh))
    weights, history = fitted(
        loss, StrictArray, data, strict_in, batch_size=BATCH, validation=strict, **metrics
    )
    expected, eager = fitted(
        loss, np.array, data, batch_size=BATCH, validation=fresh, compiled=False, **metrics
    )
    for ours, theirs in zip(weights, expected, strict=True):
        assert type(ours) is StrictArray
        np.testing.assert_allclose(ours.get(), theirs, rtol=1e-12, atol=1e-12)
    assert history["validation loss"] == pytest.approx(eager["validation loss"], rel=1e-12)
    assert "strict_array arrays" in history.compiled
