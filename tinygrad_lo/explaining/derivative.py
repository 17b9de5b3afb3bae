"""`lo.formula`: the derivative of an op or of a small expression as text, from its rules."""

from __future__ import annotations

import inspect
import string
from collections.abc import Container, Iterable
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.backward import Part, contributions, edges, sweep
from tinygrad_lo.engine.graph import Array, Node, Op
from tinygrad_lo.engine.machine.hooks import leave
from tinygrad_lo.engine.machine.numpy_names import UFUNCS
from tinygrad_lo.engine.machine.sums import stretched, total
from tinygrad_lo.engine.naming import quoted
from tinygrad_lo.engine.ops import COMPOSED, TABLE, Composed, Shape
from tinygrad_lo.errors import GraphError, MutationError, OptionError, UnsupportedError
from tinygrad_lo.explaining.expression import Bond, Expression, Piece, Symbols, symbols, write, written
from tinygrad_lo.explaining.formula import Names, Printed, option_text, size
from tinygrad_lo.options import guess, public

FEW_OPS = 12  # ops; a larger expression is shown by its last op
LONG_LINE = 160  # characters of one line
ARRIVING = "g"
TELLING = (tuple, slice, np.dtype)  # options that are objects of their own


@public
def formula(op_or_tensor: Any) -> Printed:
    """The derivative of an op, or of a small expression, as text.

    The rules run on named symbols, so it is what the engine computes, for ops of your own (`lo.define_op`)
    too. Ops are given by name, as their function (`lo.nn.relu`, `np.exp`) or as `tensor.op`. Of a tensor it
    shows the expression in its leaves and the derivative by each; when that is long, its last op.

        ∂L/∂a = (arriving gradient g = ∂L/∂y) × (local derivative ∂y/∂a)

    At the edges: `(a > b)` counts as 1 where it holds, else as 0. That the engine sums back what broadcasting
              repeated is no part of an op's formula.
    Raises:   OptionError: no such op.  UnsupportedError: a rule that runs on arrays only, or a value that is
              neither an op nor a tensor.  GraphError: the tensor is a leaf.
    Example:
        >>> import tinygrad_lo as lo
        >>> print(lo.formula("exp"))
        y = exp(x)
        ∂L/∂x = g × y
        where g = ∂L/∂y
        >>> x, w = lo.Tensor(3.0, name="x"), lo.Parameter(2.0, name="w")
        >>> print(lo.formula(((x * w - 1.0) ** 2).named("loss")))
        loss = (x × w − 1)²
        ∂loss/∂w = 2 × (x × w − 1) × x
    """
    if isinstance(op_or_tensor, Node):
        return Printed(of_tensor(op_or_tensor))
    entry = find(op_or_tensor)
    return Printed(of_op(entry) if isinstance(entry, Op) else of_composed(entry))


def find(wanted: Any) -> Op | Composed:
    """The entry of the table that is meant."""
    known = {**TABLE, **COMPOSED}
    name = getattr(wanted, "__name__", "this function")
    room = str(getattr(wanted, "__module__", "")).split(".")[0]
    if isinstance(wanted, str):
        name, room = wanted, "tinygrad_lo"
    function = UFUNCS.get(wanted) if isinstance(wanted, np.ufunc) else wanted
    entry = wanted if isinstance(wanted, Op) else getattr(function, "op", None)
    if entry is None and (room in ("tinygrad_lo", "numpy") or wanted is abs):
        entry = known.get(name)
    if isinstance(entry, Op | Composed):
        return entry
    if isinstance(wanted, str):
        hint = guess(name, sorted(known)) or f"; the ops are {', '.join(sorted(known))}"
        raise OptionError(f"formula: there is no op {name!r}{hint}")
    if callable(wanted):
        raise UnsupportedError(
            f"formula: {name} is no op of the table; call it on tensors and pass the result: lo.formula(f(x))"
        )
    what = f"{type(wanted).__name__}: {wanted!r}"
    raise UnsupportedError(f"formula: expected an op, its name, its function or a tensor, got {what}")


def of_op(op: Op) -> str:
    """What the op computes, and the derivative by each input."""
    if op.samples:
        text = derived(op, op.samples[0])
        if max(map(len, text.splitlines())) > LONG_LINE:
            # Rules that sweep along an axis grow with it: two elements show what they do.
            text = derived(op, (Shape(2), None, *op.samples[0][2:]))
            text += "\n(shown for x of 2 elements)"
        return text
    problem: Exception | None = None
    for shape in (Shape(), Shape(3), Shape(3, 3)):
        try:
            return derived(op, (shape,) * (op.arity or 2))
        except Exception as error:  # a user's rule may raise anything
            problem = problem or error
    raise UnsupportedError(
        f"formula: the rules of {op.name} could not be run on symbols ({reason(problem)}); rules that use "
        f"operators and NumPy functions can. Where it takes arrays of certain shapes only, pass a tensor "
        f"that it made"
    ) from problem


def reason(error: Exception | None) -> str:
    """What went wrong when a rule met symbols."""
    asks = isinstance(error, GraphError)  # float(x), x.item()
    return "it asks for the values of its inputs" if asks else f"{type(error).__name__}: {error}"


def derived(op: Op, sample: tuple[Any, ...]) -> str:
    """The formulas of an op, from its rules run on a sample of inputs."""
    arriving, output, names = rule_names(op, sample)
    raw = sample_inputs(op, sample)
    pairs = list(zip(names, raw, strict=True))
    without = []
    with symbols() as known:
        y = op.forward(*raw)
        pieces = [Piece(name, shape=np.shape(x) if is_array(x) else ()) for name, x in pairs]
        if op.arity is None:
            pieces[-1] = Piece(option_text(raw[-1]))
        lines = [f"{output} = {right_side(written(op, tuple(raw), pieces, np.shape(y)))}"]
        inputs = [known.give(name, x) if is_array(x) else x for name, x in pairs]
        # None and small ints are the same object wherever they stand; these say which option is meant.
        known.options = [(x, name) for name, x in pairs if isinstance(x, TELLING)]
        result, g = known.give(output, y), known.give(arriving, np.ones(np.shape(y))[()])
        for i, (name, x) in enumerate(pairs[: len(pairs) - 1 if op.arity is None else op.arity]):
            part = ruled(op, i, g, result, inputs)
            if part is not None:
                lines.append(f"∂L/∂{name} = {write(known.expression(part), {}).text}")
            elif is_array(x):
                without.append(name)
    lines += [f"no gradient to {', '.join(without)}"] * bool(without)
    lines += [f"where {arriving} = ∂L/∂{output}"] * op.differentiable
    if op.arity is None:
        lines.append(shown_for(names, sample[:-1]))
    return "\n".join(lines)


def shown_for(names: Iterable[str], shapes: Iterable[tuple[int, ...]]) -> str:
    """Of which sizes the inputs are for which a formula is shown."""
    inputs = [f"{name} of {size(shape) or 'one number'}" for name, shape in zip(names, shapes, strict=False)]
    return f"(shown for {', '.join(inputs)})"


def ruled(op: Op, i: int, g: Array, y: Array, inputs: list[Any]) -> Any:
    """What the rule for input i says; None without a rule."""
    rule = op.rules[0 if op.arity is None else i]
    if rule is None:
        return None
    return rule(i, g, y, *inputs) if op.arity is None else rule(g, y, *inputs)


def is_array(value: Any) -> bool:
    """Whether this is an array or number, and no option."""
    return isinstance(value, (ndarray, np.generic, float))


def right_side(piece: Piece) -> str:
    """The right-hand side of `y = ...`; a comparison in parentheses, as it may have a = of its own."""
    return f"({piece.text})" if piece.level == Bond.COMPARISON else piece.text


def rule_names(op: Op, sample: tuple[Any, ...]) -> tuple[str, str, list[str]]:
    """What the rules call the arriving gradient, the output and the inputs."""
    count = len(sample)
    letters = list(string.ascii_lowercase[:count])
    for rule in filter(None, op.rules):
        parameters = inspect.signature(rule).parameters.values()
        if len(parameters) == count + 2 and all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters):
            arriving, output, *names = (p.name for p in parameters)
            words = op.symbol.split()  # `sort x by by` would puzzle
            pairs = zip(names, letters, strict=True)
            return arriving, output, [letter if name in words else name for name, letter in pairs]
    return ARRIVING, "y", ["x"] if count == 1 else letters


def sample_inputs(op: Op | Composed, sample: tuple[Any, ...]) -> list[Any]:
    """The sample with arrays in place of shapes, inside the op's domain."""
    domains = op.domain if isinstance(op.domain[0], tuple) else (op.domain,)
    raw = list(sample)
    for i, item in enumerate(sample):
        if isinstance(item, Shape):
            low, high = domains[min(i, len(domains) - 1)]
            raw[i] = np.linspace(low, high, int(np.prod(item)) + 2)[1:-1].reshape(item)[()]
    return raw


def of_composed(entry: Composed) -> str:
    """The formulas of a function that is written with ops, for its first sample."""
    if not entry.samples:
        raise UnsupportedError(f"formula: {entry.name} gives several tensors; pass one of them")
    sample = entry.samples[0]
    first = len(sample[0]) if isinstance(sample[0], list) else 0
    parts = (*sample[0], *sample[1:]) if first else sample
    shapes = [item for item in parts if isinstance(item, Shape)]
    names = ["x"] if len(shapes) == 1 else list(string.ascii_lowercase[: len(shapes)])
    with symbols() as known:
        free = iter(names)
        raw = zip(sample_inputs(entry, parts), parts, strict=True)
        values = [known.give(next(free), x, True) if isinstance(item, Shape) else x for x, item in raw]
        leaves = [x for x in values if isinstance(x, Node)]
        y = entry.function(values[:first], *values[first:]) if first else entry.function(*values)
        g = known.give(ARRIVING, np.ones(np.shape(y.value))[()])
        text = derivatives(known, y, g, leaves, "y")
    return "\n".join([*text, "where g = ∂L/∂y", shown_for(names, shapes)])


def of_tensor(y: Any) -> str:
    """The expression in its leaves with its derivatives, or its last op."""
    leave("lo.formula", y)
    if y.op is None:
        raise GraphError(
            f"formula: {quoted(y, 'this tensor')} is a leaf: it was given, or computed where nothing needed "
            f"a gradient, so no op is known that made it"
        )
    names = Names([y])
    try:
        if sum(node.op is not None for node in names.nodes) <= FEW_OPS:
            text = in_its_leaves(y, names)
            if max(map(len, text)) <= LONG_LINE:
                return "\n".join(text)
        return "\n".join(last(y, names))
    except MutationError:
        raise
    except Exception as error:
        raise UnsupportedError(
            f"formula: a rule in the graph of {quoted(y, 'this tensor')} runs on arrays only "
            f"({reason(error)}); rules that use operators and NumPy functions run on symbols"
        ) from error


def in_its_leaves(y: Node, names: Names) -> list[str]:
    """The expression in its leaves, and its derivative by each leaf that needs a gradient."""
    scalar = np.shape(y.value) == ()
    title = names.of(y)
    with symbols() as known:
        leaves = [node for node in names.nodes if node.op is None]
        known.keys = {node.birth: names.of(node) for node in leaves}
        for name, array in names.arrays.items():
            known.keys[known.recording.tensor_of(array).birth] = name
        g = y.value.dtype.type(1) if scalar else known.give(ARRIVING, np.ones(y.value.shape))
        wanted = [node for node in leaves if node.needs]
        text = derivatives(known, y, g, wanted, title, top=title if scalar else "L")
    return text if scalar else [*text, f"where g = ∂L/∂{title}"]


def derivatives(known: Symbols, y: Any, g: Any, leaves: list[Node], title: str, top: str = "L") -> list[str]:
    """`y = ...` and `∂L/∂x = ...` for each leaf, by a backward pass over symbols."""

    def pull(node: Node, g: Array) -> Iterable[Part]:
        return contributions(node, g, node, known.recording.as_tensors(node))

    lines = [f"{title} = {right_side(write(known.expression(y), {}))}"]
    _, grads, _ = sweep(y, g, pull)
    for leaf in leaves:
        if leaf.birth in grads:
            text = write(known.expression(grads[leaf.birth]), {}).text
            lines.append(f"∂{top}/∂{known.keys[leaf.birth]} = {text}")
    return lines


def last(y: Any, names: Names) -> list[str]:
    """The op that made the tensor, with the names of the graph."""
    lines = [f"{names.of(y)} = {names.formula(y)}"]
    parts: dict[str, list[Piece]] = {}  # of a value that is used twice, both
    for i, parent in edges(y):
        parts.setdefault(names.of(parent), []).append(write(local_expression(y, i), pieces_of(y, names)))
    for name, pieces in parts.items():
        need = Bond.PRODUCT if len(pieces) > 1 else Bond.LOOSE
        terms = (piece.within(need) for piece in pieces)
        lines.append(f"∂L/∂{name} = {' + '.join(terms)}")
    return [*lines, f"where g = ∂L/∂{names.of(y)}"]


def pieces_of(node: Any, names: Names, arriving: str = ARRIVING) -> dict[str, Piece]:
    """The names of a node's inputs, output and arriving gradient, by key."""
    gradient = Piece(arriving, Bond.ATOM if arriving == ARRIVING else Bond.POSTFIX)
    inputs = {str(i): Piece(text) for i, text in enumerate(names.operands(node))}
    return {"g": gradient, "y": Piece(names.of(node)), **inputs}


def local_expression(
    node: Any, i: int, slope: bool = False, summed: bool = True, arriving: Array = None,
    given: Container[int] = (),
) -> Expression:  # fmt: skip
    """What the rule for input i does, over "g" (as a slope, 1), "y" and the inputs "0", "1", ...

    Numbers among the inputs are written as such, but for those in `given`.
    """
    with symbols() as known:
        ones = np.ones_like(node.value)[()] if arriving is None else arriving
        g = node.value.dtype.type(1) if slope else known.give("g", ones)
        y = known.give("y", node.value)
        inputs = list(node.inputs)
        for k, parent in enumerate(node.parents):
            if parent is not None or type(inputs[k]) is ndarray or k in given:
                inputs[k] = known.give(str(k), inputs[k])
        part = ruled(node.op, i, g, y, inputs)
        axes = stretched(np.shape(part), np.shape(node.inputs[i]))
        return known.expression(total(part, axes) if axes and summed else part)
