"""`gan-tune train`: trains one setting in this process, and keeps it in a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from gan_tune.config import TrialConfig
from gan_tune.errors import CheckpointError, DeviceError, OutputError, StorageError
from gan_tune.gan.training import Report
from gan_tune.gan.training import train as train_reports
from gan_tune.metrics import build_judge
from gan_tune.parts.catalogue import catalogue, dataset_of
from gan_tune.samples import pictures
from gan_tune.storage.places import look_in
from gan_tune.storage.trial_folder import TrialFolder
from gan_tune.words.wording import in_one_line


def train(
    config: TrialConfig | Mapping[str, Any],
    *,
    resume_from: Path | None = None,
    device: str = "cpu",
) -> Iterator[Report]:
    """Train one setting in this process, without Ray: an iterator of reports.

    Raises:
        ConfigError: the config cannot be trained; lists all faults.
        DataError: its data are missing.
        DeviceError: torch finds no such device.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise DeviceError(f"--device {device}: {in_one_line(error)}") from None
    if not isinstance(config, TrialConfig):
        config = TrialConfig.from_tree(config, catalogue())
    dataset = dataset_of(config.data)
    judge = build_judge(dataset, "selection", extra=config.wanted_metrics)
    return train_reports(config, dataset, judge, resume_from=resume_from, device=device)


def keep_trial(config: TrialConfig, folder: Path) -> None:
    """Create a trial's folder, with the same layout as in a search.

    Raises:
        OutputError: the folder is not empty.
        StorageError: it cannot be written.
    """
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise OutputError(
            f"{folder}: must be a new or empty folder; a trial in it goes on with --resume {folder}"
        )
    TrialFolder(look_in(folder)).write_config(config.tree())


def keep_report(report: Report, folder: Path) -> None:
    """Write a report's picture, checkpoint and figures into a trial's folder.

    Raises:
        StorageError: it cannot be written.
    """
    trial = TrialFolder(look_in(folder))
    trial.write_grid(report.step, pictures.png(report.grid))
    trial.write_checkpoint(report.checkpoint())
    left_out = ("grid", "_state")
    figures = {k: v for k, v in vars(report).items() if k not in left_out}
    trial.write_figures(report.step, figures)


def stored_trial(folder: Path) -> TrialConfig:
    """The config of the trial that a folder holds.

    Raises:
        CheckpointError: the folder holds no trial.
        ConfigError: its config cannot be trained here.
    """
    try:
        tree = TrialFolder(look_in(folder)).config()
    except StorageError:
        tree = None
    if tree is None:
        raise CheckpointError(f"{folder}: must be the --out folder of an earlier gan-tune train")
    return TrialConfig.from_tree(tree, catalogue())
