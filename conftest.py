"""Docstrings take `import numpy as np, tinygrad_lo as lo` as done, as NumPy's do; pages say what they use."""

import numpy as np
import pytest

import tinygrad_lo as lo


@pytest.fixture(autouse=True)
def _imported_in_examples(request: pytest.FixtureRequest, doctest_namespace: dict) -> None:
    doctest_namespace.clear()
    if request.path.suffix == ".py":
        doctest_namespace |= {"np": np, "lo": lo}
