"""The numbers inside of gates that a page lets one change: options of losses, and factors of the user's."""

from __future__ import annotations

import math
from collections import Counter

from tinygrad_lo.drawing.passes.collapse import known
from tinygrad_lo.engine.graph import Node, Op
from tinygrad_lo.explaining.formula import Names
from tinygrad_lo.losses.following import Numbers, followed_options, loss_text
from tinygrad_lo.options import INF, Followed, Option
from tinygrad_lo.program.ops import ADD, DIVIDE, MULTIPLY, SUBTRACT

ANY = (-INF, -INF, INF, INF)
# What a number is to the other operand, by the op and its place.
ROLES: dict[tuple[Op | None, int], str] = {
    (MULTIPLY, 0): "factor of {}", (MULTIPLY, 1): "factor of {}",
    (ADD, 0): "added to {}", (ADD, 1): "added to {}",
    (SUBTRACT, 0): "number before − {}", (SUBTRACT, 1): "subtracted from {}",
    (DIVIDE, 0): "divided by {}", (DIVIDE, 1): "divisor of {}",
}  # fmt: skip
NOTCHES = 100  # of a slider, from one end to the other


def slider_numbers(names: Names, *, recorded: bool) -> Numbers:
    """The numbers among the inputs of a graph that a page can change."""
    every = [made for _, made in followed_options(names.nodes, recorded=recorded)]
    shared = Counter(place for made in every for place in made)
    numbers: Numbers = {}
    for made in every:
        if all(shared[place] == 1 for place in made):  # what is made of two options follows neither
            numbers |= made
    return numbers | factors(names)


def factors(names: Names) -> Numbers:
    """The floats that the user adds to values, or multiplies them by."""
    spans, numbers = library_spans(names.nodes), Numbers()
    for node in names.nodes:
        for i, x in enumerate(node.inputs[:2]):
            role = ROLES.get((node.op, i), "")
            typed = type(x) is float and math.isfinite(x)  # by the user, to whom whole numbers are counts
            if role and typed and node.parents[i] is None and not is_inside(node, spans):
                other = node.parents[1 - i]
                words = (loss_text(other) or names.of(other)) if other is not None else "an array"
                numbers[node.birth, i] = Followed.of(Option(role.format(words), x, ANY), x)
    return numbers


def library_spans(nodes: list[Node]) -> list[tuple[int, int]]:
    """The births between which losses, and other functions of the library, have computed."""
    return [(began, node.birth) for node in nodes for _, began in known(node).spans]


def is_inside(node: Node, spans: list[tuple[int, int]]) -> bool:
    """Whether a loss, or another function of the library, has made this value."""
    return any(ended <= node.birth < began for began, ended in spans)


def slider(value: float, bounds: tuple[float, ...] = ANY) -> list[float]:
    """Where a slider begins and ends, and its step: within what an option takes, else around its value."""
    at_least, above, at_most, below = bounds
    low, high = max(at_least, above), min(at_most, below)
    power = 10.0 ** math.floor(math.log10(3 * abs(value))) if value else 1.0
    reach = next(n * power for n in (1, 2, 5, 10) if n * power >= 3 * abs(value))
    if math.isinf(low):
        low = min(high, 0.0) if value >= 0 else -reach
    if math.isinf(high):
        high = low + reach if value >= 0 else 0.0
    step = (high - low) / NOTCHES
    return [low + step * (low == above), high - step * (high == below), step]
