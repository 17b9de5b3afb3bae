"""What the graph of a model shows before and while it is trained: each symptom is a sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tinygrad_lo import losses
from tinygrad_lo.engine.graph import Array, Node, no_grad, reachable
from tinygrad_lo.engine.naming import label, quoted
from tinygrad_lo.engine.ops.elementwise import relu
from tinygrad_lo.engine.ops.registry import record
from tinygrad_lo.engine.tensor import Tensor
from tinygrad_lo.nn.base import Module
from tinygrad_lo.optim.optimizer import Optimizer
from tinygrad_lo.training.task import Rows, Task, as_arrays, held, still

LOOKED_THROUGH = 256  # rows whose graph is looked at
MOST_DEAD = 0.4  # share of a layer's units; of few units, some are dead by chance
TOO_LARGE = 3.0  # an untrained loss beside that of scores of 0; the large weights of a good init give up to 2
USUAL_RATIO = (1e-5, 0.3)  # about 1e-3, says CS231n; small models on little data take larger steps
DISTINCT = 0.95  # share of different rows among those of training, or rows repeat by chance
GREW = 10.0  # times the loss of the first epoch
RELU = record(relu)
# Of these losses the prediction is scores, and scores of 0 say nothing: ln C, C − 1, ln 2, 1.
ENTROPIES = (losses.cross_entropy, losses.binary_cross_entropy_with_logits)
MARGINS = (losses.multiclass_hinge, losses.hinge, losses.squared_hinge)
OF_SCORES = {loss.__name__ for loss in (*ENTROPIES, *MARGINS)}


def first_look(task: Task, optimizer: Optimizer) -> Iterator[str]:
    """What is wrong with a model that is about to be trained."""
    yield from not_finite(task.table)
    columns = task.table.take(slice(LOOKED_THROUGH))
    with still(task.model):
        total = task.loss_of(columns)
        target, prediction, loss = task.parts(columns)
    yield from parameters(task, optimizer, total)
    if not task.table.lazy:
        yield from initial_loss(task, target, prediction, loss)
        yield from dead_units(prediction)


def not_finite(table: Rows) -> Iterator[str]:
    """Data that would make every gradient nan."""
    for name, x in zip(table.names, table.columns, strict=True):
        if type(x) is np.ndarray and x.dtype.kind == "f" and not np.isfinite(x).all():
            wrong = ~np.isfinite(x.reshape(len(x), -1)).all(axis=1)
            yield f"{int(wrong.sum())} rows of {name} hold nan or inf, the first is row {int(wrong.argmax())}"


def later_look(task: Task, losses: list[float]) -> Iterator[str]:
    """What is wrong with a model that was trained."""
    if losses and not losses[-1] <= GREW * abs(losses[0]):
        yield f"the loss grew from {losses[0]:.4g} to {losses[-1]:.4g}: lower the learning rate"
    if not task.table.lazy:
        with still(task.model):
            yield from dead_units(task.parts(task.table.take(slice(LOOKED_THROUGH)))[1])


def parameters(task: Task, optimizer: Optimizer, total: Any) -> Iterator[str]:
    """Parameters that the loss never reaches, and those that no group holds."""
    reached = dict.fromkeys(node for node in reachable([total]) if node.op is None and node.needs)
    mine = [p for p in task.model.parameters() if p.needs] if isinstance(task.model, Module) else []
    stepped = dict.fromkeys(held(optimizer))
    for p in dict.fromkeys([*mine, *reached]):
        if p not in stepped:
            outside = f"no group of {optimizer} holds {quoted(p, 'a parameter')}"
            yield f"{outside}, so it stays as it is; give it to the optimizer, or freeze it"
    for p in stepped:
        if p.needs and p not in reached:
            yield (
                f"the loss does not depend on {quoted(p, 'a parameter')}, which {optimizer} holds: it will "
                f"never move. Is a layer left out of forward, or a value detached?"
            )


def initial_loss(task: Task, target: Any, prediction: Any, loss: Any) -> Iterator[str]:
    """An untrained loss that is far above that of scores of 0, as large initial weights make it."""
    titles = {title for title, _ in label(loss).spans} if isinstance(loss, Node) else set()
    if not titles & OF_SCORES or not isinstance(prediction, Node):
        return
    with no_grad():
        nothing = float(as_arrays(task.loss(Tensor(np.zeros_like(prediction.value)), target)))
    if loss.item() > TOO_LARGE * nothing:
        yield (
            f"the first loss is {loss.item():.4g}, but {nothing:.4g} where all scores are 0 and nothing is "
            f"known yet: the initial weights, or the inputs, are too large"
        )


def dead_units(prediction: Any) -> Iterator[str]:
    """Layers in which many relus are 0 for every sample."""
    roots = [x for x in (prediction if isinstance(prediction, tuple) else (prediction,)) if type(x) is Tensor]
    relus = [node for node in reachable(roots) if node.op is RELU and np.ndim(node.value) > 1]
    for number, node in enumerate(relus, 1):
        share = float(dead(node.value).mean())
        if share > MOST_DEAD:
            yield (
                f"{share:.0%} of the relus of {layer_of(node, number)} are 0 for every one of "
                f"{len(node.value)} samples: no gradient passes them; lower the learning rate, or change "
                f"the initial weights"
            )


def dead(value: Array) -> Array:
    """Which units, or channels of images (N, C, H, W), are 0 throughout."""
    axis = 1 if value.ndim == 4 else value.ndim - 1
    return np.asarray((value <= 0).all(axis=tuple(i for i in range(value.ndim) if i != axis)))


def layer_of(node: Node, number: int) -> str:
    """The layer a relu belongs to: by the nearest weight before it, else by its number."""
    waiting = [node]
    while waiting:
        parents = [p for p in waiting.pop(0).parents if p is not None]
        weights = [p for p in parents if p.op is None and p.needs and np.ndim(p.value) > 1]
        if weights:
            return f"the layer of {quoted(weights[0], f'weight {number}')}"
        waiting += [p for p in parents if p.op is not None]
    return f"layer {number}"


def update_ratio(params: list[Any], before: list[Array]) -> float:
    """‖Δw‖ / ‖w‖ of all weights; of biases, which begin at 0, only where there is nothing else."""
    pairs = [(p.value, w) for p, w in zip(params, before, strict=True)]
    pairs = [pair for pair in pairs if np.ndim(pair[1]) > 1] or pairs
    size = sum(float(np.vdot(w, w)) for _, w in pairs)
    moved = sum(float(np.square(new - w).sum()) for new, w in pairs)
    return (moved / size) ** 0.5 if size else math.inf


def unusual_ratio(ratio: float, *, learned: bool) -> Iterator[str]:
    """Steps that are much too large for the weights, or too small where nothing was learned yet."""
    low, high = USUAL_RATIO
    if ratio > high or (ratio < low and not learned):
        way = "lower" if ratio > high else "raise"
        what = f"after the first epoch a step changes the weights by {ratio:.2g} of their size"
        yield f"{what}; about 1e-3 is usual: {way} the learning rate"


def shared_rows(training: Rows, validation: Rows) -> Iterator[str]:
    """Validation rows that were trained on, unless rows repeat anyway."""
    if training.lazy or validation.lazy:
        return
    known = {row: i for i, row in enumerate(rows_of(training))}
    shared = [(i, known[row]) for i, row in enumerate(rows_of(validation)) if row in known]
    if shared and len(known) > DISTINCT * training.rows:
        i, j = shared[0]
        yield (
            f"{len(shared)} of {validation.rows} validation rows are also in the training data (validation "
            f"row {i} is training row {j}): the validation figures flatter"
        )


def rows_of(table: Rows) -> Iterable[bytes]:
    """The inputs of each row as bytes."""
    columns = [np.ascontiguousarray(x) for x in table.columns[: table.inputs]]
    return (b"".join(x[i].tobytes() for x in columns) for i in range(table.rows))
