"""What a worker proves before its first trial, and what becomes of one that fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_patience import small_disk
from test_search import worker_of
from tiny_search import space_tree

from gan_tune.errors import UnfitNodesError
from gan_tune.parts.all_parts import catalogue
from gan_tune.searching.on_ray.proof import leave_for_workers, why_unfit
from gan_tune.searching.on_ray.unfit_workers import STARTING_SECONDS, UNFIT_SECONDS, UnfitWorkers
from gan_tune.searching.rules.faults import Fault, ruling_on
from gan_tune.searching.study.opening import open_study
from gan_tune.space import SearchSpace
from gan_tune.storage.nodes_aside import NodeAside, NodesAside
from gan_tune.storage.storage import open_storage

# A worker asks Ray which node it is on.
pytestmark = pytest.mark.usefixtures("local_ray")


def test_a_sound_worker_passes_and_leaves_nothing(tmp_path: Path) -> None:
    home = open_storage(tmp_path).below("search")
    assert why_unfit(home, leave_for_workers(home), lambda: "cpu") is None
    assert [path.name for path in (tmp_path / "search").iterdir()] == ["driver.txt"]


def test_each_fault_is_named(tmp_path: Path) -> None:
    home = open_storage(tmp_path).below("search")
    expected = leave_for_workers(home)

    def reason(**changes: object) -> str:
        given = {"search": home, "expected": expected, "device": lambda: "cpu", **changes}
        fault = why_unfit(**given)  # type: ignore[arg-type]
        assert fault is not None
        assert fault.node
        assert ruling_on([fault] * 20).action == "again", "it says nothing of the trial"
        return fault.text.removeprefix("its node is put aside: ")

    elsewhere = open_storage(tmp_path / "mount").below("search")
    assert reason(search=elsewhere).startswith(
        "storage: must be the driver's (is a share mounted?)"
    )
    leave_for_workers(elsewhere)  # of another search
    assert reason(search=elsewhere).startswith("storage: must be the driver's")
    older = replace(expected, versions={**expected.versions, "torch": "1.0.0"})
    assert reason(expected=older).endswith(" instead of 1.0.0")
    assert reason(expected=older).startswith("it has torch ")
    assert reason(device=lambda: "cuda").startswith("a step on its device: ")


def test_a_full_disk_is_no_place_for_trials(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        home = open_storage(disk).patient(10)
        expected = leave_for_workers(home)
        (disk / "large").write_bytes(b"x" * 4096 * 15)
        fault = why_unfit(home, expected, lambda: "cpu")
        assert fault is not None
        assert "No space left" in fault.text


def test_an_unfit_worker_holds_its_place_until_it_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then its trial, which was trained elsewhere, ends for Tune, and it takes another one."""
    monkeypatch.setattr("gan_tune.searching.on_ray.trainable.PROOF_SECONDS", -1.0)
    study = open_study(tmp_path / "study.journal", SearchSpace.load(space_tree(), catalogue()))
    job, home = study.ask(), open_storage(tmp_path / "here")
    worker = worker_of(tmp_path / "here", job, expected=leave_for_workers(home))
    mine = home.read("driver.txt")
    home.delete("driver.txt")
    for _ in range(2):
        told = worker.step()
        assert (told["report"], told["done"]) == (None, False)
        assert "driver's" in told["unfit"].text
    assert mine is not None
    home.write("driver.txt", mine)
    told = worker.step()
    assert (told["report"], told.get("unfit"), told["done"]) == (None, None, True)
    worker.reset_config({"job": job})
    assert worker.step()["report"].step == 10


def test_a_warm_worker_takes_no_trial_on_a_node_that_was_put_aside(tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.journal", SearchSpace.load(space_tree(), catalogue()))
    job, home = study.ask(), open_storage(tmp_path / "here")
    worker = worker_of(tmp_path / "here", job, expected=leave_for_workers(home))
    first = worker.step()
    assert first["report"].step == 10
    NodesAside(home).put(first["node_id"], NodeAside("10.0.0.8", "failing", "it cuts settings off"))
    worker.reset_config({"job": study.ask()})
    assert worker.step()["unfit"].text == "its node is put aside: it cuts settings off"


@pytest.mark.skipif(torch.accelerator.is_available(), reason="torch finds one here")
def test_a_node_whose_gpu_torch_does_not_find_is_unfit(tmp_path: Path) -> None:
    """It does not train on the CPU instead."""
    study = open_study(tmp_path / "study.journal", SearchSpace.load(space_tree(), catalogue()))
    job, home = study.ask(), open_storage(tmp_path / "here")
    worker = worker_of(tmp_path / "here", job, expected=leave_for_workers(home), gpu=True)
    told = worker.step()["unfit"].text
    assert told.endswith("Ray gives this node's trials a GPU, but torch finds none")


def test_a_search_ends_if_no_worker_is_fit_for_a_while() -> None:
    now = [0.0]
    unfit = UnfitWorkers(lambda: now[0])
    fault = Fault("unfit", "its node is put aside: cuda: no", "10.0.0.7")

    def ends(seconds: float, *, others: bool = False, places: int = 0) -> UnfitNodesError | None:
        """What is said after so many seconds, in each of which it was asked."""
        for _ in range(int(seconds)):
            now[0] += 1
            unfit.error(others=others, places=places)
        return unfit.error(others=others, places=places)

    assert ends(UNFIT_SECONDS + 1) is None, "none is up yet"
    assert unfit.note("a", fault)
    assert not unfit.note("a", fault)
    assert ends(UNFIT_SECONDS - 1) is None
    assert ends(1, others=True) is None, "another one trains"
    assert ends(UNFIT_SECONDS) is None, "from now on"
    error = ends(1)
    assert isinstance(error, UnfitNodesError)
    assert error.exit_code == 1
    assert str(error).endswith("its node is put aside: cuda: no (node 10.0.0.7)")
    assert ends(1, others=True) is None
    assert ends(STARTING_SECONDS, places=1) is None, "another one may start"
    assert isinstance(ends(1, places=1), UnfitNodesError), "it did not"
    assert unfit.forget("a")
    assert unfit.error(others=False) is None


def test_the_time_in_which_the_search_waits_for_its_storage_is_no_workers() -> None:
    now = [0.0]
    unfit = UnfitWorkers(lambda: now[0])
    unfit.note("a", Fault("unfit", "its node is put aside: storage: cannot write", "10.0.0.7"))
    assert unfit.error(others=False) is None
    now[0] += 20 * UNFIT_SECONDS
    assert unfit.error(others=False) is None, "its worker has not tried since"
    now[0] += UNFIT_SECONDS - 1
    assert unfit.error(others=False) is None
    now[0] += 2
    assert unfit.error(others=False) is not None


def test_a_node_has_an_unfit_worker_until_that_has_gone() -> None:
    unfit = UnfitWorkers()
    assert not unfit.has("b")
    unfit.note("z", Fault("unfit", "", "10.0.0.8", "b"))
    assert unfit.has("b")
    unfit.forget("z")
    assert not unfit.has("b")
