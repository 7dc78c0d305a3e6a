"""The conformance kit: checks of a network or data set of your own, for the tests of your project.

Each check is a plain function. It returns nothing where all is well, and raises an AssertionError
that names the rule and the value where it is not::

    from gan_tune.testing import check_generator

    from my_nets import Generator

    def test_generator():
        check_generator(Generator, shape=(1, 8, 8), latent=64)

A part is checked as a search checks it, and is then trained for a few steps. What a search cannot
know beforehand is looked at, too: whether a gradient reaches each parameter, whether equal seeds
give equal results, whether it runs on the device that it is moved to. gan-tune's own networks pass
the same checks.
"""

from gan_tune.testing.datasets import check_dataset
from gan_tune.testing.networks import check_discriminator, check_encoder, check_generator

__all__ = ["check_dataset", "check_discriminator", "check_encoder", "check_generator"]
