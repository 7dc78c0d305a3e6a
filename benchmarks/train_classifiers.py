"""Train the classifiers whose features judge samples: ``python benchmarks/train_classifiers.py``.

Writes the weights that gan-tune ships, `NAME.safetensors`, and a record `NAME.json`, to the
package's folder `metrics/weights`. One thread and a fixed seed, so that the same torch on the same
kind of processor gives the same weights.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch

from gan_tune.data.by_name import load_dataset
from gan_tune.metrics.classifier import (
    ARCHITECTURE_NAME,
    architecture_of,
    classifier_accuracy,
    train_classifier,
)
from gan_tune.metrics.features import SHIPPED_WEIGHTS, save_weights

EPOCHS = {"digits": 60, "fashion_mnist": 25}
SEED = 0
VERSION = 1


def trained(name: str, folder: Path) -> dict[str, object]:
    """Train the classifier of one data set, write its weights and its record, which it returns."""
    dataset = load_dataset(name)
    weights = train_classifier(dataset, epochs=EPOCHS[name], seed=SEED)
    save_weights(folder / f"{name}.safetensors", weights)
    record = {
        "identity": f"{name}-cnn-{VERSION}",
        "architecture": {"name": ARCHITECTURE_NAME, **asdict(architecture_of(dataset))},
        "test_accuracy": classifier_accuracy(weights, dataset, "test"),
        "selection_accuracy": classifier_accuracy(weights, dataset, "selection"),
        "train_count": len(dataset.train),
        "epochs": EPOCHS[name],
        "seed": SEED,
        "torch_version": str(torch.__version__),
        "data_digest": dataset.digest,
        "command": f"python benchmarks/train_classifiers.py {name}",
    }
    (folder / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    return record


def main() -> None:
    """Train those named on the command line, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(EPOCHS))
    parser.add_argument("--folder", type=Path, default=SHIPPED_WEIGHTS)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(EPOCHS)
    if unknown:
        parser.error(f"names must be of {', '.join(EPOCHS)}: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    for name in arguments.names or EPOCHS:
        print(json.dumps(trained(name, arguments.folder), indent=2))


if __name__ == "__main__":
    main()
