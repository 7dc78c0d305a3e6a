"""Draw samples with torch alone: python draw_with_torch.py -n 64 --seed 0 --out samples.npy"""

import argparse
import ctypes
import json
from pathlib import Path

import torch


def save(path: str, samples: torch.Tensor) -> None:
    """Write float32 samples as numpy does, which need not be there."""
    samples = samples.float().contiguous()
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple(samples.shape)}, }}"
    header = (text + " " * (-(len(text) + 11) % 64) + "\n").encode()
    content = ctypes.string_at(samples.data_ptr(), samples.nbytes)
    version = b"\x93NUMPY\x01\x00"
    Path(path).write_bytes(version + len(header).to_bytes(2, "little") + header + content)


def main() -> None:
    """Draw as the command line says."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("-n", type=int, default=64, help="how many samples")
    options.add_argument("--seed", type=int, default=0, help="of the latents")
    options.add_argument("--latents", help=".npy [N, latent] instead of a seed; needs numpy")
    options.add_argument("--out", default="samples.npy")
    given, folder = options.parse_args(), Path(__file__).parent
    generator = torch.export.load(folder / "generator.pt2").module()
    if given.latents:
        import numpy as np

        z = torch.from_numpy(np.load(given.latents)).float()
        blocks, n = z.split(64), len(z)
    else:  # as gan-tune draws its latents: 64 at a time
        latent = json.loads((folder / "generator.json").read_text())["latent"]
        random, n = torch.Generator().manual_seed(given.seed), given.n
        blocks = [torch.randn(64, latent, generator=random) for _ in range(0, n, 64)]
    if n < 1:
        options.error(f"there must be at least one sample: {n}")
    with torch.inference_mode():
        save(given.out, torch.cat([generator(block) for block in blocks])[:n])


if __name__ == "__main__":
    main()
