"""`voxtile facts CORPUS --from concepts`: concepts of a vocabulary in captions, with their codes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.engine.failure import Failure
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import InputError
from voxtile_medical.concept_tags.task import ConceptTask
from voxtile_medical.concept_tags.vocabulary import Vocabulary, read_vocabulary


def facts_from_concepts(
    corpus: Path,
    *,
    vocabulary: Path,
    name: str | None = None,
    kinds: str = "raw",
    **run: Any,  # noqa: ANN401
) -> None:
    """Tag captions with the concepts of a vocabulary: UMLS, SNOMED CT, RadLex, or a table of your own.

    Words are compared without case, plural and British spelling, the longest term first; abbreviations in capitals
    alone. What a sentence denies or doubts is absent or uncertain; what is of the history is left out. A term of
    several concepts names none. The scope is open: what a caption does not name stays unknown.

    Args:
        corpus: a corpus with captions.
        vocabulary: MRCONSO.RRF, or a table with the columns term and code (or cui), and where it has them name and
            type.
        name: of the vocabulary in facts and scopes; the file's name if not given.
        kinds: of the captions that are read, separated by commas: raw, mention, …
        run: options of the run.

    Raises:
        InputError: the vocabulary cannot be read, or no caption is of these kinds.
    """
    store, options = Corpus(corpus), RunOptions(**run)
    if not vocabulary.is_file():
        raise InputError(f"'{vocabulary}' does not exist; give a table of terms and codes, or MRCONSO.RRF")
    wanted = tuple(kind.strip() for kind in kinds.split(",") if kind.strip())
    known = set(store.table("captions").column("kind").to_pylist())
    if not known & set(wanted):
        raise InputError(
            f"'{corpus}' has no caption of the kind {kinds}; it has {', '.join(sorted(known)) or 'none at all'}"
        )
    read: Vocabulary | Failure = options.plan_reader.read(read_vocabulary, vocabulary, title="vocabulary")
    if isinstance(read, Failure):
        raise InputError(read.sentence)
    digest = hashlib.sha256(vocabulary.read_bytes()).hexdigest()
    summary = run_task(ConceptTask(str(corpus), read, digest, name or vocabulary.stem, wanted), corpus, options)
    told = f"{len(read.terms):,} terms were looked for"
    told += f"; {read.ambiguous:,} that name several concepts were not" if read.ambiguous else ""
    told += f"; {read.short:,} are too short" if read.short else ""
    output().print(told, highlight=False, markup=False)
    summary.raise_if_failed()
