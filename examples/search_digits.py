"""Search a space that is a dict, and draw what the champion generates.

    python examples/search_digits.py

It takes about half a minute on two cores, and leaves `search_digits.png`, the search's folder and
MLflow's record in the working folder. Run it again: a finished search shows its result at once.
"""

from torchvision.utils import save_image

import gan_tune

ADAM = {"name": "adam", "lr": {"log_uniform": [1e-4, 1e-2]}, "beta1": 0.5}
SPACE = {
    "name": "search_digits",
    "budget": {"trials": 4, "steps": 300, "evaluations": 3, "minutes": 4},
    "confirm": {"top": 1, "seeds": 2},
    "trial": {
        "data": {"name": "digits", "batch_size": 64},
        "generator": {"name": "mlp", "latent": 32, "hidden": [128]},
        "discriminator": {"name": "mlp", "hidden": [128]},
        "loss": {"choice": ["non_saturating", "hinge"]},
        "generator_optimizer": ADAM,
        "discriminator_optimizer": ADAM,
        "ema": 0.99,
    },
}


def main() -> None:
    result = gan_tune.search(gan_tune.load_space(SPACE))
    print(f"Fréchet distance, test split: {result.test['test.frechet_distance']:.4g}")
    generator = gan_tune.load_generator("search_digits")
    save_image(generator.sample(64, seed=0), "search_digits.png", nrow=8, padding=1)


if __name__ == "__main__":  # Ray's workers import this file
    main()
