"""What every test starts from: seeded random numbers, and one BLAS thread for bitwise comparisons."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest

import tinygrad_lo as lo


@pytest.fixture(autouse=True)
def _seeded() -> None:
    lo.seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
