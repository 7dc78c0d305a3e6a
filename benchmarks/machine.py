"""What a figure was measured on, and by which command."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def machine() -> str:
    """The processor's model, its cores, and the version of PyTorch."""
    return f"{processor()}, {os.cpu_count()} cores, torch {version('torch')}"


def processor() -> str:
    """The processor's model; of a machine that does not tell, its architecture."""
    try:
        lines = CPUINFO.read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def command(module: str) -> str:
    """The command line of this process, with a benchmark as it is run from the repository."""
    return " ".join(["python", "-m", module, *sys.argv[1:]])
