"""Series of which a corpus has volumes from several inputs: of one that was still arriving, or was exported again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb

ADVICE = (
    "an earlier run found other files of them (fewer, or under other names), and all are there: convert the whole into "
    "a new corpus"
)


def repeated_series(connection: duckdb.DuckDBPyConnection) -> int:
    """How many series give volumes of one kind from several inputs.

    Args:
        connection: of a corpus.
    """
    found = connection.execute(
        """SELECT count(DISTINCT series) FROM (
            SELECT about ->> '$.series' AS series FROM (
                SELECT source, modality, CASE WHEN json_valid(attributes) THEN attributes END AS about
                FROM samples WHERE kind = 'volume' AND contains(attributes, '"series"'))
            WHERE series IS NOT NULL
            GROUP BY series, modality, about ->> '$.frame_of_reference', about ->> '$.image_type'
            HAVING count(DISTINCT source) > 1)"""
    ).fetchone()
    return int(found[0]) if found else 0
