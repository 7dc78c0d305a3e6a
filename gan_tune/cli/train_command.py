"""The command that trains one trial: train."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gan_tune import service
from gan_tune.cli import options, printing
from gan_tune.cli.checked_space import load_checked
from gan_tune.errors import GanTuneError
from gan_tune.words.terminal import busy

if TYPE_CHECKING:
    from gan_tune.config import TrialConfig
    from gan_tune.gan.training import Report


def train(
    space: options.TrainedSpace = None,
    setting: options.Setting = None,
    set_: options.Set = None,
    steps: options.Steps = None,
    seed: options.TrainingSeed = None,
    out: options.TrialFolder = None,
    resume: options.Resume = None,
    device: options.Device = "cpu",
) -> None:
    """Train one setting here and now, without Ray.

    By default the first of its `start_from`; what that leaves open takes the low end of its range,
    or with --seed is drawn. --out keeps checkpoint.safetensors, grids/STEP.png and
    reports/STEP.json, rewritten at each report.

    \b
    Example:
      gan-tune train digits --setting loss=hinge --steps 500 --out first
      gan-tune train --resume first
    """
    overrides = [*(set_ or []), *([] if steps is None else [f"budget.steps={steps}"])]
    config, folder = _trial(space, overrides, setting or [], seed, out, resume)
    with busy("loading data and preparing the metrics"):
        reports = service.train(config, resume_from=resume, device=device)
        if folder is not None and resume is None:
            service.keep_trial(config, folder)
    if folder is not None:
        reports = _kept(reports, folder)
    try:
        ran = printing.print_reports(config, reports)
    except KeyboardInterrupt:
        if folder is not None:
            print(f"to go on: gan-tune train --resume {shlex.quote(str(folder))}", flush=True)
        raise
    if not ran:
        print("this trial has already run to its end")
    elif folder is not None:
        print(f"kept in {folder}")


def _trial(
    space: str | None,
    overrides: Sequence[str],
    setting: Sequence[str],
    seed: int | None,
    out: Path | None,
    resume: Path | None,
) -> tuple[TrialConfig, Path | None]:
    """What to train, and the folder that keeps it."""
    if resume is not None:
        if space or overrides or setting or seed is not None or out:
            raise GanTuneError("--resume takes all from its folder; only --device goes along")
        return service.stored_trial(resume), resume
    if space is None:
        raise GanTuneError("give a SPACE, or --resume FOLDER")
    return service.first_setting(load_checked(space, overrides), setting, seed=seed), out


def _kept(reports: Iterable[Report], folder: Path) -> Iterator[Report]:
    """The reports, each written to the trial's folder before it is handed on."""
    for report in reports:
        service.keep_report(report, folder)
        yield report
