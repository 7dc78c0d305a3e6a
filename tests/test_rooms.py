"""The house: imports go down only, and the light ones stay light."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import pickle
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import grimp
import pytest
from conftest import trial_tree
from cpu_time import cpu_seconds

import gan_tune
from gan_tune import service
from gan_tune.config import TrialConfig
from gan_tune.parts.all_parts import catalogue, dataset_of

PACKAGE = Path(gan_tune.__file__).parent
HEAVY = ("ray", "optuna", "mlflow")
SCRIPTS = "draw_with_"
"""What the scripts of a pulled folder begin with; they are no modules."""


def modules(*folders: str) -> list[str]:
    found = []
    for folder in folders:
        path = PACKAGE / folder
        files = [path.with_suffix(".py")] if not path.is_dir() else sorted(path.rglob("*.py"))
        for file in files:
            if file.name.startswith(SCRIPTS):
                continue
            parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
            found.append(".".join(parts).removesuffix(".__init__"))
    return found


def imported_by(*names: str) -> set[str]:
    """Which of the heavy modules, or torch, a fresh process has after importing ``names``."""
    script = f"""
import sys
for name in {names!r}:
    __import__(name)
print(*[m for m in {(*HEAVY, "torch")!r} if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


LOWER = modules(
    "errors", "words", "config", "space", "data", "samples", "metrics", "gan", "model", "storage"
)


@pytest.mark.ci
def test_the_lower_floors_import_neither_ray_nor_optuna_nor_mlflow() -> None:
    assert len(LOWER) > 30
    assert imported_by(*LOWER) <= {"torch"}


@pytest.mark.parametrize("folders", [("errors", "words", "config"), ("space",)], ids=str)
def test_config_and_space_need_no_torch(folders: tuple[str, ...]) -> None:
    assert imported_by(*modules(*folders)) == set()


def test_imports_go_down_only() -> None:
    """The contracts in pyproject.toml: each room uses what is below it, and one room a library."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


def test_no_two_files_import_each_other_by_any_way_round() -> None:
    """Within a room, too, and for types: the files have an order."""
    graph = grimp.build_graph("gan_tune", cache_dir=None)
    face = {"gan_tune"}  # it names what users import, and loads nothing
    above = {
        module: graph.find_modules_directly_imported_by(module) - face
        for module in graph.modules - face
    }
    assert len(above) > 150
    TopologicalSorter(above).prepare()  # raises CycleError, which names the circle


def test_files_and_classes_are_of_a_size_to_be_read() -> None:
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text()
        assert len(text.splitlines()) <= 400, file
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                most = 150 if node.name == "Game" else 250
                assert lines <= most, f"{file}: {node.name} has {lines} lines"


def test_every_exported_name_is_there() -> None:
    for file in PACKAGE.rglob("*.py"):
        if file.name.startswith(SCRIPTS):
            continue
        dotted = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        module = importlib.import_module(dotted.removesuffix(".__init__").removesuffix(".__main__"))
        for name in getattr(module, "__all__", ()):
            assert hasattr(module, name), f"{dotted}: {name}"


RING = {"name": "ring", "size": 500, "scale": "symmetric"}


@pytest.mark.ci
@pytest.mark.parametrize(
    ("data", "output", "deterministic"),
    [(RING, "tanh", False), (RING, "tanh", True), ({"name": "digits"}, "sigmoid", False)],
)
def test_training_does_not_import_the_compiler(
    tmp_path: Path, data: dict[str, Any], output: str, deterministic: bool
) -> None:
    """It takes over a second, of each worker; so would torchvision, which imports it."""
    generator = {"name": "mlp", "latent": 2, "output": output}
    tree = trial_tree(data=data, generator=generator, deterministic=deterministic)
    config = TrialConfig.from_tree(tree, catalogue())
    given = tmp_path / "config"
    given.write_bytes(pickle.dumps((config, dataset_of(config.data))))
    script = f"""
import pickle, sys
from pathlib import Path
from typing import Any
import gan_tune.searching.on_ray.trainable
from gan_tune.gan.training import train
from gan_tune.metrics import build_judge
config, dataset = pickle.loads(Path({str(given)!r}).read_bytes())
report = next(train(config, dataset, build_judge(dataset, "selection")))
needless = ("torch._dynamo", "torch._inductor", "torchvision", "sympy")
print(report.step, *[name for name in needless if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == [str(config.report_steps[0])], done.stderr


@pytest.mark.ci
def test_reading_a_space_of_small_networks_does_not_import_the_compiler() -> None:
    """It takes a second of a search's start; PyTorch's meta device imports it."""
    script = """
import sys
from gan_tune.service import load_space
load_space("digits")
print(*[name for name in ("torch._dynamo", "torch.export.pt2_archive") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, []), done.stderr


def test_importing_the_package_is_light() -> None:
    assert imported_by("gan_tune") == set()
    bare, ours = (
        cpu_seconds([sys.executable, "-c", program]) for program in ("pass", "import gan_tune")
    )
    assert ours - bare < 0.3


def test_every_public_name_is_there() -> None:
    for name in gan_tune.__all__:
        assert getattr(gan_tune, name).__name__ == name
    assert "search" in dir(gan_tune)
    importlib.import_module("gan_tune.searching.leading.conductor")
    assert callable(gan_tune.search), "a sub-package of that name would hide the function"
    with pytest.raises(AttributeError, match="gan_tune attribute seach"):
        _ = gan_tune.seach


def test_a_command_of_the_service_is_a_function_though_its_file_has_the_same_name() -> None:
    for name in ("best", "estimate", "generate", "look", "report", "schema", "search", "status"):
        module = importlib.import_module(f"gan_tune.service.{name}")
        assert getattr(service, name) is getattr(module, name)
    assert all(hasattr(service, name) for name in service.__all__)


def test_the_version_is_the_installed_one() -> None:
    try:
        installed = importlib.metadata.version("gan-tune")
    except importlib.metadata.PackageNotFoundError:
        pytest.fail("run the tests on an installed package: pip install -e '.[test]'")
    assert installed == gan_tune.__version__
