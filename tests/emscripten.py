"""What the browser's Python cannot do, said once: marks for tests that need it.

`node tests/pyodide/run.mjs` runs the tests of the library there; every mark has its reason.
"""

import sys

import pytest

EMSCRIPTEN = sys.platform == "emscripten"


def lacking(reason):
    return pytest.mark.skipif(EMSCRIPTEN, reason=f"under Emscripten {reason}")


threads = lacking("there are no threads")
processes = lacking("there are no processes")
depth = lacking("the stack is the browser's: deeply nested Python objects end it")
flags = lacking("there are no floating-point flags, by which NumPy finds a singular matrix")
