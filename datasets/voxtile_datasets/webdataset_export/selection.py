"""Which samples are exported, in which order, with all that is known of them: one stream, read in small batches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from voxtile.corpus.records import Row
from voxtile.corpus.schema import DESCRIPTIVE, MEASURED, SAMPLES
from voxtile.corpus.view.selection import EVERYTHING, find_selection
from voxtile.corpus.view.selection import Selection as CuratedView
from voxtile.corpus.view.tables import assign_splits, connect, judge_captions, select_samples
from voxtile.errors import ConfigError
from voxtile_datasets.webdataset_export.settings import ExportSettings

NO_SPLIT = "unsplit"
WITHOUT_SPLITS = "all"
_BATCH = 512  # rows read at a time, with their captions
_FOLDER = re.compile(r"[\w-]{1,60}")


class Selection:
    """The samples of an export. Use it as a context: it keeps a database open.

    Args:
        corpus: folder of the corpus.
        settings: of the export.
        scratch: folder to which sorting may spill.

    Raises:
        ConfigError: the condition, the scheme, a split or a caption kind does not exist, or nothing is selected.
        CorpusError: a table is damaged.
    """

    def __init__(self, corpus: Path, settings: ExportSettings, scratch: Path) -> None:
        self._settings = settings
        curated = curated_view(corpus, settings)
        self._connection = connect([corpus], scratch, selection=curated.folder if curated else None)
        try:
            if curated:
                curated.register(self._connection)
            codes = assign_splits(self._connection, settings.scheme)
            select_samples(self._connection, settings.where, curated=curated is not None)
            judge_captions(self._connection)
            chosen_captions = curated is not None and curated.chooses_captions
            _gather(self._connection, settings, kept="SEMI JOIN selected_captions" if chosen_captions else "")
            self.splits = self._chosen_splits(codes)
            self._check_kinds()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> Selection:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def licences(self) -> dict[str | None, int]:
        """Licence → samples of the chosen splits."""
        counts: dict[str | None, int] = {}
        for split in self.splits:
            for licence, count in self._connection.execute(
                "SELECT licence, count(*) FROM exported WHERE folder = ? GROUP BY 1", [split]
            ).fetchall():
                counts[licence] = counts.get(licence, 0) + count
        return counts

    def count(self, split: str) -> int:
        """Samples of a split, captioned or not."""
        rows = self._connection.execute("SELECT count(*) FROM exported WHERE folder = ?", [split]).fetchall()
        return int(rows[0][0])

    def rows(self, split: str, start: int) -> Iterator[Row]:
        """Samples of a split from the given place on: columns of the samples table, `texts`, and facts by polarity."""
        relation = self._connection.sql(
            "SELECT * EXCLUDE (folder, place) FROM exported WHERE folder = ? AND place >= ? ORDER BY place",
            params=[split, start],
        )
        for batch in relation.to_arrow_reader(_BATCH):
            yield from batch.to_pylist()

    def _chosen_splits(self, codes: dict[str, int]) -> tuple[str, ...]:
        there = [row[0] for row in self._connection.execute("SELECT DISTINCT folder FROM exported").fetchall()]
        there.sort(key=lambda name: (codes.get(name, len(codes)), name))
        wanted = self._settings.splits
        missing = [name for name in wanted if name not in there]
        if missing:
            raise ConfigError(f"no selected sample is in the split '{missing[0]}'; there are: {', '.join(there)}")
        unfit = [name for name in wanted or there if not _FOLDER.fullmatch(name)]
        if unfit:
            raise ConfigError(f"the split '{unfit[0]}' cannot name a folder; use letters, digits, '-' and '_'")
        return tuple(name for name in there if not wanted or name in wanted)

    def _check_kinds(self) -> None:
        there = [r[0] for r in self._connection.execute("SELECT DISTINCT kind FROM captions ORDER BY 1").fetchall()]
        if not there:
            raise ConfigError("the corpus has no captions; make some with: voxtile caption CORPUS")
        missing = [kind for kind in self._settings.kinds if kind not in there]
        if missing:
            raise ConfigError(f"no caption is of the kind '{missing[0]}'; there are: {', '.join(there)}")


def curated_view(corpus: Path, settings: ExportSettings) -> CuratedView | None:
    """The curated view to export; None for the whole corpus.

    Raises:
        ConfigError: there is no such view, or it was curated with other splits.
    """
    if settings.view == EVERYTHING:
        return None
    curated = find_selection([corpus / "views"], settings.view, settings.view, None)
    if curated is not None:
        curated.check_scheme(settings.scheme, settings.view)
    return curated


def _gather(connection: duckdb.DuckDBPyConnection, settings: ExportSettings, *, kept: str) -> None:
    """Create the table `exported`: picked samples in the order of the export, with texts and facts."""
    columns = ", ".join(f's."{name}"' for name in SAMPLES.names if name != "geometry")
    split = f"coalesce(a.split, '{NO_SPLIT}')" if _has_splits(connection, settings.scheme) else f"'{WITHOUT_SPLITS}'"
    connection.execute(f"""
        CREATE TEMP TABLE texts AS
        SELECT uid, list({{caption_id: caption_id, text: text, lang: lang, kind: kind, provider: provider, model: model,
            verdict: coalesce(verdict, 'unknown')}} ORDER BY caption_id) AS texts
        FROM (SELECT * FROM captions {kept and f"{kept} USING (caption_id)"}) JOIN picked USING (uid)
        LEFT JOIN judged USING (caption_id) GROUP BY uid""")
    if settings.study_captions:
        connection.execute("""
            INSERT INTO texts
            SELECT p.uid, flatten(list(t.texts ORDER BY t.uid)) FROM picked p
            JOIN picked o ON o.subject = p.subject AND o.study = p.study JOIN texts t ON t.uid = o.uid
            WHERE p.uid NOT IN (SELECT uid FROM texts) GROUP BY p.uid""")
    stated = ", ".join(
        f"list_sort(list(DISTINCT concept) FILTER (polarity = '{polarity}')) AS {polarity}"
        for polarity in ("present", "absent", "uncertain")
    )
    connection.execute(
        f"""
        CREATE TEMP TABLE exported AS
        WITH stated AS (
            SELECT uid, {stated} FROM facts JOIN picked USING (uid)
            WHERE concept NOT IN {DESCRIPTIVE} AND NOT starts_with(coalesce(facts.source, ''), '{MEASURED}')
            GROUP BY uid
        ),
        named AS (SELECT DISTINCT subject, split FROM splits WHERE scheme = ?),
        joined AS (
            SELECT {columns}, {split} AS folder, coalesce(texts, []) AS texts, present, absent, uncertain
            FROM picked p JOIN samples s USING (uid) LEFT JOIN named a ON a.subject = s.subject
            LEFT JOIN texts USING (uid) LEFT JOIN stated USING (uid)
        )
        SELECT *, row_number() OVER (PARTITION BY folder ORDER BY md5(? || uid), uid) - 1 AS place FROM joined""",
        [settings.scheme, f"{settings.seed}/"],
    )


def _has_splits(connection: duckdb.DuckDBPyConnection, scheme: str) -> bool:
    return bool(connection.execute("SELECT 1 FROM splits WHERE scheme = ? LIMIT 1", [scheme]).fetchall())


def chosen(row: Row, kept: Sequence[str]) -> dict[str, Any]:
    """The given columns of a row that have a value."""
    return {name: row[name] for name in kept if row.get(name) not in (None, [], "")}
