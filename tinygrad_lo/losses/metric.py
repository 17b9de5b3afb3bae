"""Losses of distances: embeddings of one class close together, of two classes far apart."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.machine.arguments import foreign, shape_of
from tinygrad_lo.engine.machine.hooks import check, leave
from tinygrad_lo.engine.naming import named
from tinygrad_lo.engine.ops.arithmetic import equal, square
from tinygrad_lo.engine.ops.elementwise import HALF, floats, in_single, relu, where
from tinygrad_lo.engine.ops.losses import cosine, direction
from tinygrad_lo.engine.ops.reductions import norm
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.engine.ops.shapes import expand_dims
from tinygrad_lo.errors import (
    DTypeError,
    GraphError,
    IndexingError,
    LabelError,
    NonFiniteError,
    OptionError,
    ShapeError,
)
from tinygrad_lo.losses.loss import inputs_of, loss, require
from tinygrad_lo.options import choice, number, public

DISTANCES = ("squared", "euclidean")
MARGIN = functools.partial(number, at_least=0.0)
ROWS = inputs_of("a", "b", last="features")


def matrices(who: str, A: Any, B: Any) -> tuple[tuple[Any, ...], bool]:
    """Two lists of rows.

    Shapes:   A (n, d), B (m, d); result (n, m).
    Raises:   ShapeError: A or B is not a matrix, or their rows differ in length.
    """
    A, B = floats(who, A, B)
    for name, x in (("A", A), ("B", B)):
        if len(x.shape) != 2:
            raise ShapeError(f"{who}: {name} must be rows (n, d), got shape {x.shape}")
    if A.shape[1] != B.shape[1]:
        rows = f"rows of {A.shape[1]} and {B.shape[1]} numbers have no distance"
        raise ShapeError(f"{who}: A {A.shape} vs B {B.shape}; {rows}, give both one length")
    return (in_single(A), in_single(B)), A.dtype is HALF


def distance_of(who: str, name: str, distance: Any) -> Any:
    """'squared', 'euclidean' or a function of two inputs."""
    if callable(distance) or distance in DISTANCES:
        return distance
    known = "'squared', 'euclidean' or a function of two inputs"
    raise OptionError(f"{who}: distance must be {known}, got {distance!r}")


@loss(inputs_of("anchor", "positive", "negative", last="features"), margin=MARGIN, distance=distance_of)
def triplet(
    anchor: Any, positive: Any, negative: Any, *, margin: float = 1.0,
    distance: str | Callable[[Any, Any], Any] = "squared", weights: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """The ranking loss of three: the positive should be nearer to the anchor, by a margin.

    Anchor and positive show the same thing, the negative another. The distance is "squared" (the sum of
    squared differences), "euclidean" (its root), or a function of two (..., d) inputs that returns (...).

        L_i = max(0, d_p − d_n + α),  d_p = D(a_i, p_i),  d_n = D(a_i, n_i)

    Units:    the margin α has the unit of the distance: squared for distance="squared".
    At the edges: 0, with slope 0, where the margin is exactly met. The slope of the Euclidean distance
              between equal points is 0.
    Raises:   GraphError: a distance function leaves the graph.
    Source:   lecture 001 and FaceNet (Schroff et al. 2015, eq. 3): squared. Lecture 003 takes any D, with a
              margin g. PyTorch and optax are "euclidean"; PyTorch adds 1e-6 to each difference.
    Example:
        >>> import tinygrad_lo as lo
        >>> float(lo.losses.triplet([[0.0, 0.0]], [[0.0, 1.0]], [[0.0, 1.5]], distance="euclidean"))
        0.5
    """
    d_p = named(apart(distance, anchor, positive), "d_p")
    d_n = named(apart(distance, anchor, negative), "d_n")
    return named(relu(d_p - d_n + margin), "L_i")


@loss(ROWS, margin=MARGIN)
def contrastive(
    a: Any, b: Any, y: Any, *, margin: float = 1.0, weights: Any = None, reduction: str = "mean"
) -> Any:
    """The siamese loss of pairs: similar ones are pulled together, others pushed beyond a margin.

    Unlike the triplet loss it asks for distances themselves: 0 within a class, at least m between two.

        L_i = (1 − y) ½ D² + y ½ max(0, m − D)²,  D = ‖a_i − b_i‖

    Shapes:   y: (...) of ints, 0 similar, 1 dissimilar.
    Units:    the margin m has the unit of the embeddings; the loss has that unit squared.
    At the edges: a dissimilar pair of equal points costs ½ m², with gradient 0.
    Raises:   LabelError: a label is not 0 or 1.  DTypeError: the labels are not integers.
    Source:   lecture 003; Hadsell, Chopra, LeCun 2006, eq. 4. Chainer has y = 1 for similar pairs.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.losses.contrastive([[0.0]] * 2, [[0.5]] * 2, [0, 1], margin=2.0, reduction="none")
        array([0.125, 1.125])
    """
    y = require(
        integers("contrastive", "y", y, a.shape[:-1], "pairs"),
        lambda y: (y == 0) | (y == 1),
        lambda v, place: LabelError(f"contrastive: label {v}{place}; allowed 0 (similar) and 1 (dissimilar)"),
    )
    dissimilar = equal(y, 1)
    r = named(a - b, "r")
    D = named(norm(r, -1), "D")
    # Not the square of D: at D = 0 the norm has a kink, and curvature 1 would be lost there. And chosen
    # before squaring: what is far apart and dissimilar costs nothing, however far.
    pulled = named(total(square(where(expand_dims(dissimilar, -1), 0.0, r)), -1), "(1 − y) D²")
    pushed = named(square(where(dissimilar, relu(margin - D), 0.0)), "y max(0, m − D)²")
    return named((pulled + pushed) * 0.5, "L_i")


def integers(who: str, name: str, y: Any, shape: tuple[int, ...], what: str) -> Any:
    """Integers of a shape; a tensor of them stays a tensor."""
    if not isinstance(y, Node) and not foreign(y):
        y = np.asarray(y)
    if y.dtype.kind not in "iu":
        hint = "; use .astype(int)" if y.dtype.kind in "bf" else ""
        raise DTypeError(f"{who}: {name} must be integers, got {y.dtype}{hint}")
    if y.shape != shape:
        hint = f"; use {name}[..., 0]" if y.shape == (*shape, 1) else ""
        raise ShapeError(f"{who}: {name} must be {shape}, one for each of the {what}, got {y.shape}{hint}")
    return y


@loss(ROWS)
def cosine_similarity(a: Any, b: Any) -> Any:
    """The cosine of the angle between two vectors: 1 same direction, 0 at right angles, −1 opposite.

    It compares directions and ignores lengths. `1 − cosine_similarity` is a distance that `triplet` takes.

        cos θ = a · b / (‖a‖ ‖b‖)

    Units:    none; from −1 to 1, and never beyond.
    At the edges: a zero vector has no direction: value 0, gradient 0. Exact for the largest and the smallest
              vectors, whose lengths are no numbers of the dtype.
    Source:   lecture 003. PyTorch divides by at least 1e-8 and so gives a zero vector a gradient of 1e8.
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.losses.cosine_similarity([[1.0, 0.0]] * 3, [[3.0, 4.0], [0.0, 2.0], [-5.0, 0.0]])
        array([ 0.6,  0. , -1. ])
    """
    return named(cosine(named(direction(a), "a/‖a‖"), named(direction(b), "b/‖b‖")), "cos θ")


@loss(matrices, distance=functools.partial(choice, allowed=DISTANCES))
def pairwise_distance(A: Any, B: Any, *, distance: str = "euclidean") -> Any:
    """How far every row of A is from every row of B, through their differences.

    They take n · m · d numbers of memory; ‖a‖² + ‖b‖² − 2 a·b would cancel for points close together.

        D_ij = ‖A_i − B_j‖          distance="squared":  D_ij = ‖A_i − B_j‖²

    Units:    of the rows, or that unit squared.
    At the edges: the slope at distance 0 is 0.
    Source:   lecture 003; torch.cdist(compute_mode="donot_use_mm_for_euclid_dist").
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.losses.pairwise_distance([[0.0, 0.0]], [[3.0, 4.0], [0.0, 0.0]])
        array([[5., 0.]])
    """
    return named(apart(distance, expand_dims(A, 1), expand_dims(B, 0)), "D")


@public
def hard_negatives(embeddings: Any, labels: Any) -> Array:
    """For each row as an anchor, its hardest negative: the nearest row that has another label.

    Use `E[hard_negatives(E, labels)]` as the third input of `triplet`; the choice itself has no gradient.

        n_i = argmin_j ‖x_i − x_j‖  over all j with y_j ≠ y_i;  of equally near rows the first

    Shapes:   embeddings (n, d), labels (n,) of ints, any values; result (n,) of ints.
    Raises:   LabelError: all labels are equal, so that no row has a negative.  NonFiniteError: nan or inf is
              among the embeddings.  DTypeError: the labels are not integers.  ShapeError: other shapes.
    Source:   lecture 003 (the most similar of the wrong ones).
    Example:
        >>> import tinygrad_lo as lo
        >>> lo.losses.hard_negatives([[0.0], [1.0], [3.0], [9.0]], [0, 0, 1, 1])
        array([2, 2, 1, 1])
    """
    x, y = minable("hard_negatives", embeddings, labels)
    return by_blocks(x, y, lambda d, other, rows: nearest_allowed(d, other))


@public
def semi_hard_negatives(
    embeddings: Any, labels: Any, positives: Any, *, margin: float, distance: str = "squared"
) -> Array:
    """For each anchor a negative farther than its positive, but by less than the margin.

    The hardest negatives can make a network collapse early in training. Of several, the nearest is taken;
    of none, the hardest one. Take the margin and the distance of the `triplet` that follows.

        n_i = argmin_j D(x_i, x_j)  over y_j ≠ y_i  and  d_p < D(x_i, x_j) < d_p + α,
        d_p = D(x_i, x_(positives_i))

    Shapes:   embeddings (n, d), labels (n,) and positives (n,) of ints; result (n,) of ints.
    Units:    the margin α has the unit of the distance: squared for distance="squared".
    At the edges: both bounds exclude equality. A row alone in its class may be its own positive.
    Raises:   as hard_negatives, and  IndexingError: a positive is not a row.  LabelError: a positive is of
              another class.  OptionError: unless margin is finite and >= 0; distance is known.
    Source:   FaceNet (Schroff et al. 2015, section 3.2, squared distances). TensorFlow Addons ignores
              the margin here and falls back to the farthest negative.
    Example:
        >>> import tinygrad_lo as lo
        >>> points = [[0.0], [1.0], [0.5], [1.2]]  # 0.5 is nearer to 0 than its positive 1
        >>> lo.losses.semi_hard_negatives(points, [0, 0, 1, 1], [1, 0, 3, 2], margin=1.0)
        array([3, 3, 0, 0])
    """
    who = "semi_hard_negatives"
    alpha = MARGIN(who, "margin", margin)
    choice(who, "distance", distance, DISTANCES)
    x, y = minable(who, embeddings, labels)
    p = require(
        chosen_from(integers(who, "positives", positives, y.shape, "rows")),
        lambda p: (p >= 0) & (p < len(x)),
        lambda v, at: IndexingError(f"{who}: positives[{at[0]}] is {v}, but the rows are 0..{len(x) - 1}"),
    )
    p = require(
        p,
        lambda p: y[p] == y,
        lambda v, place: LabelError(
            f"{who}: positives[{place[0]}] is row {v} with label {y[v]}, but row {place[0]} has label "
            f"{y[place]}; a positive has its anchor's label"
        ),
    )

    def choose(d: Array, other: Array, rows: slice) -> Array:
        d = np.sqrt(d) if distance == "euclidean" else d
        # A masked sum, because gathers would compute a lazy array; and the same number as in the row.
        d_p = np.where(p[rows, None] == np.arange(len(x)), d, 0.0).sum(1, keepdims=True)
        semi = other & (d > d_p) & (d < d_p + alpha)
        return np.where(semi.any(1), nearest_allowed(d, semi), nearest_allowed(d, other))

    return by_blocks(x, y, choose)


PAIR_BLOCK = 1 << 22  # differences held at once while mining: 32 MiB


def by_blocks(x: Array, y: Array, choose: Callable[[Array, Array, slice], Array]) -> Array:
    """What `choose(squared distances, whether the labels differ, which rows)` finds, block by block."""
    step = max(1, PAIR_BLOCK // max(1, x.shape[0] * x.shape[1]))
    chosen = []
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        # Squared, since roots would round equal distances apart, and ties go to the first row.
        with np.errstate(over="ignore"):
            d = pairwise_distance(x[rows], x, distance="squared")
        if not np.isfinite(d).all():
            raise NonFiniteError("mining: squared distances exceed float64; scale the embeddings down")
        chosen.append(choose(d, y[rows, None] != y, rows))
    return np.concatenate(chosen)


def nearest_allowed(d: Array, allowed: Array) -> Array:
    """In each row, where the smallest of the allowed distances stands."""
    return np.argmin(np.where(allowed, d, np.inf), axis=1)


def minable(who: str, embeddings: Any, labels: Any) -> tuple[Array, Array]:
    """Embeddings as finite rows in float64, and a label for each, of at least two classes."""
    x = chosen_from(floats(who, embeddings)[0])
    if len(x.shape) != 2:
        raise ShapeError(f"{who}: embeddings must be rows (n, d), got shape {x.shape}")
    if x.shape[0] == 0:
        raise ShapeError(f"{who}: no samples: the embeddings have shape {x.shape}")
    y = chosen_from(integers(who, "labels", labels, x.shape[:1], "rows"))
    text = f"{who}: the embeddings hold {{}}{{}}; distances need numbers"
    x = require(x, np.isfinite, lambda v, at: NonFiniteError(text.format(v, at)))
    y = check(
        y,
        lambda y: bool((y != y[0]).any()),
        lambda y: LabelError(
            f"{who}: row 0 has no negative: all {len(y)} rows have the label {y[0]}; use two classes or more"
        ),
        whole=True,
    )
    return x.astype(float), y


def chosen_from(x: Any) -> Array:
    """The plain array: a choice of rows has no gradient."""
    leave("mining negatives", x)
    return x.value if isinstance(x, Node) else x


def apart(distance: str | Callable[[Any, Any], Any], a: Any, b: Any) -> Any:
    """The distances between rows."""
    if distance == "squared":
        return total(square(a - b), -1)
    if distance == "euclidean":
        return norm(a - b, -1)
    assert callable(distance)
    d = distance(a, b)
    if shape_of(d) != (rows := a.shape[:-1]):
        returned = f"returned shape {shape_of(d)} for inputs of shape {a.shape}"
        raise ShapeError(f"triplet: distance {returned}; expected {rows}, one number for each row")
    if not isinstance(d, Node) and any(isinstance(x, Node) and x.needs for x in (a, b)):
        raise GraphError(
            f"triplet: distance returned {type(d).__name__} for tensors that require gradients: it left "
            f"the graph; compute with operators and NumPy functions of its inputs"
        )
    return d
