"""Outages: what a search is stored in is away for a minute, and the search goes on.

    python benchmarks/storage_outages.py [--of s3 postgres] [--seconds 60] [--trials 12]
        [--steps 6000]

`gan-tune search` runs undisturbed, then once more while S3 refuses every connection for so many
seconds, or while PostgreSQL, which holds the study, is stopped. Both begin when the first trial has
ended. Counted is

    interrupted  trials that were cut off and tried again
    failed       trials that failed, or did not end
    seconds      that the search took longer than undisturbed, less those of the outage

It exits with 0 if the first two are 0, and the seconds at most 5 % of the undisturbed search's. The
S3 is moto's, a mock on loopback, behind a proxy; PostgreSQL is Debian's.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.lost_driver import SEARCH, Machine, ended_files, space
from benchmarks.machine import machine
from benchmarks.servers import Proxy, bucket_uri, postgres, postgres_programs, s3
from gan_tune.storage.storage import Storage, open_storage
from gan_tune.storage.trial_folder import TrialFolders

MORE = 0.05
"""The share of its time that a search may take longer, beside the outage itself."""


class Place(NamedTuple):
    """Where a search is stored, and how that goes away.

    Attributes:
        storage: as the search sees it.
        seen: the same, which is never away.
        study: the URL of the study's database; None: in the storage.
        stop, start: what goes away, and comes back.
    """

    storage: str
    seen: str
    study: str | None
    stop: Callable[[], object]
    start: Callable[[], object]


@contextlib.contextmanager
def in_s3() -> Iterator[Place]:
    with s3() as port, Proxy(port) as proxy:

        def away(is_down: bool) -> None:
            proxy.is_down = is_down

        yield Place(
            bucket_uri(proxy.port),
            bucket_uri(port),
            None,
            lambda: away(True),
            lambda: away(False),
        )


@contextlib.contextmanager
def in_postgres() -> Iterator[Place]:
    programs = postgres_programs()
    if programs is None:
        sys.exit("PostgreSQL is not installed: apt-get install postgresql")
    with TemporaryDirectory() as folder, postgres(programs) as server:
        yield Place(folder, folder, server.url, server.stop, server.start)


PLACES = {"s3": in_s3, "postgres": in_postgres}


class Run(NamedTuple):
    """What one command came to."""

    code: int
    seconds: float
    interrupted: int
    failed: int


def run(tree: Mapping[str, Any], place: Place, away: float) -> Run:
    """Run a search to its end; its place is away for so many seconds once a trial has ended."""
    search = {**tree["search"], "study": place.study} if place.study else tree["search"]
    started = time.monotonic()
    driver = Machine({**tree, "search": search}, place.storage)
    home = Storage(place.seen).below(SEARCH)
    try:
        if away:
            while not ended_files(home) and driver.process.poll() is None:
                time.sleep(0.5)
            place.stop()
            time.sleep(away)
            place.start()
        code = driver.process.wait()
        seconds, log = time.monotonic() - started, driver.log
    finally:
        driver.lose()
    told = [line for line in log.splitlines() if " fails since " in line]
    print("".join(f"  {line}\n" for line in told), end="")
    interrupted = log.count("is tried again") - "".join(told).count("is tried again")
    trials = TrialFolders(home)
    endings = [trials[name].ending() for name in trials.names()]
    failed = sum(
        ending is None or ending.outcome in ("failed", "interrupted") for ending in endings
    )
    return Run(code, seconds, interrupted, failed)


def measure(kind: str, tree: Mapping[str, Any], seconds: float) -> bool:
    """Print a kind's figures; returns whether they are as asked."""
    with PLACES[kind]() as place:
        calm = run(tree, place, 0)
    with PLACES[kind]() as place:
        open_storage(place.seen)
        away = run(tree, place, seconds)
    more = away.seconds - calm.seconds - seconds
    print(
        f"{kind}: undisturbed {calm.seconds:.0f} s; away for {seconds:.0f} s {away.seconds:.0f} s, "
        f"{more:+.0f} s ({more / calm.seconds:+.1%}) beside the outage; {away.interrupted} trials "
        f"interrupted, {away.failed} failed, exit code {away.code}",
        flush=True,
    )
    sound = not (calm.code or away.code or away.interrupted or away.failed)
    return sound and more <= MORE * calm.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--of", nargs="+", choices=list(PLACES), default=list(PLACES))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--steps", type=int, default=6000, help="of a trial")
    options = parser.parse_args()
    print(machine(), flush=True)
    tree = space(options.trials, options.steps)
    as_asked = [measure(kind, tree, options.seconds) for kind in options.of]
    sys.exit(not all(as_asked))


if __name__ == "__main__":
    main()
