"""A file is written whole or not at all, whoever writes it and whenever the process is killed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gan_tune.atomic_file import (
    create_whole,
    replace_file,
    whole_file,
    whole_folder,
    write_whole,
    write_whole_files,
)
from gan_tune.data import mapped
from gan_tune.errors import DataError
from gan_tune.gan import checkpoint
from gan_tune.metrics.features import save_weights
from gan_tune.samples.output import write_file
from gan_tune.storage.storage import Storage

OLD, NEW = b"old" * 1000, b"brand new" * 50_000

KILLED = """
import os, sys
from pathlib import Path
from gan_tune.atomic_file import whole_file
where, path = sys.argv[1], Path(sys.argv[2])
calls = iter(range(1, 100))

def dying(name, real):
    def call(*args, **options):
        turn = f"{name} {next(calls)}"
        if where == f"before {turn}":
            os._exit(9)
        result = real(*args, **options)
        if where == f"after {turn}":
            os._exit(9)
        return result
    return call

os.fsync, os.replace = dying("fsync", os.fsync), dying("replace", os.replace)
with whole_file(path) as file:
    half = len(sys.stdin.buffer.peek()) // 2
    content = sys.stdin.buffer.read()
    file.write(content[:half])
    file.flush()
    if where == "half written":
        os._exit(9)
    file.write(content[half:])
"""

STAGES = {
    "half written": OLD,
    "before fsync 1": OLD,
    "after fsync 1": OLD,
    "before replace 2": OLD,
    "after replace 2": NEW,
    "before fsync 3": NEW,
    "after fsync 3": NEW,
}
"""Where the process is killed, and what the file holds then."""


@pytest.mark.parametrize("there_before", [True, False], ids=["replaced", "new"])
@pytest.mark.parametrize(("stage", "left"), STAGES.items(), ids=list(STAGES))
def test_a_kill_at_any_stage_tears_nothing(
    tmp_path: Path, stage: str, left: bytes, there_before: bool
) -> None:
    path = tmp_path / "file"
    if there_before:
        path.write_bytes(OLD)
    command = [sys.executable, "-c", KILLED, stage, str(path)]
    assert subprocess.run(command, input=NEW).returncode == 9
    if left == OLD and not there_before:
        assert not path.exists()
    else:
        assert path.read_bytes() == left
    visible = [name for name in os.listdir(tmp_path) if not name.startswith(".")]
    assert visible == (["file"] if path.exists() else [])
    write_whole(path, NEW)  # what the kill left behind is in nobody's way
    assert path.read_bytes() == NEW


def _synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The system calls that matter for a power cut, as they are made."""
    calls: list[str] = []
    fsync, replace, link = os.fsync, os.replace, os.link

    def noted_fsync(descriptor: int) -> None:
        target = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        calls.append("folder" if target.is_dir() else f"{target.stat().st_size} bytes")
        fsync(descriptor)

    def noted_replace(source: Path, target: Path) -> None:
        calls.append(f"to {Path(target).name}")
        replace(source, target)

    def noted_link(source: Path, target: Path) -> None:
        calls.append(f"linked as {Path(target).name}")
        link(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "link", noted_link)
    monkeypatch.setattr(os, "replace", noted_replace)
    return calls


def test_the_content_is_on_the_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = _synced(monkeypatch)
    write_whole(tmp_path / "a", b"12345")
    assert calls == ["5 bytes", "to a", "folder"]
    (tmp_path / "begun").write_bytes(b"123")
    calls.clear()
    replace_file(tmp_path / "begun", tmp_path / "b")
    assert calls == ["3 bytes", "to b", "folder"]
    calls.clear()
    assert create_whole(tmp_path / "c", b"1234")
    assert calls == ["4 bytes", "linked as c", "folder"]
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]


def test_a_file_that_is_created_is_never_seen_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "file", set()
    fsync = os.fsync

    def looked_before(descriptor: int) -> None:
        seen.add(path.exists())
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", looked_before)
        assert create_whole(path, NEW)
    assert seen == {False, True}, "before its name is on the disk, and after"
    assert path.read_bytes() == NEW
    assert not create_whole(path, OLD)
    assert path.read_bytes() == NEW
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_is_created_where_there_are_no_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(source: Path, target: Path) -> None:
        raise PermissionError(errno.EPERM, "as FAT answers")

    monkeypatch.setattr(os, "link", refused)
    with ThreadPoolExecutor(10) as pool:
        made = list(pool.map(lambda n: create_whole(tmp_path / "file", b"%d" % n), range(10)))
    assert made.count(True) == 1
    assert (tmp_path / "file").read_bytes() == b"%d" % made.index(True)
    assert os.listdir(tmp_path) == ["file"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, OLD)

    def fail() -> None:
        with whole_file(path) as file:
            file.write(NEW)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_the_mode_is_an_ordinary_files(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        (tmp_path / "ordinary").write_bytes(b"")
        for _ in range(2):
            write_whole(tmp_path / "whole", NEW)
            modes = {path.stat().st_mode for path in tmp_path.iterdir()}
            assert len(modes) == 1
    finally:
        os.umask(before)


def test_a_folder_is_not_lost_between_two_renames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    rename = Path.rename

    def interrupted(path: Path, target: Path) -> Path:
        moved = rename(path, target)
        if path.name == "out":
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "out") as folder:
        (folder / "new").touch()
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {"out", "out/old"}


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_replaced_and_not_what_it_points_to(there: bool, tmp_path: Path) -> None:
    if there:
        (tmp_path / "theirs").mkdir()
        (tmp_path / "theirs" / "old").touch()
    (tmp_path / "link").symlink_to("theirs")
    with whole_folder(tmp_path / "link") as folder:
        (folder / "new").touch()
    assert not (tmp_path / "link").is_symlink()
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {
        "link", "link/new", *(["theirs", "theirs/old"] if there else []),
    }  # fmt: skip


@pytest.mark.parametrize(("number", "passes"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_only_a_file_system_that_syncs_no_folders_is_excused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, passes: bool
) -> None:
    fsync = os.fsync

    def refusing(descriptor: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{descriptor}")).is_dir():
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refusing)
    if passes:
        write_whole(tmp_path / "file", NEW)
    else:
        with pytest.raises(OSError, match=os.strerror(number)):
            write_whole(tmp_path / "file", NEW)
    assert (tmp_path / "file").read_bytes() == NEW


# -------------------------------------------------------------------- all that write whole files


WRITERS: dict[str, Callable[[Path, bytes], object]] = {
    "storage": lambda folder, content: Storage(str(folder)).write("file", content),
    "checkpoint": lambda folder, content: checkpoint.write(content, folder),
    "samples": lambda folder, content: write_file(folder / "file", content, force=True),
    "classifier": lambda folder, content: save_weights(
        folder / "file", {"w": np.frombuffer(content, np.uint8).astype(np.float32)}
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_reaches_the_disk_and_keeps_the_old_file_when_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    WRITERS[name](tmp_path, OLD)
    (path,) = tmp_path.iterdir()
    before = path.read_bytes()
    with monkeypatch.context() as patched:
        calls = _synced(patched)
        WRITERS[name](tmp_path, OLD)
        assert calls == [f"{len(before)} bytes", f"to {path.name}", "folder"]

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(Exception, match="No space left"):
            WRITERS[name](tmp_path, NEW)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_cached_array_is_whole_or_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_TUNE_CACHE", str(tmp_path))

    def cached(rows: list[NDArray[np.uint8]]) -> NDArray[Any]:
        return mapped.cached_rows(["key"], shape=(5,), dtype=np.uint8, rows=rows)

    def cut_off() -> Iterator[NDArray[np.uint8]]:
        yield np.arange(3, dtype=np.uint8)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DataError, match="No space left"):
        mapped.cached_rows(["key"], shape=(5,), dtype=np.uint8, rows=cut_off())
    assert list((tmp_path / "arrays").iterdir()) == []
    calls = _synced(monkeypatch)
    rows = cached([np.arange(3, dtype=np.uint8), np.arange(2, dtype=np.uint8)])
    assert rows.tolist() == [0, 1, 2, 0, 1]
    (path,) = (tmp_path / "arrays").iterdir()
    assert calls == [f"{path.stat().st_size} bytes", f"to {path.name}", "folder"]


def test_several_files_wait_for_their_folder_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is on the disk before it has its name, and the folder after the last."""
    calls: list[str] = []
    sync, move = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append("sync"), sync(file))[1])
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("move"), move(*paths))[1])
    contents = {f"{i}.png": bytes([i]) * 10 for i in range(3)}
    write_whole_files(tmp_path, contents)
    assert calls == ["sync", "move"] * 3 + ["sync"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == contents


def test_of_several_files_those_before_an_error_are_whole(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()  # a file cannot take its name
    with pytest.raises(OSError, match="b"):
        write_whole_files(tmp_path, {"a": NEW, "b": NEW, "c": NEW})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert (tmp_path / "a").read_bytes() == NEW
