"""All ratios in one command, side by side in one run, and the page that shows them.

    python -m benchmarks [SECTION ...] [--quick] [--page docs/ratios.md]

Each section is written to the page as soon as it is measured, with the machine and the command.
``--quick`` takes a few steps of each, to see whether all still runs: it writes no page unless one
is named.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks import floors, scaling, speed, turnaround
from benchmarks.machine import machine
from benchmarks.page import PAGE, write_block

SECTIONS: Mapping[str, Callable[..., str]] = {
    "speed": speed.measure,
    "floors": floors.measure,
    "trials": scaling.measure_trials,
    "slots": scaling.measure_slots,
    "data": scaling.measure_data,
    "turnaround": turnaround.measure,
}
"""Section → its table in Markdown; the keyword ``quick`` asks for a few steps only."""


def section(name: str, *, quick: bool) -> str:
    """A block of the page: what it was measured on, how, and the table."""
    load, started = os.getloadavg()[0], time.perf_counter()
    measured = SECTIONS[name](quick=quick)
    seconds = time.perf_counter() - started
    command = f"python -m benchmarks {name}{' --quick' if quick else ''}"
    busy = f"load {load:.1f} when it began"
    return f"{machine()}, {busy}. `{command}`, {seconds:.0f} s:\n\n{measured}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    parser.add_argument("sections", nargs="*", default=list(SECTIONS), help=", ".join(SECTIONS))
    parser.add_argument("--quick", action="store_true", help="a few steps of each")
    parser.add_argument("--page", type=Path, help=f"page to write (default: {PAGE.name})")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"must be among {', '.join(SECTIONS)}: {', '.join(sorted(unknown))}")
    page = options.page or (None if options.quick else PAGE)
    for name in options.sections:
        block = section(name, quick=options.quick)
        print(f"## {name}\n\n{block}\n", flush=True)
        if page is not None:
            write_block(page, name, block)


if __name__ == "__main__":
    main()
