"""What the browser's Python cannot do, said once.

`node tests/pyodide/run.mjs` runs the tests of the library there. What needs threads, processes or safetensors
is met when a test asks for one, and skipped; what would end that Python, or goes unnoticed there, has a mark.
"""

import sys

import pytest

EMSCRIPTEN = sys.platform == "emscripten"
SLOWER = 10 if EMSCRIPTEN else 1  # limits of time grow by this
REFUSED = {  # what its exceptions say, and what that means
    "can't start new thread": "there are no threads",
    "emscripten does not support processes": "there are no processes",
    "No module named 'safetensors'": "there is no safetensors, which saving and loading need",
}

IN_PROCESSES = {"test_grading.py"}  # files whose subject is a process, and that make a report of its absence


def lacking(reason):
    return pytest.mark.skipif(EMSCRIPTEN, reason=f"under Emscripten {reason}")


depth = lacking("the stack is the browser's: deeply nested Python objects end it")
flags = lacking("there are no floating-point flags, by which NumPy finds a singular matrix")


def refused(problem):
    """Why Emscripten refused what a test asked for; None if it did not."""
    return next((f"under Emscripten {why}" for words, why in REFUSED.items() if words in str(problem)), None)
