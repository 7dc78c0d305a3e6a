"""The tests on the stand-in for a GPU, in a process of their own.

PyTorch counts the devices at its first backward pass, so the stand-in must be there before it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).with_name("test_stand_in_gpu.py")


@pytest.mark.ci
@pytest.mark.timeout(600)
def test_every_part_runs_on_a_stand_in_for_a_gpu() -> None:
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-m", "stand_in", str(FILE)]
    done = subprocess.run(command, cwd=FILE.parent.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:]
    assert " passed" in done.stdout
