"""Which domain's vocabulary a sample is checked with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from voxtile.domain import discover
from voxtile.errors import ConfigError
from voxtile_datasets.captions.checker.vocabulary import Vocabulary
from voxtile_datasets.captions.wordings import load_bank

GENERAL = "general"


def choose(vocabularies: Mapping[str, Vocabulary], modality: str | None, concepts: Iterable[str]) -> str:
    """The domain whose wording bank names a modality; else the one that knows most of the facts' concepts.

    Photographs have one modality in every field (RGB), so that what their facts speak of decides.

    Args:
        vocabularies: by domain.
        modality: of the sample.
        concepts: names in its facts and scopes.

    Raises:
        ConfigError: it is, or may be, that of a domain whose files cannot be read.
    """
    named = _by_modality(modality, tuple(vocabularies))
    if named is not None:
        return named
    names = frozenset(concepts)
    known = {domain: sum(v.knows(name) for name in names) for domain, v in vocabularies.items()}
    return max(known, key=lambda domain: (known[domain], domain == GENERAL))


@cache
def _by_modality(modality: str | None, domains: tuple[str, ...]) -> str | None:
    installed, unread = discover()[0], []
    for name in domains:
        try:
            if any(modality in load_bank(path).modalities for path in installed[name].wordings):
                return name
        except ConfigError as error:
            unread.append(error)
    if unread:
        raise unread[0]
    return None
