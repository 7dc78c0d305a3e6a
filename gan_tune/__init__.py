"""gan-tune: Ray-distributed hyperparameter search for GANs.

`__init__.pyi` lists what can be imported from here. Each name is loaded on first use, so that
``import gan_tune`` stays light (no torch, ray, optuna or mlflow).
"""

import logging

import lazy_loader

from gan_tune.outgoing import quiet_about_secrets
from gan_tune.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

quiet_about_secrets(logging.getLogger("gan_tune"))
