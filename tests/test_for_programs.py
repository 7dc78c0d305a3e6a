"""What programs rely on: JSON of documented shapes, exit codes, completion by the shell."""

from __future__ import annotations

import ast
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from test_cli import ROOT, Ran, Run, lines, process, run, space_file
from test_live import FakeConductor, job, result
from test_registry import Images, register
from test_search_result import STORED
from tiny_search import space_tree

from gan_tune import cli, errors, service
from gan_tune.cli.documents import DOCUMENTS, EVENTS, JsonEvents
from gan_tune.errors import GanTuneError
from gan_tune.storage.trial_records import Ending
from gan_tune.watching.plain_lines import PlainLines

__all__ = ["run", "space_file"]

SHAPES = {shape.model_fields["event"].default: shape for shape in EVENTS}


def checked_event(line: str) -> dict[str, Any]:
    """An event, which has the keys of its shape and no others."""
    found: dict[str, Any] = json.loads(line)
    shape = SHAPES[found["event"]].model_validate(found)
    assert json.loads(shape.model_dump_json()) == found
    assert found["format"] == 1
    return found


# ---------------------------------------------------------------- JSON


def test_show(run: Run) -> None:
    ran = run("show", "digits", "--set", "budget.trials=7", "--json")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert found == DOCUMENTS["show"].model_validate(found).model_dump()
    assert (found["trials"], found["objectives"]) == (
        7,
        [{"metric": "frechet_distance", "mode": "min"}],
    )
    lr = next(d for d in found["dimensions"] if d["name"] == "generator_optimizer.adam.lr")
    assert lr["only_where"] == {"generator_optimizer": "adam"}


def test_validate(run: Run, space_file: Callable[..., Path]) -> None:
    bad = space_file("bad.yaml", budget={"steps": 0, "trials": 0})
    ran = run("validate", "digits", bad, "nowhere.yaml", "--json")
    assert ran.code == cli.ExitCode.REFUSED
    found = json.loads(ran.out)
    assert found == DOCUMENTS["validate"].model_validate(found).model_dump()
    good, faulty, absent = found["files"]
    assert (good["file"], good["ok"], good["faults"]) == ("digits", True, [])
    assert {fault["place"] for fault in faulty["faults"]} == {"budget.steps", "budget.trials"}
    assert faulty["faults"][0]["given"] == "0"
    assert absent["faults"][0]["place"] == ""
    assert len(lines(ran.err)) == 3  # people read the same


def test_events(capsys: pytest.CaptureFixture[str]) -> None:
    conductor = FakeConductor()
    with JsonEvents() as events:
        events.stage("starting Ray")
        events.begin(conductor, 2, 0)  # type: ignore[arg-type]
        first, second = job(conductor, 3), job(conductor, 0, replicate=1)
        events.trial_started(first, resumed=False)
        events.trial_reported(first, result(1000, float("nan")), None)
        events.trial_ended(first, Ending("completed", 19.5, 1000))
        events.trial_started(second, resumed=True)
        events.trial_ended(second, Ending("failed", None, 0, "ValueError: no"))
        events.note("done")
    stage, begin, started, reported, ended, again, failed, note = map(
        checked_event, lines(capsys.readouterr().out)
    )
    assert (stage["text"], note["text"]) == ("starting Ray", "done")
    assert (begin["search"], begin["trials"], begin["steps"]) == ("night", 8, 2000)
    assert (started["trial"], started["kind"], started["resumed"]) == ("0003", "search", False)
    assert (reported["step"], reported["value"]) == (1000, None)
    assert (ended["outcome"], ended["value"], ended["paused"]) == ("completed", 19.5, False)
    assert (again["kind"], again["resumed"]) == ("confirmation", True)
    assert failed["error"] == "ValueError: no"


def test_an_estimate(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = service.Estimate(5, 100, 4, 3, 2, 0.01, 0.5, 2**30, settings=7)
    monkeypatch.setattr(service, "estimate", lambda space, **options: measured)
    ran = run("search", "digits", "--minutes", 3, "--json", "--dry-run")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert found == DOCUMENTS["search --dry-run"].model_validate(found).model_dump()
    assert (found["name"], found["minutes"], found["settings"]) == ("digits", 3, 7)
    assert (found["trial_seconds"], found["seconds"]) == (pytest.approx(3), pytest.approx(15))


def test_an_interrupted_search_ends_with_its_result(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    halted = service.SearchResult.from_json(STORED | {"finished": False, "champion": None})
    monkeypatch.setattr(service, "search", lambda **options: halted)
    ran = run("search", "digits", "--json")
    assert (ran.code, ran.err) == (cli.ExitCode.INTERRUPTED, "")
    found = checked_event(ran.out)
    assert (found["event"], found["finished"]) == ("result", False)
    assert (found["champion_trial"], found["champion_mean"]) == (None, None)


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_a_real_search_prints_events_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(json.dumps(space_tree()))
    command = process("search", "tiny.yaml", "--json", folder=tmp_path)
    out, err = command.communicate(timeout=240)
    assert command.returncode == 0, err
    events = [checked_event(line) for line in lines(out)]
    kinds = [event["event"] for event in events]
    assert (kinds.count("begin"), kinds.count("result"), kinds[-1]) == (1, 1, "result")
    ended = {event["trial"]: event for event in events if event["event"] == "trial_ended"}
    started = {event["trial"] for event in events if event["event"] == "trial_started"}
    assert set(ended) == started
    rows = {f"{row['setting']:04}": row for row in events[-1]["rows"]}
    assert {name for name in ended if "-" not in name} == set(rows)
    assert all(ended[name]["outcome"] == row["outcome"] for name, row in rows.items())
    assert all(ended[name]["value"] == row["value"] for name, row in rows.items())


# ---------------------------------------------------------------- exit codes


def exits() -> Iterator[tuple[str, ast.expr]]:
    """What the code ends the program with, file by file."""
    for file in sorted((ROOT / "gan_tune").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "typer.Exit",
                "sys.exit",
                "os._exit",
                "SystemExit",
            ):
                yield str(file.relative_to(ROOT)), node.args[0]


def test_the_code_ends_with_the_codes_of_the_table_and_no_others() -> None:
    found = list(exits())
    assert len(found) >= 4
    for file, code in found:
        text = ast.unparse(code)
        if isinstance(code, ast.Constant):
            assert code.value in set(cli.ExitCode), f"{file}: {text}"
        elif text != "code":  # of `main`, which only the table and the errors fill
            assert text.startswith("ExitCode."), f"{file}: {text}"
            assert hasattr(cli.ExitCode, text.removeprefix("ExitCode."))
    kinds = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    assert len(kinds) > 10
    expected = {cli.ExitCode.LATER, cli.ExitCode.REFUSED}
    assert {kind.exit_code for kind in kinds} == expected


def raising(error: BaseException) -> Callable[..., None]:
    def command(*words: object, **options: object) -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (GanTuneError("no"), cli.ExitCode.REFUSED),
        (errors.StudyError("locked"), cli.ExitCode.LATER),
        (KeyboardInterrupt(), cli.ExitCode.INTERRUPTED),
    ],
)
def test_how_a_command_ends_is_its_code(
    error: BaseException, code: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "status", raising(error))
    ran: Ran = run("status", "digits")
    assert ran.code == code
    assert lines(ran.err) == ([] if isinstance(error, KeyboardInterrupt) else [f"error: {error}"])


# ---------------------------------------------------------------- completion


def completed(folder: Path, *words: str) -> list[str]:
    """What bash offers for the last word."""
    program = "import sys; sys.argv = ['gan-tune']; from gan_tune.cli import main; main()"
    asked = {
        "_GAN_TUNE_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(["gan-tune", *words]),
        "COMP_CWORD": str(len(words)),
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=os.environ | asked,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_the_shell_completes_commands_options_spaces_and_searches(tmp_path: Path) -> None:
    assert completed(tmp_path, "stat") == ["status"]
    assert "--json" in completed(tmp_path, "status", "--")
    assert "digits" in completed(tmp_path, "search", "dig")
    assert completed(tmp_path, "status", "d") == []
    for name in ("day", "night"):
        (tmp_path / "gan_tune_runs" / name).mkdir(parents=True)
        (tmp_path / "gan_tune_runs" / name / "search.json").write_text("{}")
    assert completed(tmp_path, "status", "d") == ["day"]


def test_the_shell_completes_models_and_their_versions(uri: str, tmp_path: Path) -> None:
    MlflowClient(uri).create_registered_model("another_program's")
    for value in (1.0, 2.0):
        register(uri, value, Images())
    words = "rm", "--tracking-uri", uri
    assert completed(tmp_path, *words, "") == ["digits"]
    assert completed(tmp_path, *words, "digits/") == ["digits/1", "digits/2"]
    for command in ("generate", "pull", "serve", "look", "promote", "rollback", "compare"):
        assert completed(tmp_path, command, "--tracking-uri", uri, "dig") == ["digits"]
    assert completed(tmp_path, "rm", "--tracking-uri", "sqlite:////nowhere.db", "dig") == []


def test_a_line_is_lost_where_the_terminal_is_closed_just_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = pty.openpty()
    closed = open(theirs, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    monkeypatch.setattr(sys, "stdout", closed)
    os.close(ours)
    with pytest.raises(OSError, match="Input/output error"):
        print("anything", flush=True)
    JsonEvents().stage("starting Ray")
    PlainLines(closed).note("going on")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, theirs)  # as the search does at SIGHUP
    closed.close()
    os.close(nowhere)
    os.close(theirs)
