"""A student's own function, called with care: on copies, twice, and refused in a sentence of its own."""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import CellType, CodeType, FunctionType
from typing import Any

import numpy as np

from tinygrad_lo.checking.numerical import is_list
from tinygrad_lo.engine.graph import Array, Node, T
from tinygrad_lo.errors import DTypeError, GraphError, MutationError, NonFiniteError, ShapeError

SOURCES = Path(__file__).resolve().parents[1]
Change = Callable[[Array], Array]  # what a copy of a function reads in place of an array
Leaves = dict[str, Array]  # the arrays of a structure by what they are called: x, or x[0], x[1], or W, b


def name_of_function(fn: Any) -> str | None:
    """What a function is called by its author; None if it has no name."""
    name = getattr(fn, "__name__", None) or type(fn).__name__
    return None if name in ("<lambda>", "partial") else name


def check_of(who: str, fn: Any) -> str:
    """A check of this function: check_gradient of svm_loss."""
    name = name_of_function(fn)
    return f"{who} of {name}" if name else who


def parameter(fn: Any) -> str:
    """What the author calls the first argument: W."""
    try:
        first = next(iter(inspect.signature(fn).parameters.values()))
    except (TypeError, ValueError, StopIteration):
        return "x"
    return first.name if first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD) else "x"


def parts(x: Any, name: str = "x") -> dict[str, Any]:
    """An array, a list of arrays or a dict of arrays as a dict of what it holds."""
    if isinstance(x, Mapping):
        return {str(key): value for key, value in x.items()}
    if is_list(x):
        return {f"{name}[{i}]": value for i, value in enumerate(x)}
    return {name: x}


def leaves_of(who: str, fn: Any, x: Any) -> Leaves:
    """What a gradient of a function is taken by, as float64 copies."""
    leaves = {}
    for name, value in parts(x, parameter(fn)).items():
        data = np.asarray(value.value if isinstance(value, Node) else value)
        if data.dtype.kind in "iub":
            hint = "write 3.0 for 3" if data.ndim == 0 else f"write {name}.astype(float)"
            raise DTypeError(f"{who}: {name} is {data.dtype}; a gradient needs floating point: {hint}")
        if data.dtype.kind != "f":
            wanted = f"{name} must be an array of numbers, or x a list or dict of arrays"
            raise DTypeError(f"{who}: {wanted}, got {described(value, data)}")
        if not np.isfinite(data).all():
            raise NonFiniteError(f"{who}: {name} has nan or inf; choose a point where the loss is finite")
        leaves[name] = np.array(data, dtype=float)
    if not sum(data.size for data in leaves.values()):
        raise ShapeError(f"{who}: x has no elements, so there is no gradient to check")
    return leaves


def structured(x: Any, values: Sequence[Any]) -> Any:
    """The structure of x with these values in the places of its arrays."""
    if isinstance(x, Mapping):
        return dict(zip(x, values, strict=True))
    if is_list(x):
        return tuple(values) if type(x) is tuple else list(values)
    return values[0]


def rebuilt(x: Any, leaves: Leaves) -> Any:
    """The structure of x with copies of these arrays; a number is a number."""
    return structured(x, copied(list(leaves.values())))


def copied(args: Sequence[Any]) -> list[Any]:
    """Arguments that a function may spoil: arrays as copies."""
    return [np.array(a)[()] if isinstance(a, (np.ndarray, np.generic)) else a for a in args]


@contextlib.contextmanager
def calling(*, heard: bool = False) -> Iterator[None]:
    """Around a call: what a function prints is heard once; what NumPy warns of is refused when it arrives."""
    with np.errstate(all="ignore"), contextlib.redirect_stdout(sys.stdout if heard else io.StringIO()):
        yield


def position_of(who: str, what: str, value: Any, *, finite: bool = True) -> float:
    """One floating-point number that a student's function returned."""
    data = numbers_of(who, what, value, finite=finite)
    if data.size != 1:
        raise ShapeError(f"{who}: {what} has shape {data.shape}, but a loss is one number: sum or average it")
    return float(data.reshape(()))


def numbers_of(who: str, what: str, value: Any, *, finite: bool = True) -> Array:
    """What a student's function returned as a float64 array of its own."""
    if value is None:
        raise DTypeError(f"{who}: {what} is None; does the function end with return?")
    if isinstance(value, Node):
        instead = "this checks NumPy functions, lo.gradcheck checks those of tensors"
        raise DTypeError(f"{who}: {what} is a Tensor; {instead}")
    if isinstance(value, np.ma.MaskedArray):
        raise DTypeError(f"{who}: {what} is a masked array, of which some elements have no value; fill them")
    try:
        data = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"{who}: {what} is a ragged list, no array: {error}") from error
    if data.dtype.kind in "iub":
        raise DTypeError(
            f"{who}: {what} is {described(value, data)}, an integer; something rounds it: start sums with "
            f"0.0, divide with /, and give np.zeros no integer dtype"
        )
    if data.dtype.kind != "f":
        raise DTypeError(f"{who}: {what} must be numbers, got {described(value, data)}")
    if finite:
        must_be_finite(who, what, data)
    return np.array(data, dtype=float)


def must_be_finite(who: str, what: str, data: Array, hint: str = "") -> None:
    """Raise for nan and inf."""
    if not np.isfinite(data).all():
        place = np.argwhere(~np.isfinite(data))[0].tolist()
        raise NonFiniteError(
            f"{who}: {what} is {data[*place]}{f' at {place}' if place else ''}: is there a log or a root of "
            f"something not above 0, a division by 0, or an exp of something large?{hint}"
        )


def wide_enough(who: str, what: str, value: Any) -> None:
    """Raise for float32 and float16, of which finite differences leave nothing."""
    dtype = np.asarray(value).dtype
    if dtype.itemsize < 8:
        raise DTypeError(
            f"{who}: {what} is {dtype}, although all that was given is float64; while you check, compute in "
            f"float64: leave out astype, and give np.zeros no dtype"
        )


def described(value: Any, data: Array) -> str:
    """A wrong result in few words: a short value itself, else its type and dtype."""
    if data.size <= 4 and len(repr(value)) <= 40:
        return repr(value)
    return f"{type(value).__name__} of {data.dtype}"


def is_pair(result: Any) -> bool:
    """Whether a function returned (loss, gradient)."""
    return isinstance(result, tuple) and len(result) == 2


def loss_and_gradient(who: str, result: Any) -> tuple[Any, Any]:
    """The two things that a function returns, or an error that says what it returned."""
    if is_pair(result):
        return result[0], result[1]
    what = f"{len(result)} values" if isinstance(result, tuple) else f"one {type(result).__name__}"
    if result is None:
        what = "None (does it end with return?)"
    if isinstance(result, list):
        what = "a list (write return loss, gradient, without brackets)"
    raise DTypeError(f"{who}: the function must return two things, (loss, gradient), but it returned {what}")


def gradient_of(who: str, x: Any, leaves: Leaves, gradient: Any) -> Leaves:
    """The gradient that a function returned, array by array, each with the shape of what it is by."""
    slopes = {}
    for (name, data), value in zip(leaves.items(), values_like(who, x, gradient), strict=True):
        what = f"the gradient by {name}"
        g = numbers_of(who, what, value)
        if g.shape != data.shape:
            hint = shape_hint(data, g)
            raise ShapeError(f"{who}: {what} has shape {g.shape}, but {name} has {data.shape}{hint}")
        slopes[name] = g
    return slopes


def values_like(who: str, x: Any, gradient: Any) -> list[Any]:
    """What a gradient with the structure of x holds."""
    got: Any = type(gradient).__name__
    if isinstance(x, Mapping):
        if isinstance(gradient, Mapping):
            if set(gradient) == set(x):
                return [gradient[key] for key in x]
            got = sorted(map(str, gradient))
        what = f"a dict of {sorted(map(str, x))}, so the gradient must be one of the same names"
    elif is_list(x):
        if isinstance(gradient, (list, tuple)):
            if len(gradient) == len(x):
                return list(gradient)
            got = len(gradient)
        what = f"a list of {len(x)} arrays, so the gradient must be one as well"
    else:
        return [gradient]
    raise DTypeError(f"{who}: x is {what}, got {got}")


def shape_hint(data: Array, g: Array) -> str:
    """What a gradient of another shape may come from."""
    if data.ndim == 2 and g.shape == data.shape[::-1]:
        return "; it looks transposed: return its .T"
    if not data.ndim:
        return "; return one number"
    if g.ndim == data.ndim + 1 and g.shape[1:] == data.shape:
        return "; is the sum over the samples (axis 0) missing?"
    return "; one number for each element is needed" if g.size == 1 else ""


def must_not_change(who: str, name: str, before: Array, after: Any) -> None:
    """Raise if a function wrote into an array that it was given."""
    if not np.array_equal(before, after, equal_nan=True):
        raise MutationError(
            f"{who}: the function changes {name} in place (x -= ..., x[i] = ..., np.add(..., out=x)); "
            f"it must only read it: work on a copy, {name.rsplit(maxsplit=1)[-1]}.copy()"
        )


def must_repeat(who: str, what: str, first: Any, second: Any) -> None:
    """Raise for a function that is no function."""
    if not np.array_equal(first, second, equal_nan=True):
        raise GraphError(
            f"{who}: the function gives another {what} when it is called again with the same input; is a "
            f"gradient kept between calls and added to, or is something random? Start from zeros, seed inside"
        )


def attempt(run: Callable[..., T], *args: Any) -> T | None:
    """What an experiment comes to; None where it asks of a student's function what that cannot do."""
    try:
        return run(*args)
    except Exception:
        return None


@dataclass(frozen=True)
class Student:
    """A student's function of the leaves of x, called quietly."""

    who: str
    fn: Callable[[Any], Any]
    x: Any

    def __call__(self, leaves: Leaves) -> tuple[float, Leaves]:
        """The loss and its gradient."""
        loss, gradient = self.pair(leaves)
        return loss, gradient_of(self.who, self.x, leaves, gradient)

    def trusted(self, leaves: Leaves) -> tuple[float, Leaves]:
        """The same of a function that has shown that it can be trusted: called twice, and heard once."""
        who, first, results = self.who, next(iter(leaves.values())), []
        for heard in (True, False):
            given = rebuilt(self.x, leaves)
            with calling(heard=heard):
                loss, gradient = loss_and_gradient(who, self.fn(given))
            for (name, before), after in zip(leaves.items(), parts(given).values(), strict=True):
                must_not_change(who, name, before, after)
            if np.ndim(loss) and np.shape(loss) == first.shape and np.size(gradient) == 1:
                got = "the first thing returned has the shape of x, the second is one number"
                raise ShapeError(f"{who}: {got}; return (loss, gradient) in this order")
            value = position_of(who, "the loss", loss)
            wide_enough(who, "the loss", loss)
            results.append((value, gradient_of(who, self.x, leaves, gradient)))
        (value, slopes), (second, repeated) = results
        must_repeat(who, "loss", value, second)
        for name, g in slopes.items():
            must_repeat(who, "gradient", g, repeated[name])
        return value, slopes

    def loss(self, leaves: Leaves) -> float:
        """The loss alone, which may be nan beyond its domain."""
        return self.pair(leaves)[0]

    def pair(self, leaves: Leaves) -> tuple[float, Any]:
        """The loss, and what the function calls its gradient."""
        with calling():
            loss, gradient = loss_and_gradient(self.who, self.fn(rebuilt(self.x, leaves)))
        return position_of(self.who, "the loss near x", loss, finite=False), gradient

    def otherwise(self, change: Change) -> Student:
        """The same function with change(a) for every array that it reads from outside."""
        return replace(self, fn=rewired(self.fn, change))

    def without_data(self) -> Student:
        """The same function, its data 0: X, so that X @ W is 0. Labels stay, and weights of samples."""
        least = 2 if any(a.ndim > 1 and is_data(a) for a in reads(self.fn)) else 1
        return self.otherwise(lambda a: np.zeros_like(a) if is_data(a) and a.ndim >= least else a)


def is_data(a: Array) -> bool:
    """Whether an array that a function reads is data, not labels or a number."""
    return bool(a.dtype.kind == "f" and a.ndim)


def raised(problem: BaseException) -> str:
    """An exception and the student's line that it came from: the deepest outside of any library."""
    place = ""
    for frame in traceback.extract_tb(problem.__traceback__):
        if not frame.filename.startswith((str(SOURCES), "<frozen")) and "site-packages" not in frame.filename:
            place = f"\n  {frame.filename}, line {frame.lineno}: {frame.line}"
    return f"{type(problem).__name__}: {problem}{place.removesuffix(': ')}"


def rewired(fn: Any, change: Change) -> Any:
    """A copy of the function, and of those of its module, that reads change(a) for any array a outside."""
    return exchanged(fn, change, getattr(fn, "__globals__", {}), {})


def exchanged(value: Any, change: Change, module: dict[str, Any], copies: dict[Any, Any]) -> Any:
    """What a copy of a function reads in place of this value."""
    if isinstance(value, np.ndarray):
        return change(value)
    if type(value) in (list, tuple):
        return type(value)(exchanged(item, change, module, copies) for item in value)
    if type(value) is dict:
        return {key: exchanged(item, change, module, copies) for key, item in value.items()}
    if isinstance(value, functools.partial):
        inner = getattr(value.func, "__globals__", {})
        fn, args, keywords = exchanged((value.func, value.args, value.keywords), change, inner, copies)
        return functools.partial(fn, *args, **keywords)
    if isinstance(value, FunctionType) and value.__globals__ is module:
        return copies[value] if value in copies else copied_function(value, change, copies)
    return value


def copied_function(fn: FunctionType, change: Change, copies: dict[Any, Any]) -> FunctionType:
    """A function with all that it reads exchanged."""
    module = dict(fn.__globals__)
    cells = tuple(CellType() for _ in fn.__closure__ or ())
    copy = copies[fn] = FunctionType(fn.__code__, module, fn.__name__, None, cells)
    # It is known before what it reads: functions may call each other.
    new = functools.partial(exchanged, change=change, module=fn.__globals__, copies=copies)
    copy.__defaults__, copy.__kwdefaults__ = new(fn.__defaults__), new(fn.__kwdefaults__)
    module.update({name: new(module[name]) for name in names_of(fn.__code__) if name in module})
    for cell, old in zip(cells, fn.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # not assigned yet
            cell.cell_contents = new(old.cell_contents)
    return copy


def names_of(code: CodeType) -> Iterator[str]:
    """The names that a function and the functions inside it may read from their module."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_of(constant)


def reads(fn: Any) -> list[Array]:
    """The arrays that a function reads from outside, each once."""
    arrays: list[Array] = []

    def note(array: Array) -> Array:
        if array.size and not any(array is known for known in arrays):
            arrays.append(array)
        return array

    rewired(fn, note)
    return arrays
