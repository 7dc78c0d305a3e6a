"""The time of a process that does not depend on what else the machine does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from typing import Any


def cpu_seconds(command: Sequence[str], *, runs: int = 3, **options: Any) -> float:
    """The least processor time, user and system, of some runs of a command that succeeds.

    ``options`` are those of `subprocess.Popen`; its output must not go to a pipe, which nobody
    reads.
    """
    return min(_once(command, options) for _ in range(runs))


def _once(command: Sequence[str], options: dict[str, Any]) -> float:
    process = subprocess.Popen(command, **options)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return usage.ru_utime + usage.ru_stime
