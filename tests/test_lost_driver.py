"""The driver's machine is lost with all that it has: the same command elsewhere goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from benchmarks.lost_driver import (
    SEARCH,
    Machine,
    admitted,
    counts,
    ended_files,
    run_to_the_end,
    space,
)
from benchmarks.servers import bucket_uri, s3
from gan_tune.storage.storage import Storage, open_storage


def lose_when(seen: Callable[[], object], driver: Machine) -> None:
    """Lose a machine as soon as something is in the bucket."""
    deadline = time.monotonic() + 200
    while not seen():
        assert driver.process.poll() is None, driver.log
        assert time.monotonic() < deadline, driver.log
        time.sleep(0.05)
    driver.lose()


@pytest.mark.ci
def test_nothing_is_lost_with_the_drivers_machine() -> None:
    """Before a report, and after the first trial's end.

    The undisturbed search is that of the same settings; what a report tells of time may differ. The
    bucket is moto's, a mock of S3.
    """
    tree = space(3, 600)
    with s3() as port:
        calm, storage = (bucket_uri(port).replace("/runs", f"/{name}") for name in ("calm", "lost"))
        assert run_to_the_end(tree, calm, 0)[0] == 0
        home = open_storage(storage).below(SEARCH)
        lose_when(lambda: home.names("trials"), Machine(tree, storage))
        driver = Machine(tree, storage)
        try:
            lose_when(lambda: ended_files(home), driver)
            before = ended_files(home)
            driver = Machine(tree, storage)
            while driver.process.poll() is None and home.read_json("lease/000003.json") is None:
                time.sleep(0.05)
            assert admitted(storage, 3, elsewhere=False) == []
            if os.geteuid() == 0:
                assert admitted(storage, 2, elsewhere=True) == []
            assert driver.process.wait(300) == 0, driver.log
        finally:
            driver.lose()
        found = counts(Storage(calm).below(SEARCH), home, before)
    assert before
    assert found == dict.fromkeys(found, 0)
