"""Texts about cases: from a file of drafts, or from the captions of a corpus; and the trivial report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from voxtile.corpus.reader import Corpus
from voxtile.data.sentences import split_sentences
from voxtile.errors import EvaluationError

ENDINGS = (".parquet", ".csv", ".jsonl", ".json")


def read_texts(path: Path, known: Collection[str], columns: tuple[str, ...] = ("uid", "text")) -> list[dict[str, str]]:
    """Rows of a file of texts; an empty one is what a model said that said nothing.

    Args:
        path: Parquet, CSV, or JSON lines.
        known: uids of the corpus.
        columns: that the file must have; the first names cases.

    Raises:
        EvaluationError: it cannot be read, lacks a column, or names what the corpus does not hold.
    """
    try:
        table = _table(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise EvaluationError(
            f"'{path}' cannot be read as {path.suffix or 'a table'} ({reason}); texts are Parquet, CSV or JSON lines "
            f"with the columns {' and '.join(columns)}"
        ) from error
    if not set(columns) <= set(table.schema.names):
        raise EvaluationError(
            f"'{path}' has the columns {', '.join(table.schema.names)}; it needs {' and '.join(map(repr, columns))}"
        )
    rows = [
        {name: "" if value is None else str(value) for name, value in row.items()}
        for row in table.select(columns).to_pylist()
    ]
    strange = next((row[columns[0]] for row in rows if row[columns[0]] not in known), None)
    if strange is not None:
        raise EvaluationError(f"'{path}' has a text of '{strange}', which the corpus does not hold")
    return rows


def read_column(path: Path, key: str, column: str) -> dict[str, Any] | None:
    """A further column of a file that `read_texts` reads, by key; None where it has none of this name."""
    table = _table(path)
    if column not in table.schema.names:
        return None
    return {str(row[key]): row[column] for row in table.select([key, column]).to_pylist()}


def _table(path: Path) -> pa.Table:
    if path.suffix == ".csv":
        names = ("uid", "dialogue_id", "text")
        texts = pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
        return pa.csv.read_csv(path, parse_options=pa.csv.ParseOptions(newlines_in_values=True), convert_options=texts)
    return pa.json.read_json(path) if path.suffix in (".jsonl", ".json") else pq.read_table(path)


def captions_of(corpus: Corpus, kinds: Sequence[str], uids: Collection[str]) -> dict[str, list[str]]:
    """Captions of some kinds by the sample that they are of.

    Args:
        corpus: the corpus.
        kinds: of captions.
        uids: of the samples.
    """
    found: dict[str, list[str]] = {}
    for row in corpus.table("captions", columns=["uid", "text", "kind"]).to_pylist():
        if row["kind"] in kinds and row["uid"] in uids:
            found.setdefault(row["uid"], []).append(row["text"])
    return found


def trivial_report(reports: Iterable[str]) -> str:
    """The report that knows nothing of a case: the commonest sentences of some reports, as many as half of them have.

    Args:
        reports: of the training split; their order decides between sentences that are as frequent.
    """
    told = [list(dict.fromkeys(split_sentences(report))) for report in reports]
    counts = Counter(sentence for sentences in told for sentence in sentences)
    length = round(median(map(len, told))) if told else 0
    return " ".join(sentence for sentence, _ in counts.most_common(length))


def report_by_case(rows: Sequence[Mapping[str, str]], path: Path) -> dict[str, str]:
    """The text of each case.

    Raises:
        EvaluationError: a case has two.
    """
    found: dict[str, str] = {}
    for row in rows:
        if row["uid"] in found:
            raise EvaluationError(f"'{path}' has two texts of '{row['uid']}'; leave one report a case")
        found[row["uid"]] = row["text"]
    return found
