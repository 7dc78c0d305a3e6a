"""PostgreSQL keeps the record, its tables made by the first search."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow_servers import free_port
from test_cli import process
from tiny_search import TRIALS, space_tree
from written_search import WrittenSearch

from gan_tune import service

pytestmark = [pytest.mark.ci, pytest.mark.timeout(400)]

USER, PASSWORD = "gans", "pass word%"
QUOTED = "pass%20word%25"


def programs() -> Path | None:
    """The folder of PostgreSQL's own programs, which Debian keeps out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    path = shutil.which("initdb")
    return Path(path).parent if path else None


def as_owner(*command: object) -> list[str]:
    """A command of the user who may run a database: it refuses to run as root."""
    words = [str(word) for word in command]
    return words if os.getuid() else ["runuser", "-u", "postgres", "--", *words]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The URI of an empty database that asks for a password."""
    found = programs()
    if found is None:
        if os.environ.get("GAN_TUNE_TESTS_NEED_DATA"):
            pytest.fail("Debian's package postgresql is not installed")
        pytest.skip("Debian's package postgresql is not installed")
    folder, port = Path(tempfile.mkdtemp(prefix="postgres-")), free_port()
    try:
        (folder / "password").write_text(PASSWORD)
        if not os.getuid():
            owner = pwd.getpwnam("postgres")
            for path in (folder, folder / "password"):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        made = ["-A", "scram-sha-256", "-U", USER, f"--pwfile={folder}/password"]
        _run(found / "initdb", "-D", folder / "data", "--no-sync", *made)
        options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off"
        log = folder / "log"
        _run(found / "pg_ctl", "-D", folder / "data", "-w", "-l", log, "-o", options, "start")
        try:
            yield f"postgresql://{USER}:{QUOTED}@127.0.0.1:{port}/postgres"
        finally:
            _run(found / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(*command: object) -> None:
    done = subprocess.run(
        as_owner(*command), cwd="/tmp", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_search_is_recorded_registered_and_drawn_from(tmp_path: Path, database: str) -> None:
    (tmp_path / "tiny.yaml").write_text(json.dumps(space_tree()))
    search = process("search", "tiny.yaml", "--tracking-uri", database, folder=tmp_path)
    out, err = search.communicate(timeout=300)
    assert search.returncode == 0, out + err
    assert "pass" not in out + err  # the password
    assert "registered: tiny/1, now the champion" in out

    assert (tmp_path / "mlruns").is_dir()  # as the reference tells: no database takes files
    runs = tmp_path / "gan_tune_runs"
    found = WrittenSearch.of(runs, "tiny")
    assert found.lacks(database) == []
    names = [name for name in found.runs(database) if name]
    assert len([name for name in names if "-" not in name]) == TRIALS
    assert service.load_result("tiny", runs).waiting == ""
    assert PASSWORD not in (runs / "tiny" / "result.json").read_text()

    best = service.best("tiny/1", runs, tracking_uri=database)
    assert (best.search, best.alias_holder) == ("tiny", True)
    (listed,) = service.searches(tmp_path / "elsewhere", tracking_uri=database)
    assert (listed.name, listed.state) == ("tiny", "finished")
    samples = service.load_generator("tiny", tracking_uri=database).sample(4)
    assert tuple(samples.shape) == (4, 1, 8, 8)


def test_a_wrong_password_is_one_line(tmp_path: Path, database: str) -> None:
    wrong = database.replace(QUOTED, "secret-guess")
    command = process("ls", "--tracking-uri", wrong, folder=tmp_path)
    _, err = command.communicate(timeout=120)
    assert command.returncode == 2, err
    assert "password authentication failed" in err, "the database's own answer, not a silence"
    assert "secret-guess" not in err
    assert len(err.strip().splitlines()) == 1, err
