"""Each benchmark runs as a script and as a module, from wherever it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(p.stem for p in FOLDER.glob("*.py") if "__main__" in p.read_text())


def ran(*command: str, folder: Path) -> str:
    """What a command printed; a process of its own, without what pytest put on the path."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


HELP = """
import os, runpy, sys, traceback
import mlflow, optuna, ray, sklearn, torch, gan_tune.service  # imported once: they take seconds
folder, root, out, *names = sys.argv[1:]
for name in names:
    for how in ("script", "module"):
        child = os.fork()
        if not child:
            code = 1
            sys.argv = [f"{name}.py", "--help"]
            sys.path[0] = folder if how == "script" else root
            try:
                with open(f"{out}/{name}.{how}", "w") as sys.stdout:
                    if how == "script":
                        runpy.run_path(f"{folder}/{name}.py", run_name="__main__")
                    else:
                        runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
            except SystemExit as end:
                code = end.code or 0
            except BaseException:
                traceback.print_exc()
            os._exit(code)
        assert os.waitpid(child, 0)[1] == 0, (name, how)
"""


@pytest.fixture(scope="module")
def helps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each benchmark prints for `--help`, by its name and how it was run."""
    out = tmp_path_factory.mktemp("helps")
    ran("-c", HELP, str(FOLDER), str(ROOT), str(out), *SCRIPTS, folder=out)
    return out


@pytest.mark.ci
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_benchmark_runs_as_a_script_and_as_a_module(name: str, helps: Path) -> None:
    as_script = (helps / f"{name}.script").read_text()
    as_module = (helps / f"{name}.module").read_text()
    assert as_script.partition("options")[2] == as_module.partition("options")[2]
    assert "--help" in as_script


@pytest.mark.ci
@pytest.mark.parametrize("how", ["script", "module"])
def test_workers_find_the_networks_of_a_benchmark(how: str, tmp_path: Path) -> None:
    sizes = ("--trials", "8", "--concurrent", "2", "--memory", "2")
    if how == "script":
        shown = ran(str(FOLDER / "throughput.py"), *sizes, folder=tmp_path)
    else:
        shown = ran("-m", "benchmarks.throughput", *sizes, folder=ROOT)
    assert "'reports in MLflow': 0" in shown
