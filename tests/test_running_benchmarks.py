"""Each benchmark runs as a script and as a module, from wherever it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(p.stem for p in FOLDER.glob("*.py") if "__main__" in p.read_text())


def ran(*command: str, folder: Path) -> str:
    """What a command printed; a process of its own, without what pytest put on the path."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.ci
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_benchmark_runs_as_a_script_and_as_a_module(name: str, tmp_path: Path) -> None:
    as_script = ran(str(FOLDER / f"{name}.py"), "--help", folder=tmp_path)
    as_module = ran("-m", f"benchmarks.{name}", "--help", folder=ROOT)
    assert as_script.partition("options")[2] == as_module.partition("options")[2]


@pytest.mark.ci
@pytest.mark.parametrize("how", ["script", "module"])
def test_workers_find_the_networks_of_a_benchmark(how: str, tmp_path: Path) -> None:
    sizes = ("--trials", "8", "--concurrent", "2", "--memory", "2")
    if how == "script":
        shown = ran(str(FOLDER / "throughput.py"), *sizes, folder=tmp_path)
    else:
        shown = ran("-m", "benchmarks.throughput", *sizes, folder=ROOT)
    assert "'reports in MLflow': 0" in shown
