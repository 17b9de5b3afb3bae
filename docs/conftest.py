"""Blocks of the pages write their files into a folder of their own, and leave no op in the table."""

import pytest

import tinygrad_lo as lo

collect_ignore_glob = ["*.py"]  # programs that make the pages; tests/test_site.py imports what it tests


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    table = lo.engine.ops.TABLE
    before = dict(table)
    monkeypatch.chdir(tmp_path)
    yield
    table.clear()
    table.update(before)
