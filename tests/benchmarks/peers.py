"""The other libraries, each as its module or None; `AVAILABLE` says whose rows can be run."""

import importlib
import shutil
from typing import Any

import tinygrad_lo as lo


def optional(name: str) -> Any:
    """A peer, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


micrograd = optional("micrograd")
mygrad = optional("mygrad")
autograd = optional("autograd")
torch = optional("torch")
jax = optional("jax")
casadi = optional("casadi")
pytensor = optional("pytensor")

if micrograd is not None:
    importlib.import_module("micrograd.nn")
if mygrad is not None:
    importlib.import_module("mygrad.nnet")
if autograd is not None:
    importlib.import_module("autograd.scipy.special")
    importlib.import_module("autograd.scipy.signal")
if jax is not None:
    importlib.import_module("jax.flatten_util")
if pytensor is not None:
    importlib.import_module("pytensor.tensor.special")
if torch is not None:
    torch.set_num_threads(1)

UNGUARDED = "MyGrad, unguarded"  # without its check that arrays in use are not written to

AVAILABLE = {
    "compiled": hasattr(lo, "compile"),
    "micrograd": micrograd is not None,
    "MyGrad": mygrad is not None,
    UNGUARDED: mygrad is not None,
    "HIPS autograd": autograd is not None,
    "PyTorch eager": torch is not None,
    "torch.optim": torch is not None,
    "torch.compile": torch is not None and shutil.which("g++") is not None,
    "jax.jit": jax is not None,
    "jax at its best": jax is not None,
    "CasADi": casadi is not None,
    "PyTensor": pytensor is not None,
}


def unguarded(step: Any) -> Any:
    """A step of MyGrad with its memory guard off, as its manual advises for speed."""

    def quick() -> Any:
        with mygrad.mem_guard_off:
            return step()

    return quick


def jitted(step: Any, params: Any, *data: Any) -> Any:
    """A step (params, *data) -> (loss, new params) under jax.jit, which ends when its arrays are there."""
    run = jax.jit(step)
    data = jax.device_put(data)
    params = jax.device_put(params)

    def once() -> Any:
        nonlocal params
        loss, params = run(params, *data)
        jax.block_until_ready((loss, params))
        return loss

    return once
