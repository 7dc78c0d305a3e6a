"""All that a search must outlive, one after the other: the long form of the fault tests.

    python -m benchmarks.faults [NAME ...]

The short form is among the tests (`pytest -m ci`); this takes about an hour and a half. Each
benchmark says what it found, and its exit code whether that is what was asked; so does this one's.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

FAULTS = (
    "broken_nodes", "kills", "lost_driver", "two_drivers", "storage_outages", "mlflow_outages",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", default=FAULTS, metavar="NAME", help=", ".join(FAULTS))
    options = parser.parse_args()
    if unknown := set(options.names) - set(FAULTS):
        parser.error(f"must be among {', '.join(FAULTS)}: {', '.join(sorted(unknown))}")
    failed = []
    for name in options.names:
        print(f"== {name}", flush=True)
        began = time.monotonic()
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            failed.append(name)
        print(f"== {name}: {time.monotonic() - began:.0f} s", flush=True)
    if failed:
        sys.exit(f"not as asked: {', '.join(failed)}")


if __name__ == "__main__":
    main()
