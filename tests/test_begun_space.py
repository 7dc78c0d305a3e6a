"""A search of a shipped space goes on after an upgrade that brings another file of that name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gan_tune.service import load_space
from gan_tune.service.running.begun_space import as_begun
from gan_tune.service.running.study_place import study_of_search
from gan_tune.space import SearchSpace
from gan_tune.space.reading import read_space
from gan_tune.storage.places import STUDY_NOTE
from gan_tune.storage.storage import Storage, open_storage


def shipped(name: str, overrides: Sequence[str] = ()) -> SearchSpace:
    return load_space(name, overrides, check_data=False)


def begun(home: Storage, space: SearchSpace, **noted: Any) -> None:
    """A search in which a trial has been handed out; ``noted`` is in its note on the study."""
    study_of_search(space, home, space.name).ask()
    home.write("trials/0000/trial.json", b"{}")
    home.write_json(STUDY_NOTE, {**home.read_json(STUDY_NOTE), **noted})


def earlier(name: str) -> SearchSpace:
    """A shipped space as an earlier version had it: another seed, batch and budget."""
    tree = read_space(name).tree
    tree["search"] = {**tree.get("search", {}), "seed": 7}
    tree["trial"]["data"] = {**tree["trial"]["data"], "batch_size": 8}
    tree["budget"] = {**tree["budget"], "steps": 77, "minutes": 99}
    tree["start_from"] = []
    return load_space(tree, check_data=False)


@pytest.mark.parametrize("name", ["digits", "sparse_autoencoder"])
def test_a_search_goes_on_with_the_shipped_space_that_it_began_with(
    name: str, tmp_path: Path
) -> None:
    home, was, now = open_storage(tmp_path), earlier(name), shipped(name)
    begun(home, was, shipped="0123456789abcdef")
    found = as_begun(now, home, name)
    assert found.digest == was.digest != now.digest
    assert (found.name, found.budget.steps) == (name, 77)
    assert found.budget.minutes == now.budget.minutes
    study_of_search(found, home, name)  # refuses another space


def test_a_search_that_did_not_note_its_file_goes_on_too(tmp_path: Path) -> None:
    home, was = open_storage(tmp_path), earlier("digits")
    begun(home, was)
    noted = home.read_json(STUDY_NOTE)
    del noted["shipped"]
    home.write_json(STUDY_NOTE, noted)
    assert as_begun(shipped("digits"), home, "digits").digest == was.digest


def test_overrides_hold_on_what_the_search_began_with(tmp_path: Path) -> None:
    home, was = open_storage(tmp_path), earlier("digits")
    begun(home, was, shipped="0123456789abcdef")
    same = as_begun(shipped("digits", ["search.seed=7", "budget.minutes=5"]), home, "digits")
    assert same.digest == was.digest
    assert same.budget.minutes == 5
    other = as_begun(shipped("digits", ["search.seed=8"]), home, "digits")
    assert other.digest not in (was.digest, shipped("digits").digest)


def test_a_user_who_changes_the_same_file_is_told(tmp_path: Path) -> None:
    """The file is the one that the search began with, so the change is this command's own."""
    home, now = open_storage(tmp_path), shipped("digits")
    begun(home, shipped("digits", ["trial.loss=hinge"]))
    assert json.loads((tmp_path / STUDY_NOTE).read_text())["shipped"] == now.shipped_digest
    assert as_begun(now, home, "digits") is now


def test_other_spaces_and_searches_that_have_not_begun_stay_as_they_are(tmp_path: Path) -> None:
    home, now = open_storage(tmp_path), shipped("digits")
    assert as_begun(now, home, "digits") is now
    own = tmp_path / "digits.yaml"
    own.write_text(now.source)
    begun(home, earlier("digits"))
    copied = load_space(own, check_data=False)
    assert copied.shipped == ""
    assert as_begun(copied, home, "digits") is copied
