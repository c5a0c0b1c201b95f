"""Series of a DICOMweb server as files: listed by QIDO-RS, retrieved by WADO-RS, and again after a failure."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from voxtile.corpus.drafts import draft_folder
from voxtile.corpus.identity import downloads_of
from voxtile.corpus.storage import storage_errors, sync
from voxtile.errors import InputError, RunFailedError
from voxtile_medical.dicom_header.headers import FileHeader, NotUsable, glance
from voxtile_medical.dicomweb.address import TIMEOUT_S, Address, Server, ServerError, filters, is_uid
from voxtile_medical.dicomweb.multipart import boundary_of, save_parts

NOT_RETRIEVED = "not-retrieved"
_PAGE = 500
_MOST_SERIES = 1_000_000
_IN_A_ROW = 3  # series that fail one after the other end a run: the server is away
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_MOST_BYTES = 64 << 30  # of a series


@dataclass(frozen=True)
class RemoteSeries:
    """A series that a server lists.

    Attributes:
        instances: how many it has; None where the server does not say.
    """

    study: str
    series: str
    instances: int | None

    @property
    def path(self) -> str:
        """Where its files lie, from the folder of downloads."""
        return f"{self.study}/{self.series}"


@dataclass(frozen=True)
class Fetched:
    """What came.

    Attributes:
        folder: of the files.
        series: number of series that are there.
        fresh: how many of them came in this run.
        lost: series that did not come, and why.
    """

    folder: Path
    series: int
    fresh: int
    lost: tuple[NotUsable, ...] = ()

    def raise_if_lost(self) -> None:
        """Leave with status 1 where a series did not come.

        Raises:
            RunFailedError: the sentence says how many, and why the first one did not.
        """
        if self.lost:
            number, total = len(self.lost), self.series + len(self.lost)
            raise RunFailedError(
                f"{number} of {total} series did not come from the server ({self.lost[0].detail}); what came is "
                f"kept in '{self.folder}': run the same command again to go on"
            )


def list_series(server: Server, query: tuple[str, ...]) -> list[RemoteSeries]:
    """The series that a server has of what is asked for, in the order of their UIDs.

    Raises:
        ServerError: it does not answer, or in no way that can be used.
        InputError: nothing is there.
    """
    of_studies, of_series = filters(query)
    address = server.address
    if address.study is not None:
        studies: list[str] = [address.study]
    else:
        search = partial(server.client.search_for_studies, search_filters=of_studies)
        studies = sorted({_uid(row, "0020000D") for row in _pages(server, search, "its studies")})
    found: dict[str, RemoteSeries] = {}
    for study in studies:
        wanted = dict(of_series) | ({"SeriesInstanceUID": address.series} if address.series else {})
        search = partial(server.client.search_for_series, study, search_filters=wanted)
        for row in _pages(server, search, "the series of a study"):
            series = RemoteSeries(study, _uid(row, "0020000E"), _count(row))
            found[series.path] = series
    if not found:
        raise InputError(f"the server {address.host} lists no such series; check the address and --query")
    return [found[path] for path in sorted(found)]


def fetch(server: Server, series: list[RemoteSeries], folder: Path) -> Fetched:
    """Retrieve series into a folder, one after the other; those that are there already are not asked for again.

    A series appears in the folder whole or not at all.

    Raises:
        StorageError: the folder cannot be written.
    """
    with storage_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lost: list[NotUsable] = []
    fresh = in_a_row = 0
    for number, one in _shown(series):
        target = folder / one.path
        if _is_whole(target, one):
            continue
        if in_a_row == _IN_A_ROW:
            lost.append(NotUsable(one.path, -1, NOT_RETRIEVED, "not asked for: the server failed before"))
            continue
        try:
            server.ask(partial(_retrieve, server, one, target), f"series {number} of {len(series)}")
            fresh, in_a_row = fresh + 1, 0
        except ServerError as error:
            lost.append(NotUsable(one.path, -1, NOT_RETRIEVED, str(error)))
            in_a_row += 1
    return Fetched(folder, len(series) - len(lost), fresh, tuple(lost))


def _retrieve(server: Server, one: RemoteSeries, target: Path) -> None:
    from voxtile_medical.dicomweb.session import pieces  # of the extra

    with ExitStack() as stack:
        with storage_errors(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            part = stack.enter_context(draft_folder(target))
        url = f"{server.address.base}/studies/{one.study}/series/{one.series}"
        headers = {"Accept": _ACCEPT, "Accept-Encoding": "identity"}  # pixels hardly pack, and a bomb may
        with server.session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
            answer.raise_for_status()
            boundary = boundary_of(answer.headers.get("Content-Type"))
            body = pieces(answer, _MOST_BYTES, "ask its administrator whether that is one series")
            save_parts(body, boundary, part, most=one.instances or 1_000_000)
        number = sum(1 for _ in part.iterdir())  # a part that came twice is one file
        if number == 0 or (one.instances is not None and number < one.instances):
            raise ServerError(f"the server sent {number} of the {one.instances} instances that it lists of a series")
        with storage_errors(target):
            for path in sorted(part.iterdir()):
                sync(path)
                path.rename(path.with_name(f"{_number_of(part, path.name):07}-{path.name}"))
            if _is_whole(target, one):
                return  # another command was faster, and may read it now
            shutil.rmtree(target, ignore_errors=True)
            part.rename(target)
            sync(target.parent)


def _number_of(folder: Path, name: str) -> int:
    """The instance's number, so that files lie in the order of an ordinary export; uids of samples depend on it."""
    header = glance(folder, name)
    try:
        number = int(float(header.text("InstanceNumber"))) if isinstance(header, FileHeader) else 0
    except (ValueError, OverflowError):
        return 0
    return min(max(number, 0), 9_999_999)


def _is_whole(target: Path, one: RemoteSeries) -> bool:
    """Whether a series is there with as many instances as the server has now."""
    if not target.is_dir():
        return False
    return one.instances is None or sum(1 for _ in target.glob("*.dcm")) == one.instances


def _pages(server: Server, search: Any, what: str) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401
    """All rows of a search, also where the server gives so many at a time."""
    seen = 0
    known: set[bytes] = set()
    while seen < _MOST_SERIES:
        rows = server.ask(partial(search, limit=_PAGE, offset=seen), what)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ServerError(f"the server {server.address.host} answered the question for {what} with no list")
        named = {hashlib.sha256(repr(row).encode()).digest(): row for row in rows}
        fresh = [row for digest, row in named.items() if digest not in known]
        known.update(named)
        yield from fresh
        seen += len(rows)
        if not fresh or len(rows) < _PAGE:
            return


def _uid(row: Mapping[str, Any], tag: str) -> str:
    try:
        value = row[tag]["Value"][0]
    except (KeyError, IndexError, TypeError):
        value = None
    if not is_uid(value):
        raise ServerError("the server lists a study or series without a UID that can be used; ask its administrator")
    return str(value)


def _count(row: Mapping[str, Any]) -> int | None:
    """NumberOfSeriesRelatedInstances."""
    try:
        return int(row["00201209"]["Value"][0])
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        return None


def _shown(series: list[RemoteSeries]) -> Iterator[tuple[int, RemoteSeries]]:
    console = Console(stderr=True)
    numbered = list(enumerate(series, start=1))
    yield from track(numbered, "retrieving series", console=console, transient=True, disable=not console.is_terminal)


def fetch_source(
    source: Path, corpus: Path, query: tuple[str, ...], downloads: Path | None, *, dry_run: bool = False
) -> Fetched | None:
    """Retrieve what a source names, where it is an address; None where it is a path.

    Args:
        source: of a conversion.
        corpus: beside which the files are kept.
        query: filters, as `filters` takes them.
        downloads: another folder for the files.
        dry_run: list the series alone.

    Raises:
        ConfigError, InputError, ServerError, StorageError: see `Address.of`, `list_series` and `fetch`.
    """
    address = Address.of(source)
    if address is None:
        return None
    server = Server(address)
    folder = downloads or downloads_of(corpus)
    series = list_series(server, query)
    if dry_run:
        return Fetched(folder, len(series), 0)
    fetched = fetch(server, series, folder)
    if not fetched.series:
        fetched.raise_if_lost()
    return fetched
