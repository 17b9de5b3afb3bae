"""`lo.explain`: backprop in words and numbers, step by step or path by path."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.backward import start
from tinygrad_lo.engine.graph import Array, Node, mode
from tinygrad_lo.engine.machine.hooks import leave
from tinygrad_lo.errors import DTypeError
from tinygrad_lo.explaining.expression import DIGITS, PRODUCT, constant_text, nested_text
from tinygrad_lo.explaining.formula import Names, number, size
from tinygrad_lo.explaining.paths import LIMIT, Path, Paths, paths, product_as_float
from tinygrad_lo.explaining.steps import Product, Steps, shown, steps
from tinygrad_lo.options import public

MANY_STEPS = 120  # a longer list of steps is told from its two ends
SHOWN_ENDS = 40  # so many steps of each end
CELLS = 16  # a larger array is shown by its shape and length
SHARES = 6  # a value that is used more often is no example
LINKS = 12  # a longer path is shown by its two ends


@public
def explain(loss: Any, of: Any = None) -> str:
    """Backprop told step by step: every value, every product of the chain rule, in the engine's order.

    Forward, each value is computed from its inputs. Backward, each gate hands to each of its inputs the
    gradient that arrived, times its local derivative; where a value is used twice, contributions add
    up. With `of=w` it tells the same gradient as a sum over paths: the 20 paths from w to the loss with
    the largest products of local derivatives, and the number and the sum of all others.

        ∂L/∂input += (∂gate/∂input) · ∂L/∂gate

    Nothing is changed: no `.grad`, no later backward pass.

    At the edges: above 120 steps, the first and last 40 are told and the others counted. Paths are never
                  walked one by one, so a billion of them is no difficulty; between arrays, where a path
                  has no single product, more than 100 are counted only.
    Raises:   DTypeError: not a tensor.  GraphError: the loss has several elements or needs no gradient,
              or no gradient flows to `of`.  MutationError: a leaf was changed after the forward pass.
    Example:
        >>> import tinygrad_lo as lo
        >>> x, w = lo.Tensor(3.0, name="x"), lo.Parameter(2.0, name="w")
        >>> print(lo.explain((x * w).named("s") ** 2))
        Forward, 2 steps: each value is computed from its inputs.
          s = x × w = 3 × 2 = 6
          v1 = s² = 6² = 36
        Backward, 2 steps: local derivative · arriving gradient, the newest value first.
          ∂L/∂v1 = 1, the start (L is v1)
          v1 = s²  (^ multiplies the gradient by its local derivative)
            ∂L/∂s = 2 · s · ∂L/∂v1 = 2 · 6 · 1 = 12
          s = x × w  (× swaps: each input gets the gradient times the other input)
            ∂L/∂w = x · ∂L/∂s = 3 · 12 = 36
        The gradients:
          ∂L/∂w = 36
        x needs no gradient: nothing is handed to it.
    """
    for value, what in ((loss, "a tensor"), *([(of, "of= to be a tensor")] if of is not None else [])):
        if not isinstance(value, Node):
            raise DTypeError(f"explain: expected {what}, got {type(value).__name__}: {value!r}")
    leave("lo.explain", loss)
    with np.errstate(all="ignore"), mode("watch", None):
        if of is not None:
            start(loss, None, "explain")
            return "\n".join(told_by_path(loss, of))
        return "\n".join(whole_story(steps(loss, "explain")))


# ------------------------------------------------------------------------------------ step by step


def whole_story(found: Steps) -> list[str]:
    """The whole story of a forward and a backward pass."""
    lines = [f"Forward, {counted(len(found.forward), 'step')}: each value is computed from its inputs."]
    lines += ends([f"  {step.text}" for step in found.forward])
    odd = next((step for step in found.forward if not finite(step.value)), None)
    if odd is not None:
        lines.append(f"  {odd.name} is the first value that is not finite.")
    count = counted(len(found.backward), "step")
    lines.append(f"Backward, {count}: local derivative · arriving gradient, the newest value first.")
    lines.append(f"  ∂L/∂{found.loss} = 1, the start (L is {found.loss})")
    return [*lines, *gates_backward(found), *results(found)]


def results(found: Steps) -> list[str]:
    """The gradients, and what gets none."""
    names = found.names
    gradients = [f"  ∂L/∂{names.of(names.nodes[place])} = {value(g)}" for place, g in found.gradients.items()]
    lines = ["The gradients:", *ends(gradients)] if gradients else []
    data = [names.of(node) for node in names.nodes if not node.needs]
    verb, them = ("needs", "it") if len(data) == 1 else ("need", "them")
    if len(data) > CELLS:
        data = [*data[:CELLS], f"{len(data) - CELLS} more"]
    return [*lines, f"{', '.join(data)} {verb} no gradient: nothing is handed to {them}."] if data else lines


def gates_backward(found: Steps) -> list[str]:
    """The products of the backward pass, gate by gate."""
    products = found.backward
    sentences: dict[int, dict[str, None]] = {}
    for step in products:
        sentences.setdefault(step.gate_place, {})[step.sentence] = None
    formulas = {step.place: f"  {step.name} = {step.formula}" for step in found.forward}
    shared = {step.target_place for step in products if step.before is not None}
    odd = next((i for i, step in enumerate(products) if not finite(step.part)), None)

    def told(numbers: range) -> list[str]:
        lines = []
        for gate, run in itertools.groupby(numbers, key=lambda i: products[i].gate_place):
            lines.append(f"{formulas[gate]}  ({'; '.join(sentences[gate])})")
            for i in run:
                step = products[i]
                lines.append(f"    {step.text}{remark(step, step.target_place in shared)}")
                lines += ["    ↑ the first gradient that is not finite"] * (i == odd)
        return lines

    n = len(products)
    if n <= MANY_STEPS:
        return told(range(n))
    left_out = f"  … {n - 2 * SHOWN_ENDS:,} steps are left out here …"
    return [*told(range(SHOWN_ENDS)), left_out, *told(range(n - SHOWN_ENDS, n))]


def remark(step: Product, shared: bool) -> str:
    """What is worth saying about one product."""
    words = []
    if step.summed:
        axes = ", ".join(map(str, step.summed))
        words.append(f"summed over axis {axes}, along which {step.target} was repeated")
    if shared and step.before is None:
        words.append(f"{step.target} is used more than once: more will be added")
    elif shared and step.last:
        words.append(f"now ∂L/∂{step.target} is complete")
    words += stopped(step)
    return f"   ({'; '.join(words)})" if words else ""


def stopped(step: Product) -> list[str]:
    """Why nothing is handed on, where nothing is; a lazy array is not computed for that."""
    if not isinstance(step.part, (ndarray, np.generic)) or not step.part.size:
        return []
    if not np.any(step.arriving):
        return ["nothing arrives, nothing is handed on"]
    return [] if np.any(step.part) else ["stopped: the local derivative is 0 here"]


def ends(lines: list[str]) -> list[str]:
    """The lines, or the first and last of very many."""
    if len(lines) <= MANY_STEPS:
        return lines
    return [
        *lines[:SHOWN_ENDS],
        f"  … {len(lines) - 2 * SHOWN_ENDS:,} are left out here …",
        *lines[-SHOWN_ENDS:],
    ]


def finite(x: Array) -> bool:
    """Whether there is neither nan nor inf in it; what is not computed yet counts as finite."""
    return not isinstance(x, (ndarray, np.generic)) or bool(np.isfinite(x).all())


def value(x: Array) -> str:
    """A gradient: a number, a small array in full, a large one by shape and length."""
    shape = np.shape(x)
    if not shape or not isinstance(x, ndarray):
        return shown(x)
    if not x.size:
        return size(shape)
    if x.size > CELLS or x.ndim > 2:
        return f"{size(shape)}, ‖·‖ = {number(np.linalg.norm(x), DIGITS)}"
    rows = [", ".join(number(cell, DIGITS) for cell in row) for row in np.atleast_2d(x)]
    text = ", ".join(f"[{row}]" for row in rows)
    return f"[{text}]" if x.ndim == 2 else text


def counted(n: int, what: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{with_commas(n)} {what}" if n == 1 else f"{with_commas(n)} {what}s"


def with_commas(n: int) -> str:
    """A whole number with separators; one that nobody can read, by its power of ten."""
    if n.bit_length() < 400:
        return f"{n:,}"
    return f"about {power_of_ten(n >> (n.bit_length() - 60), n.bit_length() - 60)}"


def power_of_ten(fraction: float, exponent: int) -> str:
    """fraction · 2^exponent, far outside of what a float holds, as `1.07e3010`."""
    whole = math.log10(abs(fraction)) + exponent * math.log10(2.0)
    text = f"{10 ** (whole - math.floor(whole)):.3g}e{math.floor(whole)}"
    return (f"-{text}" if fraction < 0 else text).replace("-", "−")


# ------------------------------------------------------------------------------------ path by path


def told_by_path(loss: Node, of: Node) -> list[str]:
    """A gradient as the sum over the paths to the loss."""
    found = paths(loss, of)
    names = Names([loss], digits=DIGITS)
    w, top = names.of(of), names.of(loss)
    lead = "path leads" if found.count == 1 else "paths lead"
    lines = [f"{with_commas(found.count)} {lead} from {w} to {top} (= L)."]
    if found.scalar:
        lines.append(
            f"∂L/∂{w} = {value(found.gradient)}: the sum of the products of local derivatives along each."
        )
        lines += [f"  {route(names, of, path)}   {product(path)}" for path in found.largest]
    else:
        lines.append(f"∂L/∂{w} = {value(found.gradient)}: the sum of what arrives along each.")
        lines += arrays(found, names, of)
    left = found.count - len(found.largest)
    if left and found.largest:
        rest = number(found.rest, DIGITS) if found.scalar else value(found.rest)
        others = (
            "the other path brings" if left == 1 else f"the other {with_commas(left)} paths bring, in all,"
        )
        lines.append(f"  {others} {rest}")
    if found.meets is not None:
        lines += lessons(found, names, of)
    return lines


def arrays(found: Paths, names: Names, of: Node) -> list[str]:
    """The paths between arrays."""
    lines = ["  Between arrays a path's product is a chain of Jacobian matrices."]
    if not found.largest:
        return [*lines, f"  More than {LIMIT} paths are counted, not followed."]
    lines.append("  Shown is the length ‖·‖ of what arrives along each path alone. The arrays add up, their")
    lines.append("  lengths do not.")
    for path in found.largest:
        size_of = number(np.linalg.norm(path.product), DIGITS)
        lines.append(f"  {route(names, of, path)}   ‖·‖ = {size_of}")
    return lines


def route(names: Names, of: Node, path: Path) -> str:
    """`w → s → loss`; where a gate has the value twice, which of its inputs is meant."""
    below = [of, *(gate for gate, _ in path.gates)]
    texts = [f"→ {gate_name(names, gate, i, x)}" for (gate, i), x in zip(path.gates, below, strict=False)]
    texts = [names.of(of), *texts]
    return " ".join(shortened(texts, LINKS + 2, f"→ … {len(texts) - LINKS:,} more …"))


def product(path: Path) -> str:
    """`3 · (−2) = −6`."""
    texts = shortened([as_share(slope) for slope in path.slopes], LINKS + 1, "…")
    fraction, exponent = path.product
    result = number(product_as_float(path.product), DIGITS)
    if fraction and math.isfinite(fraction) and result in ("0", "∞", "−∞"):
        result = power_of_ten(fraction, exponent)
    return f"{' · '.join(texts)} = {result}" if texts != [result] and texts else result


def lessons(found: Paths, names: Names, of: Node) -> list[str]:
    """Why paths add, and why the order matters, on the first value at which they meet."""
    node = found.meets
    assert node is not None
    c, count = names.of(node), len(found.arrivals)
    if not found.scalar or count > SHARES:
        return [
            f"Paths meet at {c}, which is used {count} times: what arrives is added, then handed on once."
        ]
    gates = [gate_name(names, gate, i, node) for gate, i, _ in found.arrivals]
    parts = [part for _, _, part in found.arrivals]
    total = number(sum(parts[1:], parts[0]), DIGITS)
    shares = [as_share(part) for part in parts]
    lines = [f"Why paths add: {c} is used {count} times. When {c} grows by a small h, L grows by"]
    lines += [f"  {share} · h through {gate}" for share, gate in zip(shares, gates, strict=True)]
    together = "both" if count == 2 else "all"
    lines.append(f"  and by {together} together: ∂L/∂{c} = {' + '.join(shares)} = {total}")
    one_gate = len({gate.birth for gate, _, _ in found.arrivals}) == 1
    return lines if one_gate else lines + order(parts, gates, c, None if node is of else names.of(of))


def order(parts: list[Array], gates: list[str], c: str, further: str | None) -> list[str]:
    """Why the newest value goes first; c hands its gradient on toward a further value, if there is one."""
    running = list(itertools.accumulate(parts))
    total = number(running[-1], DIGITS)
    if further is None:
        return [
            f"Why order matters: the newest value goes first, {', then '.join(gates)}.",
            f"  After the first, {c} has {number(running[0], DIGITS)}; only the last makes it {total}.",
        ]
    handed = " + ".join(map(as_share, running))
    wrong = number(sum(running[1:], running[0]), DIGITS)
    return [
        f"Why order matters: {c} hands its gradient on toward {further} once, when it is complete.",
        f"  Handed on at each arrival it would count as {handed} = {wrong} instead of {total}:",
        "  what came first would be counted again.",
    ]


def gate_name(names: Names, gate: Node, i: int, value: Node) -> str:
    """The name of a gate; where it has a value twice, with the input that is meant."""
    twice = sum(parent is value for parent in gate.parents) > 1
    return f"{names.of(gate)} (as input {i + 1})" if twice else names.of(gate)


def as_share(part: Array) -> str:
    """A number as a term of a sum or a factor."""
    return nested_text(constant_text(part, DIGITS), PRODUCT)


def shortened(texts: list[str], most: int, middle: str) -> list[str]:
    """The texts, or the first and last of very many around the middle."""
    half = LINKS // 2
    return texts if len(texts) <= most else [*texts[:half], middle, *texts[-half:]]
