"""When two texts count as the same: normalisation and the 63-bit hash that losses use to mask duplicates."""

from __future__ import annotations

import hashlib
import unicodedata
from pathlib import Path

import duckdb
import numpy as np

from voxtile.corpus.view.tables import ABSENT, PRESENT, UNKNOWN

_MASK63 = (1 << 63) - 1


def normalised(text: str) -> str:
    """Fold case, compatibility characters and spacing, and drop the closing punctuation."""
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return " ".join(plain.casefold().split()).strip(" .;,:!")


def hash63(text: str) -> int:
    """Stable hash of a string, in [0, 2^63): the first eight bytes of BLAKE2b."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") & _MASK63


def text_hash(text: str) -> int:
    """63-bit hash of the normalised text: equal for texts that differ only in case, spacing or the final stop."""
    return hash63(normalised(text))


HASHES, FACTS = "evidence_hashes.npy", "evidence_facts.npy"
_POLARITY = {"present": PRESENT, "absent": ABSENT, "uncertain": UNKNOWN}


def write_evidence(connection: duckdb.DuckDBPyConnection, building: Path, concepts: list[str]) -> None:
    """Write the ascending hashes [E] int64 and the facts [E, concepts] int8 of all sentences that are evidence."""
    rows = connection.execute("""
        SELECT DISTINCT concept, polarity,
            unnest(from_json(json_extract(attributes, '$.evidence'), '["VARCHAR"]')) AS text
        FROM chosen_facts JOIN picked USING (uid)
        WHERE json_valid(attributes) AND json_type(attributes, '$.evidence') = 'ARRAY' ORDER BY ALL""").fetchall()
    columns = {concept: i for i, concept in enumerate(concepts)}
    hashes = np.array([text_hash(text) for _, _, text in rows], np.int64)
    distinct, place = np.unique(hashes, return_inverse=True)
    matrix = np.full((len(distinct), len(concepts)), UNKNOWN, np.int8)
    for (concept, polarity, _), row in zip(rows, place, strict=True):
        matrix[row, columns[concept]] = _POLARITY[polarity]
    np.save(building / HASHES, distinct, allow_pickle=False)
    np.save(building / FACTS, matrix, allow_pickle=False)
