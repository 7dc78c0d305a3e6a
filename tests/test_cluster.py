"""Ray: a search over two nodes, what is said when there is no cluster, and the launcher's file."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from jsonschema import ValidationError, validate
from mlflow import MlflowClient
from ray.autoscaler._private import docker
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.sdk import get_docker_host_mount_location
from ray_nodes import environment_of, free_port, kill_session, start_node

import gan_tune
from gan_tune.cluster import connection as cluster
from gan_tune.errors import ClusterError
from gan_tune.space import Resources

ROOT = Path(__file__).parents[1]


# -------------------------------------------------------------------- two nodes


@dataclass(frozen=True)
class Nodes:
    """A cluster of two nodes with a CPU each, as two machines would be."""

    address: str
    folder: Path
    """Where both keep what is theirs, logs among it."""


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """With token authentication; the project is neither the nodes' folder nor on their path."""
    folder = Path(tempfile.mkdtemp(prefix="gt-", dir="/tmp"))  # short, since sockets lie in it
    (folder / "empty").mkdir()
    port = free_port()
    here = f"127.0.0.1:{port}"
    started: list[subprocess.Popen[bytes]] = []
    try:
        started.append(start_node(folder, "head", f"--port={port}", "--include-dashboard=false"))
        started.append(start_node(folder, "node", f"--address={here}"))
        yield Nodes(here, folder)
    finally:
        for process in started:
            kill_session(process)
        shutil.rmtree(folder, ignore_errors=True)


def _run(code: str, folder: Path, *args: str, **environment: str | None) -> tuple[str, str]:
    """What a process in a folder says on stdout and stderr."""
    path = str(Path(gan_tune.__file__).parents[1])
    process = subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=folder,
        env=environment_of(folder, PYTHONPATH=path, **environment),
        capture_output=True,
        text=True,
        timeout=200,
    )
    return process.stdout, process.stderr


# -------------------------------------------------------------------- a search over both

SPACE: dict[str, Any] = {
    "name": "tiny",
    "objective": {"metric": "frechet_distance", "mode": "min"},
    "budget": {"trials": 4, "steps": 60, "evaluations": 3},
    "search": {"sampler": "random", "seed": 1},
    "confirm": {"top": 1, "seeds": 1},
    "trial": {
        "collapse": "none",  # too short to learn the data
        "data": {"name": "digits", "batch_size": 32},
        "generator": {"name": "my_parts:TinyGenerator", "latent": 8, "width": {"int": [8, 16]}},
        "discriminator": {"name": "mlp", "hidden": [16]},
        "loss": "non_saturating",
        "generator_optimizer": {"name": "adam", "lr": {"log_uniform": [1e-4, 1e-2]}},
        "discriminator_optimizer": {"name": "adam", "lr": 1e-3},
    },
}

MY_PARTS = '''
"""A person's own generator. Each worker notes where it is, and the first waits for the second."""

import json, math, os, pathlib, time
import gan_tune, ray, torch

NOTES = pathlib.Path({notes!r})


class TinyGenerator(torch.nn.Sequential):
    def __init__(self, shape, latent: int = 8, width: int = 16):
        super().__init__(
            torch.nn.Linear(latent, width), torch.nn.ReLU(),
            torch.nn.Linear(width, math.prod(shape)), torch.nn.Sigmoid(),
            torch.nn.Unflatten(1, tuple(shape)),
        )
        if ray.is_initialized() and ray.get_runtime_context().get_actor_id():
            node = ray.get_runtime_context().get_node_id()
            paths = [gan_tune.__file__, __file__, os.getcwd()]
            (NOTES / (node + ".json")).write_text(json.dumps(paths))
            deadline = time.monotonic() + 60
            while len(list(NOTES.glob("*.json"))) < 2 and time.monotonic() < deadline:
                time.sleep(0.1)
'''

SEARCH = """
import json, sys
from gan_tune.service import search

space, storage, address, uri = sys.argv[1:]
result = search(json.loads(space), storage=storage, address=address, tracking_uri=uri)
print(json.dumps(result.to_json()))
"""


@pytest.mark.ci
def test_a_search_over_two_nodes(nodes: Nodes, tmp_path: Path) -> None:
    for name in ("project", "shared", "notes"):
        (tmp_path / name).mkdir()
    (tmp_path / "project" / "my_parts.py").write_text(
        MY_PARTS.replace("{notes!r}", repr(str(tmp_path / "notes")))
    )
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    out, err = _run(
        SEARCH,
        tmp_path / "project",
        *(json.dumps(SPACE), str(tmp_path / "shared"), nodes.address, uri),
    )
    assert out, err
    result = json.loads(out.splitlines()[-1])
    assert result["finished"], err

    notes = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "notes").iterdir()}
    assert len(notes) == 2, "both nodes must have run trials"
    for paths in notes.values():  # all of it came by Ray, nothing from this checkout
        assert all(Path(path).is_relative_to(nodes.folder.resolve()) for path in paths), paths

    trials = _trial_outcomes(uri)
    assert sum(result["outcomes"].values()) == 4
    assert {f"{number:04d}" for number in range(4)} <= set(trials)
    assert set(trials.values()) <= {"completed", "pruned", "diverged", "collapsed"}
    searched = Counter(trials[f"{number:04d}"] for number in range(4))
    assert searched == Counter(result["outcomes"])
    champion = MlflowClient(uri).get_model_version_by_alias(result["model"], "champion")
    assert int(champion.version) == result["model_version"]
    assert [p.name for p in (tmp_path / "shared").glob(".node-*")] == []


def _trial_outcomes(uri: str) -> dict[str, str]:
    client = MlflowClient(uri)
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiments)
    tags = [run.data.tags for run in runs if "gan_tune.trial" in run.data.tags]
    assert all(run.info.status != "RUNNING" for run in runs)
    return {each["gan_tune.trial"]: each["gan_tune.outcome"] for each in tags}


# -------------------------------------------------------------------- joining

JOIN = """
import json, logging, os, sys, time
import ray
from gan_tune.errors import GanTuneError
from gan_tune.cluster.connection import connected, slots
from gan_tune.storage.storage import open_storage
from gan_tune.space import Resources

logging.basicConfig(format="%(message)s")
address, storage, resources = sys.argv[1:]
began = time.monotonic()
try:
    with connected(address or None, open_storage(storage), cpus=2):
        print("env", json.dumps(ray.get_runtime_context().runtime_env.get("env_vars")))
        @ray.remote
        def loud():
            print("loud")
        ray.get(loud.remote())
        for each in json.loads(resources):
            print("slots", slots(Resources(**{"gpu": 0, **each}), None))
except GanTuneError as error:
    print(type(error).__name__, error)
print("seconds", time.monotonic() - began)
"""


def _join(
    folder: Path, address: str = "", *resources: Mapping[str, float], **environment: str | None
) -> tuple[list[str], str]:
    """What a process prints that joins (its seconds, on the last line, checked), and its stderr."""
    (folder / "joins").mkdir(exist_ok=True)
    storage = str(folder / "shared")
    out, err = _run(JOIN, folder / "joins", address, storage, json.dumps(resources), **environment)
    lines = out.splitlines()
    assert lines, err
    word, seconds = lines.pop().split()
    assert word == "seconds"
    if lines[0].startswith("ClusterError"):
        assert len(lines) == 1
        assert float(seconds) < 20  # half of it is for slow machines
    return lines, err


PLACES = """
import sys
import ray
from gan_tune.cluster.connection import connected
from gan_tune.cluster.hardware import nodes_by
from gan_tune.searching.on_ray.tuning import _placement
from gan_tune.space import Resources
from gan_tune.storage.storage import open_storage
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

with connected(sys.argv[1], open_storage(sys.argv[2])):
    better = sorted(node["NodeID"] for node in ray.nodes())[0]
    able = lambda: ray.get_runtime_context().get_node_id() == better
    lacking, having = nodes_by(able, Resources(gpu=0))
    print("asked", len(lacking), list(having) == [better])
    group = _placement(Resources(gpu=0), lacking).to_placement_group()
    ray.get(group.ready(), timeout=60)
    there = PlacementGroupSchedulingStrategy(group, 0)
    asked = ray.remote(able).options(num_cpus=1, scheduling_strategy=there).remote()
    print("placed", ray.get(asked))
    second = _placement(Resources(gpu=0), lacking).to_placement_group()
    print("no other", second.wait(2))
"""


BLIND = """
import sys
import ray
from gan_tune.cluster import connection
from gan_tune.errors import StorageError
from gan_tune.storage.storage import open_storage


class Mounted:
    '''A storage whose share some nodes lack.'''

    def __init__(self, storage, blind):
        self.uri, self.storage, self.blind = storage.uri, storage, blind

    def write(self, path, content):
        if ray.get_runtime_context().get_node_id() in self.blind:
            raise StorageError("no share is mounted")
        self.storage.write(path, content)

    def read(self, path):
        return self.storage.read(path)

    def delete(self, path):
        self.storage.delete(path)


storage = open_storage(sys.argv[2])
with connection.connected(sys.argv[1], storage):
    nodes = sorted(node["NodeID"] for node in ray.nodes())
    for blind in (nodes[:1], nodes):
        try:
            connection._check_shared(Mounted(storage, blind))
            print(len(blind), "taken", storage.names())
        except StorageError as error:
            print(len(blind), "refused", error)
"""


@pytest.mark.ci
def test_a_node_without_the_storage_is_named_and_the_search_begins_beside_it(
    nodes: Nodes, tmp_path: Path
) -> None:
    out, err = _run(BLIND, tmp_path, nodes.address, str(tmp_path / "shared"))
    taken, refused = out.splitlines() or [err, ""]
    assert taken == "1 taken []"
    fault = r"storage: node \S+ must be able to write \S+: no share is mounted"
    assert re.search(f"^a node is of no use to this search: {fault}$", err, re.M)
    assert re.fullmatch(f"2 refused {fault}", refused)


@pytest.mark.ci
def test_a_node_that_lacks_something_gets_no_trial(nodes: Nodes, tmp_path: Path) -> None:
    out, err = _run(PLACES, tmp_path, nodes.address, str(tmp_path / "shared"))
    assert out.splitlines() == ["asked 1 True", "placed True", "no other False"], err


@pytest.mark.ci
def test_a_local_ray_is_quiet_and_holds_what_it_can(tmp_path: Path) -> None:
    no_token = {"RAY_AUTH_MODE": None, "RAY_AUTH_TOKEN": None}
    lines, err = _join(tmp_path, "local", {"cpu": 0.5}, {"cpu": 3}, **no_token)
    assert lines == [
        "env null",
        "slots 4",
        "ClusterError resources: one trial needs cpu: 3, gpu: 0, but no node has that; the most "
        "there is: cpu: 2, gpu: 0",
    ]
    assert err == ""


LISTEN = """
import json, sys
import psutil, ray
from gan_tune.cluster.connection import connected
from gan_tune.storage.storage import open_storage

with connected("local", open_storage(sys.argv[1]), cpus=1):
    @ray.remote
    def work():
        return 1
    ray.get(work.remote())
    mine = psutil.Process()
    ours = [mine, *mine.children(recursive=True)]
    found = [c.laddr.ip for p in ours for c in p.net_connections() if c.status == "LISTEN"]
# gRPC writes IPv4 addresses as IPv6 has them.
print(json.dumps([len(ours), [ip.removeprefix("::ffff:") for ip in found]]))
"""


@pytest.mark.ci
def test_a_local_ray_listens_on_loopback_alone(tmp_path: Path) -> None:
    out, err = _run(LISTEN, tmp_path, str(tmp_path), RAY_AUTH_MODE=None, RAY_AUTH_TOKEN=None)
    assert out, err
    processes, addresses = json.loads(out)
    assert processes > 2
    assert addresses
    assert {address for address in addresses if not ip_address(address).is_loopback} == set()


SAID = """
import logging, time, ray
from ray._private import utils, worker
from gan_tune.cluster.connection import connected

heard = []

class Hearing(logging.Handler):
    def emit(self, record):
        heard.append(record.getMessage())

logging.getLogger("gan_tune").addHandler(Hearing())
logging.getLogger("gan_tune").setLevel(logging.DEBUG)
with connected("local", None, cpus=1):
    until = time.monotonic() + 60
    while not heard and time.monotonic() < until:  # what comes before Ray listens is lost
        utils.publish_error_to_driver("dead", "a raylet died", worker.global_worker.gcs_client)
        time.sleep(0.2)
print(*set(heard))
"""


@pytest.mark.ci
def test_what_ray_says_of_the_dead_is_logged_and_not_shown(tmp_path: Path) -> None:
    out, err = _run(SAID, tmp_path, RAY_AUTH_MODE=None, RAY_AUTH_TOKEN=None)
    assert (out, err) == ("Ray: a raylet died\n", "")


COLLECTED = """
import gc, threading, ray
from gan_tune.cluster.connection import connected

def make_garbage():
    while ray.is_initialized():
        pass
    while references and not left:
        cycle = [references.pop()]
        cycle.append(cycle)
        del cycle
        [[] for _ in range(3)]  # what counts towards the next collection

left = []
with connected("local", None, cpus=1):
    one = ray.put(1)
    references = [ray.ObjectRef(one.binary()) for _ in range(300_000)]
    gc.set_threshold(10, 1, 1)
    thread = threading.Thread(target=make_garbage)
    thread.start()
left.append(True)
thread.join()
print(gc.isenabled(), ray.is_initialized())
"""


@pytest.mark.ci
def test_garbage_of_other_threads_does_not_end_the_process_that_leaves_ray(tmp_path: Path) -> None:
    out, err = _run(COLLECTED, tmp_path, RAY_AUTH_MODE=None, RAY_AUTH_TOKEN=None)
    assert (out, err) == ("True False\n", "")


@pytest.mark.ci
def test_the_environment_names_the_cluster_and_a_job_keeps_its_own(
    nodes: Nodes, tmp_path: Path
) -> None:
    """Also where `ray job submit` gave a working folder, too, which Ray refuses by itself."""
    job = {"runtime_env": {"working_dir": "gcs://_ray_pkg_0.zip", "env_vars": {"A": "1"}}}
    environment = {
        "RAY_ADDRESS": nodes.address,
        "RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps(job),
        **_large_folder(tmp_path),
    }
    (tmp_path / "joins" / ".rayignore").write_text("*.bin\n")
    lines, err = _join(tmp_path, "", {"cpu": 1}, {"cpu": 1, "gpu": 0.5}, **environment)
    assert lines == ['env {"A": "1"}', "slots 2", "slots 1"], err
    assert err.count("\n") == 1  # a cluster that is not ours may grow
    assert "waiting for the cluster to grow" in err


@pytest.mark.ci
@pytest.mark.parametrize(
    "token",
    [
        {"RAY_AUTH_TOKEN": "wrong" * 8},
        {"RAY_AUTH_TOKEN": None},
        {"RAY_AUTH_TOKEN": None, "RAY_AUTH_MODE": None},
    ],
    ids=["wrong", "none", "nothing set"],
)
def test_another_token(nodes: Nodes, tmp_path: Path, token: dict[str, str | None]) -> None:
    lines, err = _join(tmp_path, nodes.address, **token)
    assert lines[0].startswith("ClusterError --address: ")
    assert "it wants another token: set RAY_AUTH_MODE=token" in lines[0]
    assert err == ""


def _large_folder(folder: Path) -> dict[str, str]:
    """A working folder above Ray's limit, which an environment lowers from half a gigabyte."""
    (folder / "joins").mkdir()
    (folder / "joins" / "faces.bin").write_bytes(os.urandom(6 * 2**20))
    return {"RAY_max_grpc_message_size": str(4 * 2**20)}


@pytest.mark.ci
def test_a_working_folder_too_large_to_travel(nodes: Nodes, tmp_path: Path) -> None:
    lines, err = _join(tmp_path, nodes.address, **_large_folder(tmp_path))
    assert lines[0].startswith("ClusterError working folder: at most 4.00MiB of it can travel")
    assert err == ""


@pytest.mark.ci
def test_a_port_where_something_else_answers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        lines, err = _join(tmp_path, f"127.0.0.1:{server.getsockname()[1]}")
    assert lines[0].endswith("what listens there does not answer as Ray does")
    assert err == ""


@pytest.mark.parametrize(
    ("address", "rule", "exit_code"),
    [
        ("127.0.0.1:1", "Connection refused", 1),
        ("nowhere.invalid:6379", "nowhere.invalid", 2),
        ("10.0.0.1", "must be HOST:PORT", 2),
        (":6379", "must be HOST:PORT", 2),
        ("host:port", "must be HOST:PORT", 2),
        ("ray://127.0.0.1:10001", "gan-tune submit", 2),
        ("http://127.0.0.1:8265", "gan-tune submit", 2),
    ],
)
def test_addresses_of_no_cluster(address: str, rule: str, exit_code: int) -> None:
    began = time.monotonic()
    with pytest.raises(ClusterError) as caught, cluster.connected(address, None):  # type: ignore[arg-type]
        pass
    assert time.monotonic() - began < 10
    assert caught.value.exit_code == exit_code
    text = str(caught.value)
    assert text.startswith("--address: ")
    assert rule in text
    assert address in text
    assert "\n" not in text
    assert not ray.is_initialized()


def test_auto_where_there_is_no_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other clusters of this machine are kept out of sight: Ray would find their processes."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    hidden = "import psutil\npsutil.process_iter = lambda *_: []\n"
    monkeypatch.setattr(cluster, "_TRIAL_JOIN", hidden + cluster._TRIAL_JOIN)
    with pytest.raises(ClusterError) as caught, cluster.connected("auto", None):  # type: ignore[arg-type]
        pass
    assert "'auto': Could not find any running Ray instance" in str(caught.value)
    assert "\n" not in str(caught.value)


# -------------------------------------------------------------------- slots


@pytest.mark.parametrize(
    ("machines", "resources", "limit", "expected"),
    [
        ([{"CPU": 4}], Resources(gpu=0), None, 4),
        ([{"CPU": 4}, {"CPU": 2}], Resources(gpu=0), None, 6),
        ([{"CPU": 4}], Resources(gpu=0), 3, 3),
        ([{"CPU": 4}], Resources(gpu=0), 9, 4),
        ([{"CPU": 3}, {"CPU": 3}], Resources(cpu=2, gpu=0), None, 2),
        ([{"CPU": 3}], Resources(cpu=0.1, gpu=0), None, 30),
        ([{"CPU": 0}, {"CPU": 8, "GPU": 2}], Resources(gpu=0.4), None, 4),
        ([{"CPU": 99, "GPU": 1}], Resources(gpu=0.1), None, 10),
        ([{"CPU": 8, "GPU": 5}], Resources(gpu=2), None, 2),
        ([{"CPU": 3, "GPU": 8}], Resources(gpu=0.5), None, 3),
        ([{"CPU": 8}], Resources(gpu=1), None, 1),
        ([], Resources(gpu=0), 16, 16),
    ],
)
def test_slots(
    monkeypatch: pytest.MonkeyPatch,
    machines: list[dict[str, float]],
    resources: Resources,
    limit: int | None,
    expected: int,
) -> None:
    alive = [
        {"Alive": True, "NodeID": str(number), "Resources": machine}
        for number, machine in enumerate(machines)
    ]
    dead = {"Alive": False, "NodeID": "dead", "Resources": {"CPU": 64, "GPU": 8}}
    left_out = {"Alive": True, "NodeID": "out", "Resources": {"CPU": 32, "GPU": 4}}
    leaving = {**left_out, "NodeID": "leaving"}
    monkeypatch.setattr(ray, "nodes", lambda: [dead, left_out, leaving, *alive])
    monkeypatch.setattr(cluster, "draining_nodes", lambda: {"leaving"})
    assert cluster.slots(resources, limit, without={"out"}) == expected


# -------------------------------------------------------------------- cluster.yaml


@pytest.fixture
def launch() -> dict[str, Any]:
    """cluster.yaml as Ray's launcher reads it."""
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    return loaded


def _faults(launch: dict[str, Any]) -> list[str]:
    """What about a launcher's file is open to others, or brings nobody any work."""
    full = prepare_config(copy.deepcopy(launch))
    node_types = full["available_node_types"]
    head, workers = full["head_node_type"], set(node_types) - {full["head_node_type"]}
    begin = " ".join(full["head_start_ray_commands"])
    container = docker.docker_start_cmds(
        *("ubuntu", full["docker"]["image"], full["file_mounts"], "x"),
        *(full["docker"]["run_options"], full["cluster_name"], "/home/ray", "docker"),
    )
    path, read = "/run/gan-tune/ray_auth_token", "/run/secrets/ray_auth_token"
    sent = get_docker_host_mount_location(full["cluster_name"])
    text = json.dumps(full)
    held = {
        "the head runs trials": node_types[head]["resources"] == {"CPU": 0, "GPU": 0}
        and "--num-cpus=0" in begin
        and "--num-gpus=0" in begin,
        "idle workers stay": all(node_types[name]["min_workers"] == 0 for name in workers),
        "workers have no limit": all(
            0 < node_types[name]["max_workers"] <= full["max_workers"] for name in workers
        ),
        "workers have no GPU": all(node_types[name]["resources"]["GPU"] for name in workers),
        "the dashboard is open": "--dashboard-host=127.0.0.1" in begin and "0.0.0.0" not in text,
        "a port is open": "IpPermissions" not in text and "GroupName" in text,
        "no token is asked for": "--env RAY_AUTH_MODE=token " in container,
        "the token is not read": f"--env RAY_AUTH_TOKEN_PATH={read} " in container,
        "the token can be written": f"--volume {sent}{path}:{read}:ro " in container,
        "the token does not travel": full["file_mounts"].get(path) == "~/.ray/auth_token",
        "the token is in the file": "RAY_AUTH_TOKEN=" not in text,
        "disks are in the clear": text.count('"Encrypted": true') == len(node_types),
        "usage is reported": "RAY_USAGE_STATS_ENABLED=0" in container
        and all("--disable-usage-stats" in full[f"{role}_start_ray_commands"][-1]
                for role in ("head", "worker")),
        "the head does not grow": "--autoscaling-config=~/ray_bootstrap_config.yaml" in begin,
        "gan-tune is not installed": "gan-tune" in " ".join(full["setup_commands"]),
    }  # fmt: skip
    return [fault for fault, fine in held.items() if not fine]


def test_the_launcher_takes_the_file(launch: dict[str, Any]) -> None:
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    validate(launch, json.loads(schema.read_text()))
    validate_config(prepare_config(copy.deepcopy(launch)))
    with pytest.raises(ValidationError):
        validate_config(prepare_config(launch | {"workers": 3}))


def test_the_image_is_of_the_ray_that_is_tested(launch: dict[str, Any]) -> None:
    """The launcher wants one Ray on both sides."""
    version = launch["docker"]["image"].partition(":")[2].split("-")[0]
    assert version.split(".")[:2] == ray.__version__.split(".")[:2]


def test_the_cluster_is_closed(launch: dict[str, Any]) -> None:
    assert _faults(launch) == []


def _weakened(launch: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    text = json.dumps(launch)
    assert old in text
    weaker: dict[str, Any] = json.loads(text.replace(old, new))
    return weaker


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "the dashboard is open"),
        ("--dashboard-host=127.0.0.1", "", "the dashboard is open"),
        ("--num-cpus=0", "", "the head runs trials"),
        ('"resources": {"CPU": 0', '"resources": {"CPU": 2', "the head runs trials"),
        ("RAY_AUTH_MODE=token", "RAY_AUTH_MODE=disabled", "no token is asked for"),
        ("ray_auth_token:ro", "ray_auth_token", "the token can be written"),
        ("~/.ray/auth_token", "~/token", "the token does not travel"),
        ("RAY_AUTH_TOKEN_PATH=/run", "RAY_AUTH_TOKEN=/run", "the token is in the file"),
        ('"GroupName": "gan-tune"', '"GroupName": "x", "IpPermissions": []', "a port is open"),
        ('"min_workers": 0', '"min_workers": 1', "idle workers stay"),
        ('"max_workers": 8, "resources"', '"max_workers": 9, "resources"', "workers have no limit"),
        ('"Encrypted": true', '"Encrypted": false', "disks are in the clear"),
        ("--disable-usage-stats", "", "usage is reported"),
    ],
)
def test_each_weakness_would_be_found(
    launch: dict[str, Any], old: str, new: str, fault: str
) -> None:
    assert fault in _faults(_weakened(launch, old, new))


def test_ray_s_own_commands_would_be_open(launch: dict[str, Any]) -> None:
    del launch["head_start_ray_commands"]
    assert "the dashboard is open" in _faults(launch)


def test_only_what_is_needed_travels() -> None:
    """What the package ships is never left out, a folder of runs always."""
    from ray._private.runtime_env.packaging import _get_excludes

    package = Path(gan_tune.__file__).parent
    left_out = _get_excludes(package, cluster.NOT_SENT)
    files = [
        path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    assert files
    assert [path for path in files if left_out(path)] == []
    for name in ("gan_tune_runs", "mlruns", "mlflow.db", "mlflow.db-wal", ".git", ".venv", ".env"):
        assert left_out(package / name), name
