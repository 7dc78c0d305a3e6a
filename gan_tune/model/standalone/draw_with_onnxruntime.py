"""Draw samples without torch: python draw_with_onnxruntime.py -n 64 --seed 0 --out samples.npy"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("-n", type=int, default=64, help="how many samples, at least 1")
options.add_argument("--seed", type=int, default=0, help="of the latents; not torch's for it")
options.add_argument("--out", default="samples.npy", help="an array for numpy.load")
given, folder = options.parse_args(), Path(__file__).parent
if given.n < 1:
    options.error(f"-n must be at least 1: {given.n}")
latent = json.loads((folder / "generator.json").read_text())["latent"]
generator = onnxruntime.InferenceSession(folder / "generator.onnx")
z = np.random.default_rng(given.seed).standard_normal((given.n, latent), np.float32)
blocks = np.split(z, range(64, given.n, 64))
np.save(given.out, np.concatenate([generator.run(None, {"z": b})[0] for b in blocks]))
