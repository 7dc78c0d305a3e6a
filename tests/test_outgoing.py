"""No secret and no control character leaves the process: in errors, logs, tables and JSON."""

from __future__ import annotations

import io
import json
import logging
import pickle
import sys
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from gan_tune.cli import program
from gan_tune.cli.documents.output import print_document
from gan_tune.cli.documents.shapes import Document
from gan_tune.errors import LONGEST, DataError, Fault, SpaceError
from gan_tune.outgoing import escaped, masked, outgoing_line
from gan_tune.watching.plain_lines import PlainLines
from gan_tune.words.tables import table
from gan_tune.words.terminal import complain, print_line, say
from gan_tune.words.wording import in_one_line, shown

URL = "postgresql://me:SECRET@host/db"
MASKED = "postgresql://me:***@host/db"


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("postgresql:alice:pw@h/db", "postgresql:alice:***@h/db"),
        ("http://alice:p/w@h/", "http://alice:***@h/"),
        ("http://h/x?password=pw&a=1", "http://h/x?password=***&a=1"),
        ("http://h/x?pass%77ord=pw", "http://h/x?pass%77ord=***"),
        ("http://h?token=pw", "http://h?token=***"),
        ("s3:/KEY:pw@b", "s3:/KEY:***@b"),
        (
            "--set search.studdy=postgresql://u:pw@h/db",
            "--set search.studdy=postgresql://u:***@h/db",
        ),
        ("--set search.studdy=a://h/db?passwd=pw", "--set search.studdy=a://h/db?passwd=***"),
        ("https://ghp_x@github.com/a", "https://***@github.com/a"),
        ("{'name': 'npz', 'password': 'it\\'s'}", "{'name': 'npz', 'password': '***'}"),
        ('{"aws_secret_access_key": "x"}', '{"aws_secret_access_key": "***"}'),
        ("{name: npz, data: {token: x, a: 1}}", "{name: npz, data: {token: ***, a: 1}}"),
        ("Authorization: Bearer abcdefghijk", "Authorization: Bearer ***"),
        ("Authorization: Basic abcdefghijk", "Authorization: Basic ***"),
        ("postgresql://alice:p w@127.0.0.1:1/db", "postgresql://alice:***@127.0.0.1:1/db"),
        ("s3://KEY:p w@b", "s3://KEY:***@b"),
        ("--set search.passwords=pw", "--set search.passwords=***"),
        ("{a: {password: [1, {x: pw}]}, b: 2}", "{a: {password: ***}, b: 2}"),
        ("token=[null, pw]\\n: x", "token=*** x"),
        ("{token: [1] pw, b: 2}", "{token: ***, b: 2}"),
        ("authorization=Basic pw", "authorization=Basic ***"),
        ('Authorization: "Basic pw"', 'Authorization: "Basic ***"'),
        ("{password:pw}", "{password:***}"),
        ("host=h password = pw port=1", "host=h password = *** port=1"),
        ("password= 'p w' port=1", "password= '***' port=1"),
        ("'token'='pw'", "'token'='***'"),
        ("token[]=pw", "token[]=***"),
        ("token=b'pw'", "token='***'"),
        ("{token: 'p''w'}", "{token: '***'}"),
        ("('password', 'p,w')", "('password', '***')"),
        ("password:=pw", "password:=***"),
        ("//alice:pw@h/db", "//alice:***@h/db"),
        ("https://user@pw@h", "https://***@h"),
        ("password%3Dpw", "password=***"),
        ("http://h/x?url=a%3A%2F%2Fu%3Apw%40h", "http://h/x?url=a://u:***@h"),
    ],
)
def test_secrets_are_masked(given: str, left: str) -> None:
    assert masked(given) == left
    assert masked(left) == left
    assert masked(f"the store {given} does not answer") == f"the store {left} does not answer"


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("X-Api-Key: pw", "X-Api-Key: ***"),
        ("a: 1\n  - password: 'p w'\nb: 2", "a: 1\n  - password: '***'\nb: 2"),
        ("MLFLOW_TRACKING_PASSWORD: pw", "MLFLOW_TRACKING_PASSWORD: ***"),
    ],
)
def test_the_value_on_a_line_of_its_own_is_masked(given: str, left: str) -> None:
    assert masked(given) == left
    assert masked(left) == left


@pytest.mark.parametrize(
    "line",
    [
        "models:/digits@champion",
        "http://127.0.0.1:5000/a%20b%3Dc?x=%40",
        "token: must be text: 3",
        "columns: ['token', 'age']; passwords, tokens",
        "a // b:c d@e",
        "http://[::1]:5000/ does not answer; ask me@host",
        "generator.n_tokens: 5; num_tokens=12, max_tokens=3",
        "http://127.0.0.1:5000 does not answer; ask me@host",
        "http://127.0.0.1:5000: ask me@host",
        "http://127.0.0.1:5000/#/experiments/1?viewStateShareKey=abc",
        "small.yaml: line 6, column 29: not valid YAML: cannot be read as bool: 'foo'",
        "search.token: no such key in search; did you mean 'seed'?",
        "loss=hinge G=adam(lr=0.0002 beta1=0.5) passes=3 compass=2",
        "sqlite:////data/studies.db",
        "file:///home/me/a@b:c/runs",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    assert masked(line) == line


@pytest.mark.parametrize(
    "piece",
    [
        "ab",
        "a:",
        "a=",
        "{a: ",
        "a@",
        "password=",
        "http://",
        "_",
        "'",
        " ",
        "- ",
        "%41",
        "%z",
        "a%",
        "('a',",
        "//",
    ],
)
def test_long_lines_are_masked_in_linear_time(piece: str) -> None:
    """The time for 400 kB is not that of all pairs of places: these would take minutes."""
    masked(piece * (400_000 // len(piece)))


def test_control_and_direction_are_escaped_and_letters_are_not() -> None:
    assert (
        escaped("\x1b[31mé\u202e\u2066\x9b\ud800 漢") == "\\x1b[31mé\\u202e\\u2066\\x9b\\ud800 漢"
    )
    assert escaped("a\n\tb") == "a\n\tb"
    assert outgoing_line("a\n\tb") == "a\\n\\tb"


def test_an_error_holds_no_secret_from_the_start() -> None:
    error = pickle.loads(pickle.dumps(DataError(f"{URL}: \x1b[2J")))
    assert str(error) == f"{MASKED}: \\x1b[2J"
    fault = Fault("trial.data.password", "no such key in npz", "'SECRET'")
    assert str(SpaceError([fault])) == "trial.data.password: no such key in npz: ***"
    assert in_one_line(ValueError(URL)) == f"ValueError: {MASKED}"
    assert shown({"password": "SECRET"}) == "{'password': '***'}"


def test_a_name_in_an_error_begins_no_line_and_fills_no_screen() -> None:
    error = DataError("a\nb: no such file", "second: \tx")
    assert str(error) == "a\\nb: no such file\nsecond: \\tx"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    space = SpaceError([Fault("x\ny", "is unknown"), Fault("z", "is unknown")], "f\n.yaml")
    assert str(space).splitlines() == ["f\\n.yaml: x\\ny: is unknown", "f\\n.yaml: z: is unknown"]
    assert str(DataError()) == ""
    long = DataError(f"{'x' * 10**6}?token={'y' * 10**5} must be short")
    assert len(str(long)) == LONGEST
    assert str(long).endswith("?token=*** must be short")
    assert str(pickle.loads(pickle.dumps(long))) == str(long)


def test_logs_hold_no_secret_not_even_in_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("gan_tune")
    with caplog.at_level("WARNING", "gan_tune"):
        try:
            raise ValueError(URL)
        except ValueError:
            logger.exception("%s does not answer \x1b[2J", URL)
    assert "SECRET" not in caplog.text
    assert MASKED in caplog.text
    assert "\x1b" not in caplog.text


def complaining(line: str) -> None:
    program._complain([line])


@pytest.mark.parametrize(
    "show",
    [
        say,
        complain,
        complaining,
        lambda line: print_line(Console(file=sys.stdout), line),
        lambda line: PlainLines().note(line),
        lambda line: PlainLines().stage(line),
    ],
)
def test_what_is_printed_moves_no_cursor(
    show: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    show(f"{URL} \x1b]0;title\x07 \u202e")
    out, err = capsys.readouterr()
    assert f"{MASKED} \\x1b]0;title\\x07 \\u202e" in out + err
    assert "SECRET" not in out + err


def test_a_table_moves_no_cursor() -> None:
    rows = table("name", "\x1b[31mmetric", title="\u202etitle")
    rows.add_row("\x1b[2Jone\nerror: two", URL)
    out = io.StringIO()
    Console(file=out, width=200).print(rows)
    assert "\x1b" not in out.getvalue()
    assert "\u202e" not in out.getvalue()
    assert "\\x1b[2Jone\\nerror: two" in out.getvalue()
    assert MASKED in out.getvalue()


def test_json_for_programs_holds_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    class Told(Document):
        uri: str
        values: dict[str, Any]

    values = {"password": "SECRET", "links": [f"{URL}?token=SECRET", 1]}
    print_document(Told(uri=URL, values=values))
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "format": 1,
        "uri": MASKED,
        "values": {"password": "***", "links": [f"{MASKED}?token=***", 1]},
    }
