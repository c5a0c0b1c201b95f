"""The parts of a `multipart/related` answer, written to files as they arrive (RFC 2387, PS3.18 section 8.6.1.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from email.message import Message
from pathlib import Path

from voxtile_medical.dicomweb.address import PassingError, ServerError

LARGEST_PART = 16 << 30  # bytes; no instance that a volume is made of is larger
_LONGEST_HEADER = 1 << 16
_MAGIC_AT, _MAGIC = 128, b"DICM"  # PS3.10 section 7.1


def boundary_of(content_type: str | None) -> bytes:
    """What separates the parts of an answer.

    Raises:
        ServerError: the answer is a page or the like.
    """
    message = Message()
    message["Content-Type"] = content_type or "nothing"
    kind, boundary = message.get_content_type(), message.get_param("boundary")
    if not (content_type or "").lower().startswith("multipart/related") or not isinstance(boundary, str):
        raise ServerError(
            f"the server sent '{kind[:60]}' in place of DICOM files; check the address, and the token if it needs one"
        )
    return boundary.encode()


def save_parts(pieces: Iterable[bytes], boundary: bytes, folder: Path, *, most: int) -> int:
    """Write each part to a file that is named by the hash of its content; no more than one piece is held.

    Args:
        pieces: of the answer's body.
        boundary: between its parts.
        folder: an empty one.
        most: more parts than this are an error.

    Returns:
        The number of parts.

    Raises:
        PassingError: the answer ends before its end mark.
        ServerError: a part is no DICOM file, or there are too many or too large ones.
    """
    parts = _Parts(folder, most)
    try:
        return parts.read(pieces, b"\r\n--" + boundary)
    finally:
        parts.leave()


class _Parts:
    """The parts of one answer, and the one that arrives."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most
        self._number = 0
        self._part: _Part | None = None

    def read(self, pieces: Iterable[bytes], mark: bytes) -> int:
        """Read the body up to its end mark; the number of parts."""
        data = b"\r\n"  # the first mark needs no line break before it
        for piece in pieces:
            data += piece
            while (place := data.find(mark)) >= 0 and len(data) >= place + len(mark) + 2:
                self._end(data[:place])
                data = data[place + len(mark) :]
                if data.startswith(b"--"):
                    return self._number
                self._begin()
            kept = len(mark) + 2  # of which a mark may still become
            if self._part is not None and len(data) > kept:
                self._part.add(data[:-kept])
                data = data[-kept:]
            elif len(data) > _LONGEST_HEADER:
                raise ServerError("the server's answer does not begin with a part; ask its administrator")
        raise PassingError("the server's answer broke off in the middle; run the same command again to go on")

    def leave(self) -> None:
        """Close what is open."""
        if self._part is not None:
            self._part.file.close()

    def _begin(self) -> None:
        self._number += 1
        if self._number > self._most:
            raise ServerError(f"the server sent more than the {self._most} instances that it lists")
        self._part = _Part(self._folder / f"{self._number}.part")

    def _end(self, data: bytes) -> None:
        if self._part is not None:
            self._part.add(data)
            self._part.close(self._folder)


class _Part:
    """A part that arrives: its header is skipped, its body goes to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.file = path.open("wb")
        self._header: bytes | None = b""
        self._hash = hashlib.sha256()
        self._begin = b""
        self._size = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes, first of the header, then of the body."""
        if self._header is not None:
            self._header += data
            _, blank, data = self._header.partition(b"\r\n\r\n")
            if not blank:
                if len(self._header) > _LONGEST_HEADER:
                    raise ServerError("a part of the server's answer has no end of its header; ask its administrator")
                return
            self._header = None
        if len(self._begin) < _MAGIC_AT + len(_MAGIC):
            self._begin += data[: _MAGIC_AT + len(_MAGIC)]
        self._size += len(data)
        if self._size > LARGEST_PART:
            raise ServerError(f"an instance of the server has more than {LARGEST_PART:,} bytes")
        self.file.write(data)
        self._hash.update(data)

    def close(self, folder: Path) -> None:
        """End the file, and give it its name."""
        self.file.close()
        if self._begin[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] != _MAGIC:
            raise ServerError("a part of the server's answer is no DICOM file; check the address")
        self._path.rename(folder / f"{self._hash.hexdigest()[:32]}.dcm")
