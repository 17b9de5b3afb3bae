"""The history as a table, a file and a picture; accuracy; metrics of scikit-learn."""

import csv

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.training.metrics import measure_of

X, y = lo.data.two_moons(60, noise=0.1, rng=0)


def run(epochs=3, **options):
    model = lo.nn.Linear(2, 2, rng=0)
    return lo.fit(
        model, lo.losses.cross_entropy, (X, y), optimizer=lo.optim.Adam(model, lr=0.05), epochs=epochs,
        metrics={"accuracy": lo.training.accuracy}, progress=False, rng=0, **options,
    )  # fmt: skip


def test_a_table_with_a_row_for_each_epoch_or_the_first_and_last():
    lines = str(run(3)).splitlines()
    assert lines[0].split("  ")[0] == "epoch"
    assert [line.split()[0] for line in lines] == ["epoch", "1", "2", "3"]
    assert [line.split()[0] for line in str(run(30)).splitlines()] == [
        "epoch", "1", "2", "3", "4", "5", "6", "…", "25", "26", "27", "28", "29", "30",
    ]  # fmt: skip
    assert len({len(line) for line in lines}) == 1


def test_a_file_holds_every_figure_to_the_last_digit(tmp_path):
    history = run(4)
    path = history.save(tmp_path / "run.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert [float(row["loss"]) for row in rows] == history["loss"]
    assert {*rows[0]} == {"epoch", *history.columns}


def test_a_picture_has_a_panel_for_each_figure(tmp_path):
    pytest.importorskip("matplotlib")
    history = run(validation=lo.data.two_moons(20, rng=1))
    panels = {axes.get_title(): axes for axes in history.plot().axes}
    assert [*panels] == ["loss", "accuracy", "learning rate", "gradient norm", "update ratio"]
    training, validation = panels["loss"].lines
    assert list(training.get_ydata()) == history["loss"]
    assert list(validation.get_ydata()) == history["validation loss"]
    path = history.plot(tmp_path / "run.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_figure_that_is_not_there():
    with pytest.raises(lo.errors.OptionError, match="did you mean 'accuracy'"):
        run(1)["acuracy"]


@pytest.mark.parametrize(
    ("scores", "labels", "share"),
    [
        ([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]], [1, 1, 1], 2 / 3),
        ([2.0, -1.0, 3.0, -0.5], [1, 0, 0, 1], 0.5),
        ([2.0, -1.0, 3.0, -0.5], [1, -1, 1, 1], 0.75),
        ([[2.0], [-1.0]], [1, 1], 0.5),
        ([[2.0], [-1.0]], [[1], [0]], 1.0),
        ([1.0, 2.0], [True, False], 0.5),
    ],
)
def test_accuracy(scores, labels, share):
    assert lo.training.accuracy(scores, labels) == pytest.approx(share)
    assert lo.training.accuracy(lo.Tensor(scores), np.array(labels)) == pytest.approx(share)


def test_accuracy_asks_about_probabilities():
    with pytest.warns(UserWarning, match="threshold=0.5"):
        assert lo.training.accuracy([0.1, 0.9], [0, 1]) == 0.5
    assert lo.training.accuracy([0.1, 0.9], [0, 1], threshold=0.5) == 1.0


def test_accuracy_refuses_what_it_cannot_compare():
    with pytest.raises(lo.errors.ShapeError, match=r"labels of shape \(2,\), got \(3,\)"):
        lo.training.accuracy([[1.0, 2.0], [3.0, 4.0]], [0, 1, 1])
    with pytest.raises(lo.errors.OptionError, match="whole numbers"):
        lo.training.accuracy([[1.0, 2.0]], [0.5])


def test_metrics_of_scikit_learn_as_they_are():
    metrics = pytest.importorskip("sklearn.metrics")
    scores, labels = np.array([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]]), np.array([1, 1, 1])
    assert measure_of("m", metrics.accuracy_score, scores, labels) == pytest.approx(2 / 3)
    assert measure_of("m", metrics.recall_score, np.array([2.0, -1.0]), np.array([1, 0])) == 1.0
    assert measure_of("m", metrics.accuracy_score, np.array([2.5, -1.5]), np.array([1, -1])) == 1.0
    assert measure_of("m", metrics.r2_score, np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0])) == 0.5
    assert measure_of("m", metrics.roc_auc_score, np.array([0.2, 3.0, 1.0]), np.array([0, 1, 1])) == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": -1}, "patience must be an int >= 0"),
        ({"mode": "up"}, "mode must be 'min' or 'max'"),
        ({"minimum_change": -1.0}, "minimum_change"),
        ({"figure": "accuracy"}, "is a larger 'accuracy' better"),
    ],
)
def test_an_early_stop_refuses(options, message):
    with pytest.raises(lo.errors.OptionError, match=message):
        lo.training.EarlyStop(**{"figure": "loss"} | options)


def test_an_early_stop_waits_for_a_change_that_counts():
    stop = lo.training.EarlyStop("loss", patience=1, minimum_change=0.1)
    history = lo.training.History(["loss", "seconds"])
    better = []
    for loss in (1.0, 0.95, 0.85, 0.8, 0.7):
        history.add({"loss": loss, "seconds": 0.0})
        better.append(stop.is_better(history))
    assert better == [True, False, True, False, True]
    assert (stop.best, stop.best_epoch, stop.bad) == (0.7, 5, 0)
