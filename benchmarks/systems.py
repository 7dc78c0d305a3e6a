"""The shipped searches, one after the other: the source's settings against the champion's.

    python benchmarks/systems.py [digits mlp ...] [--storage FOLDER]

First setting and champion are means over the confirmation seeds, on the test split, at equal
steps. Beside them the best value on the selection split that the source's setting, those of the
experience and those that the search found itself have reached.
A search that is finished in the storage is read and not run again, so a break-off costs nothing.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import machine
from gan_tune import service
from gan_tune.searching.jobs import FIRST_SETTING
from gan_tune.searching.study.leaderboard_row import Row

ORIGINS = ("start", "experience", "sampled")
"""Where settings come from: the source, other searches, this one."""
SPACES = ("digits", "mlp", "sparse_autoencoder", "zeroth_order", "conv", "points")


def line(name: str, storage: Path) -> str:
    """One row of the table."""
    uri = f"sqlite:///{storage / 'mlflow.db'}"
    space = service.load_space(name)
    result = service.search(space, storage=storage / "runs", tracking_uri=uri)
    if not result.finished:
        raise SystemExit(f"{name}: interrupted; the same command goes on")
    won = None if result.champion is None else result.champion.setting
    seeds = {row.setting: row.seeds for row in result.rows}
    first = result.test.get(f"test.first.{result.metric}", math.nan)  # nan: no time to confirm it
    champion = result.test.get(f"test.mean.{result.metric}", math.nan)
    floor = result.test.get(f"test.floor.{result.metric}", math.nan)
    cells = (
        f"`{name}`",
        f"{sum(result.outcomes.values())}",
        f"{result.seconds / 60:.1f}",
        result.metric,
        f"{first:.4g} ({seeds.get(FIRST_SETTING, 0)})",
        f"{champion:.4g} ({0 if won is None else seeds[won]})",
        _which(result),
        *best_by_origin(result.rows),
        f"{champion / first:.3f}",
        f"{floor:.3g}",
    )
    return f"| {' | '.join(cells)} |"


def _which(result: service.SearchResult) -> str:
    if result.champion is None:
        return "none"
    origins = {row.setting: row.origin for row in result.rows}
    return f"{origins[result.champion.setting]} ({result.champion.setting:04d})"


def best_by_origin(rows: Sequence[Row]) -> list[str]:
    """The best value on the selection split of the settings of each of :data:`ORIGINS`."""
    found = []
    for origin in ORIGINS:
        values = [r.value for r in rows if r.origin.startswith(origin) and r.value is not None]
        found.append(f"{min(values):.4g}" if values else "none")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("spaces", nargs="*", default=SPACES)
    parser.add_argument("--storage", type=Path, default=Path("systems"))
    options = parser.parse_args()
    options.storage.mkdir(exist_ok=True)
    print(f"{machine()}\n")
    print("| space | trials | minutes | metric | first (seeds) | champion (seeds) ", end="")
    print("| which is ", end="")
    print("| start | experience | sampled | ratio | floor |")
    print("|---" * 12 + "|", flush=True)
    for name in options.spaces:
        print(line(name, options.storage), flush=True)


if __name__ == "__main__":
    main()
