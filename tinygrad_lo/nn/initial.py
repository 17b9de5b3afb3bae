"""How weights begin: He, Xavier, uniform, or as a function draws them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lo.engine.graph import Array
from tinygrad_lo.engine.machine.random import generator
from tinygrad_lo.engine.tensor import Parameter
from tinygrad_lo.errors import OptionError, ShapeError

Sizes = tuple[int, ...]
Initializer = Callable[[Sizes, int, int, np.random.Generator], Array]


def he(shape: Sizes, fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
    """Normal, variance 2 / fan_in: a relu halves the power, and this restores it. He et al. 2015."""
    return rng.standard_normal(shape) * math.sqrt(2.0 / fan_in)


def xavier(shape: Sizes, fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
    """Uniform in ±√(6 / (fan_in + fan_out)), variance 2 / (fan_in + fan_out). Glorot and Bengio 2010."""
    bound = math.sqrt(6.0 / (fan_in + fan_out))
    return rng.uniform(-bound, bound, shape)


def uniform(shape: Sizes, fan_in: int, fan_out: int, rng: np.random.Generator) -> Array:
    """Uniform in ±1 / √fan_in: what PyTorch's layers begin with."""
    bound = 1.0 / math.sqrt(fan_in)
    return rng.uniform(-bound, bound, shape)


INITS: dict[str, Initializer] = {"he": he, "xavier": xavier, "uniform": uniform}


def initial(who: str, init: Any, shape: Sizes, fan_in: int, fan_out: int, rng: Any, dtype: Any) -> Parameter:
    """A weight that begins as asked: by name, or as a function init(shape, rng) draws it."""
    source = generator(rng)
    if callable(init):
        data = np.asarray(init(shape, source))
        if data.shape != shape:
            raise ShapeError(f"{who}: init gave shape {data.shape}, and the weight has shape {shape}")
        if data.dtype.kind not in "fiu" or not np.isfinite(data).all():
            raise OptionError(f"{who}: init must give finite numbers, got dtype {data.dtype}:\n{data}")
    elif isinstance(init, str) and init in INITS:
        data = INITS[init](shape, fan_in, fan_out, source)
    else:
        names = ", ".join(map(repr, INITS))
        raise OptionError(f"{who}: init must be {names} or a function init(shape, rng), got {init!r}")
    # Drawn in float64 whatever comes of it, so one seed begins the same model in every dtype.
    return Parameter(data.astype(float_type(who, dtype)))


def float_type(who: str, dtype: Any) -> Any:
    """A dtype option: only floating point can be optimized."""
    try:
        if dtype is not None and np.dtype(dtype).kind == "f":
            return np.dtype(dtype)
    except TypeError:
        pass
    raise OptionError(f"{who}: dtype must be a floating-point type such as 'float32', got {dtype!r}")
