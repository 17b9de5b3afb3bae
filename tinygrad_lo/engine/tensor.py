"""Tensor and Parameter: what users hold. Operators, methods, and NumPy's two protocols."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import numpy as np
from numpy import float64, ndarray

from tinygrad_lo.engine.disguise import without_items
from tinygrad_lo.engine.graph import Array, Node, active, tick
from tinygrad_lo.engine.machine import fast, numpy_names
from tinygrad_lo.engine.machine.arguments import REAL, as_data, closed, fitting, left, need_float, number_of
from tinygrad_lo.engine.machine.hooks import branch, late, leave
from tinygrad_lo.engine.machine.refusals import OTHER_WORDS, Elsewhere
from tinygrad_lo.engine.naming import name_of, quoted, rename, spelled
from tinygrad_lo.engine.ops import arithmetic, compositions, elementwise, indexing, linear, reductions, shapes
from tinygrad_lo.errors import DTypeError, GraphError, LoError, OptionError, ShapeError, UnsupportedError


class Tensor(Node):
    """A number or an array that remembers how it was made.

    Wraps an array as it is, without a copy; numbers and lists become float64 or int64 as NumPy makes
    them. Every operation on tensors gives a tensor, and `loss.backward()` then fills `.grad` of the
    leaves that want a gradient. NumPy's functions accept tensors: `np.exp(t)`, `np.sum(t, axis=0)`.

    Shapes:   any; a scalar holds a NumPy number, which keeps scalar graphs quick.
    Raises:   DTypeError: text, objects, complex numbers; integers that should require a gradient.
              ShapeError: a ragged list.
    Example:
        >>> import tinygrad_lo as lo
        >>> x = lo.Tensor([1.0, 2.0, 3.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        array([2., 4., 6.])
    """

    __slots__ = ()

    def __init__(
        self, data: Any, requires_grad: bool = False, name: str | None = None, dtype: Any = None
    ) -> None:
        if type(data) is float and dtype is None:
            self.value = float64(data)
        elif type(data) is ndarray and dtype is None and data.dtype.kind in REAL and data.ndim:
            self.value = data
        else:
            self.value = as_data(data, dtype)
        if requires_grad is not True and requires_grad is not False:
            raise OptionError(f"requires_grad is True or False, got {requires_grad!r}; a name is name=...")
        self.needs = requires_grad
        if requires_grad:
            need_float(data, self.value)
        self.op = self.label = self.arrived = self.from_a = None
        self.stamp = self.spent = 0
        if name is not None:
            rename(self, name)
        self.birth = tick()

    @property
    def data(self) -> Array:
        """The array or NumPy number. Of a leaf it may be assigned; of another value it is read-only."""
        if active:
            leave(".data", self)
        return self.value if self.op is None else closed(self.value)

    @data.setter
    def data(self, value: Any) -> None:
        if self.op is not None:
            raise GraphError(
                f"{quoted(self)} was computed by {self.op.name}; .data of a value that is not a leaf "
                f"cannot be assigned. Change the leaves and run the forward pass again"
            )
        if value is self.value:
            # The same array came back: it was changed in place (p.data -= ...). Graphs older than
            # this moment hold that array and must refuse to run backward.
            self.stamp = tick()
            return
        if active:
            leave("assigning .data", self)
        keeps = self.needs or isinstance(self, Parameter)  # its shape and dtype, for optimizers and programs
        self.value = fitting(self, value, "data") if keeps else as_data(value, None)

    @property
    def grad(self) -> Array:
        """The gradient that backward passes have added up; None until something arrived."""
        if self.op is not None:
            if not self.needs:
                return None
            raise GraphError(
                f"gradients are kept on leaves, and {quoted(self, 'this tensor')} was computed by "
                f"{self.op.name}; lo.grad(loss, {spelled(self, 'S')}) gives it"
            )
        if active:
            leave(".grad", self)
        return self.arrived

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is None and self.op is None and not active:
            self.arrived = None
            self.spent = 0
            return
        if self.op is not None:
            raise GraphError(f"gradients are kept on leaves, and {quoted(self, 'this tensor')} is not a leaf")
        leave("assigning .grad", self)
        self.arrived = None if value is None else fitting(self, value, "grad")
        self.spent = 0

    @property
    def requires_grad(self) -> bool:
        """Whether backward passes bring a gradient here. May be assigned on leaves: False freezes."""
        return bool(self.needs)

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self.op is not None:
            computed = f"{quoted(self, 'this tensor')} was computed by {self.op.name}"
            raise GraphError(f"only leaves can be frozen, and {computed}; use t.detach()")
        if value:
            need_float(self.value, self.value)
        if value != bool(self.needs):
            # Graphs older than this moment have edges for the leaf as it was: they refuse to run.
            self.stamp = tick()
        self.needs = bool(value)

    @property
    def name(self) -> str | None:
        """The name shown in drawings, explanations and errors."""
        return name_of(self)

    @name.setter
    def name(self, value: str | None) -> None:
        rename(self, value)

    def named(self, name: str) -> Tensor:
        """Set the name and return the tensor: `S = (X @ W).named("S")`."""
        rename(self, name)
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape; () for a scalar."""
        return self.value.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> Any:
        """The NumPy dtype."""
        return self.value.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.value.ndim  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.value.size  # type: ignore[no-any-return]

    @property
    def T(self) -> Any:
        """The axes reversed."""
        return shapes.transpose(self)

    def item(self) -> Any:
        """The one element as a Python number."""
        if self.value.size != 1:
            raise ShapeError(f"item() needs 1 element, got {self.value.size} (shape {self.shape})")
        leave("t.item()", self)
        return self.value.item()

    def tolist(self) -> Any:
        """The values as a Python number, or as nested lists of them."""
        leave("t.tolist()", self)
        return self.value.tolist()

    def numpy(self) -> ndarray[Any, Any]:
        """The values as a read-only view: writing into a live graph is not possible through it."""
        leave("t.numpy()", self)
        return closed(np.asarray(self.value))  # type: ignore[no-any-return]

    def detach(self) -> Tensor:
        """A copy of the values as a constant: no gradient flows through it."""
        return elementwise.detach(self)  # type: ignore[no-any-return]

    def __float__(self) -> float:
        self._stay("float({})")
        return float(self.item())

    def __int__(self) -> int:
        self._stay("int({})")
        return int(self.item())

    __trunc__ = __int__

    def __round__(self, digits: int | None = None) -> Any:
        self._stay("round({})")
        return round(self.item(), digits)

    def as_integer_ratio(self) -> tuple[int, int]:
        """The one element as a fraction, as of a float: `statistics.mean` asks for it."""
        self._stay("statistics.mean([{}])")
        return self.item().as_integer_ratio()  # type: ignore[no-any-return]

    def __index__(self) -> int:
        self._stay("{} as an index")
        if self.value.dtype.kind not in "iu":
            raise DTypeError(f"an index must be an integer, got {self.dtype}")
        return int(self.item())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        self._stay("np.asarray({})")
        data = np.asarray(self.value, dtype=dtype)
        return data.copy() if copy else data

    def _stay(self, what: str) -> None:
        try:
            leave(what.format("t"), self)
            if self.needs:
                raise left(self, what)
        except LoError:
            if not self.value.ndim:
                self.__class__ = DISGUISES.get(type(self), type(self))  # NumPy would hide the error
            raise

    def __bool__(self) -> bool:
        if self.value.size != 1:
            raise ShapeError(f"truth value of a {self.value.size}-element tensor; use .any() or .all()")
        return branch(self, bool(self.value))

    def __len__(self) -> int:
        if not self.value.ndim:
            raise ShapeError(f"len() of a scalar tensor; it has no axes; its number is {number_of(self)}")
        return len(self.value)

    def __iter__(self) -> Iterator[Any]:
        if not self.value.ndim:
            raise ShapeError(f"a scalar tensor cannot be iterated over; its number is {number_of(self)}")
        return (indexing.getitem(self, i) for i in range(len(self.value)))

    def __reduce__(self) -> tuple[Any, ...]:
        if self.op is not None and self.needs:
            computed = f"{quoted(self, 'this tensor')} was computed by {self.op.name}"
            raise GraphError(f"only leaf tensors can be copied or pickled, and {computed}; use y.detach()")
        return rebuild, (type(self), self.value, self.requires_grad, name_of(self), self.grad)

    backward = fast.run_backward

    __add__ = arithmetic.add
    __sub__ = arithmetic.subtract
    __mul__ = arithmetic.multiply
    __truediv__ = arithmetic.divide
    __pow__ = arithmetic.power
    __matmul__ = linear.matmul
    __neg__ = arithmetic.negative
    __abs__ = elementwise.abs
    __eq__ = arithmetic.equal
    __ne__ = arithmetic.not_equal
    __lt__ = arithmetic.less
    __le__ = arithmetic.less_equal
    __gt__ = arithmetic.greater
    __ge__ = arithmetic.greater_equal
    __hash__ = object.__hash__

    def __pos__(self) -> Any:
        return self

    __radd__ = numpy_names.swapped(arithmetic.add)
    __rsub__ = numpy_names.swapped(arithmetic.subtract)
    __rmul__ = numpy_names.swapped(arithmetic.multiply)
    __rtruediv__ = numpy_names.swapped(arithmetic.divide)
    __rpow__ = numpy_names.swapped(arithmetic.power)
    __rmatmul__ = numpy_names.swapped(linear.matmul)

    __and__, __or__, __xor__ = map(numpy_names.plain_answer, (np.bitwise_and, np.bitwise_or, np.bitwise_xor))
    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__
    __invert__ = numpy_names.plain_answer(np.invert)

    def _flat(self, _: Any) -> NoReturn:
        raise UnsupportedError("//, % and divmod have no derivative here; for their values use t.numpy()")

    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = __rdivmod__ = _flat

    def __getitem__(self, index: Any) -> Any:
        return indexing.at(self, index)

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise GraphError(
            f"tensors are not assigned into: t[{index!r}] = ... would change values that a graph has used; "
            f"use np.where or np.concatenate, or assign into t.data before the forward pass"
        )

    def norm(self, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
        """The root of the sum of squares along the axes, all by default; other orders as `np.linalg.norm`."""
        if axis is None and self.ndim > 1 and ord not in (None, "fro"):
            t, what = spelled(self, "t"), f"norm: ord={ord!r} of {self.ndim} axes means several things"
            either = f"np.linalg.norm({t}, {ord!r}), np.linalg.norm({t}.ravel(), {ord!r})"
            raise UnsupportedError(f"{what}; write {either} or {t}.norm(axis=...)")
        return numpy_names.np_norm(self, ord, axis, keepdims)

    sum = reductions.sum
    mean = reductions.mean
    prod = reductions.prod
    max = reductions.max
    min = reductions.min
    var = reductions.var
    std = reductions.std
    dot = linear.dot
    cumsum, cumprod, trace, diagonal = linear.cumsum, linear.cumprod, linear.trace, linear.diagonal
    sort, take, repeat, copy = indexing.sort, compositions.take, compositions.repeat, compositions.copy
    reshape = shapes.reshape
    transpose = shapes.transpose
    swapaxes = shapes.swapaxes
    squeeze = shapes.squeeze
    flatten = ravel = shapes.flatten
    square, sin, cos = arithmetic.square, elementwise.sin, elementwise.cos
    exp = elementwise.exp
    log = elementwise.log
    tanh = elementwise.tanh
    sqrt = elementwise.sqrt
    abs = elementwise.abs
    clip = elementwise.clip
    relu = elementwise.relu
    sigmoid = elementwise.sigmoid
    astype = elementwise.astype

    argmax = reductions.argmax
    argmin = reductions.argmin
    argsort = numpy_names.plain_answer(np.argsort)
    round = numpy_names.plain_answer(np.round)
    any = reductions.any
    all = reductions.all

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method == "__call__" and not options:
            ours = numpy_names.UFUNCS.get(ufunc)
            if ours is not None:
                return ours(*inputs)
        return numpy_names.call_ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
        return numpy_names.call_function(function, args, options)

    def __format__(self, form: str) -> str:
        return format(self.item(), form) if self.value.size == 1 and form else str(self)

    _repr_html_ = late("tinygrad_lo.drawing.notebook", "html_of")

    def __repr__(self) -> str:
        kind, data = type(self).__name__, self.value
        if isinstance(data, (ndarray, np.generic)):
            text = np.array2string(np.asarray(data), separator=", ", prefix=f"{kind}(")
        else:
            text = repr(data)
        facts = [text]
        if name_of(self) is not None:
            facts.append(f"name={name_of(self)!r}")
        if data.dtype.kind == "f" and data.dtype != float64:
            facts.append(f"dtype={data.dtype}")
        if self.op is not None:
            facts.append(f"op={self.op.name}")
        elif self.requires_grad != isinstance(self, Parameter):
            facts.append(f"requires_grad={self.requires_grad}")
        return f"{kind}({', '.join(facts)})"


for _word in OTHER_WORDS:
    setattr(Tensor, _word, Elsewhere(_word))


class Parameter(Tensor):
    """A tensor that is optimized: it wants a gradient, and copies the data it is given.

    Raises:   DTypeError: integers or booleans, which cannot carry a gradient.
    Example:
        >>> import tinygrad_lo as lo
        >>> W = lo.Parameter([[1.0, 2.0], [3.0, 4.0]], name="W")
        >>> W.shape, W.requires_grad
        ((2, 2), True)
    """

    __slots__ = ()

    def __init__(self, data: Any, name: str | None = None, dtype: Any = None) -> None:
        if isinstance(data, ndarray):
            data = data.copy()
        super().__init__(data, True, name, dtype)

    def _rebound(self, _: Any) -> NoReturn:
        raise GraphError(
            f"this makes a new tensor instead of changing {quoted(self, 'the parameter')}; "
            f"write {spelled(self, 'W')}.data -= … or use an optimizer"
        )

    __iadd__ = __isub__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = _rebound


fast.register(Tensor, Parameter)
DISGUISES: dict[type[Tensor], Any] = {kind: without_items(kind) for kind in (Tensor, Parameter)}


def rebuild(kind: type[Tensor], data: Array, needs: bool, name: str | None, grad: Array) -> Tensor:
    """A leaf from a copy or a pickle, born anew."""
    out: Tensor = object.__new__(kind)
    Tensor.__init__(out, data.copy(), needs, name)
    out.arrived = None if grad is None else grad.copy()
    return out
