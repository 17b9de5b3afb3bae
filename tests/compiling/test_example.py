"""The example that trains twice: examples/compiled.py."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_ends_at_one_loss():
    run = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / "compiled.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "\nthe same loss\n" in run.stdout
    assert "def loss_and_gradients(X, y1, W):" in run.stdout
    assert not run.stderr
