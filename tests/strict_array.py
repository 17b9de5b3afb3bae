"""An array library without a GPU that is as strict as CuPy: NumPy's two protocols, and nothing implicit.

As in CuPy's guide ("Differences between CuPy and NumPy"): `np.asarray(x)` raises, arrays of NumPy do not mix
with its own, numbers do; a reduction is a 0-d array of the library; `float`, `int` and `bool` of one element
work; of a ufunc's methods only the call is there.
"""

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin


def raw(x):
    """What an argument holds; an array of NumPy is refused in CuPy's own words."""
    if isinstance(x, StrictArray):
        return x.inner
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    if isinstance(x, (list, tuple)):
        return type(x)(map(raw, x))
    return x


def wrapped(x):
    """A result as an array of the library, of 0 dimensions, too."""
    if isinstance(x, (list, tuple)):
        return type(x)(map(wrapped, x))
    return StrictArray(x) if isinstance(x, (np.ndarray, np.generic)) else x


def method(name):
    """A method of arrays."""
    return lambda self, *args, **options: wrapped(
        getattr(self.inner, name)(*map(raw, args), **{k: raw(x) for k, x in options.items()})
    )


class StrictArray(NDArrayOperatorsMixin):
    """An array on a device that is none."""

    __array_priority__ = 100

    def __init__(self, values):
        self.inner = np.asarray(values)
        self.shape, self.dtype = self.inner.shape, self.inner.dtype
        self.ndim, self.size, self.nbytes = self.inner.ndim, self.inner.size, self.inner.nbytes

    def __array__(self, *args, **options):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_ufunc__(self, ufunc, how, *inputs, **options):
        if how != "__call__" or any(hasattr(type(x), "backward") for x in inputs):
            return NotImplemented
        result = wrapped(ufunc(*map(raw, inputs), **{k: raw(x) for k, x in options.items()}))
        return options["out"][0] if "out" in options else result

    def __array_function__(self, function, types, args, options):
        if function in (np.asarray, np.array):  # what is made on purpose may come from NumPy
            return StrictArray(function(args[0].inner if isinstance(args[0], StrictArray) else args[0]))
        if not all(issubclass(kind, (StrictArray, np.ndarray)) for kind in types):
            return NotImplemented
        return wrapped(function(*map(raw, args), **{k: raw(x) for k, x in options.items()}))

    def __getitem__(self, index):
        parts = index if isinstance(index, tuple) else (index,)
        parts = tuple(x.inner if isinstance(x, StrictArray) else x for x in parts)
        return wrapped(self.inner[parts])

    def __setitem__(self, index, value):
        self.inner[raw(index)] = raw(value)

    def __len__(self):
        return len(self.inner)

    def __iter__(self):
        return map(wrapped, self.inner)

    def __float__(self):
        return float(self.inner)

    def __int__(self):
        return int(self.inner)

    def __bool__(self):
        return bool(self.inner)

    def __repr__(self):
        return f"strict{self.inner!r}"

    @property
    def T(self):
        return wrapped(self.inner.T)

    def get(self):
        """The values as NumPy's, explicitly."""
        return self.inner

    def item(self, *args):
        return self.inner.item(*args)

    def tolist(self):
        return self.inner.tolist()


METHODS = """sum mean prod max min all any astype reshape copy argmax transpose ravel squeeze swapaxes clip
             cumsum dot flatten std var"""
for name in METHODS.split():
    setattr(StrictArray, name, method(name))
