"""A language model that looks for errors in drafted reports: how a task names it, and the figures of what it finds.

It stands beside the rules, not in their place: both count the same six kinds, the rules by facts, the model by the
case's own report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from voxtile.corpus.reader import Corpus
from voxtile.domain import Command
from voxtile.evaluation.kinds.reports.figures import Ratio
from voxtile.evaluation.kinds.reports.reading import ERRORS
from voxtile.evaluation.tasks.place import Place

PREFIX = "judge:"
"""Before the names of its figures."""
SIGNIFICANT = "significant"
_KEYS = ("provider", "model", "base_url", "controls", "max_usd", "max_tokens", "key_variable", "prompts", "replies",
         "allow_remote_credentialed")  # fmt: skip
_PROVIDERS = ("openai", "local", "replay")


@dataclass(frozen=True)
class Judge:
    """Who judges, and what that may cost.

    Attributes:
        provider: an endpoint, a model in this process, or stored replies alone.
        model: its name there.
        base_url: of an endpoint.
        controls: the texts beside the drafts are judged, too.
        max_usd, max_tokens: at which nothing more is asked.
        key_variable: environment variable of the endpoint's key.
        prompts: folder of prompt files before the installed ones.
        replies: folder of replies; None keeps them beside the corpus.
        allow_remote_credentialed: the endpoint may have credentialed data.
    """

    provider: Literal["openai", "local", "replay"] = "openai"
    model: str | None = None
    base_url: str | None = None
    controls: bool = True
    max_usd: float | None = None
    max_tokens: int | None = None
    key_variable: str = "OPENAI_API_KEY"
    prompts: Path | None = None
    replies: Path | None = None
    allow_remote_credentialed: bool = False


@dataclass(frozen=True)
class Judgement:
    """What a judge finds in one report.

    Attributes:
        errors: kind → how many.
        significant: of them, those that could change what is done for the patient.
        refused: further ones of no such kind, or whose words are not there; they count nowhere.
    """

    errors: Mapping[str, int]
    significant: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Verdicts:
    """What came of asking a judge.

    Attributes:
        model: who judged.
        prompt_sha256: of the prompt file.
        found: one a report; None where there is no reply that can be read.
        unread: why there is none → how many.
    """

    model: str
    prompt_sha256: str
    found: Sequence[Judgement | None]
    unread: Mapping[str, int]


Asking: TypeAlias = Callable[[Corpus, Judge, Sequence[tuple[str, str, str]]], Verdicts]
"""Asks a judge about (uid of the case, its own report, draft)."""

ASK = Command("voxtile_datasets.report_reading.judge:judge_drafts", "judges drafted reports by a language model")


def parse_judge(place: Place, value: object) -> Judge | None:
    """The judge of a task file; None where there is none.

    Raises:
        ConfigError: a key is unknown, or a value does not fit.
    """
    if value is None:
        return None
    read = place.mapping(value, _KEYS)
    provider = place.choice(read, "provider", _PROVIDERS, "openai")
    model = place.text(read, "model", "")
    if provider == "openai" and not model:
        raise place.at("model").error("expected the name of the model at the endpoint")
    controls = place.flag(read, "controls") if "controls" in read else True
    return Judge(
        provider, model or None, place.text(read, "base_url", "") or None, controls, _limit(place, read, "max_usd"),
        _whole(place, read, "max_tokens"), place.text(read, "key_variable", "OPENAI_API_KEY"),
        _folder(place, read, "prompts"), _folder(place, read, "replies"),
        place.flag(read, "allow_remote_credentialed"),
    )  # fmt: skip


def _limit(place: Place, read: Mapping[str, Any], key: str) -> float | None:
    value = read.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
        raise place.at(key).error(f"expected a number above 0, found {value!r}")
    return None if value is None else float(value)


def _whole(place: Place, read: Mapping[str, Any], key: str) -> int | None:
    value = _limit(place, read, key)
    if value is not None and value != int(value):
        raise place.at(key).error(f"expected a whole number, found {value!r}")
    return None if value is None else int(value)


def _folder(place: Place, read: Mapping[str, Any], key: str) -> Path | None:
    text = place.text(read, key, "")
    return Path(place.file).parent / text if text else None


def ratios_of_judge(found: Sequence[Judgement | None]) -> list[Ratio]:
    """Shares of reports with at least one error of each kind, and with one that matters.

    Args:
        found: one a report.
    """
    judged = [0 if one is None else 1 for one in found]
    counts = {kind: [0 if one is None else one.errors.get(kind, 0) for one in found] for kind in ERRORS}
    counts[SIGNIFICANT] = [0 if one is None else one.significant for one in found]
    return [Ratio.of(PREFIX + kind, [count > 0 for count in each], judged) for kind, each in counts.items()]
