"""SciPy's minimizers on our gradients: for a loss of few parameters over all data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import float64

from tinygrad_lo.engine.derivatives import grad
from tinygrad_lo.engine.graph import Array, Node
from tinygrad_lo.engine.leaves import forget, place, untouched
from tinygrad_lo.engine.machine.hooks import leave
from tinygrad_lo.engine.naming import quoted
from tinygrad_lo.errors import DTypeError, GraphError, NonFiniteError, OptionError, UnsupportedError
from tinygrad_lo.optim.groups import params_of
from tinygrad_lo.optim.schedule import loss_as_float
from tinygrad_lo.options import choice, number, public, whole

WHO = "minimize"
CURVED = ("Newton-CG", "trust-ncg")  # these ask for Hessian-vector products
METHODS = ("L-BFGS-B", "BFGS", "CG", *CURVED)
Loss = Callable[[], Any]


@dataclass(frozen=True, eq=False)
class MinimizeResult:
    """The loss of the parameters as they are now; SciPy's iterations, the calls of f, why it ended."""

    loss: float
    steps: int
    evaluations: int
    converged: bool
    message: str

    def __repr__(self) -> str:
        counts = f"{self.steps} steps, {self.evaluations} evaluations"
        ended = "converged" if self.converged else "not converged"
        return f"MinimizeResult(loss={self.loss:.6g}, {ended} in {counts}: {self.message})"


class Problem:
    """f as SciPy calls it, on one flat float64 vector; keeps the best point seen."""

    def __init__(self, f: Loss, leaves: list[Any], method: str) -> None:
        self.f, self.leaves, self.method = f, leaves, method
        self.names = [quoted(p, f"parameter {i}") for i, p in enumerate(leaves)]
        self.before = [p.value for p in leaves]
        self.ends = np.cumsum([x.size for x in self.before])[:-1]
        self.lowest, self.evaluations = math.inf, 0
        self.best = self.slope = self.at = vector(self.before)  # where it is lowest; ∇f there; evaluated last
        self.slopes: list[Any] = []  # ∇f at the latter as graphs, once curvature is asked for

    def put(self, x: Array, dtype: Any = None) -> None:
        """Let the parameters hold a point, in new arrays of this dtype or their own."""
        for p, old, part in zip(self.leaves, self.before, np.split(x, self.ends), strict=True):
            place(p, part.reshape(old.shape).astype(dtype or old.dtype))

    def __call__(self, x: Array) -> tuple[float, Array]:
        """The loss at a point and its gradient."""
        self.put(x, float64)
        self.at, self.slopes, loss = x.copy(), [], self.loss()
        gradient = self.gradient()
        if not math.isfinite(loss) or not np.isfinite(gradient).all():
            # SciPy may take nan and inf for success. A wall, as steep as f fell at the best, turns it back.
            return self.lowest + abs(float(self.slope @ (x - self.best))), -self.slope
        if loss < self.lowest:
            self.best, self.lowest, self.slope = self.at, loss, gradient
        return loss, gradient

    def loss(self) -> float:
        """The loss of the parameters as they are."""
        held = [p.value for p in self.leaves]
        forget(self.leaves)
        self.output = out = self.f()
        self.evaluations += 1
        for name, p, data in zip(self.names, self.leaves, held, strict=True):
            if p.value is not data:
                raise GraphError(f"{WHO}: f changes {name}; it must only compute the loss")
        landed = any(p.arrived is not None for p in self.leaves)
        if not isinstance(out, Node) and (self.method in CURVED or not landed):
            why = f", which {self.method} differentiates twice" if landed else ""
            raise DTypeError(f"{WHO}: f must return the loss as a tensor{why}, got {type(out).__name__}")
        loss = loss_as_float(WHO, out)
        if loss == -math.inf or (self.evaluations == 1 and not math.isfinite(loss)):
            where = "at the start; start elsewhere" if self.evaluations == 1 else "and has no minimum"
            raise NonFiniteError(f"{WHO}: the loss is {loss} {where}")
        return loss

    def gradient(self) -> Array:
        """The gradient at the point evaluated last: by the engine, or where f has left it."""
        out, grads = self.output, [p.arrived for p in self.leaves]
        if isinstance(out, Node):
            grads = grad(out, self.leaves, allow_unused=True) if out.needs else [None for _ in grads]
        for name, g in zip(self.names, grads, strict=True):
            if g is None:
                hint = "leave it out, or compute without .data, float() and no_grad"
                raise GraphError(f"{WHO}: the loss does not depend on {name} through tensors; {hint}")
            if self.evaluations == 1 and not np.isfinite(g).all():
                raise NonFiniteError(f"{WHO}: the gradient of {name} has nan or inf at the start")
        return vector(grads)

    def curvature(self, x: Array, v: Array) -> Array:
        """The Hessian at a point times a vector: the gradient of ∇f · v."""
        if not np.array_equal(x, self.at):  # SciPy has refused the point evaluated last
            self(x)
        self.slopes = self.slopes or grad(self.output, self.leaves, create_graph=True)
        pairs = zip(self.slopes, np.split(v, self.ends), strict=True)
        return vector(grad(sum((slope.reshape(-1) * part).sum() for slope, part in pairs), self.leaves))


def vector(arrays: list[Any]) -> Array:
    """Arrays as one new vector."""
    return np.concatenate([np.ravel(x) for x in arrays]).astype(float64)


@public
def minimize(
    f: Loss, params: Any, *, method: str = "L-BFGS-B", steps: int = 100, tolerance: float | None = None
) -> MinimizeResult:
    """Give the parameters the values with the lowest loss that one of SciPy's minimizers finds.

    For a smooth loss over all data: line searches choose the steps, there is no learning rate. They fail if
    f, which takes nothing, is random (dropout, minibatches). Inside, parameters are float64. If f raises, or
    on Ctrl-C, the error goes on and the parameters have the best values so far.

        parameters = argmin f()

    Args:     f returns the loss as a tensor; or a number, having added the gradients to `.grad` like
              `lo.compile(f)`. `.grad` ends as it was. params as for an optimizer; frozen ones stay.
              method: "L-BFGS-B", "BFGS", "CG"; with second derivatives, "Newton-CG", "trust-ncg".
              steps: at most. tolerance: SciPy's `tol`, on the gradient (Newton-CG: on the step).
    Returns:  an object with loss, steps, evaluations, converged and message.
    Raises:   OptionError: an impossible option, or all is frozen.  GraphError: the loss does not depend on
              a parameter, or f changes one.  DTypeError, ShapeError: f gives no tensor, or not one number.
              NonFiniteError: nan or inf at the start, or a loss of −inf.  UnsupportedError: without SciPy.
    Source:   Nocedal and Wright 2006, chapters 4 to 7; scipy.optimize.minimize.
    Example:
        >>> import tinygrad_lo as lo
        >>> w = lo.Parameter([-1.0, 1.0])
        >>> result = lo.optim.minimize(lambda: ((w - 3.0) ** 2).sum(), w)
        >>> w.data, result.converged
        (array([3., 3.]), True)
    """
    if not callable(f):
        raise DTypeError(f"{WHO}: f must be a function of nothing, got {type(f).__name__}")
    method = choice(WHO, "method", method, METHODS)
    limits = {"maxiter": whole(WHO, "steps", steps)}
    if method == "L-BFGS-B":
        limits["maxfun"] = 2**31 - 1  # steps are the limit, not SciPy's 15000 evaluations
    tolerance = None if tolerance is None else number(WHO, "tolerance", tolerance, above=0.0)
    leaves = [p for _, p in params_of(WHO, {"params": params}) if p.needs]
    if not any(p.value.size for p in leaves):
        raise OptionError(f"{WHO}: all parameters are frozen or empty; set requires_grad = True on one")
    leave("minimize()", *leaves)
    try:
        from scipy import optimize
    except ImportError as error:
        raise UnsupportedError(f"{WHO} needs SciPy, which is not installed: pip install scipy") from error
    problem = Problem(f, leaves, method)
    products = problem.curvature if method in CURVED else None
    try:
        with untouched(leaves):
            settings = {"method": method, "hessp": products, "tol": tolerance, "options": limits}
            found = optimize.minimize(problem, problem.at, jac=True, **settings)
            loss = problem.lowest
            if any(x.dtype != float64 for x in problem.before):  # rounded, the loss is another one
                problem.put(problem.best)
                loss = problem.loss()
    finally:
        if problem.lowest < math.inf:
            problem.put(problem.best)
    return MinimizeResult(loss, int(found.nit), problem.evaluations, bool(found.success), str(found.message))
