"""What `import tinygrad_lo` gives, and what it loads."""

import ast
import subprocess
import sys
from pathlib import Path

import tinygrad_lo as lo

# Rooms, and modules of others, that wait until somebody asks for them.
LATE = {
    "tinygrad_lo.checking", "tinygrad_lo.compiling", "tinygrad_lo.drawing", "tinygrad_lo.engine",
    "tinygrad_lo.explaining", "tinygrad_lo.losses", "tinygrad_lo.nn", "tinygrad_lo.optim",
    "tinygrad_lo.checkpoint", "numpy.random", "webbrowser", "socket", "importlib.metadata", "zipfile",
    "graphviz", "safetensors", "dask", "torch", "jax", "scipy",
}  # fmt: skip


def loaded_by(code: str) -> set[str]:
    """The modules that a fresh Python has loaded after some lines."""
    program = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    return set(done.stdout.split())


def test_the_import_loads_only_what_it_needs():
    assert not LATE & loaded_by("import tinygrad_lo")


def test_a_script_of_a_loss_and_an_optimizer_does_not_load_pictures_or_checks():
    loaded = loaded_by(
        "import tinygrad_lo as lo\n"
        "w = lo.Parameter([1.0, 2.0])\n"
        "opt = lo.optim.Adam([w])\n"
        "lo.losses.mse(w, [0.0, 0.0]).backward()\n"
        "opt.step()"
    )
    rooms = ("checking", "compiling", "drawing", "explaining", "program", "checkpoint")
    assert not {f"tinygrad_lo.{room}" for room in rooms} & loaded


def test_a_python_without_safetensors_and_graphviz_does_all_but_save_and_call_graphviz():
    code = """
import sys
sys.modules["safetensors"] = sys.modules["graphviz"] = None  # importing one of them raises
import tinygrad_lo as lo
from tinygrad_lo.drawing import render
render.use(lambda dot: "<svg><text>loss</text></svg>")
w = lo.Parameter(2.0, name="w")
loss = (w * w).named("loss")
loss.backward()
assert w.grad == 4.0 and lo.draw(loss)._repr_mimebundle_()["image/svg+xml"].startswith("<svg>")
assert lo.optim.SGD([w], 0.1) and lo.save and lo.load
"""
    loaded_by(code)


def test_every_public_name_is_there():
    for name in lo.__all__:
        assert getattr(lo, name) is not None
        assert name in dir(lo)


def test_type_checkers_see_the_names_where_they_are_loaded_from():
    tree = ast.parse(Path(lo.__file__).read_text(encoding="utf-8"))
    block = next(
        node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
    )
    seen = {}
    for line in block.body:
        module = line.module.removeprefix("tinygrad_lo").removeprefix(".")
        seen |= {alias.name: module or alias.name for alias in line.names}
    homes = {name: module for module, names in lo.HOMES.items() for name in names.split()}
    assert seen == {name: homes.get(name, name) for name in lo.__all__}
