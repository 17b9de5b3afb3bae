"""Pages from the shell: python -m tinygrad_lo.pages classifier."""

from __future__ import annotations

import argparse
import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from tinygrad_lo.errors import GraphError
from tinygrad_lo.pages.classifier import classifier
from tinygrad_lo.pages.exercises import write_exercises

SERVED = "A browser runs it from a web server, such as: python -m http.server --bind 127.0.0.1 --directory"


def write_page(argv: Sequence[str] | None = None) -> int:
    """Write a page and say where it is; without --save, open it. 0, or 2 if it could not be written."""
    try:
        asked = command_line().parse_args(argv)
    except SystemExit as end:  # argparse has said why
        return int(end.code or 0)
    path = asked.save or Path(tempfile.mkdtemp(prefix="tinygrad_lo_"), f"{asked.page}.html")
    try:
        if asked.page == "exercises":
            write_exercises(path, asked.assets)
        else:
            path.write_text(classifier(), encoding="utf-8")
    except OSError as problem:
        print(f"{path} cannot be written: {problem.strerror}; name another with --save", file=sys.stderr)
        return 2
    except GraphError as problem:
        print(problem, file=sys.stderr)
        return 2
    print(path)
    if asked.page == "exercises":
        print(SERVED, path)
    elif asked.save is None and not webbrowser.open(path.resolve().as_uri()):
        print("No browser could be opened; open that file in one.", file=sys.stderr)
    return 0


def command_line() -> argparse.ArgumentParser:
    """A page, and where to write it."""
    parser = argparse.ArgumentParser("python -m tinygrad_lo.pages", description=__doc__)
    pages = parser.add_subparsers(dest="page", required=True, metavar="PAGE")
    about = "a linear classifier of points in the plane: five losses, every number live"
    command = pages.add_parser("classifier", help=about, description=f"One HTML file: {about}.")
    command.add_argument("--save", metavar="FILE", type=Path, help="write it there, and open nothing")
    about = "the exercises, written and checked in the browser; any loss, drawn there"
    command = pages.add_parser("exercises", help=about, description=f"A folder for a web server: {about}.")
    command.add_argument("--save", metavar="FOLDER", type=Path, required=True, help="write it there")
    where = "take Pyodide, CodeMirror and Viz.js from this folder, so that the pages need no network"
    command.add_argument("--assets", metavar="FOLDER", type=Path, help=where)
    return parser


if __name__ == "__main__":
    sys.exit(write_page())
