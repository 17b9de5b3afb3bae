"""A process with a student's functions: it has limits, answers calls, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import functools
import inspect
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lo.checking.served import Unknown, decoded, encoded
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.options import number, whole

POSIX = os.name == "posix"
MARK = "TINYGRAD_LO_SUBMISSION"  # in the environment of all that a submission starts


class Hostile(BaseException):
    """A submission that did not answer: a sentence for the teacher."""


class Raised(Exception):  # noqa: N818
    """What a student's function raised, in words."""

    __module__ = "builtins"


LEAST_MEMORY = 128  # megabytes of Python with NumPy


@dataclass(frozen=True)
class Limits:
    """What one submission may use.

    Raises:   OptionError: limits that no submission keeps.
    """

    seconds: float = 10.0
    megabytes: int = 1024

    def __post_init__(self) -> None:
        number("a submission", "seconds", self.seconds, above=0.0)
        whole("a submission", "megabytes", self.megabytes, LEAST_MEMORY)


class Served:
    """The functions of a submission, in a process that runs `served.py` on it."""

    def __init__(self, process: subprocess.Popen[bytes], limits: Limits) -> None:
        self.process, self.limits, self.in_tensors = process, limits, False
        self.end = time.monotonic() + limits.seconds
        first = self.read()
        self.there, self.failed = first.get("there", []), first.get("raised")

    def read(self) -> dict[str, Any]:
        """The next answer, before the time is up."""
        line = read_line(self.process, self.end, self.limits)
        try:
            answer = dict(json.loads(line))
        except (ValueError, TypeError):
            raise Hostile("writes something else in the place of answers") from None
        if "dishonest" in answer:
            raise Hostile(f"dishonest: {answer['dishonest']}")
        return answer

    def function(self, name: str, given: Callable[..., Any]) -> Callable[..., Any]:
        """A function that asks the submission's own; `given` is the exercise's, with its signature."""

        @functools.wraps(given)
        def ask(*args: Any, **options: Any) -> Any:
            if self.failed:
                raise Raised(self.failed)
            if name not in self.there:
                raise NotImplementedError(f"write a function {name}")
            if any(isinstance(x, Node) for x in (*args, *options.values())):
                self.in_tensors = True
                raise Raised("it is called with tensors")
            return self.asked(name, args, options)

        ask.__signature__ = inspect.signature(given)  # type: ignore[attr-defined]
        del ask.__wrapped__  # nothing is to be read of the exercise's own
        return ask

    def asked(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """What the submission's function returns; its changes of what it is given are made here, too."""
        call = {"name": name, "args": encoded(list(args)), "options": encoded(options)}
        assert self.process.stdin is not None
        try:
            self.process.stdin.write((json.dumps(call) + "\n").encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Hostile("ends its process") from None
        answer = self.read()
        if answer.get("to_do") is not None:
            raise NotImplementedError(answer["to_do"])
        if answer.get("raised"):
            raise Raised(answer["raised"])
        for i, new in answer.get("changed", {}).items():
            put_back(args[int(i)], decoded(new))
        result = decoded(answer["result"])
        return None if isinstance(result, Unknown) else result


def put_back(old: Any, new: Any) -> None:
    """Make an argument what the function has made of it."""
    if isinstance(old, dict) and isinstance(new, dict):
        old.clear()
        old.update(new)
    elif isinstance(old, list) and isinstance(new, list):
        old[:] = new
    elif isinstance(old, np.ndarray) and old.shape == np.shape(new):
        np.copyto(old, new)


@contextlib.contextmanager
def running(command: list[Any], folder: Path, limits: Limits) -> Iterator[subprocess.Popen[bytes]]:
    """A process with limits, in a session of its own; whatever it has started ends with it, by its mark."""
    token = secrets.token_hex(16)
    package = Path(__file__).resolve().parents[2]
    env = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LANG") if name in os.environ}
    env |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    env |= {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(package), MARK: token}
    env |= {"HOME": str(folder), "TMPDIR": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-P", "-s", *map(str, command)], cwd=folder, env=env,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=POSIX, preexec_fn=functools.partial(set_limits, limits) if POSIX else None,  # noqa: PLW1509  (no thread runs here)
    )  # fmt: skip
    try:
        yield process
    finally:
        ended(process, token)


def set_limits(limits: Limits) -> None:
    """Set the limits of the process that is about to start."""
    import resource

    memory, seconds = limits.megabytes * 2**20, int(limits.seconds) + 1
    for kind, most in (
        (resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_FSIZE, 2**24),
        (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 64),
    ):  # fmt: skip
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


def ended(process: subprocess.Popen[bytes], token: str) -> None:
    """Kill a process, its session, and whatever carries its mark."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL) if POSIX else process.kill()
    for pid in marked(token):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    for stream in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if stream is not None:
                stream.close()
    process.wait()


def marked(token: str) -> Iterator[int]:
    """The processes that carry this mark, also those that have left the session."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{MARK}={token}".encode() in (entry / "environ").read_bytes():
                yield int(entry.name)


MOST_BYTES = 2**26  # of one answer


def read_line(process: subprocess.Popen[bytes], end: float, limits: Limits) -> bytes:
    """A line of what a process writes, unless it ends, writes too much or takes too long."""
    stream, lines = process.stdout, list[bytes]()
    assert stream is not None
    reader = threading.Thread(target=lambda: lines.append(stream.readline(MOST_BYTES)), daemon=True)
    reader.start()
    reader.join(max(0.0, end - time.monotonic()))
    if reader.is_alive():
        raise Hostile(f"takes more than {limits.seconds:g} seconds: is a loop without end in it?")
    if not lines[0].endswith(b"\n"):
        raise Hostile(ending(process, limits))
    return lines[0]


def ending(process: subprocess.Popen[bytes], limits: Limits) -> str:
    """Why a process has stopped answering."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        status = process.wait(1.0)
        if POSIX and status == -signal.SIGXCPU:
            return f"computes for more than {limits.seconds:g} seconds"
        if POSIX and status in (-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT):
            return f"was ended: did it ask for more than {limits.megabytes} MB?"
    return "ends its process"
