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
from tinygrad_lo.explaining.expression import DIGITS, PRODUCT, constant, inside
from tinygrad_lo.explaining.formula import Names, number, size
from tinygrad_lo.explaining.paths import LIMIT, Path, Paths, as_float, paths
from tinygrad_lo.explaining.steps import Product, Steps, shown, steps

MANY = 120  # a longer list of steps is told from its two ends
ENDS = 40  # so many steps of each end
CELLS = 16  # a larger array is shown by its shape and length
SHARES = 6  # a value that is used more often is no example
LINKS = 12  # a longer path is shown by its two ends


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
        return "\n".join(told(steps(loss, "explain")))


# ------------------------------------------------------------------------------------ step by step


def told(found: Steps) -> list[str]:
    """The whole story of a forward and a backward pass."""
    lines = [f"Forward, {counted(len(found.forward), 'step')}: each value is computed from its inputs."]
    lines += ends([f"  {step.text}" for step in found.forward])
    odd = next((step for step in found.forward if not finite(step.value)), None)
    if odd is not None:
        lines.append(f"  {odd.name} is the first value that is not finite.")
    count = counted(len(found.backward), "step")
    lines.append(f"Backward, {count}: local derivative · arriving gradient, the newest value first.")
    lines.append(f"  ∂L/∂{found.loss} = 1, the start (L is {found.loss})")
    lines += backward(found)
    if found.gradients:
        lines.append("The gradients:")
        names = found.names
        lines += ends(
            [f"  ∂L/∂{names.of(names.nodes[place])} = {value(g)}" for place, g in found.gradients.items()]
        )
    data = [found.names.of(node) for node in found.names.nodes if not node.needs]
    if data:
        verb = "needs" if len(data) == 1 else "need"
        them = "it" if len(data) == 1 else "them"
        some = data if len(data) <= CELLS else [*data[:CELLS], f"{len(data) - CELLS} more"]
        lines.append(f"{', '.join(some)} {verb} no gradient: nothing is handed to {them}.")
    return lines


def backward(found: Steps) -> list[str]:
    """The products of the backward pass, gate by gate."""
    products = found.backward
    many = len(products) > MANY
    told_ones = [*range(ENDS), *range(len(products) - ENDS, len(products))] if many else range(len(products))
    formulas = {step.place: f"{step.name} = {step.formula}" for step in found.forward}
    shared = {step.target_place for step in products if step.before is not None}
    sentences: dict[int, list[str]] = {}
    for step in products:
        known = sentences.setdefault(step.gate_place, [])
        if step.sentence not in known:
            known.append(step.sentence)
    lines = []
    gate = -1
    odd = next((i for i, step in enumerate(products) if not finite(step.part)), None)
    for k, i in enumerate(told_ones):
        step = products[i]
        if many and k == ENDS:
            lines.append(f"  … {len(products) - 2 * ENDS:,} steps are left out here …")
            gate = -1
        if step.gate_place != gate:
            gate = step.gate_place
            words = "; ".join(sentences[gate])
            lines.append(f"  {formulas[gate]}  ({words})")
        lines.append(f"    {step.text}{remark(step, step.target_place in shared)}")
        if i == odd:
            lines.append("    ↑ the first gradient that is not finite")
    return lines


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
    if not isinstance(step.part, (ndarray, np.generic)) or not step.part.size:
        pass  # a lazy array is not computed for a remark
    elif not np.any(step.arriving):
        words.append("nothing arrives, nothing is handed on")
    elif not np.any(step.part):
        words.append("stopped: the local derivative is 0 here")
    return f"   ({'; '.join(words)})" if words else ""


def ends(lines: list[str]) -> list[str]:
    """The lines, or the first and last of very many."""
    if len(lines) <= MANY:
        return lines
    return [*lines[:ENDS], f"  … {len(lines) - 2 * ENDS:,} are left out here …", *lines[-ENDS:]]


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
    return f"{grouped(n)} {what}" if n == 1 else f"{grouped(n)} {what}s"


def grouped(n: int) -> str:
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
    lines = [f"{grouped(found.count)} {lead} from {w} to {top} (= L)."]
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
        others = "the other path brings" if left == 1 else f"the other {grouped(left)} paths bring, in all,"
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
    texts = [names.of(of)]
    below = of
    for gate, i in path.gates:
        twice = sum(parent is below for parent in gate.parents) > 1
        texts.append(f"→ {names.of(gate)}" + (f" (as input {i + 1})" if twice else ""))
        below = gate
    if len(texts) > LINKS + 2:
        half = LINKS // 2
        texts = [*texts[:half], f"→ … {len(texts) - 2 * half:,} more …", *texts[-half:]]
    return " ".join(texts)


def product(path: Path) -> str:
    """`3 · (−2) = −6`."""
    texts = [inside(constant(slope, DIGITS), PRODUCT) for slope in path.slopes]
    if len(texts) > LINKS + 1:
        half = LINKS // 2
        texts = [*texts[:half], "…", *texts[-half:]]
    fraction, exponent = path.product
    result = number(as_float(path.product), DIGITS)
    if fraction and math.isfinite(fraction) and result in ("0", "∞", "−∞"):
        result = power_of_ten(fraction, exponent)
    return f"{' · '.join(texts)} = {result}" if texts != [result] and texts else result


def lessons(found: Paths, names: Names, of: Node) -> list[str]:
    """Why paths add, and why the order matters, on the first value at which they meet."""
    node = found.meets
    assert node is not None
    c, w = names.of(node), names.of(of)
    gates = []
    for gate, i, _ in found.arrivals:
        twice = sum(parent is node for parent in gate.parents) > 1
        gates.append(f"{names.of(gate)} (as input {i + 1})" if twice else names.of(gate))
    count = len(gates)
    if not found.scalar or count > SHARES:
        return [
            f"Paths meet at {c}, which is used {count} times: what arrives is added, then handed on once."
        ]
    parts = [part for _, _, part in found.arrivals]
    running = list(itertools.accumulate(parts))
    total = number(running[-1], DIGITS)
    shares = [inside(constant(part, DIGITS), PRODUCT) for part in parts]
    lines = [f"Why paths add: {c} is used {count} times. When {c} grows by a small h, L grows by"]
    lines += [f"  {share} · h through {gate}" for share, gate in zip(shares, gates, strict=True)]
    together = "both" if count == 2 else "all"
    lines.append(f"  and by {together} together: ∂L/∂{c} = {' + '.join(shares)} = {total}")
    if len({gate.birth for gate, _, _ in found.arrivals}) == 1:
        return lines
    if node is of:
        lines += [
            f"Why order matters: the newest value goes first, {', then '.join(gates)}.",
            f"  After the first, {c} has {number(parts[0], DIGITS)}; only the last makes it {total}.",
        ]
    else:
        handed = " + ".join(inside(constant(x, DIGITS), PRODUCT) for x in running)
        wrong = number(sum(running[1:], running[0]), DIGITS)
        lines += [
            f"Why order matters: {c} hands its gradient on toward {w} once, when it is complete.",
            f"  Handed on at each arrival it would count as {handed} = {wrong} instead of {total}:",
            "  what came first would be counted again.",
        ]
    return lines
