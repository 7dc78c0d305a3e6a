"""What a trial costs beside its training: gan-tune against a docs-style Ray Tune script.

    turn-around = (slots x wall time after the first training step
                   - time inside training steps and evaluations) / trials

so that checkpoints, records, worker starts and idling all count. Both sides train the same GAN on
the digits for as many steps and reports, on two slots, in one run of this script:

    python benchmarks/turnaround.py [--trials 24] [--peer-trials 8]

The peer is written as the libraries' documentation shows it (`docs_style/`): a function trainable
in a cold actor per trial, OptunaSearch, and MLflowLoggerCallback on SQLite.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

SLOTS, STEPS, REPORTS = 2, 600, 5


def tree(trials: int) -> dict[str, Any]:
    rate = {"log_uniform": [1e-4, 1e-2]}
    return {
        "name": "turnaround",
        "budget": {"trials": trials, "steps": STEPS, "evaluations": REPORTS},
        "search": {"scheduler": "none"},
        "confirm": {"top": 0},
        "trial": {
            "data": {"name": "digits", "batch_size": 64},
            "generator": "mlp",
            "discriminator": "mlp",
            "loss": "non_saturating",
            "generator_optimizer": {"name": "adam", "lr": rate},
            "discriminator_optimizer": {"name": "adam", "lr": rate},
        },
    }


def turnaround(first: float, last: float, inside: float, trials: int) -> float:
    return (SLOTS * (last - first) - inside) / trials


def ours(folder: Path, trials: int) -> float:
    from gan_tune import service

    class Clock(service.Watcher):
        """Notes when the first training step began, when the last trial's end was heard."""

        first, last, inside = float("inf"), 0.0, 0.0

        def trial_reported(self, job: Any, result: Any, grid: Any) -> None:
            spent = result.training_seconds + result.evaluation_seconds
            self.first = min(self.first, result.timestamp_ms / 1000 - spent)
            self.inside += spent

        def end(self) -> None:
            self.last = time.time()

    clock = Clock()
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    result = service.search(
        tree(trials), storage=folder / "runs", tracking_uri=uri, max_concurrent=SLOTS, watcher=clock
    )
    assert sum(result.outcomes.values()) == trials, result.outcomes
    return turnaround(clock.first, clock.last, clock.inside, trials)


def peer_trial(config: dict[str, Any]) -> None:
    import torch
    from ray import tune

    from gan_tune.config import TrialConfig
    from gan_tune.gan.training import train
    from gan_tune.metrics import build_judge
    from gan_tune.parts.catalogue import catalogue, dataset_of

    torch.set_num_threads(1)
    trial = tree(1)["trial"] | {"steps": STEPS, "evaluations": REPORTS}
    for player in ("generator", "discriminator"):
        trial[f"{player}_optimizer"] = {"name": "adam", "lr": config[f"{player}_lr"]}
    checked = TrialConfig.from_tree(trial, catalogue())
    dataset = dataset_of(checked.data)
    for report in train(checked, dataset, build_judge(dataset, "selection")):
        spent = report.training_seconds + report.evaluation_seconds
        now = time.time()
        tune.report({"value": report.best or 1e9, "spent": spent, "began": now - spent, "now": now})


def peer(folder: Path, trials: int) -> float:
    import ray
    from docs_style.tuning import tuner
    from ray import tune

    ray.init(num_cpus=SLOTS, include_dashboard=False, log_to_driver=False)
    spans: list[tuple[float, float, float]] = []

    class Spans(tune.Callback):
        def on_trial_result(
            self, iteration: int, trials: Any, trial: Any, result: Any, **_: Any
        ) -> None:
            spans.append((result["began"], result["now"], result["spent"]))

    rate = tune.loguniform(1e-4, 1e-2)
    tuner(
        peer_trial,
        {"generator_lr": rate, "discriminator_lr": rate},
        folder / "peer",
        metric="value",
        slots=SLOTS,
        callbacks=[Spans()],
        num_samples=trials,
    ).fit()
    last = time.time()
    ray.shutdown()
    return turnaround(min(s[0] for s in spans), last, sum(s[2] for s in spans), trials)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=24, help="trials of gan-tune")
    parser.add_argument("--peer-trials", type=int, default=8, help="trials of the peer")
    args = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {SLOTS} slots")
    with tempfile.TemporaryDirectory() as folder:
        mine = ours(Path(folder), args.trials)
        print(f"gan-tune:   {mine:.2f} s of turn-around a trial ({args.trials} trials)")
        theirs = peer(Path(folder), args.peer_trials)
        print(f"docs-style: {theirs:.2f} s of turn-around a trial ({args.peer_trials} trials)")
        print(f"ratio:      {mine / theirs:.3f}")


if __name__ == "__main__":
    main()
