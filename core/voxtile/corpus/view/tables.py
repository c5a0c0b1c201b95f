"""The SQL side of compiling a view: tables of all roots, the selection, its order, captions, facts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from voxtile.console import note
from voxtile.corpus.parts import TableFile, table_files
from voxtile.corpus.schema import DESCRIPTIVE, MEASURED, OVERVIEW, ROLE, TABLES
from voxtile.corpus.sql_condition import check_condition, disk_error
from voxtile.corpus.view.key import INPUT_TABLES
from voxtile.errors import ConfigError, CorpusError

SPLIT_CODES = {"train": 0, "val": 1, "test": 2}
NO_SPLIT = 255
UNKNOWN, ABSENT, PRESENT = -1, 0, 1  # values of the facts matrix
META_COLUMNS = (
    "kind", "modality", "axes", "shape", "dtype", "units", "channels", "affine", "spacing", "mpp", "gsd_m", "codec"
)  # fmt: skip
_ATTRIBUTES = ("window", "nodata", "stretch")  # of the JSON in `attributes`


def connect(
    roots: Sequence[Path],
    scratch: Path,
    *,
    tables: Sequence[str] = INPUT_TABLES,
    selection: Path | None = None,
    memory_mb: int | None = None,
) -> duckdb.DuckDBPyConnection:
    """Open the tables of all roots as views, with access to nothing else.

    Args:
        roots: folders of the corpora; their index becomes the column `corpus` of `samples`.
        scratch: folder to which large sorts may spill.
        tables: which tables.
        selection: folder of a curated selection that may be read too.
        memory_mb: memory in MB that queries may take before they spill; None leaves it to the database.

    Raises:
        CorpusError: there is no sample, or a part cannot be read or lacks a column.
    """
    connection = duckdb.connect(":memory:")
    folders = [str((root / "tables").resolve()) for root in roots] + [str(scratch.resolve())]
    folders += [str(selection.resolve())] if selection is not None else []
    if memory_mb is not None:
        connection.execute(f"SET memory_limit = '{memory_mb}MB'")
        for threshold in ("allocator_flush_threshold", "allocator_bulk_deallocation_flush_threshold"):
            connection.execute(f"SET {threshold} = '16MB'")  # what a query has freed goes back to the system at once
    connection.execute(f"SET temp_directory = {_quoted(str(scratch))}")
    connection.execute(f"SET allowed_directories = [{', '.join(map(_quoted, folders))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    for table in tables:
        parts = [(i, file) for i, root in enumerate(roots) for file in table_files(root, table)]
        if not parts and table == "samples":
            raise CorpusError(f"'{roots[0]}' holds no sample; convert something into it first")
        _create_view(connection, table, parts)
    return connection


def _create_view(connection: duckdb.DuckDBPyConnection, table: str, parts: list[tuple[int, TableFile]]) -> None:
    columns = ", ".join(f'"{name}"' for name in TABLES[table].names)
    if not parts:
        connection.register(f"empty_{table}", TABLES[table].empty_table())
        connection.execute(f"CREATE VIEW {table} AS SELECT {columns}, 0 AS corpus FROM empty_{table}")
        return
    selects = []
    for index in sorted({i for i, _ in parts}):
        whole = [_quoted(str(file.path.resolve())) for i, file in parts if i == index and not file.passed_over]
        if whole:
            files = ", ".join(whole)
            selects.append(f"SELECT {columns}, {index} AS corpus FROM read_parquet([{files}], union_by_name = true)")
        for file in (file for i, file in parts if i == index and file.passed_over):
            rest = " AND ".join(
                f"NOT (file_row_number >= {low} AND file_row_number < {high})" for low, high in file.passed_over
            )
            name = _quoted(str(file.path.resolve()))
            selects.append(
                f"SELECT {columns}, {index} AS corpus FROM read_parquet({name}, file_row_number = true) WHERE {rest}"
            )
    try:
        connection.execute(f"CREATE VIEW {table} AS {' UNION ALL '.join(selects)}")
    except duckdb.Error as error:
        raise CorpusError(
            f"table '{table}' of '{parts[0][1].path.parents[2]}' cannot be read: {first_line(error)}"
        ) from error


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def first_line(error: Exception) -> str:
    """First line of a library's message."""
    return str(error).strip().splitlines()[0]


def assign_splits(connection: duckdb.DuckDBPyConnection, scheme: str) -> dict[str, int]:
    """Create the table `assigned` (subject, code) of one scheme.

    Returns:
        Code by split name.

    Raises:
        ConfigError: the corpus has splits but not this scheme.
        CorpusError: a subject is in two splits.
    """
    schemes = [row[0] for row in connection.execute("SELECT DISTINCT scheme FROM splits ORDER BY 1").fetchall()]
    if schemes and scheme not in schemes:
        raise ConfigError(f"the corpus has no split scheme '{scheme}'; there are: {', '.join(schemes)}")
    twice = connection.execute(
        "SELECT subject, list_sort(list(DISTINCT split)) FROM splits WHERE scheme = ? GROUP BY subject "
        "HAVING count(DISTINCT split) > 1 ORDER BY 1 LIMIT 1",
        [scheme],
    ).fetchone()
    if twice:
        raise CorpusError(
            f"subject '{twice[0]}' is in the splits {' and '.join(twice[1])} of scheme '{scheme}'; "
            "give each subject one split before training"
        )
    names = [
        r[0] for r in connection.execute("SELECT DISTINCT split FROM splits WHERE scheme = ?", [scheme]).fetchall()
    ]
    codes = dict(SPLIT_CODES)
    for name in sorted(set(names) - set(codes)):
        codes[name] = len(codes)
    connection.register("split_codes", pa.table({"split": list(codes), "code": pa.array(codes.values(), pa.uint8())}))
    connection.execute(
        "CREATE TEMP TABLE assigned AS SELECT DISTINCT subject, code FROM splits JOIN split_codes USING (split) "
        "WHERE scheme = ?",
        [scheme],
    )
    return codes


def select_samples(connection: duckdb.DuckDBPyConnection, where: str | None, *, curated: bool = False) -> int:
    """Create the table `picked`: the selected samples with their final row number.

    Metadata include the sample's roles in its study, where facts of the concept `schema.ROLE` state any.

    With `curated`, only samples of the table `selected` are taken, and have the weight that it gives them.

    Rows are ordered by split, then by the place of the study's first sample, then by place on disk: a split and a study
    are ranges of rows, and neighbours in the index are neighbours on disk.

    Returns:
        The number of rows.

    Raises:
        ConfigError: `where` is not a valid condition, or nothing matches.
        CorpusError: a uid occurs twice.
    """
    if where:
        check_condition(where, "where", INPUT_TABLES)
    chosen = "samples JOIN (SELECT uid, weight FROM selected) USING (uid)" if curated else "samples"
    weight = "weight" if curated else "1.0::DOUBLE AS weight"
    try:
        condition = f"({where}\n)" if where else "true"
        meta = ", ".join(f"'{name}', {name}" for name in META_COLUMNS)
        meta += "".join(
            f", '{name}', CASE WHEN json_valid(attributes) THEN json_extract(attributes, '$.{name}') END"
            for name in _ATTRIBUTES
        )
        connection.execute(f"""
            CREATE TEMP TABLE picked AS
            WITH roles AS (
                SELECT uid, list_sort(list(DISTINCT role)) AS roles FROM (
                    SELECT uid, CASE WHEN json_valid(attributes) THEN attributes ->> '$.role' END AS role FROM facts
                    WHERE concept = '{ROLE}' AND polarity = 'present'
                ) WHERE role IS NOT NULL GROUP BY uid
            ),
            placed AS (
                SELECT uid, subject, coalesce(study, uid) AS study, shard, codec, "offset", nbytes, sha256, corpus,
                    datetime, {weight},
                    coalesce(code, {NO_SPLIT})::UTINYINT AS split,
                    json_object({meta}, 'ref', ref, 'roles', roles)::VARCHAR AS meta,
                    row_number() OVER (ORDER BY corpus, shard, "offset", uid) AS place
                FROM (SELECT * FROM {chosen} WHERE kind <> '{OVERVIEW}' AND {condition})
                LEFT JOIN assigned USING (subject) LEFT JOIN roles USING (uid)
            ),
            led AS (SELECT *, min(place) OVER (PARTITION BY subject, study) AS lead FROM placed)
            SELECT *, row_number() OVER (ORDER BY split, lead, place) - 1 AS row FROM led""")
    except duckdb.Error as error:
        if (of_the_disk := disk_error(error)) is not None:
            raise of_the_disk from error
        if where:
            raise ConfigError(
                f"where: '{where}' is not a valid SQL condition on samples: {first_line(error)}"
            ) from error
        raise CorpusError(f"the samples table cannot be read: {first_line(error)}") from error
    rows, distinct = connection.execute("SELECT count(*), count(DISTINCT uid) FROM picked").fetchone() or (0, 0)
    if not rows:
        raise ConfigError(f"no sample matches where: '{where}'" if where else "the corpus holds no sample")
    if rows != distinct:
        twice = connection.execute(
            "SELECT uid FROM picked GROUP BY uid HAVING count(*) > 1 ORDER BY 1 LIMIT 1"
        ).fetchone()
        raise CorpusError(
            f"uid '{(twice or ('?',))[0]}' occurs twice in the samples; run `voxtile verify` on the corpus"
        )
    return int(rows)


def judge_captions(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the table `judged` (caption_id, verdict): the verdict of the newest checker on each caption."""
    checkers = connection.execute("SELECT DISTINCT checker, checker_version FROM verdicts").fetchall()
    checkers.sort(key=lambda c: (_version(c[1] or ""), c[0] or ""))
    ranks = pa.table(
        {
            "checker": pa.array([c[0] for c in checkers], pa.string()),
            "checker_version": pa.array([c[1] for c in checkers], pa.string()),
            "rank": pa.array(range(len(checkers)), pa.int64()),
        }
    )
    connection.register("checker_ranks", ranks)
    connection.execute("""
        CREATE TEMP TABLE judged AS
        SELECT caption_id, arg_max(verdict, rank) AS verdict FROM verdicts v JOIN checker_ranks r
        ON v.checker IS NOT DISTINCT FROM r.checker AND v.checker_version IS NOT DISTINCT FROM r.checker_version
        GROUP BY caption_id""")


def join_captions(connection: duckdb.DuckDBPyConnection, *, curated: bool = False) -> None:
    """Create the table `told`: captions of picked rows with the verdict of the newest checker.

    With `curated`, only captions of the table `selected_captions` are taken.
    """
    judge_captions(connection)
    kept = "SEMI JOIN selected_captions USING (caption_id)" if curated else ""
    connection.execute(f"""
        CREATE TEMP TABLE told AS
        SELECT row, caption_id, text, kind, coalesce(verdict, 'unknown') AS verdict
        FROM (SELECT * FROM captions {kept}) JOIN picked USING (uid) LEFT JOIN judged USING (caption_id)""")


def _version(text: str) -> tuple[tuple[int, str], ...]:
    """Sort key under which 1.10 is newer than 1.9."""
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"[.\-+]", text))


def _no_such_source(connection: duckdb.DuckDBPyConnection, source: str) -> str:
    """A sentence about facts of another source than the one that is asked for."""
    found = connection.execute(
        "SELECT DISTINCT split_part(source, '@', 1) FROM facts "
        f"WHERE source IS NOT NULL AND concept NOT IN {DESCRIPTIVE} ORDER BY 1"
    ).fetchall()
    there = ", ".join(name for (name,) in found)
    return (
        f"no sample of the view has a fact of the source '{source}' (data.facts_source); "
        + (f"the corpus has facts of {there}: set data.facts_source to one of these, or " if there else "")
        + f"read them with: voxtile facts CORPUS --from {source.partition(',')[0]}"
    )


def join_facts(
    connection: duckdb.DuckDBPyConnection, source: str | None = None, closed: Sequence[str] = ()
) -> list[str]:
    """Create the table `known` (row, concept id, value) of definite facts and closed scopes; the largest value counts.

    An uncertain fact is unknown, and stays so under a closed scope. A concept with a present and an absent fact (two
    sides of the body) is present.

    Args:
        connection: with the table `picked`.
        source: only facts whose source begins so (`reports`, `labels`), or with one of several names separated by
            commas. Of closed scopes only those are applied then whose vocabulary has the same name.
        closed: concepts whose scope is closed for every sample that has any of these facts, whatever the table says.

    Returns:
        The concepts in order: all that have a fact, are named by a scope of a picked row, or are closed.

    Raises:
        ConfigError: no closed concept is one of them, or the source has no fact.
    """
    names = [name.strip() for name in (source or "").split(",")]
    connection.register("fact_source", pa.table({"prefix": names}))
    connection.execute(f"""
        CREATE TEMP TABLE chosen_facts AS SELECT facts.* FROM facts
        WHERE concept NOT IN {DESCRIPTIVE} AND NOT starts_with(coalesce(facts.source, ''), '{MEASURED}')
            AND EXISTS (SELECT 1 FROM fact_source WHERE starts_with(coalesce(facts.source, ''), prefix))""")
    connection.execute(
        "CREATE TEMP TABLE chosen_scopes AS SELECT * FROM scopes"
        f" WHERE NOT starts_with(vocabulary || '/', '{MEASURED}')"
        + ("" if source is None else " AND vocabulary IN (SELECT prefix FROM fact_source)")
    )
    concepts = [
        row[0]
        for row in connection.execute("""
            SELECT DISTINCT concept FROM (
                SELECT concept FROM chosen_facts JOIN picked USING (uid)
                UNION ALL SELECT unnest(concepts) AS concept FROM chosen_scopes JOIN picked USING (uid)
            ) WHERE concept IS NOT NULL ORDER BY 1""").fetchall()
    ]
    unknown = sorted(set(closed) - set(concepts))
    if unknown and not concepts and source is not None:
        raise ConfigError(_no_such_source(connection, source))
    if unknown and len(unknown) == len(set(closed)):
        raise ConfigError(
            f"closed_facts names no fact of the corpus: {', '.join(unknown)}; there are "
            f"{', '.join(concepts) or 'none'}: set data.closed_facts to those that a report would mention, or to []"
        )
    if unknown:
        note(
            f"closed_facts: nothing is said of {', '.join(unknown)} anywhere, so that they are absent throughout; "
            f"there are facts of {', '.join(concepts)}"
        )
        concepts = sorted({*concepts, *unknown})
    ids = pa.table({"concept": pa.array(concepts, pa.string()), "id": pa.array(range(len(concepts)), pa.int32())})
    connection.register("concept_ids", ids)
    connection.register("closed_concepts", pa.table({"concept": pa.array(closed, pa.string())}))
    connection.execute(f"""
        CREATE TEMP TABLE known AS
        WITH stated AS (
            SELECT row, id, max(CASE polarity WHEN 'present' THEN 2 WHEN 'uncertain' THEN 1 ELSE 0 END) AS strength
            FROM chosen_facts JOIN picked USING (uid) JOIN concept_ids USING (concept) GROUP BY row, id
        ),
        closed AS (
            SELECT DISTINCT row, id FROM (
                SELECT row, unnest(coalesce(concepts, (SELECT list(concept) FROM concept_ids))) AS concept
                FROM chosen_scopes JOIN picked USING (uid) WHERE closed
                UNION ALL SELECT row, closed_concepts.concept
                FROM chosen_facts JOIN picked USING (uid) CROSS JOIN closed_concepts
            ) JOIN concept_ids USING (concept)
        )
        SELECT row, id, CASE strength WHEN 2 THEN {PRESENT} WHEN 1 THEN {UNKNOWN} ELSE {ABSENT} END::TINYINT AS value
        FROM stated FULL JOIN closed USING (row, id)""")
    return concepts
