"""The peer: a GAN search as a fair user writes it after the documentation of PyTorch, Ray Tune and
Optuna, to be measured against."""
