"""What `--json` prints: the shape of each document and event, and how it is made."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
