"""The scripts in examples/ run as their docstrings say, and leave what they promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
LONGEST = 60


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_short_and_says_how_to_run_it(example: Path) -> None:
    text = example.read_text()
    assert f"    python examples/{example.name}\n" in text
    assert len(text.splitlines()) <= LONGEST
    for page in ("README.md", "docs/index.md"):
        assert f"examples/{example.name}" in (ROOT / page).read_text(), page


@pytest.mark.ci
@pytest.mark.timeout(600)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(example: Path, tmp_path: Path) -> None:
    outside = {
        k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS")
    }
    ran = subprocess.run(
        [sys.executable, str(example)],
        cwd=tmp_path,
        env=outside,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
    for left in re.findall(r"leaves\s+`([^`]+)`", example.read_text()):
        assert (tmp_path / left).stat().st_size > 0
