"""Which samples of a corpus are captioned, and whether their licences allow it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import OVERVIEW, TABLES
from voxtile.corpus.sql_condition import check_condition, condition_error
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.licences.combine import refuse_derivatives
from voxtile_datasets.licences.licence import CREDENTIALED, LicenceError, read_licence


def chosen_samples(corpus: Path, where: str | None, limit: int | None, *, with_kind: str | None = None) -> pa.Table:
    """The samples to caption, with their uid and licence, in the order of their uids; never an overview.

    Args:
        corpus: the corpus.
        where: an SQL condition on the samples table; other tables can be named in it. It reaches no file.
        limit: so many at most, the first ones by uid.
        with_kind: only samples that have a caption of this kind; there may be none of them.

    Raises:
        ConfigError: the condition is no SQL, or the limit no number of samples.
        InputError: nothing is chosen.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit is {limit}; give at least 1, or leave it out for all samples")
    store = Corpus(corpus)
    if where is None:
        table = store.table("samples", ["uid", "licence", "kind"])
        table = table.filter(pc.not_equal(table["kind"], OVERVIEW)).select(["uid", "licence"]).sort_by("uid")
    else:
        table = _selected(store, where)
    if not table.num_rows:
        raise InputError(
            f"no sample of '{corpus}' is chosen; look at --where" if where else f"'{corpus}' has no samples"
        )
    if with_kind is not None:
        captions = store.table("captions", ["uid", "kind"])
        captioned = captions.filter(pc.equal(captions["kind"], with_kind))["uid"].combine_chunks()
        table = table.filter(pc.is_in(table["uid"], value_set=captioned))
    return table.slice(0, limit) if limit is not None else table


def check_licences(licences: Iterable[str | None], *, is_remote: bool, allow_credentialed: bool) -> None:
    """Refuse samples whose licence does not allow what is about to happen.

    Args:
        licences: of the chosen samples.
        is_remote: their texts would leave this machine.
        allow_credentialed: the user says that the endpoint may have credentialed data.

    Raises:
        LicenceError: a licence forbids derivatives, or sending its data away; the message names it.
    """
    texts = list(dict.fromkeys(licences))
    refuse_derivatives(
        texts, "a caption that a model words", "use --provider template, or leave these samples out with --where"
    )
    check_leaving(texts, is_remote=is_remote, allow_credentialed=allow_credentialed)


def check_leaving(licences: Iterable[str | None], *, is_remote: bool, allow_credentialed: bool) -> None:
    """Refuse to send away what only credentialed people may see.

    Args:
        licences: of the chosen samples.
        is_remote: their texts would leave this machine.
        allow_credentialed: the user says that the endpoint may have credentialed data.

    Raises:
        LicenceError: a licence forbids it; the message names it.
    """
    if not is_remote or allow_credentialed:
        return
    for licence in map(read_licence, dict.fromkeys(licences)):
        if CREDENTIALED in licence.terms:
            raise LicenceError(
                f"the licence '{licence}' lets only credentialed people see the data, and the endpoint is another "
                "machine's; use --provider local, or --allow-remote-credentialed where your agreement covers it"
            )


def _selected(store: Corpus, where: str) -> pa.Table:
    check_condition(where, "--where", TABLES)
    connection = store.connection()
    try:
        query = f"SELECT uid, licence FROM samples WHERE kind <> '{OVERVIEW}' AND ({where}\n) ORDER BY uid"
        table = connection.sql(query).to_arrow_table()
    except duckdb.Error as error:
        raise condition_error(error, where, "--where", TABLES["samples"].names) from error
    finally:
        connection.close()
    return table
