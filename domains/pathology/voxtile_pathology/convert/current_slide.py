"""The slide that a process is working on: blocks of one slide mostly follow each other, so it stays open meanwhile."""

from __future__ import annotations

from pathlib import Path

from voxtile_pathology.slides.open import open_slide
from voxtile_pathology.slides.protocol import Slide, SlideError


class _Desk:
    """At most one open slide."""

    def __init__(self) -> None:
        self._slide: Slide | None = None
        self._key: tuple[Path, int, int] | None = None

    def slide(self, path: Path) -> Slide:
        try:
            stat = path.stat()
        except OSError as error:
            self.clear()
            raise SlideError(f"the slide '{path.name}' is not there any more; was it moved or removed?") from error
        key = (path, stat.st_mtime_ns, stat.st_size)
        if self._slide is None or self._key != key:
            self.clear()
            self._slide, self._key = open_slide(path), key
        return self._slide

    def clear(self) -> None:
        if self._slide is not None:
            self._slide.close()
        self._slide = self._key = None


_DESK = _Desk()


def slide_at(path: Path) -> Slide:
    """The slide of a file, opened unless it is the one that this process has open and unchanged.

    Raises:
        SlideError: it is gone, or cannot be opened.
    """
    return _DESK.slide(path)


def close_slide() -> None:
    """Give the open slide back, if there is one."""
    _DESK.clear()
