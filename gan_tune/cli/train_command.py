"""The command that trains one trial: train."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gan_tune import service
from gan_tune.cli import options, printing
from gan_tune.cli.checked_space import load_checked, with_short_options
from gan_tune.errors import GanTuneError
from gan_tune.words.terminal import busy, complain, say

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
    own: options.Own = None,
    device: options.Device = "cpu",
) -> None:
    """Train one setting here and now, without Ray.

    It trains the first setting of the space's `start_from`. Ranges that this leaves open take their
    low end, or a random value if --seed is given. The --out folder gets checkpoint.safetensors,
    grids/STEP.png and reports/STEP.json at each report.

    \b
    Example:
      gan-tune train digits --setting loss=hinge --steps 500 --out first
      gan-tune train --resume first
    """
    overrides = with_short_options(set_, {"budget.steps": steps})
    config, folder = _trial(space, overrides, setting or [], seed, out, resume, own or [])
    with busy("loading data and preparing the metrics"):
        config = service.in_own_precision(config, device=device)
        reports = service.train(config, resume_from=resume, device=device)
        if folder is not None and resume is None:
            service.keep_trial(config, folder)
    for note in service.data_notes(config):
        complain(f"note: data: {note}")
    if folder is not None:
        reports = _kept(reports, folder)
    try:
        ran = printing.print_reports(config, reports)
    except KeyboardInterrupt:
        if folder is not None:
            say(f"to continue: gan-tune train --resume {shlex.quote(str(folder))}{_own(config)}")
        raise
    if not ran:
        say("this trial has already run to its end")
    elif folder is not None:
        say(f"kept in {folder}")


def _own(config: TrialConfig) -> str:
    """The options that name a trial's own parts."""
    from gan_tune.config.import_path import own_parts_in

    return "".join(f" --own {path}" for path in own_parts_in(config.tree()))


def _trial(
    space: str | None,
    overrides: Sequence[str],
    setting: Sequence[str],
    seed: int | None,
    out: Path | None,
    resume: Path | None,
    own: Sequence[str],
) -> tuple[TrialConfig, Path | None]:
    """The trial to train, and the folder to write it to; None if it is not kept."""
    if resume is not None:
        if space or overrides or setting or seed is not None or out:
            raise GanTuneError(
                "--resume reads its folder; only --device and --own may be given with it"
            )
        return service.stored_trial(resume, own), resume
    if space is None:
        raise GanTuneError("give a SPACE, or --resume FOLDER")
    if own:
        raise GanTuneError("--own is for --resume; a space names its parts itself")
    return service.first_setting(load_checked(space, overrides), setting, seed=seed), out


def _kept(reports: Iterable[Report], folder: Path) -> Iterator[Report]:
    """Pass on the reports; each is first written to the trial's folder."""
    for report in reports:
        service.keep_report(report, folder)
        yield report
