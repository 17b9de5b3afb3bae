"""NumPy's functions on tensors: differentiable, answered as facts, or refused."""

import numpy as np
import pytest

import tinygrad_lo as lo
from tinygrad_lo.engine.machine.numpy_names import FACTS, FUNCTIONS, UFUNCS
from tinygrad_lo.errors import LoError, UnsupportedError

X = np.array([[0.3, 1.2, 0.7], [2.0, 0.4, 1.1]])
INDEX = np.array([[2, 0], [1, 1]])

# name, the call (with a tensor or an array in place of x); the same text runs on both.
CALLS = {
    "exp": np.exp,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "square": np.square,
    "reciprocal": np.reciprocal,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "tanh": np.tanh,
    "arcsin": lambda x: np.arcsin(x / 3.0),
    "arccos": lambda x: np.arccos(x / 3.0),
    "arctan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "abs": np.abs,
    "fabs": np.fabs,
    "negative": np.negative,
    "add": lambda x: np.add(x, 2.0),
    "subtract": lambda x: np.subtract(X, x),
    "multiply": lambda x: np.multiply(x, x),
    "divide": lambda x: np.divide(1.0, x),
    "power": lambda x: np.power(x, 3),
    "float_power": lambda x: np.float_power(x, 2.0),
    "maximum": lambda x: np.maximum(x, 1.0),
    "minimum": lambda x: np.minimum(1.0, x),
    "logaddexp": lambda x: np.logaddexp(x, 0.5),
    "matmul": lambda x: np.matmul(x, X.T),
    "sum": np.sum,
    "sum axis": lambda x: np.sum(x, axis=0),
    "sum positional": lambda x: np.sum(x, 1),
    "sum keepdims": lambda x: np.sum(x, axis=(0, 1), keepdims=True),
    "mean": lambda x: np.mean(x, axis=1, keepdims=True),
    "prod": lambda x: np.prod(x, axis=0),
    "max": lambda x: np.max(x, axis=0),
    "amax": np.amax,
    "min": lambda x: np.min(x, axis=1),
    "amin": np.amin,
    "var": lambda x: np.var(x, axis=1, ddof=1),
    "std": lambda x: np.std(x, axis=0, ddof=1, keepdims=True),
    "norm": np.linalg.norm,
    "norm axis": lambda x: np.linalg.norm(x, axis=1),
    "clip": lambda x: np.clip(x, 0.5, 1.5),
    "clip min": lambda x: np.clip(x, min=0.5),
    "clip None": lambda x: np.clip(x, None, 1.5),
    "where": lambda x: np.where(x > 1.0, x, 0.0),
    "where both": lambda x: np.where(X > 1.0, x * 2.0, -x),
    "reshape": lambda x: np.reshape(x, (3, -1)),
    "ravel": np.ravel,
    "transpose": np.transpose,
    "transpose axes": lambda x: np.transpose(x, (1, 0)),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "moveaxis": lambda x: np.moveaxis(x, 0, -1),
    "expand_dims": lambda x: np.expand_dims(x, 1),
    "squeeze": lambda x: np.squeeze(np.expand_dims(x, 0), axis=0),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 2, 3)),
    "concatenate": lambda x: np.concatenate([x, X, x * 2.0], axis=1),
    "concatenate default": lambda x: np.concatenate((x, x)),
    "concatenate flat": lambda x: np.concatenate([x, X], axis=None),
    "concatenate with a list": lambda x: np.concatenate([x, [[1.0, 2.0, 3.0]]]),
    "stack": lambda x: np.stack([x, X], axis=-1),
    "stack rows": np.stack,
    "stack with a number": lambda x: np.stack([x[0, 0], 1.0]),
    "pad": lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=3.0),
    "flip": lambda x: np.flip(x, axis=1),
    "flip all": np.flip,
    "take_along_axis": lambda x: np.take_along_axis(x, INDEX, axis=1),
    "dot": lambda x: np.dot(x, X.T),
    "dot of vectors": lambda x: np.dot(x[0], x[1]),
    "dot left": lambda x: np.dot(X, x.T),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, X),
    "einsum optimize": lambda x: np.einsum("ij,kj->ik", x, X, optimize=True),
    "einsum implicit": lambda x: np.einsum("ba", x),
    "einsum dots": lambda x: np.einsum("...j,kj->...k", x, X),
    "outer": lambda x: np.outer(x, X[0]),
    "outer right": lambda x: np.outer([1.0, 2.0], x),
    "tensordot": lambda x: np.tensordot(x, X),
    "tensordot axes": lambda x: np.tensordot(X, x, axes=([0], [0])),
    "cumsum": np.cumsum,
    "cumsum axis": lambda x: np.cumsum(x, axis=-1),
    "sort": np.sort,
    "sort axis": lambda x: np.sort(x, axis=0, kind="stable"),
    "sort flat": lambda x: np.sort(x, None, stable=True),
    "roll": lambda x: np.roll(x, 2),
    "roll axis": lambda x: np.roll(x, shift=-1, axis=1),
    "split": lambda x: np.stack(np.split(x, 3, axis=1)),
    "split indices": lambda x: np.split(x, indices_or_sections=[1], axis=1)[1],
    "array_split": lambda x: np.array_split(x, 2, axis=-1)[0],
    "triu": lambda x: np.triu(x, k=1),
    "tril": np.tril,
    "diag": np.diag,
    "diag of a vector": lambda x: np.diag(x[0], k=-1),
    "diagonal": lambda x: np.diagonal(x, offset=1, axis1=1, axis2=0),
    "trace": np.trace,
    "trace offset": lambda x: np.trace(x, offset=1),
    "exp2": np.exp2,
    "arcsinh": np.arcsinh,
    "arccosh": lambda x: np.arccosh(x + 1.0),
    "arctanh": lambda x: np.arctanh(x / 3.0),
    "deg2rad": np.deg2rad,
    "radians": np.radians,
    "rad2deg": np.rad2deg,
    "degrees": np.degrees,
    "hypot": lambda x: np.hypot(X[::-1], x),
    "arctan2": lambda x: np.arctan2(x - 1.0, -X),
    "logaddexp2": lambda x: np.logaddexp2(1.0, x),
    "fmax": lambda x: np.fmax(x, 0.5),
    "fmin": lambda x: np.fmin([1.0, np.nan, 1.0], x),
    "nan_to_num": lambda x: np.nan_to_num(np.where(X > 1.5, np.inf, x), posinf=7.0),
    "positive": np.positive,
    "conjugate": np.conj,
    "real": np.real,
    "real_if_close": np.real_if_close,
    "copy": np.copy,
    "atleast_1d": lambda x: np.atleast_1d(x[0, 0]),
    "atleast_2d": lambda x: np.atleast_2d(x[0], x)[0],
    "atleast_3d": np.atleast_3d,
    "vstack": lambda x: np.vstack([x, X[0]]),
    "vstack rows": np.vstack,
    "hstack": lambda x: np.hstack((X, x)),
    "hstack of numbers": lambda x: np.hstack([1.0, x[0, 0], 2.0]),
    "dstack": lambda x: np.dstack([x[0], x[1], [1.0, 2.0, 3.0]]),
    "column_stack": lambda x: np.column_stack([x, X[:, 0]]),
    "append": lambda x: np.append(X, x),
    "append axis": lambda x: np.append(x, [[1.0, 2.0, 3.0]], axis=0),
    "vsplit": lambda x: np.vsplit(x, 2)[1],
    "hsplit": lambda x: np.hsplit(x, [1])[1],
    "hsplit of a vector": lambda x: np.hsplit(x[0], 3)[1],
    "dsplit": lambda x: np.dsplit(x[None], 3)[2],
    "repeat": lambda x: np.repeat(x, 2),
    "repeat axis": lambda x: np.repeat(x, repeats=[2, 0, 1], axis=1),
    "tile": lambda x: np.tile(x, 2),
    "tile reps": lambda x: np.tile(A=x, reps=(2, 1, 2)),
    "fliplr": np.fliplr,
    "flipud": np.flipud,
    "rot90": np.rot90,
    "rot90 back": lambda x: np.rot90(x, -1),
    "rot90 axes": lambda x: np.rot90(x, k=2, axes=(1, 0)),
    "rollaxis": lambda x: np.rollaxis(x, 1),
    "rollaxis end": lambda x: np.rollaxis(x, 0, 2),
    "take": lambda x: np.take(x, [[0, 5], [-1, 0]]),
    "take axis": lambda x: np.take(x, 1, axis=-1),
    "fftshift": np.fft.fftshift,
    "ifftshift": lambda x: np.fft.ifftshift(x, axes=1),
    "diff": np.diff,
    "diff twice": lambda x: np.diff(x, n=2, axis=1),
    "diff axis": lambda x: np.diff(x, axis=0),
    "cumprod": np.cumprod,
    "cumprod with zeros": lambda x: np.cumprod(x - X * [1, 0, 1], axis=1),
    "linspace": lambda x: np.linspace(x[0], 2.0, 5),
    "linspace open": lambda x: np.linspace(0, x, num=3, endpoint=False),
    "linspace of one": lambda x: np.linspace(x[0, 0], x[0, 1], 1),
    "inner": lambda x: np.inner(x, X),
    "inner of numbers": lambda x: np.inner(2.0, x),
    "vdot": lambda x: np.vdot(x, X[::-1]),
    "kron": lambda x: np.kron(x, [[1.0, 2.0], [3.0, 4.0]]),
    "kron left": lambda x: np.kron([1.0, 2.0], x),
    "cross": lambda x: np.cross(x, X[::-1]),
    "cross axes": lambda x: np.cross(X.T, x[1], axisa=0, axisc=0),
    "median": np.median,
    "median axis": lambda x: np.median(x, axis=1, keepdims=True),
    "average": np.average,
    "average weights": lambda x: np.average(x, axis=1, weights=[1.0, 2.0, 3.0]),
    "average by": lambda x: np.average(X, weights=x, axis=0, keepdims=True),
    "inv": lambda x: np.linalg.inv(x[:, :2]),
    "solve": lambda x: np.linalg.solve(x[:, :2], x[:, 2]),
    "solve for a matrix": lambda x: np.linalg.solve(x[:, :2], x),
    "det": lambda x: np.linalg.det(x[:, :2]),
    "slogdet": lambda x: np.linalg.slogdet(x[:, 1:]).logabsdet,
    "norm 1": lambda x: np.linalg.norm(x - 1.0, 1),
    "norm -1": lambda x: np.linalg.norm(x, -1, keepdims=True),
    "norm inf": lambda x: np.linalg.norm(x - 1.0, np.inf),
    "norm inf of vectors": lambda x: np.linalg.norm(x - 1.0, -np.inf, axis=1),
    "norm 1 of vectors": lambda x: np.linalg.norm(x - 1.0, ord=1, axis=0),
    "norm 3 of a vector": lambda x: np.linalg.norm(x[0] - 0.5, 3),
    "norm 0.5": lambda x: np.linalg.norm(x, 0.5, axis=0, keepdims=True),
    "norm fro": lambda x: np.linalg.norm(x, "fro", axis=(1, 0)),
    "windows": lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, axis=1),
    "windows 2": lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 2)),
    "add.reduce": np.add.reduce,
    "add.reduce axis": lambda x: np.add.reduce(x, axis=1, keepdims=True),
    "add.reduce None": lambda x: np.add.reduce(x, axis=None),
    "multiply.reduce": lambda x: np.multiply.reduce(x, 1),
    "maximum.reduce": np.maximum.reduce,
    "minimum.reduce": lambda x: np.minimum.reduce(x, axis=1),
    "logaddexp.reduce": lambda x: np.logaddexp.reduce(x, axis=1),
}


# Not to the bit: norms are scaled, einsum sums first what stands alone; Python numbers stay weak.
WIDER = {"std", "norm axis", "einsum", "einsum dots", "logaddexp.reduce", "float_power", "inner of numbers"}


@pytest.mark.parametrize("name", CALLS)
def test_numpys_function_has_numpys_value_and_the_numerical_gradient(name):
    call = CALLS[name]
    x = lo.Parameter(X)
    y = call(x)
    expected = call(X)
    assert isinstance(y, lo.Tensor)
    assert y.shape == np.shape(expected)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-13)
    weights = np.random.default_rng(0).uniform(0.5, 1.5, y.shape)
    (y * weights).sum().backward()
    numeric = lo.numerical_gradient(lambda v: (call(v) * weights).sum(), X)
    np.testing.assert_allclose(x.grad, numeric, rtol=1e-7, atol=1e-8)


def test_every_listed_function_is_tried_above():
    tried = {name.split()[0].split(".")[0] for name in CALLS} | {"windows"}
    names = {f.__name__ for f in [*UFUNCS, *FUNCTIONS]}
    comparisons = {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "sign"}
    aliases = {"absolute": "abs", "sliding_window_view": "windows"}
    assert {aliases.get(n, n) for n in names} - comparisons <= tried


@pytest.mark.parametrize(
    "call",
    [
        np.argmax,
        np.argmin,
        lambda x: np.argmax(x, axis=1),
        lambda x: np.argsort(x, axis=0),
        np.isfinite,
        np.imag,
        np.angle,
        np.isnan,
        np.isinf,
        np.signbit,
        np.floor,
        np.ceil,
        np.rint,
        np.trunc,
        lambda x: np.round(x, 1),
        lambda x: np.any(x > 1.0),
        lambda x: np.all(x > 0.0, axis=0),
        lambda x: np.logical_and(x > 0.5, x < 1.5),
        lambda x: np.logical_or(x > 0.5, X < 1.5),
        lambda x: np.logical_not(x > 0.5),
        np.count_nonzero,
        lambda x: np.nonzero(x > 1.0),
        lambda x: np.allclose(x, X),
        lambda x: np.array_equal(x, X),
        lambda x: np.isclose(X, x),
        np.zeros_like,
        np.ones_like,
        lambda x: np.full_like(x, 3.0),
        np.shape,
        np.ndim,
        np.size,
    ],
)
def test_facts_are_plain(call):
    answer, expected = call(lo.Parameter(X)), call(X)
    assert type(answer) is type(expected)
    np.testing.assert_array_equal(answer, expected)


def test_comparisons_and_sign_are_tensors_without_gradient():
    x = lo.Parameter(X)
    for f in (np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal):
        y = f(x, 1.2)
        assert type(y) is lo.Tensor
        assert not y.requires_grad
        np.testing.assert_array_equal(y.numpy(), f(X, 1.2))
    assert not np.sign(x).requires_grad


def test_every_function_of_numpy_answers_or_raises_an_error_of_the_library():
    """Nothing detaches: what is neither in the table nor a fact must refuse a tensor."""
    x = lo.Parameter(X)
    wrong = []
    for name in dir(np):
        f = getattr(np, name, None)
        if not isinstance(f, np.ufunc) or f in FACTS:
            continue
        try:
            with np.errstate(invalid="ignore"):  # arccos(2)
                answer = f(*[x] * f.nin)
        except (LoError, FloatingPointError):
            continue
        if not isinstance(answer, lo.Tensor):
            wrong.append(name)
    assert not wrong


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (np.fft.fft, "np.fft.fft"),
        (np.unique, "np.unique"),
        (np.ediff1d, "np.ediff1d"),
        (np.cbrt, "np.cbrt"),
        (lambda x: np.multiply.outer(x, x), "np.multiply"),
        (lambda x: np.add.at(x, 0, 1.0), "np.add"),
        (np.histogram, "np.histogram"),
        (lambda x: np.mod(x, 2.0), "np.remainder"),
    ],
)
def test_other_functions_are_refused_by_name(call, name):
    with pytest.raises(UnsupportedError, match=f"^{name}.* is not differentiable here"):
        call(lo.Parameter(X))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: np.sum(x, out=np.zeros(())),
        lambda x: np.sum(x, initial=1.0),
        lambda x: np.mean(x, dtype=np.float32),
        lambda x: np.max(x, initial=0.0),
        lambda x: np.linalg.norm(x, 2),
        lambda x: np.vstack([x, x], dtype=np.float32),
        lambda x: np.take(x, [0], mode="wrap"),
        lambda x: np.take(x, [0], out=np.zeros(1)),
        lambda x: np.diff(x, prepend=0.0),
        lambda x: np.median(x, overwrite_input=True),
        lambda x: np.average(x, returned=True),
        lambda x: np.average(x, None, None, True),
        lambda x: np.nan_to_num(x, copy=False),
        lambda x: np.linspace(x[0], 1.0, retstep=True),
        lambda x: np.linspace(x[0], 1.0, 5, axis=1),
        lambda x: np.copy(x, order="F"),
        lambda x: np.cumprod(x, dtype=np.float32),
        lambda x: np.hypot(x, 1.0, where=X > 1.0),
        lambda x: np.concatenate([x, x], dtype=np.float32),
        lambda x: np.sort(x, order="a"),
        lambda x: np.cumsum(x, dtype=np.float32),
        lambda x: np.cumsum(x, out=np.zeros(6)),
        lambda x: np.outer(x, x, out=np.zeros((6, 6))),
        lambda x: np.trace(x, dtype=np.float32),
        lambda x: np.trace(x, out=np.zeros(())),
        lambda x: np.add.reduce(x, dtype=np.float32),
        lambda x: np.add.reduce(x, where=X > 1.0),
        lambda x: np.exp(x, dtype=np.float32),
        lambda x: np.clip(x, 0.0, 1.0, where=X > 0.5),
        lambda x: np.reshape(x, (3, 2), order="F"),
        lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, axis=0),
    ],
)
def test_options_that_would_be_ignored_are_refused(call):
    with pytest.raises(UnsupportedError, match=r"np\.|sliding"):
        call(lo.Parameter(X))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", [n for n in CALLS if n not in WIDER])
def test_value_shape_and_dtype_are_numpys_to_the_bit(name, dtype, monkeypatch):
    monkeypatch.setitem(globals(), "X", X.astype(dtype))
    y, expected = CALLS[name](lo.Parameter(X)), np.asarray(CALLS[name](X))
    assert (y.shape, y.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(y.numpy(), expected)


def test_a_tensor_hidden_in_a_list_is_found():
    w = lo.Parameter([1.0, 2.0])
    y = np.concatenate([[0.0], w])
    y.sum().backward()
    assert w.grad.tolist() == [1.0, 1.0]
