"""A loss of lecture 2 to draw, and each Graphviz that is here to draw it with."""

import shutil

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.drawing import render
from tinygrad_lo.engine.ops import TABLE
from tinygrad_lo.engine.ops.elementwise import relu
from tinygrad_lo.engine.ops.indexing import pick


@pytest.fixture
def svm():
    """The multiclass hinge loss of the slides' three pictures, plus 0.1 ΣW²."""
    X = lo.Tensor([[0.2, 4.7, 3], [5.6, -6.3, -4.3], [-2.8, 8.1, 5]], name="X")
    W = lo.Parameter([[1.0, 2, 0], [0, 1, -1], [1, 0, 1]], name="W")
    with lo.scope("scores"):
        S = (X @ W).named("S")
    with lo.scope("data loss"):
        s_y = pick(S, np.array([0, 1, 2])).named("s_y")
        h = relu((S - s_y).named("d") + 1.0).named("h")
        margins = (h * lo.Tensor(1 - np.eye(3), name="j≠y")).named("margins")
        data_loss = (margins.sum() / 3.0).named("data_loss")
    with lo.scope("regularization"):
        reg = ((W * W).sum() * 0.1).named("reg")
    return (data_loss + reg).named("loss")


@pytest.fixture(params=["dot", "pygraphviz"])
def backend(request, monkeypatch):
    """Render by this backend and no other."""
    if request.param == "dot":
        monkeypatch.delenv(render.VARIABLE, raising=False)
        if shutil.which("dot") is None:
            pytest.skip("no dot on the PATH")
        monkeypatch.setattr(render, "has_pygraphviz", lambda: False)
    else:
        pytest.importorskip("pygraphviz", minversion="2")
        monkeypatch.setenv(render.VARIABLE, "none")
    return request.param


@pytest.fixture
def no_backend(monkeypatch):
    """A machine without Graphviz."""
    monkeypatch.setenv(render.VARIABLE, "none")
    monkeypatch.setattr(render, "has_pygraphviz", lambda: False)


@pytest.fixture
def define():
    """Ops of a test's own, which leave the table with it."""
    made = []

    def enter(name, *args, **options):
        made.append(name)
        return lo.define_op(name, *args, **options)

    yield enter
    for name in made:
        TABLE.pop(name, None)
