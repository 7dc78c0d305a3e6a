"""From Enter to the first training step of a search.

    python benchmarks/startup.py [SPACE] [--runs 3]

Each run is `gan-tune search SPACE` in a new process and an empty folder, so MLflow's store is
created, too. The first step began at the first report's time, less what that report spent on
training and evaluation. Stated are that time, and when each line of the command appeared. Then
Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median

PATIENCE = 120.0
"""Seconds for the first report."""


def first_step(folder: Path, deadline: float) -> float:
    """When the first training step of the searches in a folder began, in seconds since 1970."""
    while time.time() < deadline:
        reports = [
            json.loads(path.read_bytes()) for path in folder.glob("*/trials/*/reports/*.json")
        ]
        if reports:
            spent = ("training_seconds", "evaluation_seconds")
            return float(
                min(r["timestamp_ms"] / 1000 - sum(r[one] for one in spent) for r in reports)
            )
        time.sleep(0.05)
    raise SystemExit(f"no report within {PATIENCE:g} s")


def show(lines: Iterable[str], entered: float) -> None:
    """Print the lines of a command, each with the seconds since Enter."""
    for line in lines:
        print(f"  {time.time() - entered:6.1f}  {line.rstrip()}", flush=True)


def one_run(space: str) -> float:
    """Seconds from Enter to the first training step."""
    with tempfile.TemporaryDirectory() as folder:
        entered = time.time()
        command = [sys.executable, "-u", "-m", "gan_tune.cli", "search", space]
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as search:
            assert search.stdout is not None
            shown = threading.Thread(target=show, args=(search.stdout, entered), daemon=True)
            shown.start()
            try:
                return first_step(Path(folder, "gan_tune_runs"), entered + PATIENCE) - entered
            finally:
                search.send_signal(signal.SIGINT)
                search.wait(PATIENCE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("space", nargs="?", default="digits")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores")
    found = []
    for _ in range(options.runs):
        found.append(one_run(options.space))
        print(f"first step after {found[-1]:.1f} s", flush=True)
    print(f"median: {median(found):.1f} s")


if __name__ == "__main__":
    main()
