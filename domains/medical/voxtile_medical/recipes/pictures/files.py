"""Where the pictures of a download lie, by their paths or by their names in whatever folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

from voxtile_datasets.intake.walk import walk

_ANYWHERE = "**/"


@dataclass
class PictureNames:
    """The files of a download.

    Attributes:
        root: its folder.
        ambiguous: names that were asked for and lie in several folders, of which the first is taken.
    """

    root: Path
    ambiguous: dict[str, None] = field(default_factory=dict)

    def all(self) -> list[str]:
        """Relative paths of all files, sorted, but hidden ones and those of `__MACOSX`."""
        return self._paths

    def find(self, templates: Sequence[str], folder: str) -> str | None:
        """The first path that is there.

        Args:
            templates: filled; relative to the download or to `folder`; after `**/`, a name in whatever folder.
            folder: of the table, relative.
        """
        for path in templates:
            if path.startswith(_ANYWHERE):
                name = path.removeprefix(_ANYWHERE)
                found = self._by_name.get(name) or self._by_spelling.get(name.casefold())
                if found is not None and name in self._repeated:
                    self.ambiguous[name] = None
                if found is not None:
                    return found
                continue
            for base in dict.fromkeys(("", folder)):
                candidate = f"{base}/{path}" if base else path
                if is_inside(candidate) and (self.root / candidate).is_file():
                    return candidate
        return None

    def beside(self, path: str, pattern: str) -> list[str]:
        """Files in a picture's folder whose names begin and end so; `*` stands for a number or nothing."""
        start, _, end = pattern.partition("*")
        folder = path.rpartition("/")[0]
        return [
            f"{folder}/{name}" if folder else name
            for name in self._by_folder.get(folder, ())
            if name.startswith(start) and name.endswith(end) and len(name) >= len(start) + len(end)
            and not name[len(start) : len(name) - len(end)].strip("_0123456789")
        ]  # fmt: skip

    @cached_property
    def _paths(self) -> list[str]:
        return sorted(_walk(self.root))

    @cached_property
    def _by_name(self) -> Mapping[str, str]:
        return {path.rpartition("/")[2]: path for path in reversed(self._paths)}

    @cached_property
    def _repeated(self) -> frozenset[str]:
        counted = Counter(path.rpartition("/")[2] for path in self._paths)
        return frozenset(name for name, count in counted.items() if count > 1)

    @cached_property
    def _by_spelling(self) -> Mapping[str, str]:
        """The same where case does not matter: a table has .jpg, and a camera wrote .JPG."""
        return {name.casefold(): path for name, path in reversed(list(self._by_name.items()))}

    @cached_property
    def _by_folder(self) -> Mapping[str, Sequence[str]]:
        folders: dict[str, list[str]] = {}
        for path in self._paths:
            folder, _, name = path.rpartition("/")
            folders.setdefault(folder, []).append(name)
        return folders


def is_inside(path: str) -> bool:
    """A relative path that does not leave its folder."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    return bool(parts) and ".." not in parts and not path.startswith("/") and "\0" not in path


def _walk(root: Path) -> Iterator[str]:
    for folder, names, files in walk(root):
        names[:] = [name for name in names if not name.startswith(".") and name != "__MACOSX"]
        base = Path(folder).relative_to(root).as_posix()
        for name in files:
            if not name.startswith("."):
                yield name if base == "." else f"{base}/{name}"
