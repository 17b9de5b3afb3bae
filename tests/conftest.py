"""What every test starts from: seeded random numbers, and one BLAS thread for bitwise comparisons."""

import os
import zlib
from collections.abc import Generator
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import emscripten
import numpy as np
import pytest

import tinygrad_lo as lo


@pytest.fixture(autouse=True)
def _seeded() -> None:
    lo.seed(0)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers of this test's own, drawn by its name: a new test moves no other one's."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


if emscripten.EMSCRIPTEN:

    def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
        """What is all about processes is skipped as a file."""
        for item in items:
            if item.path.name in emscripten.IN_PROCESSES:
                item.add_marker(pytest.mark.skip(reason="under Emscripten there are no processes"))

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call() -> Generator[None, Any, Any]:
        """A test that asks for what is not there is skipped."""
        try:
            return (yield)
        except (ImportError, OSError, RuntimeError) as problem:
            if reason := emscripten.refused(problem):
                pytest.skip(reason)
            raise
