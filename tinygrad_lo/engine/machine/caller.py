"""Where in the user's script we are: the innermost line that is not this package's."""

from __future__ import annotations

import inspect
import warnings
from types import FrameType
from typing import Any

PACKAGE = __file__.rpartition("engine")[0]  # with the separator at its end, as code objects spell it
_warned: dict[tuple[object, ...], None] = {}


def user_frame() -> FrameType:
    """The frame of that line."""
    frame: Any = inspect.currentframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return frame  # type: ignore[no-any-return]


def caller() -> str:
    """That line as file:line."""
    frame = user_frame()
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def warn_once(kind: str, message: str) -> None:
    """A UserWarning at the user's line, once for each line and kind of warning."""
    frame = user_frame()
    name = frame.f_code.co_filename
    # Every input of an interactive session is line 1 of "<stdin>": there the code tells lines apart.
    code = (frame.f_code.co_code, str(frame.f_code.co_consts)) if name.startswith("<") else ()
    key = (name, frame.f_lineno, kind, code)
    if key not in _warned:
        warnings.warn_explicit(message, UserWarning, name, frame.f_lineno)
        _warned[key] = None
