"""The GAN itself in plain PyTorch: data, networks, losses, penalties, optimizers, training."""
