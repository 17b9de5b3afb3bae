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
from tinygrad_lo.engine.graph import Array, Node, mode, same
from tinygrad_lo.engine.machine.arguments import memory
from tinygrad_lo.engine.machine.hooks import leave
from tinygrad_lo.engine.machine.sums import stretched
from tinygrad_lo.errors import DTypeError
from tinygrad_lo.explaining.derivative import local_expression, pieces_of
from tinygrad_lo.explaining.expression import (
    COMPARISONS,
    DIGITS,
    PRODUCT,
    Expression,
    Line,
    Option,
    Piece,
    Ref,
    Symbol,
    constant,
    inside,
    write,
)
from tinygrad_lo.explaining.formula import Names, number, size

MOVING = frozenset({
    "reshape", "transpose", "getitem", "scatter", "gather", "regather", "put", "pick", "pad", "concatenate",
    "windows", "fold", "sort_by", "unsort",
})  # fmt: skip
MIXING = frozenset({"sum", "cumsum", "einsum", "prod", "norm", "logsumexp", "log_softmax"})


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
            terms = constant(self.before, DIGITS), constant(self.part, DIGITS)
            text += f", in all {' + '.join(inside(term, PRODUCT) for term in terms)} = {shown(self.total)}"
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


def is_scalar(value: Any) -> bool:
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
    if op.arity is None or not all(is_scalar(x) for x in (node.value, *node.inputs[: op.arity])):
        return ""
    args = [Symbol(str(i), ()) if i < op.arity else Option(x) for i, x in enumerate(node.inputs)]
    pieces = numbers_of(node)
    if op.name == "power" and node.parents[1] is None:
        pieces["1"] = constant(node.inputs[1])
    return write(Expression((Line(op, tuple(args), ()),)), pieces).text


def numbers_of(node: Node) -> dict[str, Piece]:
    """The numbers of a node's output and inputs, by key."""
    values = {"y": node.value} | {str(i): x for i, x in enumerate(node.inputs)}
    # Without its value, a factor of 1 is not taken for one that a reader can do without.
    return {key: constant(x)._replace(value=None) for key, x in values.items() if is_scalar(x)}


# ------------------------------------------------------------------------------- what a gate does


class Rules:
    """The rules of one graph as expressions, each recorded once for inputs of one kind."""

    def __init__(self) -> None:
        self._known: dict[Any, Expression | None] = {}

    def of(
        self, node: Node, i: int, g: Array, symbolic: bool = True, summed: bool = True
    ) -> Expression | None:
        """What the rule for input i does; None where it runs on arrays only."""
        key = (node.op, i, symbolic, summed, np.shape(node.value), *map(kind_of, node.parents, node.inputs))
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
        rule = op.rules[0 if op.arity is None else i]
        if rule is same and op.differentiable and all(other is same for other in op.rules):
            return f"{gate} copies the gradient to its inputs"
        if rule is same:
            return (
                f"{gate} copies the gradient to its first input" if i == 0 else f"{gate} copies the gradient"
            )
        found = self.of(node, i, np.ones_like(node.value), summed=False)
        if found is None:
            return f"{gate} multiplies the gradient by its local derivative"
        first = found.lines[0] if found.lines else None
        if first is None:
            return f"{gate} copies the gradient"
        keys = [arg.key for arg in first.args if isinstance(arg, Symbol)]
        if len(found.lines) == 1 and op.arity == 2 and first.op.name == "multiply" and keys[:1] == ["g"]:
            if keys == ["g", str(1 - i)]:
                return f"{gate} swaps: each input gets the gradient times the other input"
            return f"{gate} by a constant: the gradient is multiplied by it, too"
        if len(found.lines) == 1 and first.op.name == "negative" and keys == ["g"]:
            return f"{gate} turns the sign of the gradient"
        condition = routed(found, pieces_of(node, names))
        if condition:
            ties = "; ties share it" if "equal" in found.ops else ""
            return f"{gate} routes: the gradient passes where {condition}, and stops elsewhere{ties}"
        if "matmul" in found.ops:
            return f"{gate} swaps, as × does: the gradient times the other input, turned so that shapes fit"
        if found.ops <= {"full", "reshape", "broadcast_to"} and "full" in found.ops:
            return f"{gate} copies the gradient to every element that went into it"
        if found.ops <= MOVING:
            return f"{gate} only moves numbers: the gradient goes back to where they came from"
        if found.ops <= {"sum", "reshape"}:
            return f"{gate} repeats numbers: the gradients of all copies are added"
        if found.ops & MIXING:
            return f"{gate} mixes elements: each of them gets gradient from several"
        return f"{gate} multiplies the gradient by its local derivative"


def kind_of(parent: Node | None, value: Any) -> Any:
    """What a rule can see of an input before it computes."""
    if parent is not None or type(value) is ndarray:
        shape = np.shape(value)
        return (shape, value.dtype, None if parent is not None or not shape else memory(value))
    return (type(value), repr(value))


def routed(found: Expression, names: dict[str, Piece]) -> str:
    """The condition under which a rule lets the gradient through, if that is all it does."""
    carries = {-1}  # the lines that are the gradient, or part of it

    def carried(arg: Any) -> bool:
        return arg.key == "g" if isinstance(arg, Symbol) else isinstance(arg, Ref) and arg.line in carries

    for place, line in enumerate(found.lines):
        if any(map(carried, line.args)):
            carries.add(place)
    for line in found.lines:
        if line.op.name == "where" and any(map(carried, line.args[1:])):
            condition = piece_of(found, line.args[0], names)
            return condition if carried(line.args[1]) else f"not {condition}"
        if line.op.name == "multiply":
            for one, other in (line.args, line.args[::-1]):
                compared = condition_of(found, other)
                if carried(one) and compared is not None:
                    return piece_of(found, compared, names)
    return ""


def condition_of(found: Expression, arg: Any) -> Ref | None:
    """The comparison that this is: as numbers, or shared among ties."""
    while isinstance(arg, Ref):
        line = found.lines[arg.line]
        if line.op.name in COMPARISONS:
            return arg
        if line.op.name not in ("astype", "divide"):
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
    if not is_scalar(node.value) or not is_scalar(node.inputs[i]):
        found = rules.of(node, i, g)
        if found is None:
            return None, f"(∂{names.of(node)}/∂{input_name(names, node, i)})ᵀ {arriving}", ""
        return None, write(found, pieces).text, ""
    one = node.value.dtype.type(1)
    slope = next(part for k, _, part in pull(node, one) if k == i)
    local = rules.of(node, i, one, symbolic=False)
    g_text = inside(constant(g), PRODUCT)
    if local is None:
        text = f"∂{names.of(node)}/∂{input_name(names, node, i)}"
        return slope, f"{text} · {arriving}", f"{inside(constant(slope), PRODUCT)} · {g_text}"
    formula = factor(write(local, pieces, times="·"))
    numbers = factor(write(local, numbers_of(node), times="·"))
    return slope, f"{formula} · {arriving}", f"{numbers} · {g_text}"


def input_name(names: Names, node: Node, i: int) -> str:
    """The name of one of the tensors that went into a node."""
    parent = node.parents[i]
    assert parent is not None
    return names.of(parent)


def factor(piece: Piece) -> str:
    """The text as the first factor of a product."""
    mixed = piece.level == PRODUCT and piece.kind != "×"
    return f"({piece.text})" if mixed or piece.opened else inside(piece, PRODUCT)
