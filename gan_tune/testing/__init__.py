"""The conformance kit: checks of a network or data set of your own, for the tests of your project.

Each check is a plain function for use in a test. If the part breaks a rule, it raises an
AssertionError that names the rule and the value::

    from gan_tune.testing import check_generator

    from my_nets import Generator

    def test_generator():
        check_generator(Generator, shape=(1, 8, 8), latent=64)

A check does what a search does before it starts, then trains the part for a few steps. It also
checks what a search takes for granted: that a gradient reaches each parameter, that equal seeds
give equal results, and that the part runs on the device it is moved to. gan-tune's own networks
pass the same checks.
"""

from gan_tune.testing.datasets import check_dataset
from gan_tune.testing.networks import check_discriminator, check_encoder, check_generator

__all__ = ["check_dataset", "check_discriminator", "check_encoder", "check_generator"]
