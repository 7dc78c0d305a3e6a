"""A user's own part, imported by its path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gan_tune.config.import_path import import_by_path


def test_what_is_installed_is_found() -> None:
    assert import_by_path("json:dumps").__name__ == "dumps"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("no_such_module:name", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("json:no_such_name", "AttributeError: module 'json' has no attribute 'no_such_name'"),
    ],
)
def test_what_is_not_there_is_refused_with_the_reason(path: str, reason: str) -> None:
    with pytest.raises(LookupError) as caught:
        import_by_path(path)
    assert caught.value.args == (f"must be importable as package.module:name ({reason})",)


def test_the_working_folder_is_looked_in_last(tmp_path: Path) -> None:
    """As an installed script runs: with its own folder on the path, not the working folder."""
    (tmp_path / "own_part.py").write_text("class Generator: pass\n")
    (tmp_path / "json.py").write_text("raise RuntimeError('hides the installed module')\n")
    script = (
        "import sys; from pathlib import Path\n"
        "sys.path[:] = [p for p in sys.path if p and Path(p) != Path.cwd()]\n"
        "from gan_tune.config.import_path import import_by_path\n"
        "for part in ('own_part:Generator', 'json:dumps'): print(import_by_path(part).__name__)\n"
        "print(sys.path.count(str(Path.cwd())))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.split() == ["Generator", "dumps", "1"], done.stderr
