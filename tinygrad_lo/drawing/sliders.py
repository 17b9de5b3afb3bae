"""The numbers inside of gates that a page lets one change: options of losses, and factors of the user's."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.naming import Label
from tinygrad_lo.explaining.expression import DIVIDE, MULTIPLY
from tinygrad_lo.explaining.formula import Names
from tinygrad_lo.losses.following import Numbers, called, followed_options
from tinygrad_lo.options import INF, Followed, Option
from tinygrad_lo.program.simplify import ADD, SUBTRACT

ANY = (-INF, -INF, INF, INF)
# What a number is to the other operand, by the op and its place. The slope of a divisor would be one number
# made of it, so that no text could follow.
ROLES = {
    (MULTIPLY, 0): "factor of {}", (MULTIPLY, 1): "factor of {}",
    (ADD, 0): "added to {}", (ADD, 1): "added to {}",
    (SUBTRACT, 0): "number before − {}", (SUBTRACT, 1): "subtracted from {}",
    (DIVIDE, 0): "divided by {}",
}  # fmt: skip
MARKS = 100  # of a slider, from one end to the other


def slider_numbers(names: Names, *, recorded: bool) -> Numbers:
    """The numbers among the inputs of a graph that a page can change."""
    every = [*followed_options(names.nodes, recorded=recorded)]
    shared = Counter(place for _, numbers in every for place in numbers)
    numbers: Numbers = {}
    for _, made in every:
        if all(shared[place] == 1 for place in made):  # what is made of two options follows neither
            numbers |= made
    for node in outside_of_losses(names.nodes):
        for i, (parent, x) in enumerate(zip(node.parents, node.inputs, strict=False)):
            role = ROLES.get((node.op, i)) if parent is None else None
            if role and type(x) is float and math.isfinite(x):
                other = node.parents[1 - i]
                title = role.format(called(other) or names.of(other)) if other is not None else node.op.name
                numbers[node.birth, i] = Followed.of(Option(title, x, ANY), x)
    return numbers


def outside_of_losses(nodes: list[Node]) -> list[Any]:
    """What the user has computed: not inside of a loss or of another function of the library."""
    spans = [
        (began, node.birth)
        for node in nodes
        if isinstance(node.label, Label)
        for _, began in node.label.spans
    ]
    return [
        node
        for node in nodes
        if node.op is not None and not any(ended <= node.birth < began for began, ended in spans)
    ]


def slider(value: float, bounds: tuple[float, ...] = ANY) -> list[float]:
    """Where a slider begins and ends, and its step: within what an option takes, else around its value."""
    at_least, above, at_most, below = bounds
    power = 10.0 ** math.floor(math.log10(3 * abs(value))) if value else 1.0
    reach = next(n * power for n in (1, 2, 5, 10) if n * power >= 3 * abs(value))
    low, high = max(at_least, above), min(at_most, below)
    low = low if low > -INF else -reach if value < 0 else 0.0
    high = high if high < INF else max(low, 0.0) if value < 0 else low + reach
    step = (high - low) / MARKS or 1.0
    return [low + step * (low == above), high - step * (high == below), step]
