"""The example of two worker processes, as a reader starts it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "getsid"), reason="asks for sessions of processes")
def test_data_larger_than_a_worker_is_trained_on_and_nothing_is_left(tmp_path):
    pytest.importorskip("distributed", reason="needs the extra 'dask'")
    psutil = pytest.importorskip("psutil", reason="comes with distributed")
    pytest.importorskip("sklearn", reason="needs the extra 'examples'")
    process = subprocess.Popen(
        [sys.executable, EXAMPLES / "dask_digits.py"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    one, two, last = out.splitlines()
    limit = int(re.findall(r"^MEMORY = ([\d_]+)", (EXAMPLES / "dask_digits.py").read_text(), re.MULTILINE)[0])
    for line, workers in ((one, 1), (two, 2)):
        size, *held = (int(x) * 1e6 for x in re.findall(r"(\d+) MB", line))
        assert len(held) == workers
        assert max(held) < limit < size
    assert float(re.findall(r"accuracy ([\d.]+) on", last)[0]) > 0.6
    assert list(tmp_path.iterdir()) == []
    running = [p for p in psutil.process_iter() if p.status() != psutil.STATUS_ZOMBIE]
    left = [p for p in running if os.getsid(p.pid) == process.pid]
    assert psutil.wait_procs(left, timeout=10)[1] == []  # a tracker of resources ends a moment later
