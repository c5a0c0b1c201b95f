"""The strategies by name, and where each one is."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from voxtile.domain import Command
from voxtile.errors import ConfigError
from voxtile_datasets.captions.strategies.strategy import Strategy, StrategyOptions

_HERE = "voxtile_datasets.captions.strategies"

STRATEGIES: Mapping[str, Command] = {
    "rewrite": Command(f"{_HERE}.rewrite:rewrite", "the facts in other words; also for base models, fact by fact"),
    "fuse": Command(f"{_HERE}.fuse:Fuse", "an existing caption and the facts, joined"),
    "describe": Command(f"{_HERE}.describe:Describe", "a vision model describes the picture"),
    "describe-revise-summarise": Command(
        f"{_HERE}.describe_revise_summarise:DescribeReviseSummarise", "describe, correct, shorten (PathGen)"
    ),
    "roi": Command(f"{_HERE}.roi:Roi", "each region, what is known of it, and the whole (MedTrinity)"),
    "five": Command(f"{_HERE}.five:Five", "five different captions (GAIA)"),
    "short-dense": Command(f"{_HERE}.short_dense:ShortDense", "a short caption and a dense one"),
    "qa": Command(f"{_HERE}.qa:QuestionsAnswers", "questions whose answers are among the facts"),
    "translate": Command(f"{_HERE}.translate:Translate", "captions in other languages"),
    "fuse-experts": Command(f"{_HERE}.fuse_experts:FuseExperts", "what other models found, joined with the facts"),
}


def build_strategy(name: str, options: StrategyOptions) -> Strategy:
    """Make a strategy.

    Raises:
        ConfigError: there is none of this name, or it cannot work with the options.
    """
    check_name(name)
    strategy: Strategy = STRATEGIES[name].load()(options)
    return strategy


def check_name(name: str) -> None:
    """Refuse a strategy that there is not, before a model is loaded for it.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in STRATEGIES:
        close = difflib.get_close_matches(name, STRATEGIES, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(STRATEGIES)}"
        raise ConfigError(f"no strategy named '{name}'; {hint}")
