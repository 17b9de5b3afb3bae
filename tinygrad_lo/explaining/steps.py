"""The forward and the backward pass as a list of steps, one product of the chain rule each.

Text, the page that steps through a graph, and tests read the same list. The numbers are the engine's:
its own loop runs over its own rules, and what passes is written down. Looking changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.backward import Part, pull, start, sweep
from tinygrad_lo.engine.graph import Array, Node, Op, mode, same
from tinygrad_lo.engine.machine.arguments import memory
from tinygrad_lo.engine.machine.hooks import leave
from tinygrad_lo.engine.machine.sums import stretched
from tinygrad_lo.engine.ops.arithmetic import equal
from tinygrad_lo.engine.ops.linear import matmul
from tinygrad_lo.engine.ops.reductions import sum as total
from tinygrad_lo.engine.ops.registry import record
from tinygrad_lo.errors import DTypeError
from tinygrad_lo.explaining.derivative import local_expression, pieces_of
from tinygrad_lo.explaining.expression import (
    DIGITS,
    DIVIDE,
    MINUS,
    MULTIPLY,
    POWER,
    PRODUCT,
    WHERE,
    Expression,
    Line,
    Option,
    Piece,
    Ref,
    Symbol,
    constant_text,
    nested_text,
    write,
)
from tinygrad_lo.explaining.formula import Names, number, size
from tinygrad_lo.program.simplify import ASTYPE, FULL, RESHAPE, SPREADING

ADD_UP = {record(total), RESHAPE}
FILL = SPREADING - {ASTYPE}
EQUAL, MATMUL = record(equal), record(matmul)


@dataclass(slots=True)
class Computed:
    """One forward step: a value from its inputs.

    Attributes:
        place: its place among all values of the graph, oldest first.
        numbers: the formula with numbers put in, between scalars; else empty.
    """

    place: int
    name: str
    formula: str
    numbers: str
    value: Array

    @property
    def text(self) -> str:
        """`v3 = v1 + v2 = (−2) + 6 = 4`, or the shape where the value is no single number."""
        parts = [self.name, self.formula, self.numbers, shown(self.value)]
        scalar = np.shape(self.value) == ()
        return " = ".join(part for part in parts[: 4 if scalar else 2] if part) + (
            "" if scalar else f"  {shown(self.value)}"
        )


@dataclass(slots=True)
class Product:
    """One backward step: what one gate hands to one of its inputs.

    Attributes:
        gate: the name of the value whose gradient has arrived.
        operand: which of its inputs this is; the same target may stand at several.
        arriving: the gradient that has arrived at the gate; complete, as no newer value is left.
        slope: the local derivative, between scalars; else None.
        formula: the product, from the rule: `2 · w11 · ∂L/∂v17`, `Xᵀ @ ∂L/∂S`.
        numbers: the formula with numbers put in, between scalars; else empty.
        part: the product's value, which is added to the target's gradient.
        before: what had arrived at the target before; None for the first contribution.
        total: what has arrived at the target now.
        last: whether nothing more will arrive there.
        summed: the axes of the gate along which the target was repeated, so that the part is a sum.
        sentence: what the gate does, in words.
    """

    gate: str
    gate_place: int
    operand: int
    target: str
    target_place: int
    arriving: Array
    slope: Array | None
    formula: str
    numbers: str
    part: Array
    before: Array | None
    total: Array
    last: bool
    summed: tuple[int, ...]
    sentence: str

    @property
    def text(self) -> str:
        """`∂L/∂w += 2 · w · ∂L/∂v1 = 2 · 3 · 1 = 6, in all 4 + 6 = 10`."""
        sign = "=" if self.before is None else "+="
        parts = [f"∂L/∂{self.target} {sign} {self.formula}"]
        if np.shape(self.part):
            return parts[0] + f"  {shown(self.part)}"
        parts += [self.numbers] if self.numbers else []
        text = " = ".join([*parts, shown(self.part)])
        if self.before is not None:
            terms = constant_text(self.before, DIGITS), constant_text(self.part, DIGITS)
            text += (
                f", in all {' + '.join(nested_text(term, PRODUCT) for term in terms)} = {shown(self.total)}"
            )
        return text


@dataclass(slots=True)
class Steps:
    """A forward and a backward pass, step by step.

    Attributes:
        names: the names of all values; their places count its `nodes`.
        loss: the name of the value that the backward pass starts from.
        seed: the gradient that it starts with: 1.
        forward, backward: the steps in the order of the engine.
        gradients: what `backward()` adds to each leaf, by the leaf's place.
    """

    names: Names
    loss: str
    seed: Array
    forward: list[Computed] = field(default_factory=list)
    backward: list[Product] = field(default_factory=list)
    gradients: dict[int, Array] = field(default_factory=dict)


def steps(loss: Any, who: str = "steps") -> Steps:
    """Every step of a loss's forward and backward pass.

    Raises:   DTypeError: not a tensor.  GraphError: several elements, or nothing requires a gradient.
              MutationError: a leaf was changed after the forward pass.
    """
    if not isinstance(loss, Node):
        raise DTypeError(f"{who}: expected a tensor, got {type(loss).__name__}")
    leave(f"lo.{who}", loss)
    seed = start(loss, None, who)
    names = Names([loss], digits=DIGITS)
    places = {node.birth: i for i, node in enumerate(names.nodes)}
    found = Steps(names, names.of(loss), seed)
    rules = Rules()
    totals: dict[int, Array] = {}

    def watch(node: Node, g: Array) -> Iterable[Part]:
        for i, parent, part in pull(node, g):
            before = totals.get(parent.birth)
            total = totals[parent.birth] = part if before is None else before + part
            slope, formula, numbers = worked(rules, names, node, i, g)
            out = np.shape(node.value)
            narrow = np.shape(parent.value)
            found.backward.append(
                Product(
                    names.of(node), places[node.birth], i, names.of(parent), places[parent.birth],
                    g, slope, formula, numbers, part, before, total,
                    last=False,
                    summed=stretched(out, narrow) if is_stretched(narrow, out, node) else (),
                    sentence=rules.sentence(names, node, i),
                )
            )  # fmt: skip
            yield i, parent, part

    with (
        mode("watch", None),
        np.errstate(all="ignore"),
    ):  # steps show nan and ∞; they need not warn of them as well
        found.forward = computed(names)
        leaves, grads, _ = sweep(loss, seed, watch)
    complete: dict[int, bool] = {}
    for step in reversed(found.backward):
        step.last = complete.setdefault(step.target_place, True)
        complete[step.target_place] = False
    for birth in sorted(grads, reverse=True):
        g, dtype = grads[birth], leaves[birth].value.dtype
        found.gradients[places[birth]] = g if g.dtype == dtype else g.astype(dtype)
    return found


def computed(names: Names) -> list[Computed]:
    """The forward pass of a graph: every value that was computed, oldest first."""
    return [
        Computed(place, names.of(node), names.formula(node), put_in(node), node.value)
        for place, node in enumerate(names.nodes)
        if node.op is not None
    ]


def shown(value: Array) -> str:
    """A number, or of an array the shape."""
    shape = np.shape(value)
    if shape or not isinstance(value, (ndarray, np.generic, int, float)):
        return size(shape) or "one number"
    return number(value, DIGITS)


def is_shown_as_number(value: Any) -> bool:
    """Whether this is one number that can be shown."""
    return np.shape(value) == () and isinstance(value, (ndarray, np.generic, int, float))


def is_stretched(narrow: tuple[int, ...], wide: tuple[int, ...], node: Node) -> bool:
    """Whether NumPy repeated an input of this shape for an op that works element by element."""
    op = node.op
    assert op is not None
    if narrow == wide or op.samples or op.arity is None:
        return False
    try:
        return np.broadcast_shapes(narrow, wide) == wide
    except ValueError:
        return False


def put_in(node: Node) -> str:
    """What made a scalar, with the numbers of its inputs: `(−2) + 6`."""
    op = node.op
    assert op is not None
    if op.arity is None or not all(is_shown_as_number(x) for x in (node.value, *node.inputs[: op.arity])):
        return ""
    args = [Symbol(str(i), ()) if i < op.arity else Option(x) for i, x in enumerate(node.inputs)]
    pieces = pieces_of_numbers(node)
    if op is POWER and node.parents[1] is None:
        pieces["1"] = constant_text(node.inputs[1])
    return write(Expression((Line(op, tuple(args), ()),)), pieces).text


def pieces_of_numbers(node: Node) -> dict[str, Piece]:
    """The numbers of a node's output and inputs, by key."""
    values = {"y": node.value} | {str(i): x for i, x in enumerate(node.inputs)}
    # Without its value, a factor of 1 is not taken for one that a reader can do without.
    return {key: constant_text(x)._replace(value=None) for key, x in values.items() if is_shown_as_number(x)}


# ------------------------------------------------------------------------------- what a gate does


class Rules:
    """The rules of one graph as expressions, each recorded once for inputs of one kind."""

    def __init__(self) -> None:
        self._known: dict[Any, Expression | None] = {}

    def of(
        self, node: Node, i: int, g: Array, symbolic: bool = True, summed: bool = True
    ) -> Expression | None:
        """What the rule for input i does; None where it runs on arrays only."""
        key = (
            node.op,
            i,
            symbolic,
            summed,
            np.shape(node.value),
            *map(what_a_rule_sees, node.parents, node.inputs),
        )
        key += tuple(map(repr, node.inputs[len(node.parents) :]))
        if key not in self._known:
            try:
                found = local_expression(node, i, g, symbolic, summed)
            except Exception:  # a user's rule may raise anything on what is no array
                found = None
            if found is not None and found.branched:
                return found
            self._known[key] = found
        return self._known[key]

    def sentence(self, names: Names, node: Node, i: int) -> str:
        """What the gate does with a gradient, in words, derived from its rule."""
        op = node.op
        assert op is not None
        gate = op.symbol if "{" not in op.symbol else op.name
        if op.rules[0 if op.arity is None else i] is same:
            every = all(rule is same for rule in op.rules)
            to = " to its inputs" if every else " to its first input" if i == 0 else ""
            return f"{gate} copies the gradient{to}"
        rule = self.of(node, i, np.ones_like(node.value), summed=False)
        words = MULTIPLIES if rule is None else one_step(rule, op, i) or several_steps(rule, names, node)
        return f"{gate} {words}"


MULTIPLIES = "multiplies the gradient by its local derivative"


def one_step(rule: Expression, op: Op, i: int) -> str:
    """What a rule of at most one op does; empty where it is not plain."""
    if not rule.lines:
        return "copies the gradient"
    first = rule.lines[0]
    keys = [arg.key for arg in first.args if isinstance(arg, Symbol)]
    if len(rule.lines) > 1 or keys[:1] != ["g"]:
        return ""
    if first.op is MINUS and keys == ["g"]:
        return "turns the sign of the gradient"
    if first.op is not MULTIPLY or op.arity != 2:
        return ""
    if keys == ["g", str(1 - i)]:
        return "swaps: each input gets the gradient times the other input"
    return "by a constant: the gradient is multiplied by it, too"


def several_steps(rule: Expression, names: Names, node: Node) -> str:
    """What a rule does, told by the ops that it is made of."""
    ops = rule.ops
    condition = routed(rule, pieces_of(node, names))
    if condition:
        ties = "; ties share it" if EQUAL in ops else ""
        return f"routes: the gradient passes where {condition}, and stops elsewhere{ties}"
    if MATMUL in ops:
        return "swaps, as × does: the gradient times the other input, turned so that shapes fit"
    if ops <= FILL and FULL in ops:
        return "copies the gradient to every element that went into it"
    kinds = {op.kind for op in ops}
    if kinds == {"moves"}:
        return "only moves numbers: the gradient goes back to where they came from"
    if ops <= ADD_UP:
        return "repeats numbers: the gradients of all copies are added"
    if "mixes" in kinds:
        return "mixes elements: each of them gets gradient from several"
    return MULTIPLIES


def what_a_rule_sees(parent: Node | None, value: Any) -> Any:
    """What a rule can see of an input before it computes."""
    if parent is not None or type(value) is ndarray:
        shape = np.shape(value)
        return (shape, value.dtype, None if parent is not None or not shape else memory(value))
    return (type(value), repr(value))


def routed(rule: Expression, names: dict[str, Piece]) -> str:
    """The condition under which a rule lets the gradient through, if that is all it does."""
    for line in rule.lines:
        carried = [is_carried(rule, arg) for arg in line.args]
        if line.op is WHERE and any(carried[1:]):
            condition = piece_of(rule, line.args[0], names)
            return condition if carried[1] else f"not {condition}"
        if line.op is MULTIPLY:
            for passes, factor in zip(carried, line.args[::-1], strict=True):
                compared = condition_of(rule, factor) if passes else None
                if compared is not None:
                    return piece_of(rule, compared, names)
    return ""


def is_carried(rule: Expression, arg: Any) -> bool:
    """Whether an argument is the gradient, or made of it."""
    waiting, seen = [arg], set()
    while waiting:
        arg = waiting.pop()
        if isinstance(arg, Symbol) and arg.key == "g":
            return True
        if isinstance(arg, Ref) and arg.line not in seen:
            seen.add(arg.line)
            waiting += rule.lines[arg.line].args
    return False


def condition_of(found: Expression, arg: Any) -> Ref | None:
    """The comparison that this is: as numbers, or shared among ties."""
    while isinstance(arg, Ref):
        line = found.lines[arg.line]
        if line.op.kind == "compares":
            return arg
        if line.op not in (ASTYPE, DIVIDE):
            return None
        arg = line.args[0]
    return None


def piece_of(found: Expression, arg: Any, names: dict[str, Piece]) -> str:
    """The text of one argument inside an expression."""
    if isinstance(arg, Ref):
        return write(Expression(found.lines[: arg.line + 1]), names).text
    return write(Expression((), arg), names).text


def worked(rules: Rules, names: Names, node: Node, i: int, g: Array) -> tuple[Array | None, str, str]:
    """The local derivative between scalars, the product as text, and with numbers put in."""
    arriving = f"∂L/∂{names.of(node)}"
    pieces = pieces_of(node, names, arriving)
    if not is_shown_as_number(node.value) or not is_shown_as_number(node.inputs[i]):
        found = rules.of(node, i, g)
        if found is None:
            return None, f"(∂{names.of(node)}/∂{input_name(names, node, i)})ᵀ {arriving}", ""
        return None, write(found, pieces).text, ""
    one = node.value.dtype.type(1)
    slope = next(part for k, _, part in pull(node, one) if k == i)
    local = rules.of(node, i, one, symbolic=False)
    g_text = nested_text(constant_text(g), PRODUCT)
    if local is None:
        text = f"∂{names.of(node)}/∂{input_name(names, node, i)}"
        return slope, f"{text} · {arriving}", f"{nested_text(constant_text(slope), PRODUCT)} · {g_text}"
    formula = as_factor(write(local, pieces, times="·"))
    numbers = as_factor(write(local, pieces_of_numbers(node), times="·"))
    return slope, f"{formula} · {arriving}", f"{numbers} · {g_text}"


def input_name(names: Names, node: Node, i: int) -> str:
    """The name of one of the tensors that went into a node."""
    parent = node.parents[i]
    assert parent is not None
    return names.of(parent)


def as_factor(piece: Piece) -> str:
    """The text as the first factor of a product."""
    mixed = piece.level == PRODUCT and piece.kind != "×"
    return f"({piece.text})" if mixed or piece.opened else nested_text(piece, PRODUCT)
