"""Five recipes a new user would write: each is short, runs without a warning, and reaches its accuracy."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "examples" / "recipes"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.py")), ids=lambda path: path.stem)
def test_a_recipe_has_at_most_fifteen_lines_beside_data_and_imports(path):
    recipe = path.read_text(encoding="utf-8").partition("# The recipe.\n")[2]
    lines = [
        line for line in recipe.splitlines() if line.strip() and not line.strip().startswith(('"""', "#"))
    ]
    assert 3 < len(lines) <= 15


def numbers(name: str, folder: Path) -> dict[str, float]:
    """What a recipe prints, by name."""
    for needed in ("sklearn", "matplotlib"):
        pytest.importorskip(needed, reason="needs the extra 'examples'")
    command = [sys.executable, "-W", "error", str(RECIPES / f"{name}.py")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return {key: float(value) for key, value in re.findall(r"(\w+(?: slope)?) ([\d.]+\d)", done.stdout)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "accuracy"), [("moons", 0.98), ("cnn", 0.98), ("triplets", 0.953), ("full", 0.95)]
)
def test_a_recipe_reaches_its_accuracy(name, accuracy, tmp_path):
    assert numbers(name, tmp_path)["accuracy"] >= accuracy
    if name == "moons":
        assert {path.name for path in tmp_path.iterdir()} == {"moons_history.png", "moons_border.png"}


@pytest.mark.slow
def test_outliers_move_the_mean_and_not_the_median(tmp_path):
    slopes = numbers("outliers", tmp_path)
    assert abs(slopes["mse slope"] - 2) > 0.5
    assert abs(slopes["mae slope"] - 2) < 0.1
    assert abs(slopes["huber slope"] - 2) < 0.1
