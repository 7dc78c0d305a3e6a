"""Draw samples with torch alone: python draw_with_torch.py -n 64 --seed 0 --out samples.pt"""

import argparse
import json
from pathlib import Path

import torch

options = argparse.ArgumentParser(description=__doc__)
options.add_argument("-n", type=int, default=64, help="how many samples, at least 1")
options.add_argument("--seed", type=int, default=0, help="of the latents")
options.add_argument("--out", default="samples.pt", help="a tensor for torch.load")
given, folder = options.parse_args(), Path(__file__).parent
if given.n < 1:
    options.error(f"-n must be at least 1: {given.n}")
latent = json.loads((folder / "generator.json").read_text())["latent"]
generator = torch.export.load(folder / "generator.pt2").module()
random = torch.Generator().manual_seed(given.seed)  # for 64 at a time, as gan-tune draws them
blocks = [torch.randn(64, latent, generator=random) for _ in range(0, given.n, 64)]
with torch.inference_mode():
    torch.save(torch.cat([generator(z) for z in blocks])[: given.n].clone(), given.out)
