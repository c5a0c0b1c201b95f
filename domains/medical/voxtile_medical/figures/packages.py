"""Where the articles of a folder or an archive are, before one is read.

An article is a package of its own (`PMC123.tar.gz`, which is not opened for the plan), or a folder that holds its
document and pictures: one of many in an archive, or one of the cloud service (`PMC123.1/`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from voxtile.corpus.identity import EDGE, file_edges, printable
from voxtile.engine.failure import Failure
from voxtile.engine.parallel import PlanReader
from voxtile.errors import InputError
from voxtile.file_edges import probe
from voxtile_medical.archives.entries import is_archive_name
from voxtile_medical.archives.stored import list_archive
from voxtile_medical.dicom_header.scan import list_files, root_of
from voxtile_medical.figures.picture_files import SUFFIXES

_PACKAGE = re.compile(r"^(PMC\d+)(?:\.(\d+))?\.(?:tar\.gz|tgz)$", re.IGNORECASE)
_PMCID = re.compile(r"(?<![A-Za-z0-9])(PMC\d+)(?:\.(\d+))?(?![0-9])")
_DATE = re.compile(r"(?<!\d)(\d{4}-\d{2}-\d{2})(?!\d)")
_PLACES = 64  # of a document, which is read whole up to 256 KiB
_DOCUMENTS = (".nxml", ".xml", ".json", ".pdf")


@dataclass(frozen=True)
class Place:
    """Where an article is.

    Attributes:
        source: what the ledger calls it.
        folder: path of its package or folder, relative to the source.
        document: name of its document in the folder; empty for a package, and where a folder has none.
        others: names of the pictures and metadata in the folder.
        nbytes: of all that is read.
        identity: what tells it from another article at the same place.
        refused: reason and sentence of what cannot be read at all.
    """

    source: str
    folder: str
    document: str = ""
    others: tuple[str, ...] = ()
    nbytes: int = 1
    identity: str = ""
    refused: tuple[str, str] | None = None

    @property
    def is_package(self) -> bool:
        """It is an archive of its own."""
        return _PACKAGE.match(PurePosixPath(self.folder).name) is not None

    @property
    def pmcid(self) -> str:
        """By its name: `PMC` and digits; empty where no part of its path is one."""
        found = self._named()
        return found[0].upper() if found else ""

    @property
    def age(self) -> tuple[int, str, str]:
        """Orders packages of one article, the newest last: version, date in the path, path."""
        found = self._named()
        dates = _DATE.findall(self.source)
        return int(found[1] or 0) if found else 0, dates[-1] if dates else "", self.source

    def inputs(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {
            "folder": self.folder,
            "document": self.document,
            "others": list(self.others),
            "identity": self.identity,
        }

    @classmethod
    def from_inputs(cls, source: str, inputs: Mapping[str, Any]) -> Place:
        """Back from `inputs`."""
        return cls(source, inputs["folder"], inputs["document"], tuple(inputs["others"]), identity=inputs["identity"])

    def _named(self) -> tuple[str, str] | None:
        names = [PurePosixPath(self.document).stem, *reversed(PurePosixPath(self.folder).parts)]
        return next(((m[1], m[2] or "") for name in names if (m := _PMCID.search(name))), None)


@dataclass(frozen=True)
class _File:
    path: str
    nbytes: int
    reason: str = ""
    detail: str = ""


def find_articles(source: Path, reader: PlanReader, *, pdf: bool = False) -> list[Place]:
    """All articles below a folder or in an archive, in the order of their names.

    Args:
        source: a folder, an archive of many articles, or the package of one.
        reader: lists archives of many.
        pdf: articles that there are as a PDF alone count too.

    Raises:
        InputError: there is none.
    """
    root = root_of(source) if source.is_dir() else source.parent
    paths = list_files(source)[1]
    places = [_package(root, path) for path in paths if _PACKAGE.match(PurePosixPath(path).name)]
    archives = [path for path in paths if is_archive_name(path) and not _PACKAGE.match(PurePosixPath(path).name)]
    loose = [_File(path, 0) for path in paths if not is_archive_name(path)]
    places += _folders(root, loose, in_archive=False, pdf=pdf)
    calls = [root / path for path in archives]
    for path, members in zip(archives, reader.map(_listed, calls, title="archives"), strict=True):
        places += _members(root, path, members, pdf)
    if not places:
        raise InputError(
            f"'{source}' holds no article: neither a package such as PMC1234.tar.gz nor a folder with an .nxml or .xml "
            "file; give the folder that the packages were downloaded to"
        )
    return sorted(places, key=lambda place: place.source)


def _package(root: Path, path: str) -> Place:
    try:
        nbytes, edges = file_edges(root / path)
    except OSError as error:
        sentence = f"the package cannot be read ({error.strerror}); check its permissions"
        return Place(printable(path), path, refused=("unreadable-file", sentence))
    return Place(printable(path), path, nbytes=nbytes, identity=edges)


def _listed(path: Path) -> list[_File]:
    return [_File(entry.path, entry.size, entry.reason, entry.detail) for entry in list_archive(path)]


def _members(root: Path, path: str, members: list[_File] | Failure, pdf: bool) -> Iterator[Place]:
    if isinstance(members, Failure):
        yield Place(printable(path), path, refused=(members.reason, members.sentence))
        return
    edges = file_edges(root / path)[1]
    for member in members:
        if member.reason:
            source = printable(f"{path}/{member.path}" if member.path else path)
            yield Place(source, source, refused=(member.reason, member.detail))
    files = [_File(f"{path}/{member.path}", member.nbytes) for member in members if not member.reason]
    for place in _folders(root, files, in_archive=True, pdf=pdf):
        yield Place(place.source, place.folder, place.document, place.others, place.nbytes, edges)


def _folders(root: Path, files: Iterable[_File], *, in_archive: bool, pdf: bool) -> Iterator[Place]:
    """An article for each document, with the pictures beside it."""
    by_folder: dict[str, list[_File]] = {}
    for file in files:
        if PurePosixPath(file.path).suffix.lower() in (*_DOCUMENTS, *SUFFIXES):
            by_folder.setdefault(str(PurePosixPath(file.path).parent), []).append(file)
    for folder, found in by_folder.items():
        sizes = {PurePosixPath(file.path).name: file.nbytes for file in found}
        documents = _documents(sizes, pdf)
        others = tuple(sorted(n for n in sizes if n not in documents and n.lower().endswith((".json", *SUFFIXES))))
        if not documents and _PMCID.search(PurePosixPath(folder).name):
            yield Place(printable(folder), folder)
        for document in documents:
            source = (
                folder if len(documents) == 1 and _PMCID.search(PurePosixPath(folder).name) else f"{folder}/{document}"
            )
            source = source.removeprefix("./")
            place = Place(printable(source), folder, document, others, max(1, sum(sizes.values())))
            yield place if in_archive else _on_disk(root, place)


def _on_disk(root: Path, place: Place) -> Place:
    try:
        document = root / place.folder / place.document
        # A word of a caption is corrected in the midst of a document, whose ends then stay as they were.
        told = probe(document, _PLACES)[1][:32] if document.stat().st_size > 2 * EDGE else file_edges(document)[1]
        sizes = [(root / place.folder / name).stat().st_size for name in place.others]
    except OSError as error:
        sentence = f"the article cannot be read ({error.strerror}); check its permissions"
        return Place(place.source, place.folder, place.document, refused=("unreadable-file", sentence))
    identity = f"{told} {' '.join(map(str, sizes))}"
    return Place(place.source, place.folder, place.document, place.others, 1 + sum(sizes), identity)


def _documents(names: Iterable[str], pdf: bool) -> list[str]:
    """JATS before any other: `.nxml`; XML named after its article; all XML; JSON so named; PDF if asked for."""
    listed = sorted(names)
    by_suffix = {suffix: [name for name in listed if name.lower().endswith(suffix)] for suffix in _DOCUMENTS}
    named = {suffix: [name for name in found if _PMCID.search(name)] for suffix, found in by_suffix.items()}
    choices = (by_suffix[".nxml"], named[".xml"], by_suffix[".xml"], named[".json"], by_suffix[".pdf"] * pdf)
    return next((found for found in choices if found), [])
