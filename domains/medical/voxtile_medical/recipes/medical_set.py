"""What is known of a public medical data set: its licence and access, and where its layout is documented."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.bounded_text import read_yaml
from voxtile.errors import ConfigError
from voxtile_datasets.licences.licence import NO_DERIVATIVES, read_licence
from voxtile_datasets.recipes.download import tell
from voxtile_datasets.recipes.recipe import DataSet


@dataclass(frozen=True, kw_only=True)
class LayoutSource:
    """Where the layout of a download is documented.

    Attributes:
        address: of the page, paper or repository.
        says: what was taken from it.
        commit: of the code that was read; None for a page or a paper.
    """

    address: str
    says: str
    commit: str | None = None


@dataclass(frozen=True, kw_only=True)
class MedicalSet(DataSet):
    """A public medical data set.

    Attributes:
        access: what has to be done or agreed to before it can be downloaded.
        layout: where its layout is documented.
        unverified: what of the layout no code or page could be found for; empty where all was seen.
        unread: regular expression of the paths of images that come with it and are not read.
    """

    access: str
    layout: tuple[LayoutSource, ...]
    unverified: str = ""
    unread: str = ""

    def is_unread(self, path: str) -> bool:
        """Whether an image that is not read comes with the set, so that nothing need be said of it."""
        return bool(self.unread) and re.fullmatch(self.unread, path) is not None

    def announce(self) -> None:
        """Say its licence and terms on standard error, before anything is read."""
        tell(f"{self.title}: {self.licence}; {self.access}")
        if NO_DERIVATIVES in read_licence(self.licence).terms:
            tell(f"{self.title}: its licence forbids to share what is made of it, models among it")


def read_set(path: Path) -> dict[str, Any]:
    """The fields of a set's YAML file, with the ones of `MedicalSet` made.

    Raises:
        ConfigError: the file is no mapping, or does not say what every set has to.
    """
    _, content = read_yaml(path, "the data set")
    if not isinstance(content, Mapping):
        raise ConfigError(f"the data set '{path}' is no mapping of fields; see the files beside it")
    lacking = [name for name in ("name", "title", "source", "licence", "access", "layout") if not content.get(name)]
    if lacking:
        raise ConfigError(f"the data set '{path}' does not say {', '.join(lacking)}; add it")
    fields = {str(key): value for key, value in content.items()}
    return fields | {"layout": made(LayoutSource, fields["layout"], path)}


def made(kind: type[Any], entries: Sequence[Mapping[str, Any]], path: Path) -> tuple[Any, ...]:
    """Dataclasses of a list in a YAML file.

    Raises:
        ConfigError: an entry has another field than the class, or lacks one.
    """
    try:
        return tuple(kind(**entry) for entry in entries)
    except TypeError as error:
        raise ConfigError(f"the data set '{path}' does not fit {kind.__name__}: {error}; correct the file") from error
