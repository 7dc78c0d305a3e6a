"""What lies in deploy/: closed to others, and fit for what it is to run."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import ray
import yaml
from compose_spec import PyCompose
from jsonschema import validate
from ray.autoscaler._private import docker
from ray.autoscaler._private.util import prepare_config, validate_config
from test_live import found

from gan_tune import service
from gan_tune.storage.places import RESULT
from gan_tune.storage.storage import open_storage

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"


def loaded(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DEPLOY / name).read_text())
    return read


def manifests() -> dict[str, dict[str, Any]]:
    """Kind → manifest, of all files for Kubernetes."""
    files = (DEPLOY / "kuberay").glob("*.yaml")
    found = [each for file in files for each in yaml.safe_load_all(file.read_text())]
    return {each["kind"]: each for each in found}


# -------------------------------------------------------------------- Ray's launcher


def test_the_launcher_takes_the_file_for_machines_of_ones_own() -> None:
    launch = loaded("cluster-local.yaml")
    schema = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    validate(launch, json.loads(schema.read_text()))
    full = prepare_config(copy.deepcopy(launch))
    validate_config(full)
    assert launch["provider"]["type"] == "local"
    begin = full["head_start_ray_commands"][-1]
    assert "--dashboard-host=127.0.0.1" in begin
    container = docker.docker_start_cmds(
        *("ubuntu", full["docker"]["image"], full["file_mounts"], "x"),
        *(full["docker"]["run_options"], full["cluster_name"], "/home/ray", "docker"),
    )
    read = "/run/secrets/ray_auth_token"
    sent = f"/tmp/ray_tmp_mount/{launch['cluster_name']}/run/gan-tune/ray_auth_token"
    assert "--env RAY_AUTH_MODE=token " in container
    assert f"--env RAY_AUTH_TOKEN_PATH={read} " in container
    assert f"--volume {sent}:{read}:ro " in container
    assert full["file_mounts"]["/run/gan-tune/ray_auth_token"] == "~/.ray/auth_token"


# -------------------------------------------------------------------- containers


def test_the_images_are_linted_and_run_as_no_root() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    linted = subprocess.run([hadolint, DEPLOY / "Dockerfile"], capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout + linted.stderr
    text = (DEPLOY / "Dockerfile").read_text()
    for stage in re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]:
        if re.match(r"base AS ", stage):  # a target: what runs is of user 1000
            users = re.findall(r"^USER (.+)$", stage, re.MULTILINE)
            assert users == ["1000:1000"], stage
    assert "RAY_AUTH_MODE=token" in text


def test_one_release_of_ray_everywhere() -> None:
    """The launcher, KubeRay and submitted jobs want the same on both sides."""
    images = [yaml.safe_load((ROOT / "cluster.yaml").read_text()), loaded("cluster-local.yaml")]
    found = {each["docker"]["image"].partition(":")[2].split("-")[0] for each in images}
    found |= set(re.findall(r"^ARG RAY_VERSION=(.+)$", (DEPLOY / "Dockerfile").read_text(), re.M))
    found |= {manifests()["RayCluster"]["spec"]["rayVersion"]}
    found |= {manifests()["RayJob"]["spec"]["rayClusterSpec"]["rayVersion"]}
    assert len(found) == 1
    assert found.pop().split(".")[:2] == ray.__version__.split(".")[:2]


def test_compose_publishes_on_loopback_alone_and_holds_no_password() -> None:
    compose = loaded("compose.yaml")
    services = compose["services"]
    ports = [port for each in services.values() for port in each.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
    ray_head = services["ray"]
    assert ray_head["environment"]["RAY_AUTH_MODE"] == "token"
    (secret,) = ray_head["secrets"]
    assert ray_head["environment"]["RAY_AUTH_TOKEN_PATH"] == f"/run/secrets/{secret}"
    assert compose["secrets"][secret] == {"file": "~/.ray/auth_token"}
    for each in services.values():
        assert not each["image"].endswith(":latest")
        assert each.get("privileged") is None
        assert each.get("network_mode") is None
    text = (DEPLOY / "compose.yaml").read_text()
    given = set(re.findall(r"\$\{(\w+)", text))
    assert {line.partition("=")[0] for line in _settings("example.env")} == given
    assert all(line.endswith("=") for line in _settings("example.env"))


def test_compose_is_valid_by_its_specification() -> None:
    compose = loaded("compose.yaml")
    PyCompose.from_json(json.dumps(compose)).validate()
    compose["services"]["ray"]["imagee"] = "x"
    with pytest.raises(ValueError, match="imagee"):
        PyCompose.from_json(json.dumps(compose))


def _settings(name: str) -> Iterator[str]:
    for line in (DEPLOY / name).read_text().splitlines():
        if line and not line.startswith("#"):
            yield line


# -------------------------------------------------------------------- Kubernetes


def _for_kubernetes() -> Iterator[dict[str, Any]]:
    """Whatever Kubernetes' own schemas describe: of KubeRay's kinds the pods."""
    for kind, manifest in manifests().items():
        if kind not in ("RayCluster", "RayJob"):
            yield manifest
            continue
        cluster = manifest["spec"].get("rayClusterSpec", manifest["spec"])
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": {}, **group["template"]}


def test_the_manifests_are_valid_by_the_schemas_of_kubernetes() -> None:
    version = kubernetes_validate.latest_version()
    found = list(_for_kubernetes())
    assert [each["kind"] for each in found].count("Pod") == 4
    for manifest in found:
        kubernetes_validate.validate(manifest, version, strict=True)
    pod = next(each for each in found if each["kind"] == "Pod")
    pod["spec"]["containers"][0]["imagee"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError, match="imagee"):
        kubernetes_validate.validate(pod, version, strict=True)


@pytest.mark.parametrize("kind", ["RayCluster", "RayJob"])
def test_a_cluster_on_kubernetes_is_closed_and_grows(kind: str) -> None:
    spec = manifests()[kind]["spec"]
    cluster = spec["rayClusterSpec"] if kind == "RayJob" else spec
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["enableInTreeAutoscaling"] is True
    head, (workers,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert head["serviceType"] == "ClusterIP"
    assert head["rayStartParams"] == {"num-cpus": "0", "num-gpus": "0"}
    assert workers["minReplicas"] == 0 < workers["maxReplicas"]
    for group in (head, workers):
        pod = group["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        (container,) = pod["containers"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["resources"]["limits"]["memory"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert "runs" in mounted
        assert mounted == {volume["name"] for volume in pod["volumes"]}
    (worker,) = workers["template"]["spec"]["containers"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert workers["template"]["spec"]["automountServiceAccountToken"] is False


def test_only_ray_and_its_operator_reach_the_pods() -> None:
    spec = manifests()["NetworkPolicy"]["spec"]
    pods = {"matchExpressions": [{"key": "ray.io/cluster", "operator": "Exists"}]}
    assert spec["podSelector"] == pods
    assert spec["policyTypes"] == ["Ingress"]
    each_other, operator = spec["ingress"]
    assert each_other == {"from": [{"podSelector": pods}]}
    assert operator["ports"] == [{"protocol": "TCP", "port": 8265}]


def test_a_retried_job_goes_on_by_name(tmp_path: Path) -> None:
    kinds = manifests()
    job = kinds["RayJob"]["spec"]
    assert job["entrypoint"] == "bash /etc/gan-tune/search.sh"
    data = kinds["ConfigMap"]["data"]
    assert "--name $name --storage" in data["search.sh"]
    assert job["backoffLimit"] > 0
    file = tmp_path / "space.yaml"
    file.write_text(data[file.name])
    space = service.load_space(file, check_data=False)
    assert isinstance(space.resources.gpu, float)  # `auto` waits for no node
    assert space.warnings == ()


@pytest.mark.parametrize(
    ("ended", "finished", "code"),
    [(0, True, 0), (130, False, 0), (1, True, 0), (1, False, 1), (1, None, 1), (2, None, 2)],
)
def test_a_job_fails_only_where_another_cluster_may_help(
    tmp_path: Path, ended: int, finished: bool | None, code: int
) -> None:
    script, command = tmp_path / "search.sh", tmp_path / "bin" / "gan-tune"
    script.write_text(manifests()["ConfigMap"]["data"]["search.sh"])
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\necho "$@"\nexit {ended}\n')
    command.chmod(0o755)
    if finished is not None:
        home = open_storage(tmp_path / "runs" / "digits")
        home.write_json(RESULT, found(finished=finished).to_json())
    run = subprocess.run(
        ["bash", script],
        env={
            "PATH": f"{command.parent}:{os.environ['PATH']}",
            "GAN_TUNE_RUNS": str(tmp_path / "runs"),
        },
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert run.returncode == code
    assert f"--name digits --storage {tmp_path / 'runs'}" in run.stdout


# -------------------------------------------------------------------- SLURM


def test_the_script_for_slurm_refuses_what_it_cannot_run() -> None:
    script = DEPLOY / "slurm" / "search.sbatch"
    refused = subprocess.run(["bash", script], capture_output=True, text=True, timeout=20)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: must be given a space and a name")
    assert "RAY_AUTH_MODE=token" in script.read_text()
