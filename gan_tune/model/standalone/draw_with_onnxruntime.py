"""Draw samples without torch: python draw_with_onnxruntime.py -n 64 --seed 0 --out samples.npy"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime


def main() -> None:
    """Draw as the command line says."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("-n", type=int, default=64, help="how many samples")
    options.add_argument("--seed", type=int, default=0, help="of the latents; not torch's for it")
    options.add_argument("--latents", help=".npy [N, latent] to use instead of a seed")
    options.add_argument("--out", default="samples.npy")
    given, folder = options.parse_args(), Path(__file__).parent
    generator = onnxruntime.InferenceSession(folder / "generator.onnx")
    if given.latents:
        z = np.load(given.latents)
    else:
        latent = json.loads((folder / "generator.json").read_text())["latent"]
        z = np.random.default_rng(given.seed).standard_normal((max(0, given.n), latent))
    if len(z) < 1:
        options.error(f"there must be at least one sample: {len(z)}")
    blocks = np.split(z.astype(np.float32), range(64, len(z), 64))
    np.save(given.out, np.concatenate([generator.run(None, {"z": b})[0] for b in blocks]))


if __name__ == "__main__":
    main()
