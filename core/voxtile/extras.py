"""Which extra of voxtile brings a package that is not installed."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from types import TracebackType

from voxtile.errors import MissingExtraError

# Packages that are imported by another name than they are installed by.
_IMPORTED_AS: Mapping[str, str] = {
    "gdcm": "python-gdcm",
    "jpeg_ls": "pyjpegls",
    "openjpeg": "pylibjpeg-openjpeg",
    "openslide": "openslide-python",
    "rle": "pylibjpeg-rle",
}
_OF_ALL = ("all", "bench", "dev")  # extras that bring others, or that users do not need


def missing_extra(error: ImportError, wanted_by: str = "") -> MissingExtraError | None:
    """The same error as a sentence that names the extra, None where no extra brings the package.

    Args:
        error: what importing raised.
        wanted_by: a module that was imported; of several extras, that of its domain is named. Where it is left out, the
            error's traceback says it.
    """
    package = (error.name or "").partition(".")[0]
    extras = _extras_of(_IMPORTED_AS.get(package, package)) if package else ()
    if not extras:
        return None
    modules = [wanted_by] if wanted_by else _modules(error.__traceback__)
    domains = {part.removeprefix("voxtile_").replace("_", "-") for part in (m.partition(".")[0] for m in modules)}
    return MissingExtraError(package, next((extra for extra in extras if extra in domains), extras[0]))


def requirements() -> Iterator[tuple[str, str]]:
    """Extra and package of everything that extras alone bring, in the order of the project's metadata."""
    always: set[str] = set()
    for line in importlib.metadata.requires("voxtile") or ():  # those of no extra come first
        package = re.split(r"[\s<>=!~;\[]", line)[0]
        if not (extra := re.search(r"extra == ['\"]([^'\"]+)['\"]", line)):
            always.add(package)
        elif package not in always:
            yield extra[1], package


def _extras_of(package: str) -> tuple[str, ...]:
    name = _normalised(package)
    return tuple(extra for extra, wanted in requirements() if _normalised(wanted) == name and extra not in _OF_ALL)


def _normalised(package: str) -> str:
    """As PEP 503 compares names."""
    return re.sub(r"[-_.]+", "-", package).lower()


def _modules(trace: TracebackType | None) -> list[str]:
    found = []
    while trace is not None:
        found.append(str(trace.tb_frame.f_globals.get("__name__", "")))
        trace = trace.tb_next
    return found
