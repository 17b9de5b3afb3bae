"""`lo.explain`: backprop in words and numbers, step by step or path by path."""

from __future__ import annotations

import itertools
from collections import defaultdict
from decimal import Decimal
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Array, Node, mode
from tinygrad_lo.engine.machine.hooks import leave
from tinygrad_lo.explaining.expression import term
from tinygrad_lo.explaining.formula import DIGITS, LOSS, Names, Printed, must_be_tensor, number, shown, size
from tinygrad_lo.explaining.paths import LIMIT, WIDE, Path, Paths, paths
from tinygrad_lo.explaining.steps import Product, Steps, steps
from tinygrad_lo.options import public

MANY_STEPS = 120  # a longer list of steps is told from its two ends
SHOWN_ENDS = 40  # so many steps of each end
CELLS = 16  # a larger array is shown by its shape and length
SHARES = 6  # a value that is used more often is no example
LINKS = 12  # a longer path is shown by its two ends


@public
def explain(loss: Any, of: Any = None) -> Printed:
    """Backprop told step by step: every value, every product of the chain rule, in the engine's order.

    Each gate hands to each of its inputs the gradient that arrived, times its local derivative; where a value
    is used twice, contributions add up. With `of=w`, the same gradient as a sum over paths: the 20 paths from
    w to the loss with the largest products of local derivatives, and the number and sum of all others.
    Changes nothing: no `.grad`, no later backward pass.

        ∂L/∂input += (∂gate/∂input) · ∂L/∂gate

    At the edges: above 120 steps, the first and last 40 are told and the others counted. A billion paths are
                  no difficulty; between arrays, where none has a single product, over 100 are only counted.
    Raises:   DTypeError: not a tensor.  GraphError: the loss has several elements or needs no gradient, or
              no gradient flows to `of`.  MutationError: a leaf was changed after the forward pass.
    Example:
        >>> import tinygrad_lo as lo
        >>> print(lo.explain(lo.Parameter(3.0, name="w") ** 2))
        Forward, 1 step: each value is computed from its inputs.
          L = w² = 3² = 9
        Backward, 1 step: local derivative · arriving gradient, the newest value first.
          ∂L/∂L = 1, the start
          L = w²  (^ multiplies the gradient by its local derivative)
            ∂L/∂w = 2 · w · ∂L/∂L = 2 · 3 · 1 = 6
        The gradients:
          ∂L/∂w = 6
    """
    must_be_tensor("explain", loss)
    if of is None:
        return Printed("\n".join(whole_story(steps(loss, "explain"))))
    must_be_tensor("explain", of, "of= to be a tensor")
    leave("lo.explain", loss)
    with np.errstate(all="ignore"), mode("watch", None):
        return Printed("\n".join(told_by_path(paths(loss, of), Names([loss], DIGITS), of)))


def whole_story(story: Steps) -> list[str]:
    """The whole story of a forward and a backward pass."""
    lines = [f"Forward, {counted(len(story.forward), 'step')}: each value is computed from its inputs."]
    lines += [step if isinstance(step, str) else f"  {step.text}" for step in ends(story.forward)]
    if odd := first_not_finite(story.names):
        lines.append(f"  {odd} is the first value that is not finite.")
    count = counted(len(story.backward), "step")
    lines.append(f"Backward, {count}: local derivative · arriving gradient, the newest value first.")
    which = "" if story.loss == LOSS else f" (L is {story.loss})"
    lines.append(f"  ∂L/∂{story.loss} = 1, the start{which}")
    return [*lines, *gates_backward(story), *results(story)]


def results(story: Steps) -> list[str]:
    """The gradients, and what gets none."""
    names = story.names
    gradients = [f"  ∂L/∂{names.of(names.nodes[place])} = {value(g)}" for place, g in story.gradients.items()]
    lines = ["The gradients:", *ends(gradients)] if gradients else []
    data = [names.of(node) for node in names.nodes if not node.needs]
    if data:
        verb, them = ("needs", "it") if len(data) == 1 else ("need", "them")
        more = [f"{len(data) - CELLS} more"] if len(data) > CELLS else []
        some = ", ".join([*data[:CELLS], *more])
        lines.append(f"{some} {verb} no gradient: nothing is handed to {them}.")
    return lines


def gates_backward(story: Steps) -> list[str]:
    """The products of the backward pass, gate by gate."""
    gates = {step.place: step for step in story.forward}
    products = defaultdict[int, list[Product]](list)
    for step in story.backward:
        products[step.gate_place].append(step)
    shared = {step.target_place for step in story.backward if step.before is not None}
    odd = next((step for step in story.backward if not finite(step.part)), None)
    lines = []
    gate = None
    for step in ends(story.backward, "steps are"):
        if isinstance(step, str):
            lines.append(step)
            gate = None
            continue
        if step.gate_place != gate:
            gate = step.gate_place
            sentences = "; ".join(dict.fromkeys(each.sentence for each in products[gate]))
            lines.append(f"  {gates[gate].name} = {gates[gate].formula}  ({sentences})")
        lines.append(f"    {step.text}{remark(step, step.target_place in shared)}")
        lines += ["    ↑ the first gradient that is not finite"] * (step is odd)
    return lines


def remark(step: Product, shared: bool) -> str:
    """What is worth saying about one product."""
    words = []
    if step.summed:
        axes = ", ".join(map(str, step.summed))
        words.append(f"summed over axis {axes}, along which {step.target} was repeated")
    if shared:
        if step.before is None:
            words.append(f"{step.target} is used more than once: more will be added")
        elif step.last:
            words.append(f"now ∂L/∂{step.target} is complete")
    # A lazy array is not computed for this.
    if isinstance(step.part, (ndarray, np.generic)) and step.part.size:
        if not np.any(step.arriving):
            words.append("nothing arrives, nothing is handed on")
        elif not np.any(step.part):
            words.append("stopped: the local derivative is 0 here")
    return f"   ({'; '.join(words)})" if words else ""


def shortened(items: list[Any], most: int, half: int, gap: str) -> list[Any]:
    """The items; of more than `most`, the first and last around the gap, which says how many are left out."""
    count = f"{len(items) - 2 * half:,}"
    return items if len(items) <= most else [*items[:half], gap.format(count), *items[-half:]]


def ends(lines: list[Any], what: str = "are") -> list[Any]:
    """The lines, or the first and last of very many."""
    return shortened(lines, MANY_STEPS, SHOWN_ENDS, f"  … {{}} {what} left out here …")


def finite(x: Array) -> bool:
    """Whether there is neither nan nor inf in it; what is not computed yet counts as finite."""
    return not isinstance(x, (ndarray, np.generic)) or bool(np.isfinite(x).all())


def first_not_finite(names: Names) -> str:
    """The name of the first value, given or computed, that is not finite; empty if all are."""
    return next((names.of(node) for node in names.nodes if not finite(node.value)), "")


def value(x: Array) -> str:
    """A gradient: a number, a small array in full, a large one by shape and length."""
    shape = np.shape(x)
    if not shape or not isinstance(x, ndarray) or not x.size:
        return shown(x)
    if x.size > CELLS or x.ndim > 2:
        return f"{size(shape)}, {length_text(x)}"
    rows = [", ".join(number(cell, DIGITS) for cell in row) for row in np.atleast_2d(x)]
    text = ", ".join(f"[{row}]" for row in rows)
    return f"[{text}]" if x.ndim == 2 else text


def length_text(x: Array) -> str:
    """The length of an array."""
    return f"‖·‖ = {number(np.linalg.norm(x), DIGITS)}"


def counted(n: int, what: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{with_commas(n)} {what}{'' if n == 1 else 's'}"


def with_commas(n: int) -> str:
    """A whole number with separators; one that nobody can read, by its power of ten."""
    return f"{n:,}" if n.bit_length() < 400 else f"about {power_of_ten(n)}"


def power_of_ten(x: Decimal | int) -> str:
    """A number far outside of what a float holds, as `1.07e3010`."""
    three_digits = WIDE.copy()
    three_digits.prec = 3
    text = str(three_digits.create_decimal(x).normalize(three_digits))
    return text.replace("E+", "e").replace("E", "e").replace("-", "−")


def told_by_path(story: Paths, names: Names, of: Node) -> list[str]:
    """A gradient as the sum over the paths to the loss."""
    w, top = names.of(of), names.of(names.nodes[-1])
    lead = "path leads" if story.count == 1 else "paths lead"
    lines = [f"{with_commas(story.count)} {lead} from {w} to {top}{'' if top == LOSS else ' (= L)'}."]
    terms = "the products of local derivatives along each" if story.scalar else "what arrives along each"
    lines.append(f"∂L/∂{w} = {value(story.gradient)}: the sum of {terms}.")
    if not story.scalar:
        lines.append("  Between arrays a path's product is a chain of Jacobian matrices.")
        lengths = [
            "  Shown is the length ‖·‖ of what arrives along each path alone. The arrays add up, their",
            "  lengths do not.",
        ]
        lines += lengths if story.largest else [f"  More than {LIMIT} paths are counted, not followed."]
    lines += [f"  {route(names, of, path)}   {product(path)}" for path in story.largest]
    left = story.count - len(story.largest)
    if left and story.largest:
        others = f"other {with_commas(left)} paths bring, in all," if left > 1 else "other path brings"
        lines.append(f"  the {others} {value(story.rest)}")
    if story.meets is not None:
        lines += lessons(story, names, of, story.meets)
    return lines


def route(names: Names, of: Node, path: Path) -> str:
    """`w → s → loss`; where a gate has the value twice, which of its inputs is meant."""
    below = [of, *(gate for gate, _ in path.gates)]
    texts = [f"→ {gate_name(names, gate, i, x)}" for (gate, i), x in zip(path.gates, below, strict=False)]
    return " ".join(shortened([names.of(of), *texts], LINKS + 2, LINKS // 2, "→ … {} more …"))


def product(path: Path) -> str:
    """`3 · (−2) = −6`; between arrays, the length of what arrives."""
    if not isinstance(path.product, Decimal):
        return length_text(path.product)
    texts = shortened([term(slope) for slope in path.slopes], LINKS + 1, LINKS // 2, "…")
    result = number(path.product, DIGITS)
    if path.product and path.product.is_finite() and result in ("0", "∞", "−∞"):
        result = power_of_ten(path.product)
    return f"{' · '.join(texts)} = {result}" if texts != [result] and texts else result


def lessons(story: Paths, names: Names, of: Node, meets: Node) -> list[str]:
    """Why paths add, and why the order matters, on the first value at which they meet."""
    c, count = names.of(meets), len(story.arrivals)
    if not story.scalar or count > SHARES:
        return [f"Paths meet at {c}, which is used {count} times: what arrives is added, then sent on once."]
    gates = [gate_name(names, gate, i, meets) for gate, i, _ in story.arrivals]
    parts = [part for _, _, part in story.arrivals]
    shares, running = list(map(term, parts)), list(itertools.accumulate(parts))
    total = number(running[-1], DIGITS)
    together = "both" if count == 2 else "all"
    lines = [
        f"Why paths add: {c} is used {count} times. When {c} grows by a small h, L grows by",
        *(f"  {share} · h through {gate}" for share, gate in zip(shares, gates, strict=True)),
        f"  and by {together} together: ∂L/∂{c} = {' + '.join(shares)} = {total}",
    ]
    if len({gate.birth for gate, _, _ in story.arrivals}) == 1:
        return lines
    if meets is of:
        return [
            *lines,
            f"Why order matters: the newest value goes first, {', then '.join(gates)}.",
            f"  After the first, {c} has {number(running[0], DIGITS)}; only the last makes it {total}.",
        ]
    handed, wrong = " + ".join(map(term, running)), number(sum(running[1:], running[0]), DIGITS)
    return [
        *lines,
        f"Why order matters: {c} hands its gradient on toward {names.of(of)} once, when it is complete.",
        f"  Handed on at each arrival it would count as {handed} = {wrong} instead of {total}:",
        "  what came first would be counted again.",
    ]


def gate_name(names: Names, gate: Node, i: int, value: Node) -> str:
    """The name of a gate; where it has a value twice, with the input that is meant."""
    twice = sum(parent is value for parent in gate.parents) > 1
    return f"{names.of(gate)} (as input {i + 1})" if twice else names.of(gate)
