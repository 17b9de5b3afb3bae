"""The one registry: how an op enters the table, from inside the package or from a user's script."""

from __future__ import annotations

import ast
import functools
import inspect
import keyword
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from tinygrad_lo.engine import backward
from tinygrad_lo.engine.backward import unbroadcast
from tinygrad_lo.engine.graph import Array, Node, Op, Rule
from tinygrad_lo.engine.machine.arguments import REAL, foreign
from tinygrad_lo.engine.machine.fast import PLAIN, anything, binary, optioned, unary
from tinygrad_lo.engine.machine.refusals import no_broadcast
from tinygrad_lo.errors import DTypeError, OptionError, ShapeError
from tinygrad_lo.options import public

TABLE: dict[str, Op] = {}


class Shape(tuple[int, ...]):
    """Stands for an array of this shape in the samples of an entry: `Shape(2, 3)`."""

    def __new__(cls, *sizes: int) -> Self:
        """The shape with these sizes."""
        return super().__new__(cls, sizes)


@dataclass(frozen=True)
class Composed:
    """A function written with ops of the table: it needs no rule, only a place in docs and tests."""

    name: str
    function: Callable[..., Any]
    spelling: str
    about: str
    samples: tuple[tuple[Any, ...], ...]
    domain: tuple[float, float]


COMPOSED: dict[str, Composed] = {}


def op(
    name: str, forward: Callable[..., Array], rules: tuple[Rule | None, ...], *, options: bool = False,
    **facts: Any,
) -> Callable[..., Any]:  # fmt: skip
    """Enter an op into the table, its facts as `Op` names them; returns the function that calls it.

    `options=True` is for ops of arity 1 that are called with options after the input.
    """
    if name in TABLE:
        raise OptionError(f"the table has an op {name!r} already; choose another name")
    if isinstance(forward, np.ufunc):
        named = {"spelling": f"np.{name}({{0}})", "symbol": f"{name}({{0}})", "scalar": f"{name}({{0}})"}
        facts = {"ufunc": forward, **named, **facts}
    entry = TABLE[name] = Op(name, forward, rules, **{"arity": len(rules), **facts})
    entry.elementwise = entry.elementwise or entry.ufunc is not None
    entry.fresh = entry.fresh or entry.elementwise
    if entry.ufunc is not None and "np." not in entry.spelling:
        entry.scalar = entry.scalar or entry.spelling
    if entry.refuse is None and not entry.samples and entry.arity in (2, 3):
        entry.refuse = lambda error, *inputs: no_broadcast(name, *inputs)
    return quickest(entry, options)


def quickest(entry: Op, options: bool) -> Callable[..., Any]:
    """The quickest call that fits the entry."""
    call: Callable[..., Any]
    if PLAIN:
        call = backward.function_of(entry)
    elif not entry.differentiable or entry.arity not in (1, 2):
        call = anything(entry)
    elif entry.arity == 2:
        call = binary(entry)
    else:
        call = optioned(entry) if options else unary(entry)
    return titled(call, entry, f"{entry.about}\n\n    {entry.spelling}")


def titled(call: Callable[..., Any], entry: Op, text: str) -> Callable[..., Any]:
    """The function of an op with the op's name, and the op with its function."""
    call.__name__ = call.__qualname__ = entry.name
    call.__doc__ = text
    call.op = entry  # type: ignore[attr-defined]
    entry.apply = call
    return call


def record(function: Callable[..., Any]) -> Op:
    """The op that a function of the table calls."""
    entry: Op = getattr(function, "op", None) or TABLE[function.__name__]
    return entry


def composed(
    spelling: str, *samples: tuple[Any, ...], domain: tuple[float, float] = (-2.0, 2.0)
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function that is a composition of ops, with its NumPy text and sample arguments."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        name = function.__name__
        about = (function.__doc__ or "").strip().split("\n")[0]
        COMPOSED[name] = Composed(name, function, spelling, about, samples, domain)
        return function

    return register


def must_be_rules(name: str, rules: Any) -> None:
    """One rule for each input, of one at least."""
    several = isinstance(rules, (list, tuple)) and len(rules) > 0
    if not several or not all(rule is None or callable(rule) for rule in rules):
        raise OptionError(f"define_op: {name} needs one rule (function or None) an input, got {rules!r}")


@public
def define_op(
    name: str, forward: Callable[..., Array], rules: tuple[Rule | None, ...] | list[Rule | None], *,
    spelling: str | None = None, symbol: str | None = None, javascript: str | None = None,
    domain: tuple[Any, ...] = (-2.0, 2.0),
) -> Callable[..., Any]:  # fmt: skip
    """Add an op of your own to the table and get the function that calls it.

    `forward(*inputs, **options)` computes on plain arrays. There is one rule for each input, called
    as `rule(g, y, *inputs, **options)` with the arriving gradient `g` and the output `y`; it returns
    the gradient by that input, written with operators and NumPy functions, so that it also runs on
    tensors and higher derivatives come for free. A rule `None` means: no gradient to that input.
    Options are keyword arguments of `forward` and of every rule. `javascript` is the op on numbers, such as
    "Math.cbrt({0})", for `lo.javascript` and pages that recompute.

    Shapes:   a rule returns the shape of its input, or one broadcast from it, which is summed back.
    Raises:   OptionError: the name is taken, is no identifier, or there are no rules.
              ShapeError, DTypeError: (when called) a rule returned a shape that does not fit its input,
              or the forward or a rule no numbers.
    Example:
        >>> import numpy as np, tinygrad_lo as lo
        >>> cube = lo.define_op("cube", lambda x: x**3, [lambda g, y, x: g * 3 * x**2])
        >>> w = lo.Parameter(2.0)
        >>> cube(w).backward()
        >>> float(w.grad)
        12.0
        >>> _ = lo.engine.ops.TABLE.pop("cube")  # leave the table as it was
    """
    must_be_free(name)
    must_be_rules(name, rules)
    holes = ", ".join(f"{{{i}}}" for i in range(len(rules)))
    if symbol is not None and "{" not in symbol and len(rules) != 2:
        symbol = f"{symbol}({holes})"
    inputs = [f"x{i}_" for i in range(len(rules))]
    with_inputs(name, symbol, inputs)
    with_inputs(name, javascript, inputs)
    if spelling is not None:
        must_be_numpy(name, spelling, inputs)
    entry = TABLE[name] = Op(
        name=name,
        forward=checked_forward(name, forward),
        rules=tuple(checked_rule(name, i, rule) for i, rule in enumerate(rules)),
        spelling=f"{name}({holes})" if spelling is None else spelling,
        symbol=f"{name}({holes})" if symbol is None else symbol,
        about=inspect.getdoc(forward) or "Defined by the user.",
        javascript=javascript,
        arity=len(rules),
        domain=domain,
    )

    def call(*inputs: Any, **options: Any) -> Any:
        if len(inputs) != entry.arity:
            raise OptionError(f"{name} takes {entry.arity} inputs, got {len(inputs)}")
        return backward.call(bound(entry, options) if options else entry, *inputs)

    return titled(call, entry, entry.about)


def must_be_free(name: Any) -> None:
    """Raise unless an op can have this name."""
    if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
        raise OptionError(f"define_op: the name must be an identifier, got {name!r}")
    if name in TABLE or name in COMPOSED:
        raise OptionError(f"define_op: the name {name!r} is taken; choose another")


def with_inputs(name: str, template: str | None, inputs: list[str]) -> str:
    """The template with these inputs; raises where it names others."""
    try:
        return (template or "").format(*inputs)
    except (IndexError, KeyError, ValueError) as error:
        raise OptionError(f"define_op: {name}: {template!r} names an input that is not there") from error


def must_be_numpy(name: str, spelling: str, inputs: list[str]) -> None:
    """Raise unless a spelling is one expression of its inputs and of NumPy, since programs are printed from it."""
    text = with_inputs(name, spelling, inputs)
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        raise OptionError(f"define_op: {name}: the spelling {spelling!r} is no expression") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in ("np", *inputs):
            raise OptionError(
                f"define_op: {name}: the spelling {spelling!r} names {node.id!r}; it may use its inputs "
                f"({{0}}, {{1}}, ...) and np only. Leave it out, and programs call the forward itself"
            )


def bound(entry: Op, options: dict[str, Any]) -> Op:
    """The entry with its options filled in."""
    return replace(
        entry,
        forward=functools.partial(entry.forward, **options),
        rules=tuple(r and functools.partial(r, **options) for r in entry.rules),
    )


def checked_forward(name: str, forward: Callable[..., Array]) -> Callable[..., Array]:
    """The user's forward, its result as an array or a NumPy number."""

    def run(*inputs: Any, **options: Any) -> Array:
        y = forward(*inputs, **options)
        if isinstance(y, Node):
            raise OptionError(f"{name}: forward works on plain arrays and must return one, got a tensor")
        return as_numbers(f"{name}: forward", y)

    return run


def as_numbers(who: str, value: Any) -> Array:
    """What a function of the user returned as an array or a NumPy number."""
    if foreign(value):
        return value
    data: Array = np.asarray(value)
    if data.dtype.kind not in REAL:
        raise DTypeError(f"{who} must return numbers, got {type(value).__name__} ({data.dtype})")
    return data[()]


def checked_rule(name: str, i: int, rule: Rule | None) -> Rule | None:
    """The user's rule, its result tested for a shape that fits the input."""
    if rule is None:
        return None

    def run(g: Array, y: Array, *inputs: Any, **options: Any) -> Array:
        part = rule(g, y, *inputs, **options)
        if not isinstance(part, Node):
            part = as_numbers(f"{name}: rule {i}", part)
        of_part, shape = np.shape(part), np.shape(inputs[i])
        if of_part == shape:
            return part
        lead = len(of_part) - len(shape)
        if lead < 0 or any(n not in (1, m) for n, m in zip(shape, of_part[lead:], strict=True)):
            raise ShapeError(f"{name}: rule {i} returned shape {of_part} for an input of shape {shape}")
        return unbroadcast(part, shape)

    return run
