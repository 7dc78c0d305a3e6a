"""Two drivers: of many commands that ask for one search at once, one gets it, always.

    python benchmarks/two_drivers.py [--tries 20] [--rounds 5]

Each round is of so many processes at once, half of them in namespaces of their own with another
host's name (as root), which take the lease of one search in a bucket, hold it for a while and tell
the time. Counted are the moments at which two held it, and refusals that were not one line. Then
the same while the search is held by a driver that lives on. The bucket is moto's, a mock of S3 on
loopback, whose conditional writes are made one at a time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from itertools import pairwise

from benchmarks.lost_driver import ELSEWHERE, admitted
from benchmarks.machine import machine
from benchmarks.servers import bucket_uri, s3
from gan_tune.storage.lease import hold
from gan_tune.storage.storage import Storage

HELD = 3.0
"""Seconds for which each process holds the search that it got."""

TAKING = f"""
import sys, time
from gan_tune.errors import SearchLockedError
from gan_tune.storage.lease import hold
from gan_tune.storage.storage import Storage
home = Storage(sys.argv[1]).below("lost").patient(0)
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
try:
    with hold(home, "lost"):
        begun = time.monotonic()
        time.sleep({HELD})
        print(begun, time.monotonic())
except SearchLockedError as error:
    print(error)
"""


def once(storage: str, tries: int, start: float) -> tuple[list[tuple[float, float]], list[str]]:
    """When each process held the search, and what the others said."""
    asking = []
    for number in range(tries):
        command = [sys.executable, "-c", TAKING, storage, str(time.time() + start)]
        if number % 2 and os.geteuid() == 0:
            command = [*ELSEWHERE, f'hostname node-{number}; exec "$@"', "sh", *command]
        asking.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    held, refused = [], []
    for process in asking:
        said = process.communicate()[0].strip()
        if "worked on" in said:
            refused.append(said)
        else:
            begun, ended = map(float, said.split())
            held.append((begun, ended))
    return sorted(held), refused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tries", type=int, default=20, help="processes at once")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--start", type=float, default=15.0, help="seconds until all are up")
    options = parser.parse_args()
    print(machine(), flush=True)
    wrong = 0
    with s3() as port:
        storage = bucket_uri(port)
        for number in range(options.rounds):
            held, refused = once(storage, options.tries, options.start)
            both = sum(one[1] > other[0] for one, other in pairwise(held))
            lines = sum("\n" in said for said in refused)
            wrong += both + lines + (not held)
            print(
                f"round {number + 1}: {len(held)} got it, one after another, {len(refused)} were "
                f"refused; {both} moments with two, {lines} refusals of more than a line",
                flush=True,
            )
        with hold(Storage(storage).below("lost").patient(0), "lost"):
            got = admitted(storage, options.tries, elsewhere=os.geteuid() == 0)
        print(f"while a driver works: {options.tries - len(got)} of {options.tries} were refused")
    sys.exit(bool(wrong or got))


if __name__ == "__main__":
    main()
