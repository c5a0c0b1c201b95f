"""Names that never change: sample uids from content, and keyed hashes in place of patient identifiers."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.command_end import at_end
from voxtile.corpus.drafts import draft
from voxtile.corpus.forgotten import ForgottenSubjects
from voxtile.corpus.parts import text_table
from voxtile.corpus.storage import publish_all, storage_errors, sync
from voxtile.errors import ConfigError, CorpusError, cause_of
from voxtile.file_edges import EDGE as EDGE
from voxtile.file_edges import edge_digest as edge_digest
from voxtile.file_edges import file_edges as file_edges

KEY_MAP_SUFFIX = ".sources.parquet"
DOWNLOADS_SUFFIX = ".dicomweb"
_KEY_FIELD = b"voxtile_key"
_KEY_BYTES = 32
_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("subject", pa.string(), nullable=False),  # as the corpus calls it; empty where nothing says whose
    ]
)
_MAX_SHIFT_DAYS = 1825  # five years, backwards: ages stay plausible and no date lies in the future


def sample_uid(content: str, region: str = "", geometry: str = "") -> str:
    """Identify a sample by what it is made of.

    Args:
        content: identity of the source content, e.g. the sha-256 of its pixels or its SOP instance UIDs.
        region: the part of it (box, volume number), if not all.
        geometry: the configuration of spacing, level or projection, if it changes the pixels.

    Returns:
        128 bits in 32 hexadecimal digits. The parts are length-prefixed, so ("ab", "c") differs from ("a", "bc").
    """
    digest = hashlib.sha256()
    for part in (content, region, geometry):
        encoded = printable(part).encode()
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.hexdigest()[:32]


def printable(name: str) -> str:
    """A name from outside as text that can be stored and shown: bytes that are not UTF-8 become escapes."""
    try:
        return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a lone surrogate that no file name's byte has become
        return name.encode("utf-8", "backslashreplace").decode()


@dataclass(frozen=True)
class KeyedHash:
    """HMAC-SHA256 under a secret key; small and picklable, for worker processes.

    Attributes:
        key: 32 random bytes. Whoever holds them can test guesses of identifiers.
    """

    key: bytes = field(repr=False)

    def hash(self, kind: str, value: str) -> str:
        """Replace an identifier by 32 hexadecimal digits.

        Args:
            kind: what it is (`source`, `subject`, `study`, …); equal values of different kinds are not linked.
            value: the identifier.
        """
        return self._digest(kind, value).hex()[:32]

    def date_shift_days(self, subject: str) -> int:
        """Days to add to every date of a subject: constant for the subject, from −1,825 to −1.

        Args:
            subject: the identifier in the source, not its hash.
        """
        return -1 - int.from_bytes(self._digest("date-shift", subject)[:8], "big") % _MAX_SHIFT_DAYS

    def _digest(self, kind: str, value: str) -> bytes:
        return hmac.digest(self.key, f"{kind}\0{printable(value)}".encode(), "sha256")


class KeyMap:
    """The key and the map from hashed sources to paths, in one file outside the corpus (mode 0600).

    Workers take `hasher` and only hash; the parent process remembers paths and saves.

    Args:
        path: the file; read if it exists, otherwise a new key is drawn and stored at once.

    Raises:
        CorpusError: the file exists but is not a key map.
        StorageError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.forgotten = ForgottenSubjects()
        self._corpus: Path | None = None
        self._paths: dict[str, str] = {}
        self._subjects: dict[str, str] = {}
        self._own_paths: dict[str, str] = {}  # what was noted here, and may not be in the file yet
        self._own_subjects: dict[str, str] = {}
        self._left_out: set[str] = set()
        self._left_out_names: set[str] = set()
        self.is_new = not path.exists()
        if self.is_new:
            self.hasher = KeyedHash(secrets.token_bytes(_KEY_BYTES))
            self._create()
        else:
            self.hasher, self._paths, self._subjects = _load(path)

    @classmethod
    def for_corpus(cls, corpus: Path, key_file: Path | None = None) -> KeyMap:
        """Open the key map of a corpus: `<CORPUS>.sources.parquet` beside it, or the file given.

        Raises:
            ConfigError: the file would lie inside the corpus, where it would be shared together with the data.
        """
        keys = cls(key_map_path(corpus, key_file))
        if keys.is_new and key_file is None:
            at_end(partial(_remove_unused, keys.path, corpus))
        keys._corpus, keys.forgotten = corpus, ForgottenSubjects.of(corpus)
        return keys

    def hash(self, kind: str, value: str) -> str:
        """See `KeyedHash.hash`."""
        return self.hasher.hash(kind, value)

    def date_shift_days(self, subject: str) -> int:
        """See `KeyedHash.date_shift_days`."""
        return self.hasher.date_shift_days(subject)

    def remember(self, source: str, path: str, subject: str | None = None) -> None:
        """Note which input path a hashed source stands for; kept in memory until `save`.

        Args:
            source: as the corpus calls the input.
            path: where it was read.
            subject: whose it is, as the corpus calls them; nothing is noted of a subject that the corpus has forgotten.
        """
        if subject is not None and subject in self.forgotten:
            return
        self._paths[printable(source)] = self._own_paths[printable(source)] = printable(path)
        if subject is not None:
            self._subjects[printable(source)] = self._own_subjects[printable(source)] = subject

    def remember_nobodys(self, source: str, path: str) -> None:
        """Note the path of an input of which nothing says whose it is.

        A corpus that has forgotten somebody notes none: the path may name whom it has forgotten.
        """
        if not self.forgotten.hashes:
            self.remember(source, path)

    def path_of(self, source: str) -> str | None:
        """Input path of a hashed source, or None if it is not known."""
        return self._paths.get(source)

    def paths(self) -> dict[str, str]:
        """Hashed source → input path, of all that are known."""
        return dict(self._paths)

    def subjects(self) -> dict[str, str]:
        """Hashed source → subject as the corpus calls it, of all inputs whose subject is known."""
        return dict(self._subjects)

    def forget(self, choose: Callable[[KeyMap], set[str]]) -> set[str]:
        """Take sources out of the map for good, and write it; which.

        Args:
            choose: those sources, of the map with what others have added to it by now.

        Raises:
            StorageError: the file cannot be written.
        """
        gone: set[str] = set()

        def fill(target: Path) -> None:
            self._join()
            gone.update(choose(self))
            self._paths = {source: path for source, path in self._paths.items() if source not in gone}
            self._write(target)

        publish_all([(self.path, fill)])
        return gone

    def leave_out(self, sources: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        """Never write these sources, nor paths of which a folder, or the file up to its first dot, has such a name."""
        self._left_out.update(map(printable, sources))
        self._left_out_names.update(map(printable, names))

    def _may_stay(self, source: str, path: str) -> bool:
        *folders, file = path.split("/")
        return source not in self._left_out and self._left_out_names.isdisjoint((*folders, file, file.split(".")[0]))

    def save(self) -> None:
        """Write the map, together with what another process has added since, and without what is to be left out.

        Raises:
            StorageError: the file cannot be written.
            CorpusError: another process replaced the file by one with a different key, or the corpus has forgotten
                somebody since it was opened, who may be in what was noted.
        """

        def fill(target: Path) -> None:  # the file is ours alone meanwhile, so that nothing is added unseen
            if self._corpus is not None and ForgottenSubjects.of(self._corpus) != self.forgotten:
                raise CorpusError(
                    f"the corpus '{self._corpus}' has forgotten subjects since this command read it; run the same "
                    "command again"
                )
            self._join()
            if self._left_out or self._left_out_names:
                self._paths = {source: path for source, path in self._paths.items() if self._may_stay(source, path)}
            self._write(target)

        publish_all([(self.path, fill)])

    def _join(self) -> None:
        """Take up what the file holds by now: also without what others took out of it."""
        if self.path.exists():
            hasher, known, whose = _load(self.path)
            if hasher != self.hasher:
                raise CorpusError(f"the key in '{self.path}' has changed since it was read; run the command again")
            self._paths, self._subjects = known | self._own_paths, whose | self._own_subjects

    def _create(self) -> None:
        """Two processes that start together must end with one key: the first link wins and the other reads it."""
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with draft(self.path) as unfinished:
                self._write(unfinished)
                sync(unfinished)  # a key that a power cut takes away takes every pseudonym with it
                try:
                    os.link(unfinished, self.path)
                except FileExistsError:
                    self.hasher, self._paths, self._subjects = _load(self.path)
            sync(self.path.parent)

    def _write(self, target: Path) -> None:
        known = dict(sorted(self._paths.items()))
        schema = _SCHEMA.with_metadata({_KEY_FIELD: self.hasher.key.hex().encode()})
        subjects = [self._subjects.get(source, "") for source in known]
        write_private(target, {"source": [*known], "path": [*known.values()], "subject": subjects}, schema)


def write_private(target: Path, columns: Mapping[str, Sequence[str]], schema: pa.Schema) -> None:
    """Write a table of texts that only its owner can read (mode 0600).

    Raises:
        OSError: the file cannot be written.
    """
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(descriptor, 0o600)  # the draft may be there already
    with os.fdopen(descriptor, "wb") as file:
        pq.write_table(text_table(columns, schema), file, compression="zstd")


def _remove_unused(path: Path, corpus: Path) -> None:
    """Remove a key beside a corpus that was not made after all: the command was refused, or only planned."""
    with suppress(OSError, pa.ArrowException):
        if not corpus.exists() and pq.read_metadata(path).num_rows == 0:
            path.unlink()


def is_hashed(source: str) -> bool:
    """Whether an input's name is a keyed hash, and not a path."""
    return re.fullmatch(r"[0-9a-f]{32}(#.*)?", source) is not None


def key_map_path(corpus: Path, key_file: Path | None = None) -> Path:
    """Where the key map of a corpus is kept.

    Raises:
        ConfigError: `key_file` lies inside the corpus.
    """
    path = key_file or corpus.resolve().with_name(corpus.resolve().name + KEY_MAP_SUFFIX)
    if path.resolve().is_relative_to(corpus.resolve()):
        raise ConfigError(f"the key file '{path}' lies inside the corpus '{corpus}'; keep it elsewhere")
    return path


def _load(path: Path) -> tuple[KeyedHash, dict[str, str], dict[str, str]]:
    """The key, and source → path and source → subject."""
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
        key = bytes.fromhex((table.schema.metadata or {})[_KEY_FIELD].decode())
        sources = table["source"].to_pylist()
        paths = dict(zip(sources, table["path"].to_pylist(), strict=True))
        named = table["subject"].to_pylist() if "subject" in table.column_names else []  # older maps have no subjects
        subjects = {source: subject for source, subject in zip(sources, named, strict=False) if subject}
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:  # of the disk; what is wrong in the file has no number
            raise CorpusError(
                f"the key map '{path}' cannot be read ({cause_of(error)}); keep it, it is the only key; see to the disk"
                " or its permissions, then run the same command again"
            ) from error
        raise CorpusError(f"'{path}' is not a voxtile key map; restore it, without it the hashes change") from error
    if len(key) != _KEY_BYTES:
        raise CorpusError(f"the key in '{path}' has {len(key)} bytes instead of {_KEY_BYTES}; restore the file")
    return KeyedHash(key), paths, subjects


def downloads_of(corpus: Path) -> Path:
    """Folder of files that came from a server, if not said otherwise: beside the corpus, for they name patients."""
    return corpus.resolve().with_name(corpus.resolve().name + DOWNLOADS_SUFFIX)
