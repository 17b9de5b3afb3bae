"""The score tables are those of the slides."""

import numpy as np
import pytest

from tinygrad_lo.data import lectures

TABLES = {name: t for name, t in vars(lectures).items() if isinstance(t, lectures.ScoreTable)}


def test_all_five_tables_are_here():
    assert set(TABLES) == {
        "car_boat_tree_first", "car_boat_tree", "cat_car_frog", "softmax_against_svm", "ten_classes",
    }  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_images_and_columns_are_classes(name):
    t = TABLES[name]
    assert t.scores.shape == (len(t.labels), len(t.classes))
    assert t.scores.dtype == np.float64
    assert t.labels.dtype.kind == "i"
    assert 0 <= t.labels.min() <= t.labels.max() < len(t.classes)
    assert t.source.startswith("lecture 00")


@pytest.mark.parametrize("name", TABLES)
def test_tables_cannot_be_written_into(name):
    t = TABLES[name]
    with pytest.raises(ValueError, match="read-only"):
        t.scores[0, 0] = 0.0
    with pytest.raises(ValueError, match="read-only"):
        t.labels[0] = 0
    with pytest.raises(AttributeError):
        t.scores = None


def test_the_running_example():
    t = lectures.cat_car_frog
    assert t.classes == ("cat", "car", "frog")
    assert t.scores.tolist() == [[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]]
    assert t.labels.tolist() == [0, 1, 2]


def test_the_ten_classes():
    t = lectures.ten_classes
    assert [t.classes[y] for y in t.labels] == ["cat", "automobile", "frog"]
    scores = {(t.classes[j], i): t.scores[i, j] for i in range(3) for j in range(10)}
    assert scores["cat", 0] == 2.9
    assert scores["dog", 0] == 8.02
    assert scores["automobile", 1] == 6.04
    assert scores["frog", 2] == -4.34
    assert scores["truck", 2] == 6.14
