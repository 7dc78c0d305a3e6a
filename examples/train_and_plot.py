"""Train one setting without Ray, and plot its figures.

    python examples/train_and_plot.py

It takes a few seconds, and leaves `train_and_plot.png`: the Fréchet distance at each report, and
the samples of the last one.
"""

import matplotlib.pyplot as plt
import torch

import gan_tune

LENGTH = ["budget.steps=600", "budget.evaluations=6"]
SETTING = ["generator.norm=batch", "penalties.0=r1", "penalties.0.r1.weight=0.1", "ema=0.99"]
for player in ("generator", "discriminator"):
    SETTING += [f"{player}_optimizer.adam.lr=0.005", f"{player}_optimizer.adam.beta1=0.0"]


def main() -> None:
    torch.set_num_threads(1)  # networks this small are fastest on one core
    space = gan_tune.load_space("digits", LENGTH)
    config = gan_tune.first_setting(space, SETTING, seed=0)
    reports = []
    for report in gan_tune.train(config):
        print(f"step {report.step}: {report.value:.4g}", *report.symptoms)
        reports.append(report)

    steps = [report.step for report in reports]
    figure, (curve, picture) = plt.subplots(1, 2, figsize=(10, 4))
    curve.semilogy(steps, [report.scalars["frechet_distance"] for report in reports])
    curve.set(xlabel="generator steps", ylabel="Fréchet distance")
    picture.imshow(reports[-1].grid)
    picture.axis("off")
    figure.savefig("train_and_plot.png")


if __name__ == "__main__":
    main()
