"""What a request about a sample's report needs: its modality, and what must not be sent of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from voxtile.corpus.identity import KeyMap, key_map_path
from voxtile.corpus.reader import Corpus
from voxtile_datasets.captions.context.identifiers import Identifiers, identifiers_of

_COLUMNS = ("uid", "subject", "study", "source", "sha256", "datetime", "modality", "attributes")


@dataclass(frozen=True)
class Sample:
    """What a report's sample is asked with.

    Attributes:
        modality: of the picture.
        identifiers: that must not be sent.
    """

    modality: str | None
    identifiers: Identifiers


def samples_of(corpus: Path, uids: Collection[str], common: frozenset[str], key_file: Path | None) -> dict[str, Sample]:
    """Samples with what must not be sent of them, by uid.

    Args:
        corpus: the corpus.
        uids: of the samples.
        common: words that may stand in any request, in lower case.
        key_file: key map of the corpus; by default the one beside it.
    """
    path = key_map_path(corpus, key_file)
    key_map = KeyMap(path) if path.exists() else None
    found = {}
    for row in Corpus(corpus).table("samples", _COLUMNS).to_pylist():
        if row["uid"] in uids:
            source = key_map.path_of(row["source"] or "") if key_map else None
            found[row["uid"]] = Sample(row["modality"], identifiers_of([row], [source] if source else [], common))
    return found
