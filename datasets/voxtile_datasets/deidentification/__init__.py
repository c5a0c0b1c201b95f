"""Identifiers in free text: where they stand, and what is written in their place."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
