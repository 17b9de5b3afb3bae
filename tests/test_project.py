"""Tests of the project itself: who imports whom, what is documented, what runs as printed."""

import ast
import graphlib
import importlib.util
import inspect
import re
import subprocess
import sys
import textwrap
import tomllib
import types
from pathlib import Path

import pytest

import tinygrad_lo as lo

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tinygrad_lo"

# The rooms of the house, from the ground up: a module imports only from its own room and rooms above it
# in this list; inside a room the imports make no circle.
ROOMS = """
errors options engine names nn losses optim data safefile checkpoint program explaining compiling checking
drawing training pages
""".split()  # noqa: SIM905


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name, the package itself as ''."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imports(path: Path) -> list[str]:
    """The package's own modules that a file imports, anywhere in it."""
    found = []
    names = modules()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            if node.module and node.module.split(".")[0] == "tinygrad_lo":
                base = node.module.removeprefix("tinygrad_lo").removeprefix(".")
                for alias in node.names:
                    inner = f"{base}.{alias.name}".removeprefix(".")
                    found.append(inner if inner in names else base)
        elif isinstance(node, ast.Import):
            found += [
                a.name.removeprefix("tinygrad_lo.") for a in node.names if a.name.startswith("tinygrad_lo")
            ]
    return found


def room(name: str) -> str:
    """The room of a module: errors, or engine of engine.ops.shapes."""
    return name.partition(".")[0]


def test_every_module_has_a_room():
    assert {room(name) for name in modules() if name} <= {*ROOMS}


@pytest.mark.parametrize("name", [name for name in modules() if name])
def test_a_module_imports_only_from_its_room_and_rooms_above(name):
    for other in imports(modules()[name]):
        if other or name:
            assert ROOMS.index(room(other)) <= ROOMS.index(room(name)), f"{name} imports {other}"


def test_imports_make_no_circle():
    graph = {name: set(imports(path)) - {name} for name, path in modules().items()}
    tuple(graphlib.TopologicalSorter(graph).static_order())


def test_files_stay_near_four_hundred_lines():
    long = {
        str(path.relative_to(ROOT)): count
        for path in [*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 430
    }
    assert not long


def test_the_top_level_is_tidy():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    allowed = {"pyproject.toml", "README.md", "tinygrad_lo", "tests", "examples", "docs"}
    top = {name.split("/")[0] for name in tracked}
    assert {name for name in top if not name.startswith(".")} <= allowed
    assert not [name for name in tracked if Path(name).name == "utils.py"]


def test_nothing_is_named_by_id():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_id = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "id"
            assert not is_id, f"{path}:{node.lineno} calls id()"


def test_names_are_defined_once():
    """A test or function defined twice hides its first self."""
    for path in [*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        for scope in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(scope, ast.Module | ast.ClassDef):
                continue
            names = [
                node.name
                for node in scope.body
                if isinstance(node, ast.FunctionDef)
                and not any("setter" in ast.unparse(d) for d in node.decorator_list)
            ]
            assert len(names) == len(set(names)), f"{path}: {names}"


# ------------------------------------------------------------------------------ documentation


def public() -> list[tuple[str, object]]:
    """Every public name: of the package, of its public rooms, of its classes."""
    found = []
    for title in ("lo", "lo.losses", "lo.optim", "lo.data", "lo.nn"):
        room = lo if title == "lo" else getattr(lo, title.removeprefix("lo."))
        found += [(f"{title}.{name}", getattr(room, name)) for name in room.__all__]
    found += [(f"lo.errors.{n}", v) for n, v in vars(lo.errors).items() if isinstance(v, type)]
    for cls in (lo.Tensor, lo.Parameter, lo.optim.SGD):
        for base in cls.__mro__[:-1]:
            found += [
                (f"lo.{cls.__name__}.{name}", value)
                for name, value in vars(base).items()
                if not name.startswith("_") and (callable(value) or isinstance(value, property))
            ]
    return found


@pytest.mark.parametrize(("name", "thing"), public(), ids=lambda x: x if isinstance(x, str) else "")
def test_every_public_name_has_a_docstring(name, thing):
    doc = inspect.getdoc(thing)
    assert doc, f"{name} has no docstring"
    first = doc.splitlines()[0]
    assert first.endswith((".", ":")) or "." in first, f"{name}: the first line is a sentence"
    assert len(first) <= 110


FUNCTIONS = [
    (name, thing)
    for name, thing in public()
    if not isinstance(thing, types.ModuleType | property) and name.count(".") <= 2 and "errors" not in name
    and not name.startswith(("lo.Tensor.", "lo.Parameter.", "lo.SGD."))
]  # fmt: skip


@pytest.mark.parametrize(("name", "thing"), FUNCTIONS, ids=[name for name, _ in FUNCTIONS])
def test_public_functions_document_examples_and_errors(name, thing):
    doc = inspect.getdoc(thing) or ""
    assert "Example:" in doc, f"{name} has no example"
    assert ">>> " in doc
    raises = "raise " in inspect.getsource(thing)
    assert not raises or "Raises:" in doc, f"{name} raises, and does not say what"
    if name.startswith("lo.losses."):
        for section in ("Shapes:", "Source:", "Raises:"):
            assert section in doc, f"{name} has no section {section}"
        assert re.search(r"^ {4}\S.* = ", doc, flags=re.MULTILINE), f"{name} gives no formula"


def generator() -> types.ModuleType:
    """docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["ops.md", "api.md", "tour.md"])
def test_generated_pages_are_current(page):
    written = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert written == generator().PAGES[page](), f"run: python docs/generate.py (docs/{page} is stale)"


def test_the_ops_page_names_every_op():
    page = (ROOT / "docs" / "ops.md").read_text(encoding="utf-8")
    # Other tests enter ops of their own into the table, and a new interpreter does not know them.
    script = "import tinygrad_lo as lo; print(*lo.engine.ops.TABLE, *lo.engine.ops.COMPOSED)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for name in done.stdout.split():
        assert f"| `{name}` |" in page


# ------------------------------------------------------------------------- README and examples


def blocks(language: str) -> list[str]:
    """The README's fenced blocks of a language."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", readme, flags=re.MULTILINE | re.DOTALL)


def test_the_first_two_shell_blocks_are_one_line_each():
    first, second = blocks("sh")[:2]
    assert first.count("\n") == second.count("\n") == 1
    assert first.rstrip().endswith("examples/digits.py")
    assert second.rstrip().endswith("pytest -n auto")


def test_the_readme_example_prints_what_it_says(tmp_path):
    """The first Python block, run as a script, prints the text block below it."""
    code, printed = blocks("python")[0], blocks("text")[0]
    assert len(code.strip().splitlines()) <= 12
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stderr == ""
    assert done.stdout.strip() == printed.strip()


def test_the_readme_says_it_is_not_tinygrad():
    top = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:8])
    assert "not related to" in top
    assert "tinygrad" in top


def test_python_blocks_of_the_pages_run():
    """Blocks of the other pages run one after the other, page by page."""
    for page in sorted((ROOT / "docs").glob("[!_]*.md")):
        space: dict[str, object] = {}
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
            exec(compile(textwrap.dedent(block), page.name, "exec"), space)


def test_digits_reaches_its_accuracy_and_draws_its_pictures(tmp_path):
    pytest.importorskip("sklearn", reason="needs the extra 'examples'")
    pytest.importorskip("tqdm", reason="needs the extra 'examples'")
    script = (ROOT / "examples" / "digits.py").read_text(encoding="utf-8")
    copy = tmp_path / "digits.py"
    copy.write_text(script, encoding="utf-8")
    done = subprocess.run([sys.executable, copy], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    accuracies = [float(x) for x in re.findall(r"([\d.]+) in the test", done.stdout)]
    assert len(accuracies) == 2
    assert min(accuracies) >= 0.93
    pictures = re.findall(r"the loss graph is in (\S+)", done.stdout)
    assert len(pictures) == 2
    for picture in pictures:
        assert "<svg" in Path(picture).read_text(encoding="utf-8")


def test_the_svm_example_prints_its_tree_and_saves_its_picture(tmp_path):
    script = ROOT / "examples" / "svm_loss.py"
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("loss = data_loss + λR(W) = 6.167")
    assert "margins" in (tmp_path / "svm_loss.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("script", "pictures"),
    [
        ("moons.py", ["moons.png"]),
        pytest.param("descent.py", ["descent_surface.png", "descent_zigzag.png"], marks=pytest.mark.slow),
        pytest.param("gradient_cost.py", ["gradient_cost.svg"], marks=pytest.mark.slow),
    ],
)
def test_examples_with_pictures_run(script, pictures, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra 'examples'")
    command = [sys.executable, ROOT / "examples" / script, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for picture in pictures:
        assert (tmp_path / picture).stat().st_size > 10_000
    if script == "moons.py":
        assert float(re.findall(r"accuracy ([\d.]+) on fresh", done.stdout)[0]) >= 0.97
    if script == "gradient_cost.py":
        ratios = [float(line.split()[-1]) for line in done.stdout.splitlines()[1:-1]]
        assert ratios[-1] > 30 * ratios[0], "finite differences cost one loss a weight, backprop does not"


def test_every_example_has_a_test():
    here = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for script in (ROOT / "examples").glob("*.py"):
        assert f'"{script.name}"' in here, f"{script.name} runs in no test"


def test_pictures_of_the_pages_exist():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).is_file(), f"{page.name} shows {target}, which is missing"


def test_extras_pin_the_peers():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert "torch==2.13.0" in project["optional-dependencies"]["peers"]
    assert project["requires-python"] == ">=3.11"


def test_every_dependency_has_a_lower_bound():
    """Without one, an old Python is not refused: pip walks back through years of versions."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [project["dependencies"], *project["optional-dependencies"].values()]
    assert not [text for texts in asked for text in texts if not re.search(r"(>=|==)\d", text)]


def test_an_older_python_is_refused_in_a_sentence():
    first = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
    ast.parse(first, feature_version=(3, 8))  # so that the sentence is reached
    script = "import sys; sys.version_info = (3, 10, 12, 'final', 0); import tinygrad_lo"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False
    )
    last = done.stderr.splitlines()[-1]
    assert last.startswith("ImportError: tinygrad_lo needs Python 3.11 or newer, and this is Python 3.10;")
    assert "3.11" in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()[0]
