"""tinygrad_lo: loss functions and optimization, made real. `import tinygrad_lo as lo`.

Tensors build a graph, losses are formulas on it, `backward()` brings the gradients, optimizers use
them; `tree` and `draw` show the graph, `gradcheck` doubts it. Not related to the tinygrad project.
"""

import importlib
import sys

if sys.version_info < (3, 11):  # noqa: UP036 (pip refuses an older one; a copied folder does not)
    raise ImportError(
        f"tinygrad_lo needs Python 3.11 or newer, and this is Python {sys.version_info[0]}."
        f"{sys.version_info[1]}; python3.11 -m venv .venv makes an environment for it"
    )

from typing import TYPE_CHECKING, Any

from tinygrad_lo.options import missing

if TYPE_CHECKING:  # for type checkers; at run time a room is loaded when one of its names is asked for
    from tinygrad_lo import data, engine, errors, losses, nn, optim, training
    from tinygrad_lo.checking.gradcheck import gradcheck
    from tinygrad_lo.checking.homework import check_gradient
    from tinygrad_lo.checking.loss import check_loss
    from tinygrad_lo.checking.numerical import numerical_gradient
    from tinygrad_lo.checking.step import check_step
    from tinygrad_lo.checkpoint import load, save
    from tinygrad_lo.compiling.compile import compile
    from tinygrad_lo.drawing.picture import draw
    from tinygrad_lo.engine.derivatives import grad, hessian, hvp, jacobian, value_and_grad
    from tinygrad_lo.engine.graph import no_grad
    from tinygrad_lo.engine.machine.anomaly import anomaly
    from tinygrad_lo.engine.machine.random import seed
    from tinygrad_lo.engine.naming import named, scope
    from tinygrad_lo.engine.ops import define_op
    from tinygrad_lo.engine.tensor import Parameter, Tensor
    from tinygrad_lo.explaining.derivative import formula
    from tinygrad_lo.explaining.explain import explain
    from tinygrad_lo.explaining.javascript import javascript
    from tinygrad_lo.explaining.source import source
    from tinygrad_lo.explaining.tree import tree
    from tinygrad_lo.training.loop import fit

__version__ = "0.2.0"

__all__ = [
    "Tensor", "Parameter", "named", "scope", "no_grad", "anomaly",
    "grad", "value_and_grad", "jacobian", "hessian", "hvp", "define_op",
    "losses", "nn", "optim", "data", "compile", "fit", "training",
    "draw", "tree", "explain", "formula", "source", "javascript",
    "gradcheck", "numerical_gradient", "check_gradient", "check_backward", "check_loss",
    "check_step", "save", "load", "seed", "errors", "engine",
]  # fmt: skip


# Where the public names live; rooms stand for themselves.
HOMES = {
    "checking.backward": "check_backward",
    "checking.gradcheck": "gradcheck",
    "checking.homework": "check_gradient",
    "checking.loss": "check_loss",
    "checking.numerical": "numerical_gradient",
    "checking.step": "check_step",
    "checkpoint": "load save",
    "compiling.compile": "compile",
    "drawing.picture": "draw",
    "engine.derivatives": "grad hessian hvp jacobian value_and_grad",
    "engine.graph": "no_grad",
    "engine.machine.anomaly": "anomaly",
    "engine.machine.random": "seed",
    "engine.naming": "named scope",
    "engine.ops": "define_op",
    "engine.tensor": "Parameter Tensor",
    "explaining.derivative": "formula",
    "explaining.explain": "explain",
    "explaining.source": "source",
    "explaining.javascript": "javascript",
    "explaining.tree": "tree",
    "training.loop": "fit",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise missing("tinygrad_lo", name, __all__)
    home = next((module for module, names in HOMES.items() if name in names.split()), None)
    room = importlib.import_module(f"tinygrad_lo.{home or name}")
    value = globals()[name] = getattr(room, name) if home else room
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
