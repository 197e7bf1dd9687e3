"""Walks from many seeds, each chunk in a process of its own, since the hash seed belongs to the seed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faults.conftest import EVERY

ROOT = Path(__file__).parents[2]
CHUNK = 5
CHUNKS = range(0, max(1, 40 // EVERY), CHUNK)


@pytest.mark.parametrize("first", CHUNKS)
def test_at_the_end_all_is_as_declared_once(first):
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.random_walk", str(first), str(first + CHUNK)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": f"{ROOT / 'operator'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
