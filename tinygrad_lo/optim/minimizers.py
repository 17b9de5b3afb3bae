"""SciPy's minimizers, fed with our gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lo.engine.derivatives import grad, gradients
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.leaves import place
from tinygrad_lo.engine.naming import quoted
from tinygrad_lo.errors import (
    DTypeError,
    GraphError,
    NonFiniteError,
    OptionError,
    ShapeError,
    UnsupportedError,
)
from tinygrad_lo.names import named_leaves
from tinygrad_lo.options import choice, number, public, whole

CURVED = ("Newton-CG", "trust-ncg")  # ask for Hessian-vector products
METHODS = ("L-BFGS-B", "BFGS", "CG", *CURVED)


@dataclass(frozen=True)
class MinimizeResult:
    """How a minimization ended; the parameters have the best values that it met.

    Attributes:
        loss: at the best values.
        steps, evaluations: of the minimizer, and how often the loss was computed.
        converged: whether the minimizer says that it has arrived; message: what it says.
    """

    loss: float
    steps: int
    evaluations: int
    converged: bool
    message: str

    def __str__(self) -> str:
        state = "converged" if self.converged else "not converged"
        work = f"{self.steps} steps, {self.evaluations} evaluations"
        return f"loss {self.loss:.6g} after {work}: {state}, {self.message}"


@public
def minimize(
    f: Callable[[], Any],
    params: Any,
    *,
    method: str = "L-BFGS-B",
    steps: int = 100,
    tolerance: float | None = None,
) -> MinimizeResult:
    """Minimize a loss that has no randomness in it, on all data at once, by one of SciPy's methods.

    A second-order method needs tens of steps where gradient descent needs thousands: for small convex
    models and fits. "L-BFGS-B", "BFGS" and "CG" ask for f and its gradient, "Newton-CG" and "trust-ncg" also
    for products H v of the Hessian. The parameters are one float64 vector to the method, and get the best
    values that were met, in their own dtypes, also when f raises or Ctrl-C ends it. `.grad` stays as it was,
    and frozen parameters stay where they are.

        params ← argmin f()

    Args:     f is a function of nothing that returns the loss as a tensor. params as for an optimizer.
              tolerance is SciPy's `tol`, whose meaning is the method's.
    Returns:  a result with .loss .steps .evaluations .converged .message; print it.
    Raises:   UnsupportedError: SciPy is not installed.  GraphError: the loss does not depend on a parameter.
              DTypeError, ShapeError: f returns no tensor, or not one number.  NonFiniteError: the loss or a
              gradient is not finite at the start.  OptionError: an unknown method, steps < 1.
    Source:   Nocedal and Wright, Numerical Optimization, 2006; scipy.optimize.minimize.
    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter([-1.2, 1.0])
        >>> result = lo.optim.minimize(lambda: (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2, [w])
        >>> result.converged, w.data.round(3)
        (True, array([1., 1.]))
    """
    way, most = choice("minimize", "method", method, METHODS), whole("minimize", "steps", steps)
    tol = None if tolerance is None else number("minimize", "tolerance", tolerance, above=0.0)
    leaves = [p for _, p in named_leaves("minimize", params) if p.needs]
    if not leaves:
        raise OptionError("minimize: all parameters are frozen")
    try:
        from scipy.optimize import minimize as scipy_minimize
    except ImportError as error:
        raise UnsupportedError("minimize needs SciPy, which is not installed: pip install scipy") from error
    problem = Problem(f, leaves)
    start = problem.flat([p.value for p in leaves])
    problem.refuse_start(start)
    product = {"hessp": problem.product} if way in CURVED else {}
    try:
        with np.errstate(all="ignore"):  # a step too far overflows, and the method goes back
            found = scipy_minimize(
                problem.value_and_gradient,
                start,
                jac=True,
                method=way,
                tol=tol,
                options={"maxiter": most},
                **product,
            )
    finally:
        problem.put(problem.best)
    return MinimizeResult(
        problem.lowest, int(found.nit), problem.evaluations, bool(found.success), str(found.message)
    )


class Problem:
    """A loss as a function of one vector."""

    def __init__(self, f: Callable[[], Any], leaves: list[Any]) -> None:
        self.f, self.leaves = f, leaves
        self.dtypes = [p.value.dtype for p in leaves]
        self.shapes = [p.value.shape for p in leaves]
        self.evaluations = 0
        self.best = self.flat([p.value for p in leaves])
        self.lowest = np.inf

    def flat(self, arrays: list[Array]) -> Array:
        """One float64 vector."""
        return np.concatenate([np.ravel(x) for x in arrays]).astype(np.float64)

    def parts(self, x: Array) -> list[Array]:
        """The vector as each parameter has it."""
        ends = np.cumsum([p.value.size for p in self.leaves])[:-1]
        triples = zip(np.split(x, ends), self.shapes, self.dtypes, strict=True)
        return [part.reshape(shape).astype(dtype) for part, shape, dtype in triples]

    def put(self, x: Array) -> None:
        """Give the parameters these values, in new arrays."""
        for p, part in zip(self.leaves, self.parts(x), strict=True):
            place(p, part)

    def loss(self) -> Any:
        """The loss as a tensor, if it is one number."""
        out = self.f()
        self.evaluations += 1
        if not isinstance(out, Node):
            raise DTypeError(
                f"minimize: f must return the loss as a tensor, got {type(out).__name__}; of a compiled "
                f"function, pass what it was made of, {getattr(self.f, '__name__', 'f')}.__wrapped__"
            )
        if out.value.size != 1:
            raise ShapeError(f"minimize: the loss must be one number, got shape {out.value.shape}")
        return out

    def refuse_start(self, x: Array) -> None:
        """Raise for a start from which there is no way."""
        value, slope = self.value_and_gradient(x)
        if not (np.isfinite(value) and np.isfinite(slope).all()):
            what = f"the loss is {value}" if not np.isfinite(value) else "a gradient is nan or inf"
            raise NonFiniteError(f"minimize: {what} at the start; lo.anomaly() around f() names the op")

    def value_and_gradient(self, x: Array) -> tuple[float, Array]:
        """What a method asks for."""
        self.put(x)
        out = self.loss()
        slopes = grad(out, self.leaves, allow_unused=True)
        for p, slope in zip(self.leaves, slopes, strict=True):
            if slope is None:
                raise GraphError(f"minimize: the loss does not depend on {quoted(p, 'a parameter')}")
        value = float(out.item())
        if value < self.lowest:
            self.lowest, self.best = value, x.copy()
        return value, self.flat(slopes)

    def product(self, x: Array, v: Array) -> Array:
        """H v at x: the derivative of the gradient along v."""
        self.put(x)
        slopes = grad(self.loss(), self.leaves, create_graph=True)
        total = sum((slope * part).sum() for slope, part in zip(slopes, self.parts(v), strict=True))
        if not total.needs:
            return np.zeros_like(x)  # the loss is linear
        products = gradients(total, self.leaves, None, create_graph=False, allow_unused=True)
        return self.flat(
            [np.zeros(p.value.shape) if h is None else h for h, p in zip(products, self.leaves, strict=True)]
        )
