"""What runs inside the pages of the exercises: one program at a time, as `python FILE` would run it."""

from __future__ import annotations

import ast
import contextlib
import io
import linecache
import runpy
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tinygrad_lo.drawing import render
from tinygrad_lo.drawing.dot import FONTS
from tinygrad_lo.drawing.picture import Picture, draw
from tinygrad_lo.engine.graph import Node

Say = Callable[[str], Any]
MEASURED = "Arial"  # a font whose widths Graphviz knows without the machine's fonts


class Voice(io.TextIOBase):
    """A text stream that hands on what is written, at once."""

    def __init__(self, say: Say) -> None:
        self.say = say

    def write(self, text: str) -> int:
        """Hand it on."""
        self.say(text)
        return len(text)


@contextlib.contextmanager
def heard(say: Say) -> Iterator[None]:
    """What is printed goes to `say`, errors too."""
    voice = Voice(say)
    with contextlib.redirect_stdout(voice), contextlib.redirect_stderr(voice):
        yield


def check_exercise(name: str, text: str, say: Say) -> bool:
    """Run an exercise as it is written and say what its checks find; True if all pass."""
    return run_program(f"{name}.py", text, say)[0] == 0


def own(text: str, say: Say) -> str | None:
    """Run any program; the page of its graph: of `loss`, else of the last picture or tensor that has a name.

    "" if there is none to draw, None if the program or the picture failed.
    """
    status, names = run_program("my_loss.py", text, say)
    shown = [value for value in names.values() if isinstance(value, (Node, Picture))]
    value = names.get("loss", shown[-1] if shown else None)
    if status:
        return None
    if not isinstance(value, (Node, Picture)):
        return ""
    picture = value if isinstance(value, Picture) else draw(value)
    try:
        return picture.steps().html
    except Exception as problem:
        say(f"{type(problem).__name__}: {problem}\n")
        return None


session: dict[str, Any] = {"__name__": "__main__"}  # the names of the blocks of one page


def run_block(text: str, say: Say) -> bool:
    """Run a block of a page as the prompt would, after those before it; False if it raised."""
    file = "block.py"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    with heard(say):
        try:
            for statement in ast.parse(text, file).body:
                code = compile(ast.Interactive([statement]), file, "single")
                exec(code, session)
        except BaseException as problem:
            say("".join(traceback_of(problem, file)))
            return False
    return True


def draw_by(to_svg: Callable[[str], str]) -> None:
    """Draw pictures by Graphviz as WebAssembly, which measures no fonts but has the widths of some."""

    def svg(dot: str) -> str:
        drawn = to_svg(dot.replace(f'fontname="{FONTS}"', f'fontname="{MEASURED}"'))
        return drawn.replace(f'font-family="{MEASURED}"', f'font-family="{FONTS}"')

    render.use(svg)


def run_program(file: str, text: str, say: Say) -> tuple[int, dict[str, Any]]:
    """Write the file and run it: the status that its process would end with, and the names it leaves."""
    Path(file).write_text(text, encoding="utf-8")
    linecache.checkcache(file)
    with heard(say):
        try:
            return 0, runpy.run_path(file, run_name="__main__")
        except SystemExit as end:
            if isinstance(end.code, str):
                say(f"{end.code}\n")
            return end.code if isinstance(end.code, int) else int(end.code is not None), {}
        except BaseException as problem:  # a program's own KeyboardInterrupt ends it, and not the page
            say("".join(traceback_of(problem, file)))
            return 1, {}


def traceback_of(problem: BaseException, file: str) -> list[str]:
    """The traceback as Python prints it, from the program's own first line on."""
    trace = problem.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename != file:
        trace = trace.tb_next
    return traceback.format_exception(type(problem), problem, trace)
