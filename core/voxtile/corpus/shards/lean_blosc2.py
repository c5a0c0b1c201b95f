"""The library Blosc2, without what it imports for arrays on servers.

Blosc2 imports httpx, which brings a command line and its colours, and asyncio: half of the time that a worker would
wait for the codec, and no corpus reads from a server through it. A module that imports them later gets them as ever.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

__all__ = ["blosc2"]


@contextmanager
def _deferred(name: str) -> Iterator[None]:
    """Within the block, `import NAME` gives a stand-in, which imports the module when it is first asked for something.

    >>> with _deferred("colorsys"):
    ...     import colorsys
    ...     colorsys.rgb_to_hsv(1.0, 1.0, 1.0)
    (0.0, 0.0, 1.0)
    """
    if name in sys.modules:
        yield
        return
    standing_in = ModuleType(name)

    def asked(attribute: str) -> Any:  # noqa: ANN401 - whatever the module has
        _remove(name, standing_in)
        return getattr(importlib.import_module(name), attribute)

    standing_in.__getattr__ = asked  # type: ignore[method-assign]
    sys.modules[name] = standing_in
    try:
        yield
    finally:
        _remove(name, standing_in)


def _remove(name: str, standing_in: ModuleType) -> None:
    if sys.modules.get(name) is standing_in:
        del sys.modules[name]


with _deferred("httpx"), _deferred("asyncio"):
    import blosc2
