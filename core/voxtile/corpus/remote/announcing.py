"""Saying what will be read before it is: whoever knows an order has the bytes on their way while it works on others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from voxtile.corpus.remote.address import marker
from voxtile.corpus.remote.block_cache import limit_bytes
from voxtile.corpus.remote.extents import BLOCK

_FIRST_BYTES = 4 << 20  # announced before the first item: little, so that it is not behind others
_MOST_BYTES = 96 << 20  # announced at once later, and so what is joined into requests; less in a small cache
_WINDOWS = 2  # announced and not yet read
_SHARE_OF_CACHE = 16  # a window takes no more of it, or it would push out what was announced before
_BEGINNING = 4  # of a batch that takes more than a window, the first so manieth part of one is announced
_MOST_ITEMS = 4096
_HEADER = 512  # of a tar member, which is read before its bytes

MOST_WHOLE = 8 << 20  # bytes that are fetched whole: at 100 MB/s they take as long as two round trips of 50 ms
LARGEST_SHARE = 0.25  # of a sample's values; whoever reads more of it has all of it fetched
ENDS = 1 << 15  # bytes in front and at the end of an array: an index of thousands of chunks

T = TypeVar("T")


class Place(NamedTuple):
    """Where a payload lies.

    Attributes:
        root: folder of the corpus.
        shard: path of the shard in it.
        offset: of the first byte.
        nbytes: how many there are.
    """

    root: Path
    shard: str
    offset: int
    nbytes: int


def is_mirror(root: Path) -> bool:
    """Whether a corpus is remote, and only its tables are in this folder."""
    return marker(root).is_file()


def place_of(root: Path, row: Mapping[str, Any]) -> list[Place]:
    """The place of a sample's payload; none of a reference.

    Args:
        root: folder of the sample's corpus.
        row: of the table `samples`.
    """
    address = row.get("shard"), row.get("offset"), row.get("nbytes")
    return [] if None in address else [Place(root, str(address[0]), int(address[1] or 0), int(address[2] or 0))]


def announce(places: Iterable[Place]) -> None:
    """Have payloads fetched that will be read soon; those of local corpora are where they are."""
    wanted: dict[Path, dict[str, list[tuple[int, int]]]] = {}
    for root, shard, offset, nbytes in places:
        wanted.setdefault(root, {}).setdefault(shard, []).append((max(0, offset - _HEADER), offset + nbytes))
    for root, ranges in wanted.items():
        if is_mirror(root):
            from voxtile.corpus.remote.client import read_ahead  # late: for remote corpora alone

            read_ahead(root, ranges)


def _taken(place: Place) -> int:
    """Bytes of the cache that a payload takes, in whole blocks."""
    return (-(-(place.offset + place.nbytes) // BLOCK) - max(0, place.offset - _HEADER) // BLOCK) * BLOCK


def _window(sharers: int) -> int:
    """Bytes that one of so many who read side by side may announce at once."""
    return min(_MOST_BYTES, limit_bytes(0) // _SHARE_OF_CACHE) // sharers


def _beginning(places: Iterable[Place], most: int) -> list[Place]:
    """The first of the places, no more than fill so many bytes."""
    found = []
    for place in places:
        if (most := most - _taken(place)) < 0:
            break
        found.append(place)
    return found


def announced(items: Iterable[T], places: Callable[[T], Iterable[Place]], *, sharers: int = 1) -> Iterator[T]:
    """The same items in the same order, each after what it takes was announced.

    Args:
        items: what will be read, in order; taken from their source ahead of time.
        places: what one of them takes.
        sharers: how many read side by side.
    """
    return (item for item, _ in announced_so_far(items, places, sharers=sharers))


def announced_so_far(
    items: Iterable[T], places: Callable[[T], Iterable[Place]], *, sharers: int = 1
) -> Iterator[tuple[T, bool]]:
    """The same, with whether all of an item was announced.

    Of an item that takes more than may be announced at once only the beginning is: whoever reads it goes on with
    `announced_in_pieces`.
    """
    remaining = iter(items)
    most = _window(sharers)
    ready: deque[tuple[T, int, bool]] = deque()
    window, ahead = min(_FIRST_BYTES, most), 0
    while True:
        if ahead <= (_WINDOWS - 1) * window:
            group: list[Place] = []
            size = count = 0
            while size < window and count < _MOST_ITEMS and (item := next(remaining, None)) is not None:
                own = list(places(item))
                nbytes = sum(map(_taken, own))
                is_whole = nbytes <= most or len(own) == 1
                if not is_whole:
                    own = _beginning(own, most // _BEGINNING)
                    nbytes = sum(map(_taken, own))
                group += own
                ready.append((item, nbytes, is_whole))
                size, count = size + nbytes, count + 1
            announce(group)
            ahead += size
            window = min(2 * window, most)
        if not ready:
            return
        item, nbytes, is_whole = ready.popleft()
        ahead -= nbytes
        yield item, is_whole


def announced_in_pieces(items: Sequence[T], places: Callable[[T], Iterable[Place]], *, sharers: int = 1) -> Iterable[T]:
    """The items of a batch, announced as they are read where all of it was more than could be announced before.

    Args:
        items: of the batch, in order.
        places: what one of them takes.
        sharers: how many read batches side by side.
    """
    whole = sum(_taken(place) for item in items for place in places(item))
    return items if whole <= _window(1) else announced(items, places, sharers=sharers)


def ends_of(place: Place, share: float) -> list[Place]:
    """What is announced of a payload: all of it, or only its ends where its chunks are found by them.

    Args:
        place: of the payload.
        share: of its values that will be read.
    """
    if place.nbytes <= MOST_WHOLE or share > LARGEST_SHARE or not is_mirror(place.root):
        return [place]
    end = place.offset + place.nbytes
    return [place._replace(nbytes=ENDS), place._replace(offset=end - ENDS, nbytes=ENDS)]
