"""NumPy's exceptions as sentences for a reader."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from tinygrad_lo.engine.graph import Array, Node, Op
from tinygrad_lo.engine.naming import Label, quoted
from tinygrad_lo.errors import (
    DTypeError,
    GraphError,
    IndexingError,
    LoError,
    MutationError,
    ShapeError,
    UnknownNameError,
)

# What NumPy can and the table cannot: what to write instead.
MATRICES = "write X @ np.cos(angles) and X @ np.sin(angles), its real and imaginary part"
INSTEAD: dict[Any, str] = dict.fromkeys(
    [getattr(np.fft, f"{i}{r}fft{n}") for i in ("", "i") for r in ("", "r") for n in ("", "2", "n")],
    f"tensors are real: for a Fourier transform {MATRICES}",
) | {
    np.partition: "np.sort gives the same elements, all in order",
    np.remainder: "write x - m * np.floor(x / m)",
    np.sinc: "write np.sin(np.pi * x) / (np.pi * x), which is not defined at 0",
    np.gradient: "write (f[2:] - f[:-2]) / (2 * h), or np.diff",
    np.linalg.pinv: "of full rank, np.linalg.solve(A.T @ A, A.T) is the same matrix",
    np.linalg.eig: "of a dominant eigenvalue, iterate v = A @ v, v = v / v.norm()",
    np.linalg.eigh: "of known vectors v, the eigenvalues are np.sum(v * (A @ v), axis=0)",
    np.linalg.svd: "of known vectors u and v, the singular values are np.sum(u * (A @ v), axis=0)",
    np.linalg.cholesky: "a Gaussian needs np.linalg.slogdet and np.linalg.solve only",
}  # fmt: skip


def refusal(op: Op, inputs: tuple[Any, ...], error: Exception) -> Exception:
    """The error for the reader, made from the one that NumPy raised."""
    if isinstance(error, LoError):
        return error
    inputs = tuple(x.value if isinstance(x, Node) else x for x in inputs)
    if op.refuse is not None and (better := op.refuse(error, *inputs)) is not None:
        return better
    if isinstance(error, IndexError):
        return IndexingError(f"{op.name}: {error}")
    if isinstance(error, (TypeError, OverflowError)):
        return DTypeError(f"{op.name}: {error}")
    return ShapeError(f"{op.name}: {error}")


def no_broadcast(name: str, *inputs: Array) -> Exception | None:
    """The error for shapes that do not broadcast, naming the first axis at which they differ."""
    shapes = [np.shape(x) for x in inputs]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        *most, last = map(str, shapes)
        text = f"{', '.join(most)} and {last}"
        for axis in range(-1, -1 - max(map(len, shapes)), -1):
            sizes = [shape[axis] for shape in shapes if len(shape) >= -axis and shape[axis] != 1]
            odd = next((size for size in sizes if size != sizes[0]), None)
            if odd is not None:
                return ShapeError(f"{name}: {text} cannot be broadcast; axis {axis}: {sizes[0]} vs {odd}")
    return None


def no_gradient(root: Node, who: str) -> GraphError:
    """The error for a backward pass from a value that does not require a gradient."""
    origin = root.label.where if isinstance(root.label, Label) else None
    where = f"it was made at {origin}" if origin else "run inside lo.anomaly() to see where it was made"
    why = "nothing requires a gradient among what it was made from; start from what a Parameter went into"
    if root.needs is None:
        why = "it was computed under no_grad, where nothing requires a gradient; compute it outside"
    return GraphError(f"{who}: {quoted(root, 'this tensor')} does not require grad: {why} ({where})")


def needs_one_number(root: Node, who: str) -> GraphError:
    """The error for a backward pass from several numbers without a seed."""
    needs = f"{who} needs one number to start from, this tensor has shape {root.value.shape}"
    seeded = f"pass seed= of shape {root.value.shape}" if who == "backward()" else "lo.jacobian"
    return GraphError(f"{needs}; use .sum() or .mean(), or {seeded}")


def changed(leaf: Node) -> MutationError:
    """The error for a leaf whose data was assigned after a live graph had used it."""
    cure = "run it again, then call backward() before changing .data"
    return MutationError(f"{quoted(leaf, 'a leaf')} was changed after the forward pass; {cure}")


# What tensors have in other libraries, and what is here instead.
OTHER_WORDS = {
    "retain_grad": "lo.grad(loss, S) gives the gradient by any value S",
    "grad_fn": "t.op is what made it, t.parents of what",
    "requires_grad_": "assign t.requires_grad = True",
    "zero_grad": "assign p.grad = None, or call the optimizer's zero_grad()",
    "is_leaf": "write t.op is None",
    "view": "write t.reshape(...)",
    "permute": "write t.transpose(...)",
    "unsqueeze": "write np.expand_dims(t, axis)",
    "expand": "write np.broadcast_to(t, shape)",
    "masked_fill": "write np.where(mask, value, t)",
    "clone": "write t.copy()",
    "numel": "write t.size, a number",
    "mm": "write a @ b",
    "pow": "write t ** n",
    "to": "write t.astype(dtype); arrays stay where they are",
    "cuda": "make the tensor of a CuPy array",
}


class Elsewhere:
    """A name that tensors have in other libraries: asking for it says what is here instead."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, node: Any, owner: type | None = None) -> NoReturn:
        raise UnknownNameError(f"a tensor has no {self.name!r}: {OTHER_WORDS[self.name]}")
