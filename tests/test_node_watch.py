"""Nodes that are put aside: those that cut off settings, fail their proof or are taken away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gan_tune.errors import StorageError
from gan_tune.searching.on_ray.keeping import NodeLeaves, StopAsked, Superseded, TimedKeeper
from gan_tune.searching.on_ray.node_watch import NodeWatch
from gan_tune.searching.rules.failing_nodes import FailingNodes
from gan_tune.searching.rules.faults import Fault, Kind
from gan_tune.storage.nodes_aside import NodeAside, NodesAside, nodes_aside
from gan_tune.storage.places import DRIVER, NODES, STOP
from gan_tune.storage.storage import Storage, open_storage
from gan_tune.storage.trial_folder import TrialFolders

BROKEN = Fault("exception", "RuntimeError: launch failure", "10.0.0.8")
ADDRESSES = {"good": "10.0.0.7", "bad": "10.0.0.8", "twin": "10.0.0.7"}


@pytest.fixture
def home(tmp_path: Path) -> Storage:
    return open_storage(tmp_path / "runs").below("search")


def put_aside(*events: str) -> list[str]:
    """What becomes of nodes by events: `+good` reports, `bad 3` cuts off setting 3.

    There are three nodes, until `gone worse`. Each time that one is put aside is found, and `-bad`
    where one is cleared.
    """
    there = {"good", "bad", "worse"}
    nodes, found = FailingNodes(), []
    for event in events:
        if event.startswith("gone "):
            there.remove(event.removeprefix("gone "))
        elif event.startswith("+"):
            found += [f"-{event[1:]}"] if nodes.reported(event[1:]) else []
        else:
            node, setting, *kind = event.split()
            kinds: list[Kind] = [*kind] or ["exception"]  # type: ignore[list-item]
            others = frozenset(there - {node})
            seen = nodes.cut_off(node, int(setting), replace(BROKEN, kind=kinds[0], others=others))
            found += [node] if seen.reason else []
            found += [f"-{seen.cleared}"] if seen.cleared else []
    return found


@pytest.mark.parametrize(
    ("events", "found"),
    [
        (["bad 1", "+good", "bad 2", "bad 3"], ["bad"]),
        (["bad 1", "bad 2", "+good", "bad 3 death"], ["bad"]),
        (["bad 1", "+good", "bad 1", "bad 1", "bad 2"], []),  # two settings alone
        (["bad 1", "bad 2", "bad 3"], ["bad"]),  # others are between two reports, or just begin
        (["good 7", "worse 8", "bad 1", "bad 2", "bad 3"], []),  # so do all others
        (["good 7", "worse 8", "bad 1", "bad 2", "+worse", "bad 3"], ["bad"]),
        (["bad 1", "+good", "bad 2", "+bad", "bad 3"], []),  # it trained meanwhile
        (["bad 1", "bad 2", "bad 3", "good 2"], ["bad", "-bad"]),
        (["bad 1", "bad 2", "bad 3", "bad 4", "good 2"], ["bad", "bad"]),  # three are left
        (["bad 1", "bad 2", "bad 3", "+bad"], ["bad", "-bad"]),
        (["bad 1", "good 1", "bad 2", "good 2", "bad 3", "good 3", "bad 4"], []),
        (["bad 1", "+good", "good 1", "bad 2", "bad 3"], []),  # 1 is a setting's own fault
        (["bad 1", "+good", "bad 2 memory", "bad 3 memory"], []),
        (["bad 1", "+good", "bad 2 preempted", "bad 3 unfit"], []),
        (["bad 1", "+good", "worse 4", "bad 2", "worse 5", "bad 3", "+good", "worse 6"],
         ["bad", "worse"]),
        (["+bad", "bad 1", "bad 2", "bad 3"], []),  # no other has ever shown that it can train
        (["+bad", "bad 1", "bad 2", "bad 3", "+good", "bad 4"], ["bad"]),
        (["gone good", "bad 1", "bad 2", "bad 3", "worse 4", "worse 5", "worse 6"], ["bad"]),
        (["gone worse", "bad 1", "good 1", "bad 2", "bad 3", "bad 4"], []),  # good fails, too
        (["gone worse", "bad 1", "good 1", "bad 2", "bad 3", "+good", "bad 4"], ["bad"]),
        (["bad 1", "bad 2", "bad 3", "good 2", "bad 4", "bad 3"], ["bad", "-bad", "bad", "bad"]),
    ],
)  # fmt: skip
def test_which_node_is_put_aside(events: list[str], found: list[str]) -> None:
    assert put_aside(*events) == found


def watch(home: Storage, told: list[str], leaving: set[str] | None = None) -> NodeWatch:
    return NodeWatch(
        home, told.append, addresses=lambda: ADDRESSES, leaving=lambda: leaving or set()
    )


def test_a_node_that_cuts_off_settings_is_named_with_its_reason(home: Storage) -> None:
    told: list[str] = []
    nodes = watch(home, told)
    for setting in range(3):
        fault = nodes.cut_off(f"t{setting}", setting, BROKEN)
    assert (fault.node_id, fault.others, fault.node_works) == ("bad", {"good", "twin"}, False)
    reason = "3 settings were cut off on it and none on others: RuntimeError: launch failure"
    assert told == [f"node 10.0.0.8 gets no more trials of this command: {reason}"]
    assert nodes_aside(home) == {"bad": NodeAside("10.0.0.8", "failing", reason)}
    nodes.unfit(Fault("unfit", "its node is put aside: so it is", "10.0.0.8", "bad"))
    assert nodes_aside(home)["bad"].reason == reason, "its own workers only follow"
    nodes.begin()
    assert nodes_aside(home) == {}, "the next command tries it again"


def test_a_node_gets_trials_again_when_its_settings_are_cut_off_on_others_too(
    home: Storage,
) -> None:
    told: list[str] = []
    nodes = watch(home, told)
    for setting in range(3):
        nodes.cut_off(f"t{setting}", setting, BROKEN)
    on_another = replace(BROKEN, node="10.0.0.7", node_id="good")
    seen = nodes.cut_off("t1", 1, on_another)
    assert (seen.others, seen.doubted) == ({"bad", "twin"}, {"bad"})
    assert nodes_aside(home) == {}
    assert told[1:] == [
        "node 10.0.0.8 gets trials again: what it cut off is cut off on others, too"
    ]


def test_a_node_that_reports_after_all_gets_trials_again(home: Storage) -> None:
    told: list[str] = []
    nodes = watch(home, told)
    for setting in range(3):
        nodes.cut_off(f"t{setting}", setting, BROKEN)
    nodes.reported("t9", "bad")
    assert nodes_aside(home) == {}
    assert told[1:] == ["node 10.0.0.8 gets trials again: a trial on it has reported"]
    assert nodes.cut_off("t1", 1, BROKEN).node_works, "so the fault is the setting's"


def test_the_node_of_a_worker_that_died_is_the_one_from_which_its_trial_reported(
    home: Storage,
) -> None:
    nodes = watch(home, [])
    died = Fault("death", "its worker died", "10.0.0.7")
    assert nodes.cut_off("new", 0, died).node_id == "", "two nodes have that address"
    nodes.reported("known", "twin")
    assert nodes.cut_off("known", 1, died).node_id == "twin"
    assert nodes.cut_off("lone", 2, replace(died, node="10.0.0.8")).node_id == "bad"
    unknown = nodes.cut_off("unknown", 3, replace(died, node=""))
    assert (unknown.node_id, unknown.others) == ("", {"good", "bad", "twin"})


def test_the_node_of_a_worker_that_died_is_the_only_one(home: Storage) -> None:
    nodes = NodeWatch(home, print, addresses=lambda: {"here": "10.0.0.7"}, leaving=set)
    fault = nodes.cut_off("t", 0, Fault("death", "its worker died"))
    assert (fault.node_id, fault.others) == ("here", frozenset())
    gone = nodes.cut_off("u", 1, Fault("machine", "its node died", "10.0.0.9", node_gone=True))
    assert gone.node_id == ""


class Watched:
    """A watch over nodes that a test lets come and go, by a clock that it sets."""

    def __init__(self, home: Storage) -> None:
        self.told: list[str] = []
        self.now = 0.0
        self.there = dict(ADDRESSES)
        self.nodes = NodeWatch(
            home, self.told.append, lambda: self.there, leaving=set, clock=lambda: self.now
        )
        for setting in range(3):
            self.nodes.cut_off(f"t{setting}", setting, BROKEN)

    def look(self, seconds: float, *, trains: bool = False) -> None:
        for _ in range(int(seconds / 2)):
            self.now += 2
            self.nodes.look(trains=trains)


AGAIN = "node 10.0.0.8 gets trials again: no other trains anything"


def test_a_failing_node_is_tried_once_more_where_the_others_have_no_place(home: Storage) -> None:
    """Another search may occupy them."""
    watched = Watched(home)
    watched.look(58)
    watched.look(2, trains=True)
    watched.look(58)
    assert list(nodes_aside(home)) == ["bad"]
    watched.look(8)
    assert not nodes_aside(home)
    assert watched.told[1:] == [AGAIN]
    for setting in range(3, 6):
        assert not nodes_aside(home)
        watched.nodes.cut_off(f"t{setting}", setting, BROKEN)
    watched.look(600)
    assert list(nodes_aside(home)) == ["bad"], "once is enough"
    assert watched.told[1:2] + watched.told[3:] == [AGAIN]


def test_a_failing_node_stays_aside_while_no_other_is_there(home: Storage) -> None:
    """Nothing could tell whether its settings fail, or it: another one is waited for."""
    watched = Watched(home)
    watched.there = {"bad": "10.0.0.8"}
    watched.look(600)
    assert list(nodes_aside(home)) == ["bad"]
    assert len(watched.told) == 1


def test_a_node_is_taken_back_when_the_storage_is_there_again(
    home: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StorageError("storage: away")

    watched = Watched(home)
    with monkeypatch.context() as patched:
        patched.setattr(Storage, "write_json", refuse)
        watched.nodes.reported("t9", "bad")
        watched.look(4, trains=True)
    assert list(nodes_aside(home)) == ["bad"]
    watched.look(4, trains=True)
    assert not nodes_aside(home)
    assert watched.told[1:] == ["node 10.0.0.8 gets trials again: a trial on it has reported"]


def test_an_unfit_node_is_noted_until_it_passes_its_proof(home: Storage) -> None:
    told: list[str] = []
    nodes = watch(home, told)
    nodes.unfit(Fault("unfit", "its node is put aside: no GPU", "10.0.0.8", "bad"))
    assert nodes_aside(home) == {"bad": NodeAside("10.0.0.8", "unfit", "no GPU")}
    assert not told, "the message of its trial says it"
    assert nodes.aside == {"bad"}, "it counts as no place"
    nodes.is_fit("bad")
    assert nodes_aside(home) == {}
    assert not nodes.aside


def test_a_node_that_is_taken_away_is_noted(home: Storage) -> None:
    told: list[str] = []
    nodes = watch(home, told, leaving={"bad", "gone already"})
    nodes.look(trains=True)
    nodes.look(trains=True)
    assert nodes_aside(home) == {"bad": NodeAside("10.0.0.8", "leaving", "it is being taken away")}
    assert len(told) == 1


def test_without_storage_no_node_is_put_aside_and_nothing_breaks(
    home: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StorageError("storage: away")

    told: list[str] = []
    nodes = watch(home, told, leaving={"bad"})
    with monkeypatch.context() as patched:
        patched.setattr(Storage, "write_json", refuse)
        nodes.look(trains=True)
    assert not told
    assert nodes_aside(home) == {}


def test_a_damaged_note_puts_no_node_aside(home: Storage) -> None:
    home.write_json(NODES, {"nodes": {"bad": {"address": 1}}})
    assert nodes_aside(home) == {}


def keeper(
    home: Storage, monkeypatch: pytest.MonkeyPatch, node: str, word: str = ""
) -> TimedKeeper:
    """A keeper that looks whenever it is asked."""
    monkeypatch.setattr("gan_tune.searching.on_ray.keeping.LOOKS", {True: -1.0, False: -1.0})
    return TimedKeeper(home, "0000", node, word)


def test_a_trial_on_a_node_that_leaves_is_stored_first(
    home: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = (keeper(home, monkeypatch, node) for node in ("bad", "good"))
    assert not here.is_due()
    NodesAside(home).put("bad", NodeAside("10.0.0.8", "leaving", "it is being taken away"))
    assert here.is_due()
    assert not there.is_due()
    with pytest.raises(NodeLeaves):
        here.keep(lambda: b"state")
    assert TrialFolders(home)["0000"].checkpoint() == b"state"
    home.write_json(STOP, {})
    with pytest.raises(StopAsked):
        there.keep(lambda: b"state")


def test_a_trial_on_a_failing_node_trains_on(
    home: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the one that shows that the node is well."""
    NodesAside(home).put("bad", NodeAside("10.0.0.8", "failing", "so it is"))
    assert not keeper(home, monkeypatch, "bad").is_due()


def test_a_worker_that_outlives_its_driver_stores_nothing_more(
    home: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver's machine was lost, and another one works on the search."""
    home.write(DRIVER, b"mine")
    mine = keeper(home, monkeypatch, "good", "mine")
    mine.check_driver()
    assert not mine.is_due()
    home.write(DRIVER, b"another's")
    assert mine.is_due()
    with pytest.raises(Superseded):
        mine.check_driver()
    with pytest.raises(Superseded):
        mine.keep(lambda: b"state")
    assert TrialFolders(home)["0000"].checkpoint() is None
    keeper(home, monkeypatch, "good").check_driver()
