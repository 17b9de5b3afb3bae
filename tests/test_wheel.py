"""What is installed: the wheel's content, and the README's example from a bare environment."""

import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The source distribution, and the wheel that is built from it."""
    pytest.importorskip("build", reason="needs the extra 'dev'")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


def test_the_wheel_has_the_package_and_nothing_else(built):
    names = zipfile.ZipFile(built[1]).namelist()
    inside = {name for name in names if ".dist-info/" not in name}
    package = ROOT / "tinygrad_lo"
    mine = {
        f"tinygrad_lo/{path.relative_to(package).as_posix()}" for path in package.rglob("*") if path.is_file()
    }
    mine = {name for name in mine if "__pycache__" not in name}
    exercises = {f"tinygrad_lo/exercises/{path.name}" for path in (ROOT / "examples" / "exercises").iterdir()}
    exercises = {name for name in exercises if "__pycache__" not in name}
    assert inside == mine | exercises
    assert {"tinygrad_lo/py.typed", "tinygrad_lo/explaining/runtime.js"} <= inside


def test_the_source_distribution_has_what_builds_and_tests_it(built):
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "tinygrad_lo/__init__.py",
        "tests/conftest.py",
        "docs/build.py",
    } <= names
    assert not [name for name in names if "docs/_build" in name or "__pycache__" in name]


def test_the_readme_runs_from_a_bare_environment(built, tmp_path):
    venv.create(tmp_path / "bare", with_pip=True)
    python = tmp_path / "bare" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [python, "-m", "pip", "install", "--quiet", built[1]]
    subprocess.run(install, check=True, capture_output=True)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    code, printed = (re.search(rf"```{kind}\n(.*?)```", readme, re.DOTALL)[1] for kind in ("python", "text"))
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-W", "error", "-c", code],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == printed.strip()
    listed = "from tinygrad_lo.checking.exercise import exercises; print(len(exercises()))"
    done = subprocess.run(
        [python, "-c", listed], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) >= 12
