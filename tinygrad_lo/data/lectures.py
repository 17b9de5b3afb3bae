"""The score tables of the slides: one image a row, one class a column, as losses take them.

Example:
    >>> import tinygrad_lo as lo
    >>> table = lo.data.lectures.cat_car_frog
    >>> lo.losses.multiclass_hinge(table.scores, table.labels, reduction="none").round(1)
    array([ 2.9,  0. , 12.9])
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """Scores of some images, the labels of the images, and what the classes are called."""

    scores: ndarray[tuple[int, int], np.dtype[np.float64]]
    labels: ndarray[tuple[int], np.dtype[np.int64]]
    classes: tuple[str, ...]
    source: str


def printed(source: str, classes: str, columns: list[list[float]], labels: list[int]) -> ScoreTable:
    """A table as it is printed on the slide (a class a row), turned, and closed for writing."""
    scores = np.array(columns).T.copy()
    marks = np.array(labels)
    scores.flags.writeable = marks.flags.writeable = False
    return ScoreTable(scores, marks, tuple(classes.split()), source)


car_boat_tree_first = printed(
    "lecture 000, the first table; the losses 0.3, 1.8, 0 printed under it belong to the other one",
    "car boat tree",
    [[4.1, 1.2, -0.1], [2.1, 1.3, -2.2], [-0.5, 1.5, 3.1]],
    [0, 1, 2],
)

car_boat_tree = printed(
    "lecture 000, the table of the worked hinge losses 0.3, 1.8, 0",
    "car boat tree",
    [[2.1, 2.1, -0.5], [1.4, 1.3, 1.5], [-0.1, -2.2, 3.1]],
    [0, 1, 2],
)

cat_car_frog = printed(
    "lecture 002, the running example; hinge losses 2.9, 0, 12.9",
    "cat car frog",
    [[3.2, 1.3, 2.2], [5.1, 4.9, 2.5], [-1.7, 2.0, -3.1]],
    [0, 1, 2],
)

softmax_against_svm = printed(
    "lecture 002, the three score vectors that the hinge loss cannot tell apart",
    "a b c",
    [[10.0, 10.0, 10.0], [-2.0, 9.0, -100.0], [3.0, 9.0, -100.0]],
    [0, 0, 0],
)

ten_classes = printed(
    "lecture 002, three images and ten classes: a cat, a car and a frog",
    "airplane automobile bird cat deer dog frog horse ship truck",
    [
        [-3.45, -0.51, 3.42],
        [-8.87, 6.04, 4.64],
        [0.09, 5.31, 2.65],
        [2.9, -4.22, 5.1],
        [4.48, -4.19, 2.64],
        [8.02, 3.58, 5.55],
        [3.78, 4.49, -4.34],
        [1.06, -4.37, -1.5],
        [-0.36, -2.09, -4.79],
        [-0.72, -2.93, 6.14],
    ],
    [3, 1, 6],
)
