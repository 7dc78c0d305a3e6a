"""What a trial costs, measured in a process of its own: time of a step and of a report, memory."""

from __future__ import annotations

import os
import pickle
import resource
import subprocess
import sys
import tempfile
import traceback
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from gan_tune.config import TrialConfig
from gan_tune.errors import GanTuneError

__all__ = ["TrialCost", "measure", "measure_here"]

MEASURED_STEPS = 50
"""Number of steps that are timed, after the same number to warm up."""


@dataclass(frozen=True)
class TrialCost:
    """Measured for one trial alone on this machine.

    Attributes:
        step_seconds, evaluation_seconds: of one step, and of one report's evaluation.
        memory_bytes: largest resident set of the trial's process. The libraries are in it, although
            trials on one machine share most of their pages.
        gpu_memory_bytes: the most that PyTorch held on the GPU; 0 without one.
    """

    step_seconds: float
    evaluation_seconds: float
    memory_bytes: int
    gpu_memory_bytes: int


def measure(config: TrialConfig, *, threads: int, device: str) -> TrialCost:
    """Train a few steps with two reports and a checkpoint, as a worker of a search would.

    A fresh process shows the peak memory of a trial alone: this one may have held more before.
    Data and judge are made here and handed over, as a search does.

    Raises:
        GanTuneError: the process was killed, as for want of memory.
        Exception: what the training raises.
    """
    from gan_tune.parts.all_parts import dataset_of, judge_of

    config = _shortened(config)
    dataset = dataset_of(config.data)
    judge = judge_of(dataset, "selection", extra=config.wanted_metrics)
    with tempfile.TemporaryDirectory(prefix="gan-tune-") as name:
        folder = Path(name)
        (folder / "given").write_bytes(pickle.dumps((config, dataset, judge, threads, device)))
        code = f"from gan_tune.service.trial_cost import answer; answer({name!r})"
        path = os.pathsep.join(place or os.getcwd() for place in sys.path)
        ran = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)},
            check=False,
        )
        if not (folder / "measured").exists():
            raise GanTuneError(
                f"{config.steps} steps of the first setting could not be measured: their process "
                f"ended with {ran.returncode} (-9: killed, as for want of memory)"
            )
        # From this process's own child, in a folder of mode 0700.
        measured = pickle.loads((folder / "measured").read_bytes())  # nosec B301
    if isinstance(measured, Exception):
        raise measured
    assert isinstance(measured, TrialCost)
    return measured


def answer(name: str) -> None:
    """In the process of its own: read what is given in a folder, measure, and write the result."""
    folder = Path(name)
    found: Any
    try:
        found = _measured(*pickle.loads((folder / "given").read_bytes()))  # nosec B301
    except Exception as error:
        found = error
        found.add_note(traceback.format_exc())
    (folder / "measured").write_bytes(pickle.dumps(found))


def measure_here(
    config: TrialConfig, dataset: Any, judge: Any, *, threads: int, device: str
) -> TrialCost:
    """As :func:`measure`, but in this process, whose peaks of memory are those of its whole life.

    Raises:
        Exception: what the training raises.
    """
    return _measured(_shortened(config), dataset, judge, threads, device)


def _shortened(config: TrialConfig) -> TrialConfig:
    update = {"steps": 2 * MEASURED_STEPS, "evaluations": 2, "patience": 0}
    return config.model_copy(update=update)


def _measured(
    config: TrialConfig, dataset: Any, judge: Any, threads: int, device: str
) -> TrialCost:
    import torch

    from gan_tune.gan.device import peak_memory
    from gan_tune.gan.training import train

    import_module("gan_tune.searching.on_ray.trainable")  # a worker's libraries take memory, too
    torch.set_num_threads(threads)
    for report in train(config, dataset, judge, device=device):
        report.checkpoint()
    return TrialCost(
        step_seconds=report.training_seconds / MEASURED_STEPS,
        evaluation_seconds=report.evaluation_seconds,
        memory_bytes=_peak_memory(),
        gpu_memory_bytes=peak_memory(torch.device(device)),
    )


def _peak_memory() -> int:
    """Largest resident set of this process in bytes.

    Linux counts it in `VmHWM` from the program's start; `ru_maxrss` begins with the size of the
    process that started it, which may be larger.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
