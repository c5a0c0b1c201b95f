"""Corpus building that belongs to no single domain: folders of images, public datasets, captions."""

import lazy_loader

# `__init__.pyi` says what is offered and where it is: it is imported when it is asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
