"""Draw samples with torch alone: python draw_with_torch.py -n 64 --seed 0 --out samples.npy"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch


def main() -> None:
    """Draw as the command line says."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("-n", type=int, default=64, help="how many samples")
    options.add_argument("--seed", type=int, default=0, help="of the latents")
    options.add_argument("--latents", help=".npy [N, latent] to use instead of a seed")
    options.add_argument("--out", default="samples.npy")
    given, folder = options.parse_args(), Path(__file__).parent
    generator = torch.export.load(folder / "generator.pt2").module()
    if given.latents:
        z = torch.from_numpy(np.load(given.latents)).float()
        blocks, n = list(z.split(64)), len(z)
    else:  # as gan-tune draws its latents: 64 at a time
        latent = json.loads((folder / "generator.json").read_text())["latent"]
        random, n = torch.Generator().manual_seed(given.seed), given.n
        blocks = [torch.randn(64, latent, generator=random) for _ in range(-(-n // 64))]
    with torch.inference_mode():
        np.save(given.out, torch.cat([generator(z) for z in blocks])[:n].numpy())


if __name__ == "__main__":
    main()
