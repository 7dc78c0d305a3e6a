"""What a trial costs beside its training: gan-tune against a docs-style Ray Tune script.

    turn-around = (slots x wall time after the first training step
                   - time inside training steps and evaluations) / trials

so that checkpoints, records, worker starts and idling all count. Both sides train the same GAN on
the digits for as many steps and reports, on two slots, in one run of this script:

    python benchmarks/turnaround.py [--trials 24] [--peer-trials 8] [--pairs 3]

The peer is written as the libraries' documentation shows it (`docs_style/`): a function trainable
in a cold actor per trial, OptunaSearch, and MLflowLoggerCallback on SQLite.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.interleaved import Spread, ratios
from benchmarks.machine import machine
from benchmarks.table import table

SLOTS, STEPS, REPORTS = 2, 600, 5
TRIALS, PEER_TRIALS, PAIRS = 24, 8, 3
"""The peer needs more trials than slots: time before the first training step does not count."""


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
    from gan_tune.parts.all_parts import catalogue, dataset_of

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
    from ray import tune

    from benchmarks.docs_style.tuning import tuner

    # Without an address it would join a Ray that runs on this machine, and refuse `num_cpus`.
    ray.init(address="local", num_cpus=SLOTS, include_dashboard=False, log_to_driver=False)
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


def measure(
    *, quick: bool = False, trials: int = TRIALS, peer_trials: int = PEER_TRIALS, pairs: int = PAIRS
) -> str:
    """The table of some pairs of runs, gan-tune's first and the peer's first in turns."""
    if quick:
        trials, peer_trials, pairs = 4, 3, 1
    sides = {
        "gan-tune": partial(ours, trials=trials),
        "docs-style": partial(peer, trials=peer_trials),
    }
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for pair in range(pairs):
        for name in list(sides)[:: 1 if pair % 2 == 0 else -1]:
            with tempfile.TemporaryDirectory() as folder:
                spent[name].append(sides[name](Path(folder)))
    mine, theirs = spent.values()
    cells = [f"{Spread.of(mine):.2f}", f"{Spread.of(theirs):.2f}", f"{ratios(mine, theirs):.3f}"]
    return table(["gan-tune, s a trial", "docs-style, s a trial", "ratio"], [cells])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=TRIALS, help="trials of gan-tune")
    parser.add_argument("--peer-trials", type=int, default=PEER_TRIALS, help="trials of the peer")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="runs of both, one by one")
    args = parser.parse_args()
    print(f"{machine()}, {SLOTS} slots\n", flush=True)
    print(measure(trials=args.trials, peer_trials=args.peer_trials, pairs=args.pairs))


if __name__ == "__main__":
    main()
