"""`voxtile facts CORPUS --from slide-reports`: what the reports of slides state, by the pathology lexicon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.domain import discover
from voxtile.errors import ConfigError

LEXICON = Path(__file__).with_name("he_lexicon.yaml")


def facts_from_slide_reports(
    corpus: Path,
    *,
    lexicon: Path = LEXICON,
    vocabulary: str = "slide-findings",
    **run: Any,  # noqa: ANN401
) -> None:
    """Read findings from the free-text reports of slides.

    The reader of reports is that of `--from reports`; only the lexicon is another.

    Args:
        corpus: a corpus whose captions table holds reports (kind raw).
        lexicon: YAML of concepts; the default covers findings on H&E sections.
        vocabulary: name of the scope that is written.
        run: options of the run.

    Raises:
        ConfigError: the domain that reads reports is not installed.
        InputError: the corpus has no reports, or the lexicon cannot be read.
    """
    domains, _ = discover()
    reader = next((domain.facts["reports"] for domain in domains.values() if "reports" in domain.facts), None)
    if reader is None:
        raise ConfigError("no installed domain reads reports; install voxtile with the medical domain")
    reader.load()(corpus, lexicon=lexicon, vocabulary=vocabulary, **run)
