"""The sentences that facts were read from, by their hashes, with what they say of each concept."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np

from voxtile.corpus.view.tables import ABSENT, PRESENT, UNKNOWN
from voxtile.corpus.view.text import text_hash

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
