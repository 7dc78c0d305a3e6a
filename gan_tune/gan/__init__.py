"""How one GAN is trained, in plain PyTorch: networks, losses, penalties, optimizers, training."""
