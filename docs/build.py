"""Build the documentation site into docs/_build/html, in an environment of its own.

    python3 docs/build.py                        everything, in a few minutes
    python3 docs/build.py --assets FOLDER        exercises and "run" load Pyodide from this folder, copied in

Needs Python 3.11 or newer, and the network once, for the packages of the extra "docs".
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILT = HERE / "_build"
HTML = BUILT / "html"


def environment() -> Path:
    """The Python of an environment with the extra "docs", made if there is none, or an older one."""
    folder = BUILT / "environment"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "done"
    project = HERE.parent / "pyproject.toml"
    if not done.exists() or done.stat().st_mtime < project.stat().st_mtime:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--editable", f"{HERE.parent}[docs]"], check=True)
        done.touch()
    return python


def main() -> None:
    """Build it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--assets", type=Path, help="a folder with pyodide, viz and codemirror (docs/browser.md)"
    )
    asked = parser.parse_args()
    python = environment()
    source = BUILT / "source"
    for folder in (source, HTML):
        shutil.rmtree(folder, ignore_errors=True)
    assets = ["--assets", str(asked.assets.resolve())] if asked.assets else []
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    stage = [python, "-W", "error", HERE / "stage.py", source, *assets]
    subprocess.run(stage, check=True, env={**os.environ, **threads})
    sphinx = [python, "-m", "sphinx", "-W", "--keep-going", "-q", "-j", "auto", "-c", HERE, source, HTML]
    subprocess.run(sphinx, check=True)
    print(f"open {(HTML / 'index.html').as_uri()}")


if __name__ == "__main__":
    main()
