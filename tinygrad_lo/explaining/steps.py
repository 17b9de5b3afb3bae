"""The forward and the backward pass as a list of steps, one product of the chain rule each.

The numbers are the engine's: its own loop runs over its own rules, and what passes is written down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.backward import Part, pull, start, sweep
from tinygrad_lo.engine.graph import Array, Node, mode, same
from tinygrad_lo.engine.machine.arguments import memory
from tinygrad_lo.engine.machine.hooks import leave
from tinygrad_lo.engine.machine.sums import broadcasts, stretched
from tinygrad_lo.explaining.derivative import local_expression, pieces_of
from tinygrad_lo.explaining.element import product_worked, value_worked, written_node
from tinygrad_lo.explaining.expression import Arg, Bond, Expression, Piece, constant_text, term, write
from tinygrad_lo.explaining.formula import DIGITS, Names, equation, is_shown_as_number, must_be_tensor, shown
from tinygrad_lo.program.ops import (
    ADD_UP,
    ASTYPE,
    DIVIDE,
    EQUAL,
    FILL,
    FULL,
    MATMUL,
    MULTIPLY,
    NEGATIVE,
    WHERE,
)
from tinygrad_lo.program.program import like

MULTIPLIES = "multiplies the gradient by its local derivative"


# Words are asked for when a step is told: of a hundred thousand steps a few are.
Example = Callable[[], tuple[str, str]]  # the place, and the equation there


@dataclass
class Computed:
    """One forward step: a value from its inputs."""

    place: int  # among all values of the graph, oldest first
    node: Node
    names: Names
    example: Example  # one element of it worked out, where arrays are among the inputs

    @cached_property
    def name(self) -> str:
        """The value's."""
        return self.names.of(self.node)

    @property
    def value(self) -> Array:
        """What was computed."""
        return self.node.value

    @cached_property
    def formula(self) -> str:
        """What it was computed from."""
        return self.names.formula(self.node)

    @cached_property
    def numbers(self) -> str:
        """The formula with numbers put in, between scalars; else empty."""
        return put_in(self.node)

    @property
    def text(self) -> str:
        """`v3 = v1 + v2 = (−2) + 6 = 4`; of an array the shape, and one element worked out."""
        text = equation(self.name, self.formula, self.numbers, value=self.value)
        place, worked = ("", "") if self.numbers else self.example()
        if not np.shape(self.value):
            return f"{self.name} = {worked}" if worked else text
        return f"{text}, e.g. {self.name}{place} = {worked}" if worked else text


@dataclass
class Product:
    """One backward step: what one gate hands to one of its inputs."""

    gate: str  # the name of the value whose gradient has arrived
    gate_place: int
    operand: int  # which of its inputs this is; the same target may stand at several
    target: str
    target_place: int
    arriving: Array  # the gradient at the gate; complete, as no newer value is left
    part: Array  # the product's value, which is added to the target's gradient
    before: Array | None  # what had arrived at the target before; None for the first contribution
    total: Array  # what has arrived at the target now
    last: bool  # whether nothing more will arrive there
    summed: tuple[int, ...]  # axes of the gate along which the target was repeated: the part is a sum
    say: Callable[[], str]
    work: Callable[[], tuple[Array | None, str, str]]
    example: Example  # one element of it worked out, where arrays are among the factors

    @cached_property
    def sentence(self) -> str:
        """What the gate does, in words."""
        return self.say()

    @cached_property
    def worked(self) -> tuple[Array | None, str, str]:
        """Slope, formula and numbers."""
        with mode("watch", None), np.errstate(all="ignore"):
            return self.work()

    @property
    def slope(self) -> Array | None:
        """The local derivative, between scalars; else None."""
        return self.worked[0]

    @property
    def formula(self) -> str:
        """The product, from the rule: `2 · w11 · ∂L/∂v17`, `Xᵀ @ ∂L/∂S`."""
        return self.worked[1]

    @property
    def numbers(self) -> str:
        """The formula with numbers put in, between scalars; else empty."""
        return self.worked[2]

    @property
    def text(self) -> str:
        """`∂L/∂w += 2 · w · ∂L/∂v1 = 2 · 3 · 1 = 6, in all 4 + 6 = 10`."""
        title, sign = f"∂L/∂{self.target}", "=" if self.before is None else "+="
        place, worked = ("", "") if self.numbers else self.example()
        if np.shape(self.part):
            text = equation(f"{title} {sign} {self.formula}", value=self.part)
            return f"{text}, e.g. {title}{place} {sign} {worked}" if worked else text
        text = equation(f"{title} {sign} {self.formula}", self.numbers, value=self.part)
        text = f"{title} {sign} {self.formula} = {worked}" if worked else text
        if self.before is None:
            return text
        return f"{text}, in all {term(self.before)} + {term(self.part)} = {shown(self.total)}"


@dataclass(slots=True)
class Steps:
    """A forward and a backward pass, step by step, in the order of the engine."""

    names: Names  # of all values; places count its `nodes`
    loss: str  # the name of the value that the backward pass starts from
    forward: list[Computed] = field(default_factory=list)
    backward: list[Product] = field(default_factory=list)
    gradients: dict[int, Array] = field(default_factory=dict)  # what each leaf gets, by its place


def steps(loss: Any, who: str = "steps") -> Steps:
    """Every step of a loss's forward and backward pass.

    Raises:   DTypeError: not a tensor.  GraphError: several elements, or nothing requires a gradient.
              MutationError: a leaf was changed after the forward pass.
    """
    must_be_tensor(who, loss)
    leave(f"lo.{who}", loss)
    seed = start(loss, None, who)
    names = Names([loss], digits=DIGITS)
    places = {node.birth: i for i, node in enumerate(names.nodes)}
    story = Steps(names, names.of(loss))
    rules = Rules()
    totals: dict[int, Array] = {}

    def watch(node: Node, g: Array) -> Iterable[Part]:
        for i, parent, part in pull(node, g):
            before = totals.get(parent.birth)
            total = totals[parent.birth] = part if before is None else before + part
            story.backward.append(
                Product(
                    names.of(node), places[node.birth], i, names.of(parent), places[parent.birth],
                    g, part, before, total,
                    last=False,
                    summed=repeated(np.shape(parent.value), np.shape(node.value), node.op),
                    say=partial(rules.sentence, names, node, i),
                    work=partial(worked, rules, names, node, i, g),
                    example=partial(or_nothing, product_worked, node, i, g, part),
                )
            )  # fmt: skip
            yield i, parent, part

    # Steps show nan and ∞; they need not warn of them as well.
    with mode("watch", None), np.errstate(all="ignore"):
        story.forward = computed(names, totals)
        leaves, grads, _ = sweep(loss, seed, watch)
    for step in {step.target_place: step for step in story.backward}.values():
        step.last = True
    story.gradients = {places[b]: like(grads[b], leaves[b]) for b in sorted(grads, reverse=True)}
    return story


def computed(names: Names, gradients: Mapping[int, Array] = MappingProxyType({})) -> list[Computed]:
    """The forward pass of a graph: every value that was computed, oldest first; gradients: by birth."""
    return [
        Computed(place, node, names, partial(or_nothing, value_worked, names, node, gradients))
        for place, node in enumerate(names.nodes)
        if node.op is not None
    ]


def or_nothing(work: Callable[..., tuple[str, str]], *args: Any) -> tuple[str, str]:
    """The example, or none where an op or a rule fails on other numbers than it was given."""
    try:
        with np.errstate(all="ignore"):
            return work(*args)
    except Exception:  # a user's op may raise anything
        return "", ""


def repeated(narrow: tuple[int, ...], wide: tuple[int, ...], op: Any) -> tuple[int, ...]:
    """The axes along which NumPy repeated an input of this shape, for an op that works element by element."""
    if op.samples or op.arity is None or not broadcasts([narrow, wide], wide):
        return ()
    return stretched(wide, narrow)


def put_in(node: Node, pieces: dict[str, Piece] | None = None) -> str:
    """What made a scalar, with the numbers of its inputs, or with what stands for them: `(−2) + 6`."""
    op: Any = node.op
    if op.arity is None or not all(map(is_shown_as_number, (node.value, *node.inputs[: op.arity]))):
        return ""
    pieces = pieces_of_numbers(node) if pieces is None else pieces
    return written_node(node, [pieces[str(i)] for i in range(op.arity)])


def pieces_of_numbers(node: Node) -> dict[str, Piece]:
    """The numbers of a node's output and inputs, by key."""
    values = {"y": node.value} | {str(i): x for i, x in enumerate(node.inputs)}
    # Without its value, a factor of 1 is not taken for one that a reader can do without.
    return {key: constant_text(x)._replace(value=None) for key, x in values.items() if is_shown_as_number(x)}


class Rules:
    """The rules of one graph as expressions, each recorded once for inputs of one kind."""

    def __init__(self) -> None:
        self._known: dict[Any, Expression | None] = {}

    def of(self, node: Node, i: int, *, slope: bool = False, summed: bool = True) -> Expression | None:
        """What the rule for input i does; None where it runs on arrays only."""
        operands = map(what_a_rule_sees, node.parents, node.inputs)
        options = map(repr, node.inputs[len(node.parents) :])
        key = (node.op, i, slope, summed, np.shape(node.value), *operands, *options)
        if key not in self._known:
            try:
                rule = local_expression(node, i, slope, summed)
            except Exception:  # a user's rule may raise anything on what is no array
                rule = None
            if rule is not None and rule.branched:
                return rule
            self._known[key] = rule
        return self._known[key]

    def sentence(self, names: Names, node: Node, i: int) -> str:
        """What the gate does with a gradient, in words, derived from its rule."""
        op: Any = node.op
        gate = op.symbol if "{" not in op.symbol else op.name
        if op.rules[0 if op.arity is None else i] is same:
            every = all(rule is same for rule in op.rules)
            to = " to its inputs" if every else " to its first input" if i == 0 else ""
            return f"{gate} copies the gradient{to}"
        rule = self.of(node, i, summed=False)
        words = MULTIPLIES if rule is None else words_for(rule, names, node, i)
        return f"{gate} {words}"


def what_a_rule_sees(parent: Node | None, value: Any) -> Any:
    """What a rule can see of an input before it computes."""
    if parent is None and type(value) is not ndarray:
        return (type(value), repr(value))
    shape = np.shape(value)
    return (shape, value.dtype, None if parent is not None or not shape else memory(value))


def words_for(rule: Expression, names: Names, node: Node, i: int) -> str:
    """What the rule for input i does, told by the ops that it is made of."""
    ops = {line.op for line in rule.lines}
    kinds = {op.kind for op in ops}
    keys = [arg for arg in rule.lines[0].args if isinstance(arg, str)] if len(rule.lines) == 1 else []
    is_one_step = keys[:1] == ["g"]
    is_product = is_one_step and MULTIPLY in ops and len(node.inputs) == 2
    condition = routed(rule, pieces_of(node, names))
    ties = "; ties share it" if EQUAL in ops else ""
    cases = {
        "copies the gradient": not ops,
        "turns the sign of the gradient": is_one_step and NEGATIVE in ops,
        "swaps: each input gets the gradient times the other input": is_product and keys[1:] == [str(1 - i)],
        "by a constant: the gradient is multiplied by it, too": is_product,
        f"routes: the gradient passes where {condition}, and stops elsewhere{ties}": bool(condition),
        "swaps, as × does: the gradient times the other input, turned so that shapes fit": MATMUL in ops,
        "copies the gradient to every element that went into it": ops <= FILL and FULL in ops,
        "only moves numbers: the gradient goes back to where they came from": kinds == {"moves"},
        "repeats numbers: the gradients of all copies are added": ops <= ADD_UP,
        "mixes elements: each of them gets gradient from several": "mixes" in kinds,
    }
    return next((words for words, holds in cases.items() if holds), MULTIPLIES)


def routed(rule: Expression, pieces: dict[str, Piece]) -> str:
    """The condition under which a rule lets the gradient through, if that is all it does."""
    carriers: list[Arg] = ["g"]  # the gradient, and what is made of it
    for place, line in enumerate(rule.lines):
        carried = [arg in carriers for arg in line.args]
        if line.op is WHERE and any(carried[1:]):
            condition = write(rule._replace(result=line.args[0]), pieces).text
            return condition if carried[1] else f"not {condition}"
        if line.op is MULTIPLY:
            for passes, factor in zip(carried, line.args[::-1], strict=True):
                compared = condition_of(rule, factor) if passes else None
                if compared is not None:
                    return write(rule._replace(result=compared), pieces).text
        carriers += [place] * any(carried)
    return ""


def condition_of(rule: Expression, arg: Arg) -> Arg | None:
    """The comparison that this is: as numbers, or shared among ties."""
    while isinstance(arg, int):
        line = rule.lines[arg]
        if line.op.kind == "compares":
            return arg
        if line.op not in (ASTYPE, DIVIDE):
            return None
        arg = line.args[0]
    return None


def worked(rules: Rules, names: Names, node: Node, i: int, g: Array) -> tuple[Array | None, str, str]:
    """The local derivative between scalars, the product as text, and with numbers put in."""
    arriving = f"∂L/∂{names.of(node)}"
    pieces = pieces_of(node, names, arriving)
    quotient = f"∂{pieces['y'].text}/∂{pieces[str(i)].text}"
    scalar = is_shown_as_number(node.value) and is_shown_as_number(node.inputs[i])
    rule = rules.of(node, i, slope=scalar)
    if not scalar:
        return None, f"({quotient})ᵀ {arriving}" if rule is None else write(rule, pieces).text, ""
    slope = shares(node)[i]
    formula, numbers = quotient, term(slope)
    if rule is not None:
        formula = slope_text(rule, pieces)
        numbers = slope_text(rule, pieces_of_numbers(node))
    return slope, f"{formula} · {arriving}", f"{numbers} · {term(g)}"


def slope_text(rule: Expression, pieces: dict[str, Piece]) -> str:
    """A local derivative between scalars, as the first factor of a product."""
    piece = write(rule, pieces, times="·")
    mixed = piece.level == Bond.PRODUCT and piece.kind != "×"
    return f"({piece.text})" if mixed or piece.opened else piece.within(Bond.PRODUCT)


def shares(node: Node, g: Array | None = None) -> dict[int, Array]:
    """What a node sends to each of its inputs; for a gradient of 1, a scalar's local derivatives."""
    return {i: part for i, _, part in pull(node, node.value.dtype.type(1) if g is None else g)}
