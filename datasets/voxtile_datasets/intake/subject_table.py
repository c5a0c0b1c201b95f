"""Who stands behind the pseudonyms of a corpus: a table apart from the key, in a file that its owner alone can read.

The key makes pseudonyms of identifiers and tests guesses; this table gives identifiers back. Whoever may do the first
need not be able to do the second, so the two are different files, and a corpus needs neither to be trained on.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.corpus.forgotten import ForgottenSubjects
from voxtile.corpus.identity import key_map_path, printable, write_private
from voxtile.corpus.storage import publish_all
from voxtile.errors import ConfigError, CorpusError, InputError

_KIND = {b"voxtile_subjects": b"1"}
_SCHEMA = pa.schema(
    [pa.field("subject", pa.string(), nullable=False), pa.field("identifier", pa.string(), nullable=False)], _KIND
)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SubjectTable:
    """Pseudonyms and the identifiers that they stand for.

    Args:
        path: the file (mode 0600); read if it exists.

    Raises:
        CorpusError: the file is no such table.
        ConfigError: others than its owner can read it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identifiers = _load(path) if path.exists() else {}
        self._own: dict[str, str] = {}  # what was noted here, and may not be in the file yet
        self._corpus: Path | None = None
        self._forgotten: ForgottenSubjects | None = None

    @classmethod
    def of_corpus(cls, corpus: Path, path: Path, key_file: Path | None = None) -> SubjectTable:
        """The table of a corpus.

        Raises:
            ConfigError: the file would lie in the corpus, or it is the key's.
        """
        if path.resolve().is_relative_to(corpus.resolve()):
            raise ConfigError(f"the table of subjects '{path}' lies inside the corpus '{corpus}'; keep it elsewhere")
        if path.resolve() == key_map_path(corpus, key_file).resolve():
            raise ConfigError(f"'{path}' is the file of the key; keep the table of subjects in another one")
        table = cls(path)
        table._corpus, table._forgotten = corpus, ForgottenSubjects.of(corpus)
        return table

    def __len__(self) -> int:
        return len(self._identifiers)

    def add(self, subject: str, identifier: str) -> None:
        """Note who a pseudonym stands for; kept in memory until `save`. Who was forgotten is not noted again.

        Raises:
            CorpusError: it stands for somebody else already, by another key.
        """
        if self._forgotten is not None and subject in self._forgotten:
            return
        shown = self._own[subject] = printable(identifier)
        if self._identifiers.setdefault(subject, shown) != shown:
            raise CorpusError(f"subject {subject} stands for somebody else in '{self.path}'; name a table of this key")

    def identifier_of(self, subject: str) -> str | None:
        """Who a pseudonym stands for."""
        return self._identifiers.get(subject)

    def find(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """Pseudonyms and identifiers of those who are named by either, in the order of the names.

        Raises:
            InputError: somebody is not in the table; told by the place in the list, since a name is an identifier.
        """
        subjects = {identifier: subject for subject, identifier in self._identifiers.items()}
        found: list[tuple[str, str]] = []
        for place, name in enumerate(names, start=1):
            subject = name if name in self._identifiers else subjects.get(printable(name))
            if subject is None:
                raise InputError(
                    f"nobody in '{self.path}' goes by name {place}; give a pseudonym of the corpus's column 'subject' "
                    "or an identifier as the source writes it"
                )
            found.append((subject, self._identifiers[subject]))
        return found

    def forget(self, subjects: Iterable[str]) -> int:
        """Take subjects out of the table for good, and write it; how many there were.

        Raises:
            StorageError: the file cannot be written.
        """
        named, gone = set(subjects), set[str]()

        def fill(target: Path) -> None:
            self._join()
            gone.update(named & self._identifiers.keys())
            self._identifiers = {s: i for s, i in self._identifiers.items() if s not in gone}
            self._write(target)

        if self.path.exists():
            publish_all([(self.path, fill)])
        return len(gone)

    def subject_of(self, identifier: str) -> str | None:
        """The pseudonym of an identifier."""
        return next((subject for subject, one in self._identifiers.items() if one == printable(identifier)), None)

    def save(self) -> None:
        """Write the table, together with what another process has added since.

        Raises:
            StorageError: the file cannot be written.
            CorpusError, ConfigError: another process made something else of it, or the corpus has forgotten somebody
                since the table was opened.
        """

        def fill(target: Path) -> None:  # the file is ours alone meanwhile, so that nothing is added unseen
            if self._corpus is not None and ForgottenSubjects.of(self._corpus) != self._forgotten:
                raise CorpusError(
                    f"the corpus '{self._corpus}' has forgotten subjects since this command read it; run the same "
                    "command again"
                )
            self._join()
            self._write(target)

        publish_all([(self.path, fill)])

    def _join(self) -> None:
        """Take up what the file holds by now."""
        if self.path.exists():
            self._identifiers = _load(self.path)
            for subject, identifier in self._own.items():
                self.add(subject, identifier)

    def _write(self, target: Path) -> None:
        known = dict(sorted(self._identifiers.items()))
        write_private(target, {"subject": [*known], "identifier": [*known.values()]}, _SCHEMA)


def _load(path: Path) -> dict[str, str]:
    if path.is_file() and path.stat().st_mode & _OTHERS:
        raise ConfigError(f"others can read '{path}', which says who the subjects are; run: chmod 600 '{path}'")
    try:
        with pq.ParquetFile(path) as file:
            table = file.read()
        if not _KIND.items() <= (table.schema.metadata or {}).items():
            raise KeyError("voxtile_subjects")
        return dict(zip(table["subject"].to_pylist(), table["identifier"].to_pylist(), strict=True))
    except (OSError, pa.ArrowException, KeyError) as error:
        raise CorpusError(f"'{path}' is no table of subjects; name the one that was made for the corpus") from error
