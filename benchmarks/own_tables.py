"""A table that nothing is known of: `gan-tune search TABLE.csv` and nothing else, beside CTGAN.

    python -m benchmarks.own_tables [--minutes 10] [--seeds 3] [--ctgan PYTHON]

Two tables: the tutorial's made people (10,000 rows of 12 columns, of which one is zero for half of
the rows and some hold whole numbers), and the columns of numbers of plotnine's diamonds (53,940
rows). Each is searched from the file alone, and so without experience. Beside them stands CTGAN (Xu
et al., Modeling tabular data using conditional GAN, 2019) after as many minutes, with its defaults,
on the same rows; PYTHON is that of an environment with `ctgan`, which wants an older pandas than
gan-tune's other packages have. Judged on the rows that the search kept for the test.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import gan_tune
from benchmarks.machine import machine
from benchmarks.systems import ORIGINS, best_by_origin
from benchmarks.table import table
from gan_tune.data.by_name import load_dataset
from gan_tune.metrics.matrix import FloatMatrix
from gan_tune.metrics.tables import correlation_difference, ks_max, ks_median

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial" / "own-table.md"
ALONE, WITHOUT, CTGAN, REAL = "the file alone", "without experience", "CTGAN", "other real rows"

BY_CTGAN = """
import sys, time
import pandas, torch
from ctgan import CTGAN
rows, out, seconds, seed, count = sys.argv[1:]
data = pandas.read_csv(rows)
discrete = [name for name in data if data[name].nunique() <= 2]
torch.manual_seed(int(seed))

def fitted(epochs):
    model, began = CTGAN(epochs=epochs), time.perf_counter()
    model.fit(data, discrete)
    return model, time.perf_counter() - began

one, three = fitted(1)[1], fitted(3)[1]
epoch = (three - one) / 2
model, took = fitted(epochs := max(1, int((float(seconds) - one + epoch) / epoch)))
print(f"CTGAN: {epochs} epochs in {took:.0f} s", flush=True)
model.sample(int(count)).to_csv(out, index=False)
"""
"""The first epochs tell how many fit into the time, beside the columns' modes."""


# -------------------------------------------------------------------- tables


def people(path: Path) -> None:
    """The table of the tutorial, by the tutorial's own code."""
    code = re.search(r"```python\n(# make_people.*?)```", TUTORIAL.read_text(), re.DOTALL)
    assert code is not None
    subprocess.run([sys.executable, "-c", code[1]], cwd=path.parent, check=True)


def diamonds(path: Path) -> None:
    """The columns of numbers of a table that plotnine brings along."""
    import pandas
    from plotnine import data

    found = pandas.read_csv(Path(data.__file__).with_name("diamonds.csv"))
    found.select_dtypes("number").to_csv(path, index=False)


TABLES = {"people": people, "diamonds": diamonds}


# -------------------------------------------------------------------- sides


def searched(what: Path, folder: Path, minutes: float, seed: int, side: str, count: int) -> Path:
    """Rows drawn by the champion of a search, as its user draws them."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["search", str(what), "--minutes", f"{minutes:g}", "--seed", str(seed), "--name", "own"]
    if side == WITHOUT:
        words += ["--set", "search.experience=none"]
    draw = ["generate", "own", "-n", str(count), "--out", "rows.csv", "--force"]
    for command in ([*words, "--register-anyway"], draw):
        subprocess.run([sys.executable, "-m", "gan_tune.cli", *command], cwd=folder, check=True)
    return folder / "rows.csv"


def by_ctgan(python: str, train: Path, folder: Path, minutes: float, seed: int, count: int) -> Path:
    """Rows drawn by CTGAN after as many minutes."""
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / "rows.csv"
    if not out.exists():
        words = [python, "-c", BY_CTGAN, str(train), "part.csv", f"{60 * minutes}", str(seed)]
        subprocess.run([*words, str(count)], cwd=folder, check=True)
        shutil.move(folder / "part.csv", out)
    return out


def read_rows(path: Path) -> FloatMatrix:
    """The rows of a CSV file; true and false are 1 and 0."""
    import pandas

    rows: FloatMatrix = pandas.read_csv(path).astype(float).to_numpy()
    return rows


# -------------------------------------------------------------------- judging


def judged(real: FloatMatrix, made: FloatMatrix) -> list[str]:
    """Kolmogorov-Smirnov by column, Spearman by pair, and how surely trees tell them apart."""
    figures = (
        ks_median(real, made),
        ks_max(real, made),
        correlation_difference(real, made),
        area_under_curve(real, made),
    )
    return [f"{figure:.3f}" for figure in figures]


def area_under_curve(real: FloatMatrix, made: FloatMatrix) -> float:
    """Of boosted trees, fitted to every second row of both and tried on the others; 0.5 guesses."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    fitted, tried = (np.concatenate([real[at::2], made[at::2]]) for at in (0, 1))
    truth, answers = (np.repeat([0, 1], [len(real[at::2]), len(made[at::2])]) for at in (0, 1))
    trees = HistGradientBoostingClassifier(random_state=0).fit(fitted, truth)
    return float(roc_auc_score(answers, trees.predict_proba(tried)[:, 1]))


def of_table(name: str, storage: Path, options: argparse.Namespace) -> list[list[str]]:
    """The rows of the result for one table."""
    path = storage / f"{name}.csv"
    if not path.exists():
        TABLES[name](path)
    dataset = load_dataset("table", path=str(path))
    real, train = np.asarray(dataset.test, float), np.asarray(dataset.train, float)
    columns = path.read_text().split("\n", 1)[0].replace('"', "")
    train_path = storage / f"{name}-train.csv"
    np.savetxt(train_path, train, delimiter=",", header=columns, comments="", fmt="%.7g")
    rows = [[name, "", REAL, *[""] * len(ORIGINS), *judged(real, train[: len(real)])]]
    for seed in range(options.seeds):
        for side in (ALONE, WITHOUT, *([CTGAN] if options.ctgan else [])):
            folder = storage / f"{name}-{side.replace(' ', '-')}-{seed}"
            given = (folder, options.minutes, seed)
            began = time.perf_counter()
            if side == CTGAN:
                made, best = (
                    by_ctgan(options.ctgan, train_path, *given, len(real)),
                    [""] * len(ORIGINS),
                )
            else:
                made = searched(path, *given, side, len(real))
                found = gan_tune.load_result("own", storage=folder / "gan_tune_runs")
                best = best_by_origin(found.rows)
            rows.append([name, str(seed), side, *best, *judged(real, read_rows(made))])
            print(*rows[-1], f"{time.perf_counter() - began:.0f} s", sep=" | ", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=[*TABLES])
    parser.add_argument("--ctgan", metavar="PYTHON", help="of an environment with ctgan")
    parser.add_argument("--storage", type=Path, default=Path("own_tables"))
    options = parser.parse_args()
    storage = options.storage.absolute()
    storage.mkdir(parents=True, exist_ok=True)
    rows = [row for name in options.tables for row in of_table(name, storage, options)]
    head = ["table", "seed", "rows of", *ORIGINS, "KS median", "KS max", "Spearman", "AUC"]
    print(f"\n{machine()}, {options.minutes:g} minutes each\n\n{table(head, rows)}")


if __name__ == "__main__":
    main()
