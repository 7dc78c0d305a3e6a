"""The handwritten digits that scikit-learn ships."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["rows_of_digits"]


def rows_of_digits() -> NDArray[np.float64]:
    """64 values from 0 to 16 and the label of each digit, [N, 65].

    They are read from scikit-learn's file, since its import takes over a second.
    """
    found = find_spec("sklearn")
    if found is not None and found.origin is not None:
        file = Path(found.origin).with_name("datasets") / "data" / "digits.csv.gz"
        if file.exists():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    data, target = load_digits(return_X_y=True)
    return np.column_stack([data, target])
