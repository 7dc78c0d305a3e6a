"""The Python API, one file per command: search, train, and the commands that read their results.

`__init__.pyi` lists the names that can be imported from here. Each name is loaded on first use, so
importing the package is fast.
"""

import lazy_loader

from gan_tune.storage.places import DEFAULT_STORAGE as DEFAULT_STORAGE

__getattr__, __dir__, _loaded_on_use = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["DEFAULT_STORAGE", *_loaded_on_use]
