"""One value of a program: what it is, what makes it, and what is known of it before it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy import ndarray

from tinygrad_lo.engine.graph import Op
from tinygrad_lo.engine.naming import ScopePath
from tinygrad_lo.engine.ops import TABLE

F = TypeVar("F", bound=Callable[..., Any])


def named_after_op(table: dict[Op, F]) -> Callable[[F], F]:
    """A decorator that enters `anything_add` into the table under the op add."""

    def enter(function: F) -> F:
        table[TABLE[function.__name__.partition("_")[2]]] = function
        return function

    return enter


class Value:
    """One value of a program: a statement's result, a parameter, data, or a constant number.

    Attributes:
        kind: "line", "parameter", "data", "constant", or "effect" (a statement without a result).
        op: what makes a line; of an effect, its action, or None of a branch that Python took.
        args: values, then options or facts, as the op or the action takes them.
        ref: the leaf tensor behind a parameter or data; the number of a constant; the answer at a branch.
        name: the user's name; of the gradient by a value S, "dS".
        scope: the titles around it, outermost first, each with a key; of a backward line, those of the
            forward line that it belongs to.
        backward: whether it belongs to the backward pass.
        section: the comment above it: its scope, in one line.
        layout: how it lies in memory, on which the last bit of sums depends: steps along axes, if any.
        contiguous: whether its rows follow each other in memory.
        dense: whether rows or columns do, without gaps.
    """

    __slots__ = (
        "args", "backward", "contiguous", "dense", "dtype", "kind", "layout", "name", "op", "ref",
        "scope", "section", "shape",
    )  # fmt: skip

    def __init__(self, kind: str, data: Any, ref: Any = None, op: Any = None, args: Any = ()) -> None:
        self.kind = kind
        self.ref = ref
        self.op = op
        self.args: tuple[Any, ...] = args
        self.shape: tuple[int, ...] = np.shape(data)
        self.dtype: Any = getattr(data, "dtype", type(data))
        self.layout: tuple[int, ...] = ()
        self.contiguous = self.dense = True
        if isinstance(data, ndarray):
            self.layout = tuple(step for n, step in zip(data.shape, data.strides, strict=True) if n > 1)
            self.contiguous = data.flags.c_contiguous
            self.dense = data.flags.forc
        self.name: str | None = None
        self.scope: ScopePath = ()
        self.backward = False
        self.section = ""

    def __repr__(self) -> str:
        what = self.op.name if self.kind == "line" else self.kind
        return f"Value({what} {self.shape} {self.name or ''})"

    @property
    def inputs(self) -> list[Value]:
        """The values among the arguments."""
        return [arg for arg in self.args if isinstance(arg, Value)]
