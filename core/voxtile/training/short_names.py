"""Short class names in what jsonargparse parses: by the table of packages, not by what happens to be imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jsonargparse import _typehints

from voxtile.short_class_names import full_name

_ALWAYS_IMPORTED = ("lightning", "torch")


@contextmanager
def short_names() -> Iterator[None]:
    """While it lasts, jsonargparse reads a short name as `voxtile.short_class_names` does.

    By itself it takes whichever imported class has the name, so that a config would work or not by what another line of
    it imports. It has no way to be told otherwise but this function of its own, which knows the type that is wanted.
    """
    own = _typehints.resolve_class_path_by_name

    def resolve(cls: type | tuple[type], name: str) -> str:
        if "." in name:
            return name
        if (full := full_name(name)) is not None:
            return full
        found: str = own(cls, name)
        return found if found.partition(".")[0] in _ALWAYS_IMPORTED else name

    _typehints.resolve_class_path_by_name = resolve
    try:
        yield
    finally:
        _typehints.resolve_class_path_by_name = own
