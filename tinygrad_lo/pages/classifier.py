"""The page of lecture 002's demo: a linear classifier of points in the plane, every number live.

Losses and gradients are the library's own: each loss of one point is recorded and printed as JavaScript.
The page sums over the points, adds λR(W), and takes the steps.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lo.data import lectures
from tinygrad_lo.data.toy import blobs
from tinygrad_lo.drawing.document import json_text, page_text, part, stylesheet
from tinygrad_lo.engine.naming import named
from tinygrad_lo.engine.tensor import Parameter
from tinygrad_lo.explaining.javascript import javascript
from tinygrad_lo.explaining.source import Source
from tinygrad_lo.losses.binary import binary_cross_entropy_with_logits
from tinygrad_lo.losses.classification import cross_entropy, multiclass_hinge
from tinygrad_lo.losses.regularizers import l1, l2
from tinygrad_lo.pages.graph import Graph, graph

CLASSES = 3
DELTAS = (0.5, 1.0, 2.0)
# In the order in which they are loaded.
SCRIPTS = "numbers state model history plane equation graph table share lesson question main"
INPUTS = ("x", "y", "W", "b", "s")  # of the programs; all else in them stays as it was recorded


@dataclass(frozen=True)
class Offer:
    """A loss that the page offers."""

    title: str
    function: Callable[..., Any]
    formula: str  # of one point, with Δ for the margin
    options: dict[str, Any] = field(default_factory=dict)
    has_margin: bool = False
    one_hot: bool = False  # whether the target is a 0 or 1 for each class

    def of(self, scores: Any, y: Any, margin: float | None) -> Any:
        """The loss of the scores (3,) of one point of class y."""
        target = named(np.where(y[..., None] == np.arange(CLASSES), 1.0, 0.0), "j=y") if self.one_hot else y
        options = self.options if margin is None else self.options | {"margin": margin}
        return self.function(scores, target, **options | {"reduction": "sum"})

    @property
    def margins(self) -> tuple[float | None, ...]:
        """The margins that programs are printed for."""
        return DELTAS if self.has_margin else (None,)

    @property
    def python(self) -> str:
        """The call as a script writes it; {margin} stands for Δ."""
        options = {name: repr(value) for name, value in self.options.items()}
        options |= {"margin": "{margin}"} if self.has_margin else {}
        target = f"np.where(y[:, None] == np.arange({CLASSES}), 1.0, 0.0)" if self.one_hot else "y"
        words = ", ".join(["S", target, *(f"{name}={value}" for name, value in options.items())])
        return f"lo.losses.{self.function.__name__}({words})"


LOSSES = {
    "svm": Offer("SVM", multiclass_hinge, "Σⱼ≠y max(0, sⱼ − s_y + Δ)", has_margin=True),
    "squared": Offer(
        "Squared hinge", multiclass_hinge, "Σⱼ≠y max(0, sⱼ − s_y + Δ)²", {"power": 2}, has_margin=True
    ),
    "worst": Offer(
        "Worst class", multiclass_hinge, "maxⱼ≠y max(0, sⱼ − s_y + Δ)", {"combine": "max"}, has_margin=True
    ),
    "cross_entropy": Offer("Softmax", cross_entropy, "−log (e^s_y / Σⱼ e^sⱼ)"),
    "rest": Offer(
        "One vs rest", binary_cross_entropy_with_logits, "−log σ(s_y) − Σⱼ≠y log(1 − σ(sⱼ))",
        {"reduction": "batchmean"}, one_hot=True,
    ),
}  # fmt: skip
REGULARIZERS = {"l2": (l2, "Σ W²"), "l1": (l1, "Σ |W|")}


@functools.cache
def classifier() -> str:
    """The page, as one file that needs no network."""
    scripts = (part(f"pages/classifier/{name}.js") for name in SCRIPTS.split())
    parts = {
        "style": css_of("pages/classifier.css"),
        "script": "\n".join(['"use strict";', programs(), part("drawing/elements.js"), *scripts]),
        "data": json_text(data()),
    }
    return page_text(part("pages/classifier.html"), parts)


def css_of(name: str) -> str:
    """The colours, what all pages of this room look like, and what this one does."""
    return "\n".join([stylesheet(), part("pages/base.css"), part(name)])


def data() -> dict[str, Any]:
    """What the script must know beside the programs."""
    losses = {
        key: {
            "title": offer.title, "formula": offer.formula, "python": offer.python,
            "graphs": [graph_of(key, margin).rows for margin in offer.margins], "margin": offer.has_margin,
        }
        for key, offer in LOSSES.items()
    }  # fmt: skip
    regularizers = {key: formula for key, (_, formula) in REGULARIZERS.items()}
    tables = {"slide": lectures.cat_car_frog.scores.tolist()}
    more = {"margins": DELTAS, "datasets": datasets(), "tables": tables}
    return {"losses": losses, "regularizers": regularizers} | more


# ------------------------------------------------------------------------------------- programs


def programs() -> str:
    """Every program by loss and margin: each in a scope of its own, and once what they call."""
    helpers: dict[str, None] = {}
    entries = []
    for key, (penalty, _) in REGULARIZERS.items():
        W = Parameter(np.ones((CLASSES, 2)), name="W")
        text = javascript(functools.partial(penalty, W))
        entries.append(in_own_scope(f"PENALTY.{key}", text, called_by_name(text), helpers))
    for key, offer in LOSSES.items():
        for margin in offer.margins:
            name = json.dumps(key if margin is None else f"{key},{margin:g}")
            point, inner = point_program(offer, margin), graph_of(key, margin).program
            entries.append(in_own_scope(f"POINT[{name}]", point, called_by_name(point), helpers))
            entries.append(in_own_scope(f"GRAPH[{name}]", inner, called_by_place(inner), helpers))
    tables = "{POINT, GRAPH, PENALTY}"
    about = "// Printed by tinygrad_lo from the recorded programs of one point."
    begin = f"const {tables} = (() => {{\nconst POINT = {{}}, GRAPH = {{}}, PENALTY = {{}};"
    return "\n".join([about, begin, *helpers, *entries, f"return {tables};\n}})();"])


def in_own_scope(name: str, text: Source, call: str, helpers: dict[str, None]) -> str:
    """A program where no other name can meet its own; the functions that it needs go to the helpers."""
    start = re.search(r"^(const |function loss_and_gradients)", text, re.MULTILINE)
    assert start is not None
    helpers.update(dict.fromkeys(re.split(r"\n\n(?=//|function )", text[: start.start()].strip())))
    return f"{name} = (() => {{\n{text[start.start() :]}return {call};\n}})();"


def called_by_name(text: Source) -> str:
    """A call of a program that takes its arguments by name; those that the page does not have are fixed."""
    fixed = {key: np.asarray(value).tolist() for key, value in text.arguments.items() if key not in INPUTS}
    return f"inputs => loss_and_gradients({{...{json.dumps(fixed)}, ...inputs}})"


def called_by_place(text: Source) -> str:
    """The same of one that takes arrays of its runtime, and returns a list of them."""
    arrays = {key: np.asarray(value) for key, value in text.arguments.items()}
    texts = {key: key if key in INPUTS else json.dumps(array.tolist()) for key, array in arrays.items()}
    reads = [f"read({texts[key]}, {json.dumps(key)}, {list(array.shape)})" for key, array in arrays.items()]
    return f"({{y, s}}) => loss_and_gradients({', '.join(reads)}).map(x => nested(x))"


@functools.cache
def graph_of(key: str, margin: float | None) -> Graph:
    """The graph of a loss, from the scores of one point on."""
    return graph(functools.partial(LOSSES[key].of, margin=margin), np.arange(float(CLASSES)))


def point_program(offer: Offer, margin: float | None) -> Source:
    """The loss of one point, with its gradients by W, b and the point."""
    W = Parameter(np.eye(CLASSES, 2), name="W")
    b = Parameter(np.arange(float(CLASSES)), name="b")
    x = Parameter(np.array([0.5, -0.5]), name="x")

    def loss(y: Any) -> Any:
        return offer.of((W @ x + b).named("s"), y, margin)

    return javascript(loss, np.array(0))


# --------------------------------------------------------------------------------------- datasets


def datasets() -> dict[str, dict[str, Any]]:
    """Points to begin with: [x₁, x₂, class], and what the classes are called."""
    table = lectures.cat_car_frog
    corners = [[0.0, 0.0, 0], [1.0, 0.0, 1], [0.0, 1.0, 2]]
    return {
        "blobs": {"title": "three blobs", "points": list(scattered(20, 0.25))},
        "overlap": {"title": "overlapping", "points": list(scattered(60, 0.42))},
        "ring": {"title": "rings, not linear", "points": list(ringed(60))},
        "slide": {"title": "the slide's three images", "points": corners, "names": table.classes},
    }


def scattered(count: int, spread: float) -> Iterator[list[float]]:
    """Blobs around three centres, a class each."""
    X, y = blobs(count, classes=CLASSES, spread=spread, rng=np.random.default_rng(3))
    for (a, b), label in zip(np.asarray(X), np.asarray(y), strict=True):
        yield [round(float(a), 2), round(float(b), 2), int(label)]


def ringed(count: int) -> Iterator[list[float]]:
    """Rings around each other: no line parts them."""
    rng = np.random.default_rng(4)
    for k in range(count):
        label, angle = k % CLASSES, rng.uniform(0, 2 * np.pi)
        radius = (0.25, 0.9, 1.6)[label] + 0.08 * rng.normal()
        yield [round(float(radius * np.cos(angle)), 2), round(float(radius * np.sin(angle)), 2), label]
