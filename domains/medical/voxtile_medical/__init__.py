"""The medical domain: DICOM and NIfTI to a corpus, the CT phantom, configs and tasks."""

import lazy_loader

# `__init__.pyi` says what is offered and where it is: it is imported when it is asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
