"""A target: a reader of bytes from outside, its seeds, and what it may answer.

A target takes any bytes. It either reads them or refuses them by one of the errors that it names; anything else that it
raises is a find, and so are an answer that takes too long and memory beyond the limit (`limits.py`).
"""

from __future__ import annotations

import importlib
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from voxtile.errors import VoxtileError

TARGETS = Path(__file__).parent / "targets"
OURS = ("voxtile", "voxtile_datasets", "voxtile_medical", "voxtile_pathology", "voxtile_remote_sensing")


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        name: short.
        read: reads bytes; what it returns does not matter.
        seeds: sound inputs, made by our own writers and phantoms.
        refuses: errors by which it may refuse an input, beside those of voxtile.
    """

    name: str
    read: Callable[[bytes], object]
    seeds: Callable[[], Iterable[bytes]]
    refuses: tuple[type[Exception], ...] = ()


@cache
def targets() -> dict[str, str]:
    """Every target's name with the file of targets that it stands in, by reading names alone."""
    files = sorted(path.stem for path in TARGETS.glob("*.py"))
    return {target.name: file for file in files for target in targets_in(file)}


def targets_in(file: str) -> tuple[Target, ...]:
    """The targets of a file; it is imported, with the readers that they need."""
    found: tuple[Target, ...] = importlib.import_module(f"targets.{file}").TARGETS
    return found


def answer(target: Target, data: bytes) -> Exception | None:
    """Give an input to a reader; what it raises where that is no refusal that it names."""
    try:
        target.read(data)
    except (VoxtileError, *target.refuses) as refusal:
        return None if _is_sentence(refusal) else refusal
    except Exception as error:
        return error
    return None


def where(error: BaseException) -> str:
    """What was raised and in which line of ours, so that finds of one cause are one."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/voxtile" in frame.filename]
    last = frames[-1] if frames else None
    place = f"{Path(last.filename).name}:{last.lineno} {last.name}" if last else "outside of voxtile"
    return f"{type(error).__name__} at {place}"


@cache
def scratch() -> Path:
    """An empty folder of this process."""
    return Path(tempfile.mkdtemp(prefix="voxtile-fuzz-"))


def file_of(data: bytes, name: str) -> Path:
    """The input as a file."""
    path = scratch() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def as_text(data: bytes) -> str:
    """The input as a text; bytes that are no UTF-8 become what such bytes become in our readers."""
    return data.decode("utf-8", "replace")


def texts(*written: str) -> Callable[[], Iterator[bytes]]:
    """Seeds that are texts."""
    return lambda: (text.encode() for text in written)


_LONGEST = 5_000  # characters; a refusal that repeats a hostile file is none


def _is_sentence(refusal: Exception) -> bool:
    return 0 < len(str(refusal)) <= _LONGEST
