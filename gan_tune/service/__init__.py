"""The Python API, one file a command: search, train, and what became of it.

`__init__.pyi` lists what can be imported from here. Each name is loaded on first use, so importing
the package takes no time.
"""

import lazy_loader

from gan_tune.storage.places import DEFAULT_STORAGE as DEFAULT_STORAGE

__getattr__, __dir__, _loaded_on_use = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["DEFAULT_STORAGE", *_loaded_on_use]
