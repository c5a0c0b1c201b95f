"""Where a corpus came from: its manifests as a history, and what they say of licences and de-identification."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.bounded_text import load_json
from voxtile.corpus.confidentiality import Confidentiality, shared_by, stated_in, told_codes
from voxtile.errors import CorpusError

_HIDDEN = ("licence", "deidentify")  # said elsewhere on the card
_DATES = {
    "moved": "dates are moved by a number of days of the subject's own",
    "full": "dates are those of the headers",
    "removed": "dates are left out",
}
_LONGEST_SETTING = 80  # characters


@dataclass(frozen=True)
class Run:
    """One manifest.

    Attributes:
        number: name of its file.
        settings: the run's config, long values cut.
        versions: library → version.
        files: number of files that it wrote.
    """

    number: str
    task: str
    version: str
    created: str
    counts: Mapping[str, int]
    reasons: Mapping[str, Mapping[str, int]]
    licence: str | None
    confidentiality: Confidentiality
    settings: Mapping[str, str]
    versions: Mapping[str, str]
    files: int
    config_sha256: str

    @property
    def made_samples(self) -> bool:
        """It brought pixels."""
        return bool(self.counts.get("samples"))


def read_runs(root: Path) -> list[Run]:
    """All runs in order.

    Raises:
        CorpusError: a manifest is damaged.
    """
    runs = []
    for path in sorted((root / "manifests").glob("*.json")):
        try:
            runs.append(_run(path.stem, dict(load_json(path.read_text("utf-8")))))
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise CorpusError(f"the manifest '{path}' is damaged; run 'voxtile verify' on the corpus") from error
    return runs


def _run(number: str, content: Mapping[str, Any]) -> Run:
    config = content.get("config") or {}
    return Run(
        number=number,
        task=str(content.get("task", "?")),
        version=str(content.get("version", "?")),
        created=str(content.get("created", "")),
        counts=content.get("counts") or {},
        reasons=content.get("reasons") or {},
        licence=content.get("licence"),
        confidentiality=stated_in(content),
        settings={key: _cut(value) for key, value in sorted(config.items()) if key not in _HIDDEN},
        versions=content.get("versions") or {},
        files=len(content.get("files") or {}),
        config_sha256=str(content.get("config_sha256", "")),
    )


def deidentification(runs: Sequence[Run]) -> str:
    """What was done about identities, by the runs that brought samples (or could have), in one or two sentences."""
    made = [run.confidentiality for run in runs if run.made_samples]
    made = made or [run.confidentiality for run in runs if run.confidentiality.removed is not None]
    policies = {run.removed for run in made}
    if policies == {True}:
        known = shared_by(made)
        profile = told_codes(known.codes)
        return (
            "On. Names of sources, subjects and studies are keyed hashes (HMAC-SHA256) whose key lies outside the "
            "corpus. Of DICOM headers only numbers in plausible ranges and words of closed lists are kept (after "
            f"PS3.15 annex E{f': {profile}' if profile else ''}), and {_DATES[known.dates]}. Texts keep their words, "
            "less what was recognised as an identifier: names, numbers and places of the study's own headers, and "
            "by rules other names, days, ages over 89, numbers, hospitals and addresses. A few of these may still be "
            "in them (docs/de-identification.md has the measured share)."
        )
    if True in policies:
        return (
            "Mixed. Some runs replaced the names of sources, subjects and studies by keyed hashes and some kept them; "
            "the history says which."
        )
    if policies == {None} or not policies:
        return "Not applied. The runs that brought samples know no de-identification; names are as in their input."
    return "Off. Names of sources, subjects and studies are as in the input."


def _cut(value: Any) -> str:  # noqa: ANN401
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _LONGEST_SETTING else f"{text[:_LONGEST_SETTING]} …"
