"""Machines that lack what libraries take for granted: a home folder, a name, room for sockets."""

from __future__ import annotations

import getpass
import os
import stat
from pathlib import Path

import pytest
import ray

from gan_tune.cli.user import check_user
from gan_tune.cluster import temporary_folder
from gan_tune.cluster.connection import connected
from gan_tune.cluster.temporary_folder import ray_folder
from gan_tune.errors import ClusterError, GanTuneError
from gan_tune.storage.places import look_in


@pytest.fixture(autouse=True)
def _no_folder_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)


def test_ray_gets_a_folder_of_this_users_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for parent in ("/tmp", "/var/tmp"):
        monkeypatch.setenv("TMPDIR", parent)
        with ray_folder() as folder:
            private = Path(folder).parent
            assert private.parent == Path(parent)
            assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert not private.exists()


@pytest.mark.parametrize("name", ["RAY_TMPDIR", "TMPDIR"])
@pytest.mark.parametrize("bad", ["/proc/none", "/" + "t" * 107, "/etc/passwd"])
def test_ray_goes_elsewhere_where_its_folder_cannot_hold_sockets(
    name: str, bad: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(name, bad)
    with ray_folder() as folder:
        assert folder.startswith("/tmp/gt-")
    assert f"{name}: Ray keeps its files in /tmp: {bad} " in caplog.text


def test_a_machine_without_room_for_sockets_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(temporary_folder, "OTHERS", ("/proc/none",))
    with pytest.raises(ClusterError, match=r"^RAY_TMPDIR: must name a folder .* is no folder$"):
        ray_folder().__enter__()


@pytest.mark.ci
def test_ray_starts_under_a_long_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ("t" * 108)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    with connected(None, look_in(tmp_path), cpus=1):
        assert ray.is_initialized()


def test_a_user_without_a_name_gets_one_from_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_entry(_: int) -> None:
        raise KeyError("getpwuid(): uid not found: 23456")

    monkeypatch.setattr("pwd.getpwuid", no_entry)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("USER", "")  # noted, so that it is put back
    check_user()
    assert getpass.getuser() == f"user-{os.getuid()}"
    monkeypatch.delenv("HOME")
    with pytest.raises(GanTuneError, match=r"^HOME: must name a folder for caches: user \d+ has"):
        check_user()
