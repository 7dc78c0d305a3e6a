"""What another user of the machine can do to a running search, and to MLflow's pages: nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import ray

from gan_tune.cluster.connection import connected
from gan_tune.storage.places import look_in

NOBODY = 65534

pytestmark = [
    pytest.mark.ci,
    pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user"),
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a Ray started here, with a worker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        with connected(None, look_in(tmp_path_factory.mktemp("storage")), cpus=1):
            ray.get(ray.remote(lambda: os.getpid()).remote())
            yield Path(ray._private.worker._global_node.get_temp_dir_path())


def as_another(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", env={},
        capture_output=True, text=True,
    )  # fmt: skip


def test_another_user_cannot_enter_rays_folder(running: Path) -> None:
    assert running.is_dir()
    assert "Permission denied" in as_another("/bin/ls", str(running)).stderr
    assert "Permission denied" in as_another("/bin/ls", str(running.parent)).stderr
    sockets = [path for path in running.rglob("*") if path.is_socket()]
    assert sockets
    connect = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    for path in sockets:
        refused = as_another("/usr/bin/python3", "-c", connect, str(path))
        assert "PermissionError" in refused.stderr


def test_the_token_is_in_no_file_and_no_command_line(running: Path) -> None:
    token = os.environ["RAY_AUTH_TOKEN"]
    assert len(token) >= 32
    for folder in (running, Path(os.environ["HOME"])):
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                assert token.encode() not in path.read_bytes(), path
    of_ray = psutil.Process().children(recursive=True)
    assert of_ray
    for process in of_ray:
        assert token not in " ".join(process.cmdline())
        shown = as_another("/bin/cat", f"/proc/{process.pid}/environ")
        assert "Permission denied" in shown.stderr


READ = """
import sys
from ray._raylet import GcsClient
print(GcsClient(address=sys.argv[1]).internal_kv_keys(b"", b"fun", timeout=10))
"""
"""Reads the names of pickled functions and classes, as somebody would who means to replace one."""


def test_without_the_token_ray_refuses(running: Path) -> None:
    address = ray.get_runtime_context().gcs_address
    assert address.startswith("127.0.0.1:")

    def read(**changed: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", READ, address]
        env = os.environ | changed
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    with_it = read()
    assert with_it.returncode == 0, with_it.stderr
    assert "RemoteFunction" in with_it.stdout
    for without in (read(RAY_AUTH_TOKEN="another"), read(RAY_AUTH_MODE="disabled")):
        assert without.returncode != 0
        assert "RemoteFunction" not in without.stdout
        assert "nauthenticated" in without.stderr


ASK = """
import json, sys, urllib.error, urllib.request
base, folder = sys.argv[1:]
create = json.dumps({"name": "theirs", "artifact_location": folder}).encode()
asked = [
    ("", None), ("ajax-api/2.0/mlflow/experiments/create", create), ("?token=guess", None),
    ("api/2.0/mlflow/experiments/search?max_results=5", None), ("static-files/x.js", None),
    ("get-artifact?path=secret.txt&run_uuid=0", None),
    ("api/2.0/mlflow-artifacts/artifacts/secret.txt", None),
    ("model-versions/get-artifact?path=secret.txt&name=x&version=1", None),
]
for path, body in asked:
    request = urllib.request.Request(base + path, body, {"Content-Type": "application/json"})
    try:
        print(path, urllib.request.urlopen(request, timeout=30).status)
    except urllib.error.HTTPError as refused:
        print(path, refused.code)
"""
"""Asks for what another user once got: an experiment in a folder of theirs, and files by MLflow."""


def test_another_user_gets_nothing_from_the_pages(uri: str, tmp_path: Path) -> None:
    command = subprocess.Popen(
        [sys.executable, "-m", "gan_tune.cli", "ui", "--port", "0", "--tracking-uri", uri],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert command.stdout is not None
        link = re.search(r"(http://127\.0\.0\.1:(\d+)/)\?token=([\w-]+)", command.stdout.readline())
        assert link is not None
        address, port, token = link.groups()
        server = psutil.Process(command.pid)
        family = [server, *server.children(recursive=True)]
        listening = [
            c.laddr.port for p in family for c in p.net_connections() if c.status == "LISTEN"
        ]
        assert listening == [int(port)]  # MLflow's own server has no port
        answers = as_another("/usr/bin/python3", "-c", ASK, address, "/tmp")
        codes = [line.split()[-1] for line in answers.stdout.splitlines()]
        assert codes == ["401"] * 8, answers
        assert token not in " ".join(server.cmdline())
        environment = as_another("/bin/cat", f"/proc/{server.pid}/environ")
        assert "Permission denied" in environment.stderr
    finally:
        command.send_signal(signal.SIGINT)
        command.wait(timeout=60)
