"""Make stored examples of this commit: what later versions must still read.

    python tests/stored/make.py tests/stored/COMMIT

Writes three archives into the folder (see README.md beside this file) and a note of the versions
and the processor that made them. Everything is made in FOLDER below, whose name is in the record of
MLflow and is replaced when an archive is unpacked.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # as in the tests

import numpy
import torch

import gan_tune
from gan_tune import service

FOLDER = Path("/tmp/gan-tune-stored")
URI = f"sqlite:///{FOLDER}/mlflow.db"
SAMPLES, SEED = 8, 7
STOP_AT = ("0002", 240)
"""The report at which the search is interrupted: two trials have ended, the third is on its way."""

SPACE: dict[str, Any] = {
    "name": "stored",
    "objective": {"metric": "frechet_distance", "mode": "min"},
    "budget": {"trials": 5, "steps": 480, "evaluations": 4},
    "search": {"sampler": "tpe", "scheduler": {"name": "asha", "reduction": 4, "grace": 0.2}},
    "confirm": {"top": 1, "seeds": 1},
    "trial": {
        "data": {"name": "digits", "batch_size": 16},
        "generator": {
            "name": "mlp",
            "latent": 8,
            "hidden": [16],
            "norm": {"choice": ["none", "batch"]},
        },
        "discriminator": {"name": "mlp", "hidden": [16]},
        "loss": {"choice": ["non_saturating", "relativistic"]},
        "generator_optimizer": {
            "choice": [
                {"name": "adam", "lr": {"log_uniform": [1e-3, 1e-2]}, "beta1": 0.5},
                {"name": "rmsprop", "lr": {"log_uniform": [1e-3, 1e-2]}},
            ]
        },
        "discriminator_optimizer": {"name": "adam", "lr": 2e-3, "beta1": 0.5},
        "penalties": [{"name": "r1", "weight": {"log_uniform": [0.1, 10]}, "every": 2}],
        "ema": 0.99,
    },
    "start_from": [
        {
            "generator": {"norm": "none"},
            "loss": "non_saturating",
            "generator_optimizer": {"name": "adam", "lr": 1e-3},
            "penalties": [{"name": "r1", "weight": 1.0}],
        }
    ],
}

SETTING: dict[str, Any] = {
    "name": "alone",
    "budget": {"trials": 1, "steps": 80, "evaluations": 4},
    "trial": {
        "data": {"name": "digits", "batch_size": 16},
        "generator": {"name": "mlp", "latent": 6, "hidden": [16], "norm": "batch"},
        "discriminator": {"name": "mlp", "hidden": [16]},
        "loss": "relativistic",
        "encoder": {"name": "mlp", "hidden": [12]},
        "sparsity": {"name": "k_sparse", "k": 3},
        "generator_optimizer": {"name": "adamw", "lr": 2e-3, "beta1": 0.5},
        "discriminator_optimizer": {"name": "rmsprop", "lr": 2e-3, "momentum": 0.3},
        "generator_schedule": {"name": "cosine", "warm_up": 10, "end": 0.1},
        "gradient_clip": {"name": "norm", "max_norm": 1.0},
        "penalties": [
            {"name": "r1", "weight": 1.0, "every": 3},
            {"name": "dragan", "weight": 0.5},
            {"name": "activation_l1", "weight": 0.01},
        ],
        "instance_noise": {"std": 0.1, "until": 0.8},
        "lookahead": {"every": 7},
        "update": "extragradient",
        "block": {"both": 3, "generator": 1},
        "d_steps": 2,
        "ema": 0.9,
    },
}


def made_by() -> dict[str, str]:
    """What decides the bits of training beside the code: versions, and the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    known = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    return {
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "processor": " ".join(known.get(key, "?") for key in ("model name", "cpu family", "model")),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


class Stopping:
    """A watcher that sends Ctrl-C at a report, and hears nothing else."""

    def __init__(self, at: tuple[str, int] | None) -> None:
        self._at = at

    def trial_reported(self, job: Any, result: Any, grid: bytes | None) -> None:
        if (job.name, result.step) == self._at:
            os.kill(os.getpid(), signal.SIGINT)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *given, **named: None


def search(name: str, *, stop_at: tuple[str, int] | None = None) -> gan_tune.SearchResult:
    """Search the space, one trial at a time."""
    return gan_tune.search(
        SPACE,
        name=name,
        storage=FOLDER / "runs",
        tracking_uri=URI,
        max_concurrent=1,
        watcher=Stopping(stop_at),  # type: ignore[arg-type]
    )


def train_alone() -> None:
    """Train the setting by the command line, and once more until half of its reports are kept."""
    space = FOLDER / "alone.yaml"
    space.write_text(json.dumps(SETTING))  # JSON is YAML
    words = ["train", str(space), "--seed", "3", "--out", str(FOLDER / "through")]
    code = "from gan_tune.cli import main; main()"
    subprocess.run([sys.executable, "-c", code, *words], check=True)
    config = gan_tune.first_setting(gan_tune.load_space(SETTING), seed=3)
    service.keep_trial(config, FOLDER / "halfway")
    for report in islice(gan_tune.train(config), 2):
        service.keep_report(report, FOLDER / "halfway")


def draw() -> None:
    """Keep what the champion draws."""
    samples = gan_tune.load_generator("stored", tracking_uri=URI).sample(SAMPLES, SEED)
    (FOLDER / "samples.json").write_text(json.dumps(samples.tolist()))


def pack(archive: Path, *names: str) -> None:
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for name in names:
            tar.add(FOLDER / name, arcname=name, filter=kept)
    print(f"{archive}: {archive.stat().st_size:,} bytes")


def kept(file: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """The file without its owner; None for what nobody reads: see README.md."""
    parts = Path(file.name).parts
    is_page = parts[-1] == "report.html"
    if is_page or ("whole" in parts and not {"grids", "images", "champion"}.isdisjoint(parts)):
        return None
    file.uid = file.gid = 0
    file.uname = file.gname = ""
    return file


def main(target: Path) -> None:
    torch.set_num_threads(1)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    target = target.resolve()
    os.chdir(FOLDER)  # MLflow notes the working folder, too
    target.mkdir(parents=True, exist_ok=True)
    whole = search("whole")
    assert whole.finished, whole
    assert whole.promoted, whole
    draw()
    interrupted = search("interrupted", stop_at=STOP_AT)
    assert not interrupted.finished, interrupted
    train_alone()
    with closing(sqlite3.connect(FOLDER / "mlflow.db")) as database:  # all of it into one file
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("VACUUM")
    pack(target / "searches.tar.xz", "runs", "mlflow.db", "mlruns", "samples.json")
    pack(target / "alone.tar.xz", "through", "halfway")
    (target / "made_by.json").write_text(json.dumps(made_by(), indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
