"""`python -m gan_tune.cli` is `gan-tune`."""

from gan_tune.cli.program import main

main()
