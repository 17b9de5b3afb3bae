"""Gradients by hand for the values in the middle of a graph: which are right, which is the first wrong one.

A gradient that is wrong makes those after it wrong. So each is judged twice: against the engine's, and
against what would arrive if the gradients nearer to the loss were those that the student has.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lo.checking.diagnosis import Cause, sentence
from tinygrad_lo.checking.differences import Noise
from tinygrad_lo.checking.differences import judge as judge_slope
from tinygrad_lo.checking.homework import RTOL
from tinygrad_lo.checking.measured import direction_of
from tinygrad_lo.checking.recording import eps_of, gradients_of, narrow_type, rounding_of
from tinygrad_lo.checking.report import Checked, in_columns
from tinygrad_lo.checking.segment import Segment, arriving, cause_of
from tinygrad_lo.checking.student import shape_hint
from tinygrad_lo.engine.backward import start
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.leaves import asked_for
from tinygrad_lo.errors import DTypeError, GraphError
from tinygrad_lo.explaining.formula import Names
from tinygrad_lo.options import guess, public

WHO = "check_backward"
EXACT, CLOSE_TO, FOLLOWS, SHAPE, WRONG = "exact", "close", "follows", "wrong shape", "WRONG"
RIGHT = (EXACT, CLOSE_TO)
AT_KINKS = 60  # elements of a value that are judged at a kink; where all of these are right, the others are


@dataclass
class ByHand:
    """One gradient by hand, and what was found about it."""

    key: str  # what the student calls the value
    node: Node
    yours: Array
    right: Array
    verdict: str = ""  # exact, close, follows, wrong shape or WRONG
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is right, given those before it."""
        return self.verdict in (*RIGHT, FOLLOWS)

    @property
    def facts(self) -> dict[str, str]:
        """The row as plain data."""
        return {"name": self.key, "verdict": self.verdict, "note": self.note}

    @property
    def difference(self) -> float:
        """The largest difference to the right gradient."""
        if self.yours.shape != self.right.shape:
            return np.inf
        return float(np.abs(self.yours - self.right).max(initial=0.0))

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as a table has it."""
        shape = "×".join(map(str, self.right.shape)) or "one number"
        off = "-" if self.verdict == SHAPE else f"{self.difference:.1e}" if self.difference else "0"
        return self.key, shape, off, f"{self.verdict}: {self.note}" if self.note else self.verdict


@dataclass(repr=False)
class BackwardReport(Checked):
    """Which gradients by hand are right, in the order of the backward pass; true if all are.

    Attributes:
        rows: a row for each: key, verdict ("exact", "close", "follows", "wrong shape", "WRONG"), difference.
        first: the key of the first wrong one, or None.
        said: what is wrong with it, in sentences; cause: the kind of its mistake, "shape" among them.
    """

    title: str
    rows: list[ByHand]
    said: list[str] = field(default_factory=list)
    found: Cause | None = None
    more = ("first",)

    @property
    def wrong(self) -> list[ByHand]:
        """Those that are wrong by themselves, in the order of the backward pass."""
        return [row for row in self.rows if row.verdict in (WRONG, SHAPE)]

    @property
    def first(self) -> str | None:
        """The first wrong one in the order of the backward pass: the one to mend."""
        return self.wrong[0].key if self.wrong else None

    def __bool__(self) -> bool:
        return all(row.verdict in RIGHT for row in self.rows)

    def tables(self) -> list[list[str]]:
        """A row for each gradient."""
        heading = ("gradient by", "shape", "largest difference", "verdict")
        return [in_columns([heading, *(row.cells for row in self.rows)])]


@public
def check_backward(loss: Any, gradients: Any) -> BackwardReport:
    """Check gradients written by hand for any named values of a graph, and say which is the first wrong one.

    The exercise: name the values of a forward pass, then write the gradient of the loss by each, the last
    value first, without `backward()`. `gradients` is a dict by name, "S" or "dS"; a list of pairs, of a
    tensor or a name with its gradient; or a function of nothing, of which the local names dS, dW1, … are
    read, or the dict that it returns. Names are those of `named`, of losses, and of `lo.tree`.

        right:    yours = ∂L/∂S                                   by the engine
        follows:  yours = Σ ∂u/∂S · (your ∂L/∂u) over the nearest u behind S that you gave
        wrong:    neither; the first one in the order of the backward pass is diagnosed

    Each step of the way from S to these u is run with a usual mistake in it; what then fits is the cause.

    Shapes:   loss: one number; each gradient has the shape of its value, which may be data.
    At the edges: at a kink any slope between those of both sides is right. One in float32 is right to its
              rounding, and the report says so.
    Raises:   GraphError: no value, or several, have that name, or nothing was given.  DTypeError: no
              numbers, or by integers.
    Source:   lecture 000, the chain rule; the exercise is Karpathy's, "becoming a backprop ninja".
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> x, w = np.array([[1.0, 2.0], [3.0, -1.0], [0.0, 1.0]]), lo.Parameter([0.5, -1.0], name="w")
        >>> s = (x @ w).named("s")
        >>> loss = (s**2).mean()
        >>> ds = 2.0 * s.data  # a mean has a 1/N
        >>> report = lo.check_backward(loss, {"s": ds, "w": x.T @ ds})
        >>> report.first, report.cause
        ('s', 'mean or sum')
        >>> print(report)
        check_backward FAILED
          the gradient by s is 3 times what it should be: the 1/3 of a mean is missing
        <BLANKLINE>
          gradient by  shape  largest difference  verdict
          s            3      3.3e+00             WRONG
          w            2      8.7e+00             follows: from s
    """
    if not isinstance(loss, Node):
        raise DTypeError(f"{WHO}: the loss must be a tensor, whose graph is asked, got {type(loss).__name__}")
    seed, names = start(loss, None, WHO), Names([loss])
    pairs = read(gradients, names)
    nodes = [node for _, node, _ in pairs]
    name, order = getattr(gradients, "__name__", ""), finishing_order(loss)
    with asked_for(nodes):
        rights = gradients_of(loss, nodes)
        rows = [
            ByHand(key, node, array_given(key, yours), right)
            for (key, node, yours), right in zip(pairs, rights, strict=True)
        ]
        rows.sort(key=lambda row: order.index(row.node.birth))
        report = BackwardReport(f"{WHO} of {name}" if name.isidentifier() else WHO, rows)
        judge_all(report, loss, seed, names)
    return report


def judge_all(report: BackwardReport, loss: Node, seed: Array, names: Names) -> None:
    """A verdict for each gradient, and the cause of the first wrong one."""
    # A gradient of a wrong shape cannot be handed on: the right one stands in.
    given = {r.node.birth: r.yours if r.yours.shape == r.right.shape else r.right for r in report.rows}
    expected = arriving(loss, seed, given)
    roots: dict[int, str] = {}  # of a wrong gradient, the one from which it follows
    for row in report.rows:
        segment = Segment(row.node, loss, seed, given)
        local = np.asarray(expected.get(row.node.birth, np.zeros(row.right.shape)))
        before = next((roots[birth] for birth in segment.ends if birth in roots), "")
        yours = judge(row, segment, local, before)
        if row.verdict not in RIGHT:
            roots[row.node.birth] = before if row.verdict == FOLLOWS else row.key
        if report.wrong and not report.said:
            report.found, said = diagnosis(row, segment, yours, local, names)
            report.said.append(said)


def judge(row: ByHand, segment: Segment, local: Array, before: str) -> Array:
    """Give a row its verdict; what is left to explain of its gradient, kinks aside."""
    noise = segment.noise()
    row.verdict, row.note = verdict(row, row.yours, local, before, noise)
    if row.verdict != WRONG:
        return row.yours
    yours = allowed_at_kinks(segment, row.yours, local)
    row.verdict, row.note = verdict(row, yours, local, before, noise)
    if row.verdict in RIGHT:
        row.verdict, row.note = CLOSE_TO, "at a kink, with a slope that is allowed there"
    return yours


def verdict(row: ByHand, yours: Array, local: Array, before: str, noise: float) -> tuple[str, str]:
    """What a gradient is, and a note; `before` is a wrong one that arrives here, if any."""
    if yours.shape != row.right.shape:
        return SHAPE, f"{yours.shape}{shape_hint(row.right, yours)}"
    if agree(yours, row.right, noise):
        dtype = narrow_type(yours) if row.right.dtype.itemsize == 8 else None
        exact = np.array_equal(yours, row.right)
        return EXACT if exact else CLOSE_TO, "" if exact or dtype is None else f"to the rounding of {dtype}"
    if agree(yours, local, noise):  # as right as those that arrive
        return (FOLLOWS, f"from {before}") if before else (CLOSE_TO, "as those that arrive")
    return WRONG, ""


def allowed_at_kinks(segment: Segment, yours: Array, local: Array) -> Array:
    """A gradient, with the engine's slopes where its own lie between those of both sides of a kink."""
    other = np.flatnonzero(segment.at_kinks() & ~np.isclose(yours, local, rtol=1e-6, atol=0.0))
    seen = other[:: other.size // AT_KINKS + 1]
    allowed = np.zeros(seen.size, bool)
    with np.errstate(all="ignore"):
        here = segment.forward(np.asarray(segment.value.value, float)) if seen.size else 0.0
        for i, k in enumerate(seen):
            allowed[i] = lies_between(segment, here, k, float(yours.flat[k]))
    mended, where = yours.copy(), other if allowed.all() else seen[allowed]
    mended.flat[where] = local.flat[where]
    return mended


def lies_between(segment: Segment, here: float, k: int, slope: float) -> bool:
    """Whether a slope by element k lies between those on both sides, and these differ: by differences."""
    x = np.asarray(segment.value.value, float)
    step, noise = direction_of(x.shape, k), Noise(eps_of(node.value for node in segment.steps), abs(here))
    found = judge_slope(lambda h: segment.forward(x + h * step), here, slope, abs(x.flat[k]), RTOL, noise)
    return found.verdict == "KINK"


def diagnosis(
    row: ByHand, segment: Segment, yours: Array, local: Array, names: Names
) -> tuple[Cause | None, str]:
    """What is wrong with the first wrong gradient, and the same as a sentence."""
    subject = f"the gradient by {row.key}"
    if row.verdict == SHAPE:
        return Cause("shape"), f"{subject} must have the shape {row.right.shape} of its value, got {row.note}"
    cause = cause_of(segment, yours, local, names, row.key)
    return cause, sentence(subject, cause)


def agree(yours: Array, right: Array, noise: float) -> bool:
    """Whether a gradient is that one, but for rounding: by itself, or by what was added up for it."""
    allowed = max(1e-8, 1e3 * eps_of([right])) * float(np.abs(right).max(initial=0.0)) + noise
    allowed += rounding_of(yours)
    return bool((np.abs(yours - right) <= allowed).all())


def finishing_order(loss: Node) -> list[int]:
    """The births of all values in the order in which a backward pass has finished with them."""
    nodes = Names([loss]).nodes[::-1]  # newest first
    last: dict[int, int] = {loss.birth: -1}
    for i, node in enumerate(nodes):
        last |= {parent.birth: i for parent in node.parents if parent is not None}
    position = {node.birth: i for i, node in enumerate(nodes)}
    return sorted(last, key=lambda birth: (last[birth], position[birth]))


# ------------------------------------------------------------------------------------------ what is given


def read(gradients: Any, names: Names) -> list[tuple[str, Node, Any]]:
    """Pairs of a value of the graph and its gradient, with what the student calls it."""
    if callable(gradients):
        gradients = local_names(gradients, {*map(names.of, names.nodes)})
    if isinstance(gradients, Mapping):
        gradients = list(gradients.items())
    if not isinstance(gradients, (list, tuple)):
        raise DTypeError(f'{WHO}: give {{"S": dS}}, pairs, or a function, got {type(gradients).__name__}')
    rows = [read_pair(pair, names) for pair in gradients]
    if not rows:
        raise GraphError(f"{WHO}: no gradients were given; the values are {all_names(names)}")
    births = [node.birth for _, node, _ in rows]
    if twice := next((key for key, node, _ in rows if births.count(node.birth) > 1), None):
        raise GraphError(f"{WHO}: {twice} is given twice")
    return rows


def all_names(names: Names) -> str:
    """What the values of the graph are called."""
    return ", ".join(dict.fromkeys(map(names.of, names.nodes)))


def read_pair(pair: Any, names: Names) -> tuple[str, Node, Any]:
    """A tensor or a name, and its gradient."""
    if not (isinstance(pair, tuple) and len(pair) == 2):
        raise DTypeError(f"{WHO}: a list has pairs, (tensor or name, gradient), got {type(pair).__name__}")
    key, yours = pair
    if not isinstance(key, Node):
        node, key = node_called(str(key), names), str(key)
    elif any(key is node for node in names.nodes):
        node, name = key, names.of(key)
        alone = len(called(name, names)) == 1 or node.op is None
        key = name if alone else f"{name} = {names.formula(node)}"
    else:
        raise GraphError(f"{WHO}: the loss was not made from this tensor; there are {all_names(names)}")
    if node.value.dtype.kind != "f":
        instead = "a gradient is by floating-point numbers: make the tensor of x.astype(float)"
        raise DTypeError(f"{WHO}: {key} holds {node.value.dtype}; {instead}")
    return key, node, yours


def called(name: str, names: Names) -> list[Node]:
    """The values of this name."""
    return [node for node in names.nodes if names.of(node) == name]


def node_called(key: str, names: Names) -> Node:
    """The value with this name, or of which this is the gradient's name: S, dS."""
    for name in (key, key.removeprefix("d")):
        nodes = called(name, names)
        if len(nodes) > 1:
            instead = "give pairs with the tensors themselves: [(tensor, gradient), ...]"
            raise GraphError(f"{WHO}: {len(nodes)} values are called {name!r}; {instead}")
        if nodes:
            return nodes[0]
    hint = guess(key.removeprefix("d"), [*map(names.of, names.nodes)])
    raise GraphError(f"{WHO}: no value is called {key!r}{hint or ';'} there are {all_names(names)}")


def local_names(fn: Callable[[], Any], values: Collection[str]) -> dict[str, Any]:
    """What a function returns as a dict; else those of its local names that are gradients of values."""
    if inspect.signature(fn).parameters:
        raise DTypeError(f"{WHO}: the function is called without arguments; write lambda: f(...)")
    names: dict[str, Any] = {}

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "return" and frame.f_code is fn.__code__:
            names.update(frame.f_locals)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        result = fn()
    finally:
        sys.setprofile(before)
    if isinstance(result, Mapping):
        return dict(result)
    return {key: x for key, x in names.items() if key[:1] == "d" and key[1:] in values}


def array_given(key: str, yours: Any) -> Array:
    """A gradient as an array of numbers."""
    data = np.asarray(yours.value if isinstance(yours, Node) else yours)
    if data.dtype.kind not in "iuf":
        what = "None" if yours is None else f"{type(yours).__name__} of {data.dtype}"
        raise DTypeError(f"{WHO}: the gradient by {key} must be an array of numbers, got {what}")
    return data if data.dtype.kind == "f" else data.astype(float)
