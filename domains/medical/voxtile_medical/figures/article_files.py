"""The files of one article, each read once: the document, metadata beside it, and the pictures that are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lxml import etree

from voxtile.corpus.identity import printable
from voxtile_medical.archives.entries import ArchiveFault, Entry
from voxtile_medical.archives.single_pass import read_once
from voxtile_medical.archives.stored import open_stored
from voxtile_medical.figures.article import Article, ArticleFault
from voxtile_medical.figures.bioc import is_bioc, read_bioc_json, read_bioc_xml
from voxtile_medical.figures.file_list import Listed, read_metadata
from voxtile_medical.figures.jats import is_jats, parse_xml, read_jats
from voxtile_medical.figures.packages import Place
from voxtile_medical.figures.pdf import read_pdf
from voxtile_medical.figures.picture_files import SUFFIXES
from voxtile_medical.verdicts import Verdict

_LARGEST_DOCUMENT = 64 << 20  # bytes; the largest articles have about 10 MB of XML
_LARGEST_PICTURE = 256 << 20
_MOST_KEPT = 1 << 30  # bytes of the pictures of one package


@dataclass
class ArticleFiles:
    """What a package or a folder holds.

    Attributes:
        documents: name → bytes of what may be the article, best first.
        names: of its pictures.
        refused: members that are not read, with their reasons.
        listed: metadata of the cloud service, where they lie beside the document.
        article: that was read together with its pictures, from a PDF.
    """

    documents: dict[str, bytes] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    refused: list[Entry] = field(default_factory=list)
    listed: Listed | None = None
    article: Article | None = None
    _pictures: dict[str, bytes] = field(default_factory=dict)
    _folder: Path | None = None

    def picture(self, name: str) -> bytes:
        """The bytes of a picture.

        Raises:
            ArticleFault: it cannot be read.
        """
        if self._folder is None:
            if name not in self._pictures:
                raise ArticleFault("too-large", f"the picture has more than {_LARGEST_PICTURE >> 20} MiB; shrink it")
            return self._pictures[name]
        return _read(self._folder / name, _LARGEST_PICTURE)


def open_article(root: Path, place: Place) -> ArticleFiles:
    """Read the document of an article; of a package, in the same pass, its pictures.

    Raises:
        ArticleFault: the archive or the document cannot be read.
    """
    if place.document.lower().endswith(".pdf"):
        return _pdf(root / place.folder / place.document)
    return _package(root / place.folder) if place.is_package else _folder(root, place)


def read_article(files: ArticleFiles) -> Article:
    """The article, of whatever of the documents is one.

    Raises:
        ArticleFault: none is; the fault of the first.
    """
    if files.article is not None:
        return files.article
    fault: ArticleFault | None = None
    for name, data in files.documents.items():
        try:
            article = read_bioc_json(data) if name.lower().endswith(".json") else _of_xml(data)
        except (ArticleFault, etree.LxmlError) as error:
            known = error if isinstance(error, ArticleFault) else ArticleFault("not-xml", "the article cannot be read")
            fault = fault or known
            continue
        if article is not None:
            return article
    raise fault or ArticleFault("not-an-article", "the document is neither JATS nor BioC; take it from PubMed Central")


def _of_xml(data: bytes) -> Article | None:
    root = parse_xml(data)
    if is_bioc(root):
        return read_bioc_xml(root)
    return read_jats(root) if is_jats(root) else None


def _pdf(path: Path) -> ArticleFiles:
    data = _read(path, _LARGEST_PICTURE)
    article, pictures = read_pdf(data)
    files = ArticleFiles({path.name: data}, sorted(pictures), article=article)
    files._pictures = pictures
    return files


def _package(path: Path) -> ArticleFiles:
    files, kept = ArticleFiles(), 0
    documents: dict[str, bytes] = {}

    def wanted(entry: Entry) -> bool:
        suffix = PurePosixPath(entry.path).suffix.lower()
        if suffix in (".nxml", ".xml", ".json"):
            return entry.size <= _LARGEST_DOCUMENT
        return suffix in SUFFIXES and entry.size <= min(_LARGEST_PICTURE, _MOST_KEPT - kept)

    try:
        for entry, data in read_once(path, wanted):
            suffix = PurePosixPath(entry.path).suffix.lower()
            if entry.reason:
                files.refused.append(entry)
            elif suffix in SUFFIXES:
                files.names.append(entry.path)
                if data or not entry.size:
                    files._pictures[entry.path] = data
                    kept += len(data)
            elif data and suffix in (".nxml", ".xml", ".json"):
                documents[entry.path] = data
    except ArchiveFault as fault:
        raise ArticleFault(fault.reason, fault.detail) from fault
    files.listed = next(
        (found for name, data in documents.items() if name.endswith(".json") and (found := read_metadata(data))), None
    )
    order = sorted(
        documents, key=lambda name: (not name.lower().endswith(".nxml"), name.lower().endswith(".json"), name)
    )
    files.documents = {name: documents[name] for name in order}
    return files


def _folder(root: Path, place: Place) -> ArticleFiles:
    folder = root / place.folder
    files = ArticleFiles(_folder=folder)
    files.names = [name for name in place.others if PurePosixPath(name).suffix.lower() in SUFFIXES]
    if place.document:
        files.documents = {place.document: _read(folder / place.document, _LARGEST_DOCUMENT)}
    for data in _metadata(folder, place):
        files.listed = files.listed or read_metadata(data)
    return files


def _metadata(folder: Path, place: Place) -> Iterator[bytes]:
    for name in place.others:
        if name.lower().endswith(".json"):
            with suppress(ArticleFault):  # a file that only adds to the document
                yield _read(folder / name, _LARGEST_DOCUMENT)


def _read(path: Path, most: int) -> bytes:
    try:
        with open_stored(path) as file:
            if file.size > most:
                raise ArticleFault("too-large", f"the file has more than {most >> 20} MiB; shrink it or leave it out")
            return file.read(file.size)
    except Verdict as verdict:
        raise ArticleFault(verdict.reason, verdict.detail) from verdict
    except OSError as error:
        name = printable(path.name)
        raise ArticleFault("unreadable-file", f"'{name}' cannot be read ({error.strerror}); copy it again") from error
