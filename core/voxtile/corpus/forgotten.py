"""Subjects that a corpus has forgotten, so that a later conversion of the same files does not bring them back.

The file holds salted hashes and no identifier. Whoever has the corpus can test a guessed identifier against it; where
subjects are keyed hashes, guessing takes the key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from voxtile.bounded_text import read_json
from voxtile.errors import CorpusError

FORGOTTEN_FILE = "forgotten.json"
FORGOTTEN = "forgotten"  # the reason in the ledger, and what stands for the name of such an input


@dataclass(frozen=True)
class ForgottenSubjects:
    """The list; an empty one where nobody was forgotten.

    Attributes:
        salt: random bytes of this corpus.
        hashes: of the subjects, as they stood in the corpus.
    """

    salt: bytes = b""
    hashes: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, root: Path) -> ForgottenSubjects:
        """The list of a corpus.

        Raises:
            CorpusError: the file is damaged.
        """
        path = root / FORGOTTEN_FILE
        try:
            content = read_json(path)
            return cls(bytes.fromhex(content["salt"]), frozenset(map(str, content["subjects"])))
        except (FileNotFoundError, NotADirectoryError):
            return cls()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CorpusError(
                f"'{path}' is damaged; restore it, or forgotten subjects come back with the next conversion"
            ) from error

    def __contains__(self, subject: object) -> bool:
        return bool(self.hashes) and self._hash(str(subject)) in self.hashes

    def with_subjects(self, subjects: Iterable[str]) -> ForgottenSubjects:
        """The list with more subjects."""
        longer = ForgottenSubjects(self.salt or secrets.token_bytes(16), self.hashes)
        return ForgottenSubjects(longer.salt, longer.hashes | {longer._hash(subject) for subject in subjects})

    def to_bytes(self) -> bytes:
        """The file's content."""
        return json.dumps({"salt": self.salt.hex(), "subjects": sorted(self.hashes)}, indent=1).encode()

    def _hash(self, subject: str) -> str:
        return hmac.digest(self.salt, subject.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()
