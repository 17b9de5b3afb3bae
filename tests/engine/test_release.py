"""Graphs that are taken apart in a loop, as under Emscripten."""

import subprocess
import sys

import emscripten
import pytest

PROGRAM = """
import sys, weakref
import numpy as np
sys.platform = "emscripten"
import tinygrad_lo as lo
from tinygrad_lo.engine.graph import Node
from tinygrad_lo.engine.machine.release import WAITING

deepest = 0
inner = Node.__del__

def counted(node):
    global deepest
    depth, frame = 0, sys._getframe()
    while frame:
        depth, frame = depth + (frame.f_code is counted.__code__), frame.f_back
    deepest = max(deepest, depth)
    inner(node)

Node.__del__ = counted
w = lo.Parameter(np.ones(2), name="w")
y = w
for k in range(30_000):
    y = y * 0.5 + w if k % 3 else np.concatenate([y[:1], w[1:]])  # arities 1, 2 and any
kept = (y * 2.0).sum()
arrays = [weakref.ref(node.value) for node in kept.parents[0].parents if node is not None]
kept.backward()
del y, kept
assert WAITING == [] and all(ref() is None for ref in arrays), "not freed at once"
assert deepest <= 2, deepest
print(w.data)
"""


def test_nothing_is_freed_inside_of_what_it_made():
    command = [sys.executable, "-W", "error", "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "[1. 1.]\n"


@pytest.mark.skipif(emscripten.EMSCRIPTEN, reason="there it must")
def test_elsewhere_nodes_have_no_finalizer():
    """It would cost every op."""
    from tinygrad_lo.engine.graph import Node

    assert not hasattr(Node, "__del__")
