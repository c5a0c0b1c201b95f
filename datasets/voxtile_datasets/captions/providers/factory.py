"""Providers by name, with their cache and budget in front."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.console import Console

from voxtile.errors import ConfigError
from voxtile_datasets.captions.providers.budget import Budget
from voxtile_datasets.captions.providers.cache import ReplyCache
from voxtile_datasets.captions.providers.cached import CachedProvider
from voxtile_datasets.captions.providers.http.address import is_remote
from voxtile_datasets.captions.providers.prices import FREE, Price, load_prices
from voxtile_datasets.captions.providers.provider import Provider
from voxtile_datasets.captions.providers.replay import ReplayProvider

PROVIDERS = ("local", "openai", "replay")


def open_provider(
    name: str,
    *,
    model: str | None = None,
    base_url: str | None = None,
    cache: Path,
    budget: Budget | None = None,
    prices: Path | None = None,
    concurrency: int | None = None,
    timeout_s: float = 120.0,
    tries: int = 7,
    key_variable: str = "OPENAI_API_KEY",
    chat: bool | None = None,
    engine: str = "inline",
    workers: int = 0,
    load: bool = True,
) -> CachedProvider:
    """Open a provider; close it when done.

    Args:
        name: `local`, `openai` or `replay`.
        model: of `openai` the model's name; of `local` a GGUF file or the name of a packaged model, None for the best
            that memory has room for; of `replay` whose replies to give, None where the cache has one model's.
        base_url: of `openai`, the endpoint's address.
        cache: folder of replies.
        budget: limit on money and tokens; providers may share one.
        prices: price table in place of ours.
        concurrency: requests in flight at most; of `local`, slots of the batch.
        timeout_s: of one try at an endpoint.
        tries: at one request to an endpoint.
        key_variable: environment variable of the endpoint's key.
        chat: of `openai`, False for a base model; None means True.
        engine: `ray` has the nodes of a cluster load the model of `local`; anything else loads it here.
        workers: of `ray`, nodes at most; 0 means all.
        load: False where nothing is asked, as in a dry run: the weights of `local` are not read.

    Raises:
        ConfigError: the name, address, cache, prices or budget cannot be used.
        ProviderError: the model file is no model.
        MissingExtraError: a package of the extra `llm` is not installed.
    """
    if name not in PROVIDERS:
        if name == "template":
            raise ConfigError("the provider 'template' asks no language model: voxtile caption template CORPUS")
        raise ConfigError(f"no provider named '{name}'; there are: {', '.join(('template', *PROVIDERS))}")
    if base_url and name != "openai":
        raise ConfigError(f"--base-url goes with --provider openai; {name} asks no endpoint")
    if engine == "ray" and name != "local":
        whose = (
            "an endpoint come from one process: the endpoint does the work"
            if name == "openai"
            else ("a cache of replies come from one process: nothing is computed")
        )
        raise ConfigError(f"replies of {whose}; leave --engine ray out")
    if engine == "ray":
        return _on_cluster(model, concurrency, workers, cache, budget)
    replies = ReplyCache.open(cache, read_only=name == "replay")
    try:
        if name == "replay":
            return CachedProvider(ReplayProvider(replies, model), replies)
        if name == "local":
            return CachedProvider(_local(model, concurrency, load=load), replies, budget=budget)
        price = _price(model, base_url, prices, budget)
        from voxtile_datasets.captions.providers.http.openai import OpenAIProvider

        inner = OpenAIProvider(
            base_url, model or "", chat=chat is not False, concurrency=concurrency or 64, timeout_s=timeout_s,
            tries=tries, key_variable=key_variable,
        )  # fmt: skip
        provider = CachedProvider(inner, replies, budget=budget, price=price)
        inner.on_lost = provider.lose
        return provider
    except BaseException:
        replies.close()
        raise


def _on_cluster(
    model: str | None, concurrency: int | None, workers: int, cache: Path, budget: Budget | None
) -> CachedProvider:
    """The model on the nodes of a cluster, which is joined before a folder of replies is made."""
    from voxtile_datasets.captions.providers.on_cluster import ClusterProvider

    inner = ClusterProvider(model, slots=concurrency, nodes=workers)
    try:
        return CachedProvider(inner, ReplyCache.open(cache), budget=budget)
    except BaseException:
        asyncio.run(inner.close())
        raise


def _local(model: str | None, concurrency: int | None, *, load: bool) -> Provider:
    from voxtile_datasets.captions.providers.default_model import SLOTS, default_model, named_model
    from voxtile_datasets.captions.providers.local import LocalProvider

    slots = concurrency or SLOTS
    if model:
        return LocalProvider(named_model(model), slots=slots, load=load)
    choice = default_model(slots)
    if choice.why:
        Console(stderr=True).print(f"note: {choice.why}", highlight=False, soft_wrap=True)
    return LocalProvider(choice.model.assembled(), slots=slots, load=load)


def _price(model: str | None, base_url: str | None, prices: Path | None, budget: Budget | None) -> Price:
    """What the endpoint's tokens cost; a limit on money needs a price."""
    if not model:
        raise ConfigError("--provider openai needs --model, the name of a model at the endpoint")
    price = load_prices(prices).of(model)
    if price.known or not base_url:
        return price
    if not is_remote(base_url):
        return FREE
    if budget is not None and budget.max_usd is not None:
        raise ConfigError(f"the price of '{model}' is not known; give --prices FILE with it, or limit --max-tokens")
    return price
