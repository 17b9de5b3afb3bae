"""What lo.fit warns of: each planted fault is named, and a sound setup is left in peace."""

import functools
import math
import re

import numpy as np
import pytest

import tinygrad_lo as lo

X, y = lo.data.blobs(320, classes=4, rng=0)
CE = lo.losses.cross_entropy


class Net(lo.nn.Module):
    """Two layers, and perhaps one that forward leaves out."""

    def __init__(self, *, spare=False):
        rng = np.random.default_rng(0)
        self.first, self.last = lo.nn.Linear(2, 8, rng=rng), lo.nn.Linear(8, 4, rng=rng)
        if spare:
            self.spare = lo.nn.Linear(3, 3, rng=rng)

    def forward(self, x):
        return self.last(lo.nn.relu(self.first(x)))


def warned(model, loss=CE, data=(X, y), *, optimizer=None, **options):
    """What fit warns of, and what the history keeps of that."""
    optimizer = lo.optim.SGD(model, lr=0.05) if optimizer is None else optimizer
    with pytest.warns(UserWarning, match="fit: ") as caught:
        history = lo.fit(
            model, loss, data, optimizer=optimizer, epochs=2, batch_size=16, progress=False, rng=0, **options
        )
    texts = [str(warning.message).removeprefix("fit: ") for warning in caught]
    assert texts == history.warnings
    assert all(warning.filename == __file__ for warning in caught)
    return texts


def test_a_sound_setup_is_left_in_peace():
    for compiled in (False, "auto"):
        model = Net()
        history = lo.fit(
            model, CE, (X[:200], y[:200]), optimizer=lo.optim.SGD(model, lr=0.05), epochs=2, batch_size=16,
            compiled=compiled, validation=(X[200:], y[200:]), progress=False,
        )  # fmt: skip
        assert history.warnings == []


def test_a_parameter_that_the_loss_never_reaches():
    texts = warned(Net(spare=True))
    assert len(texts) == 2
    assert texts[0].startswith("the loss does not depend on 'spare.weight', which SGD holds")


def test_a_group_that_was_forgotten():
    model = Net()
    texts = warned(model, optimizer=lo.optim.SGD(model.last, lr=0.05))
    assert [re.search(r"holds '(.*?)'", text)[1] for text in texts] == ["first.weight", "first.bias"]


def test_a_parameter_of_a_function_that_no_group_holds():
    W, b = lo.Parameter(np.zeros((2, 4)), name="W"), lo.Parameter(np.zeros(4), name="b")
    (text,) = warned(lambda X: X @ W + b, optimizer=lo.optim.SGD([W], lr=0.05))
    assert "no group of SGD holds 'b'" in text


def test_a_frozen_parameter_is_no_mistake():
    model = Net()
    for p in model.first.parameters():
        p.requires_grad = False
    history = lo.fit(model, CE, (X, y), optimizer=lo.optim.SGD(model, lr=0.05), epochs=1, progress=False)
    assert history.warnings == []


@pytest.mark.parametrize("dead", [False, True])
def test_dead_relus_are_told_by_share_and_layer(dead):
    model = Net()
    model.first.bias.data = [-1e3] * (7 if dead else 2) + [0.0] * (1 if dead else 6)
    if dead:
        (text,) = warned(model)
        assert text.startswith("88% of the relus of the layer of 'first.weight' are 0")
    else:
        history = lo.fit(model, CE, (X, y), optimizer=lo.optim.SGD(model, lr=0.05), epochs=1, progress=False)
        assert history.warnings == []


def test_relus_that_die_in_training():
    model = Net()
    texts = warned(model, optimizer=lo.optim.SGD(model, lr=40.0))
    assert any("88% of the relus of the layer of 'first.weight'" in text for text in texts)


def test_relus_of_a_convolution_are_counted_by_channel():
    weight = lo.Parameter(np.ones((3, 1, 2, 2)), name="filters")
    bias = lo.Parameter([1.0, -99.0, -99.0], name="b")
    images, labels = np.random.default_rng(0).random((40, 1, 4, 4)), np.arange(40) % 3

    def model(x):
        return lo.nn.relu(lo.nn.conv2d(x, weight, bias)).mean(axis=(2, 3)) * 0.01

    texts = warned(model, data=(images, labels), optimizer=lo.optim.SGD([weight, bias], lr=1e-3))
    assert texts[0].startswith("67% of the relus of the layer of 'filters'")


@pytest.mark.parametrize(
    ("loss", "nothing"), [(CE, math.log(4)), (lo.losses.multiclass_hinge, 3.0)], ids=["ln C", "C - 1"]
)
def test_a_first_loss_far_above_no_knowledge(loss, nothing):
    model = Net()
    model.last.weight.data = model.last.weight.data * 30.0
    texts = warned(model, functools.partial(loss))
    assert f"but {nothing:.4g} where all scores are 0" in texts[0]
    assert float(re.search(r"the first loss is ([\d.]+)", texts[0])[1]) > 3 * nothing


def test_steps_of_an_unusual_size():
    model = Net()
    texts = warned(model, optimizer=lo.optim.SGD(model, lr=1e-9))
    assert texts[0].endswith("about 1e-3 is usual: raise the learning rate")


def test_a_validation_row_that_was_trained_on():
    fresh = lo.data.blobs(40, classes=4, rng=1)
    leaked = (np.concatenate([fresh[0], X[5:6]]), np.append(fresh[1], y[5]))
    (text,) = warned(Net(), validation=leaked)
    assert (
        "1 of 41 validation rows are also in the training data (validation row 40 is training row 5)" in text
    )


def test_rows_that_repeat_anyway_are_no_leak():
    model = Net()
    grid = np.round(X)  # few different rows
    history = lo.fit(
        model, CE, (grid[:200], y[:200]), optimizer=lo.optim.SGD(model, lr=0.05), epochs=1,
        validation=(grid[200:], y[200:]), progress=False,
    )  # fmt: skip
    assert history.warnings == []


def test_data_that_are_not_finite():
    rows = X.copy()
    rows[[5, 9], 1] = np.nan
    with (
        pytest.warns(UserWarning, match="2 rows of X hold nan or inf, the first is row 5"),
        pytest.raises(lo.errors.NonFiniteError),
    ):
        lo.fit(model := Net(), CE, (rows, y), optimizer=lo.optim.SGD(model, lr=0.1), epochs=1, progress=False)


def test_a_loss_that_grows():
    model = lo.nn.Linear(2, 1, rng=0)
    target = X @ [[1.0], [2.0]]
    with pytest.warns(UserWarning, match="fit: the loss grew from .* lower the learning rate"):
        lo.fit(
            model, lo.losses.mse, (X, target), optimizer=lo.optim.SGD(model, lr=3.0), epochs=9,
            batch_size=None, progress=False,
        )  # fmt: skip
