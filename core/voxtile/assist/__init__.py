"""An assistant that writes: reports and answers from a trained tower and a language model."""

import lazy_loader

# `__init__.pyi` says what is offered and where it is: it is imported when it is asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
