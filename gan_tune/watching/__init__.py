"""A search on the screen while it runs: a live view on a terminal, plain lines elsewhere."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
