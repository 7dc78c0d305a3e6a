"""How faults are worded."""

from __future__ import annotations

import pytest

from gan_tune.words.outcomes import OUTCOMES, is_healthy, reason, style
from gan_tune.words.readable import plural
from gan_tune.words.wording import (
    did_you_mean,
    first_line,
    in_one_line,
    last_line,
    masked,
    there_are,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "postgresql://me:p@ss@db:5432/x and http://host:80/ @",
            "postgresql://me:***@db:5432/x and http://host:80/ @",
        ),
        ("s3://KEY:SECRET@bucket/runs", "s3://KEY:***@bucket/runs"),
        ("sqlite:///runs/mlflow.db", "sqlite:///runs/mlflow.db"),
    ],
)
def test_passwords_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked(shown) == shown


def test_a_misspelt_name_is_answered_with_the_nearest_alone() -> None:
    assert did_you_mean("hing", ["wasserstein", "hinge"]) == "; did you mean 'hinge'?"
    assert did_you_mean("zzz", ["wasserstein", "hinge"]) == did_you_mean("hinge", []) == ""


def test_a_name_that_is_not_there_is_answered_with_all_once_the_nearest_first() -> None:
    assert there_are("Dots2", ["digits", "faces", "dots", "faces"]).startswith("there are: dots, ")
    assert sorted(there_are("x", ["b", "a", "b"]).removeprefix("there are: ").split(", ")) == [
        "a",
        "b",
    ]
    assert there_are("dots", []) == "there are: none"


@pytest.mark.parametrize(
    ("error", "line", "whole"),
    [
        (ValueError("\n one \n two"), "one ", "ValueError: one "),
        (ValueError(""), "", "ValueError"),
        (KeyError("seed"), "'seed'", "KeyError: 'seed'"),
    ],
)
def test_the_first_line_of_an_error(error: Exception, line: str, whole: str) -> None:
    assert first_line(error) == line
    assert in_one_line(error) == whole


def test_the_last_line_of_an_error() -> None:
    assert last_line(ValueError("one\n two \n")) == " two"
    assert last_line("\n") == ""


def test_what_the_screen_says_of_an_outcome() -> None:
    unhealthy = {outcome for outcome in OUTCOMES if not is_healthy(outcome)}
    assert unhealthy == {"diverged", "collapsed", "failed"}
    assert is_healthy(None)
    assert is_healthy("running")
    for outcome in OUTCOMES:
        assert style(outcome)
        assert reason(outcome)
    assert style("waiting") == reason("waiting") == ""


def test_a_number_of_things() -> None:
    assert [plural(count, "trial") for count in (0, 1, 2)] == ["0 trials", "1 trial", "2 trials"]
