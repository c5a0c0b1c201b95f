"""`voxtile caption bank`: wordings and visual descriptions of each concept, proposed by a model and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError
from voxtile.folders import OutputFile


def make_bank(
    corpus: Path,
    *,
    out: OutputFile,
    provider: Literal["local", "openai", "replay", "none"] = "local",
    model: str | None = None,
    base_url: str | None = None,
    concepts: str | None = None,
    wordings: int = 20,
    descriptions: int = 5,
    max_usd: float | None = None,
    max_tokens: int | None = None,
    temperature: float = 0.7,
    seed: int = 0,
    prompts: Path | None = None,
    prices: Path | None = None,
    replies: Path | None = None,
    concurrency: int | None = None,
    timeout: float = 120.0,
    key_variable: str = "OPENAI_API_KEY",
    completion: bool = False,
) -> None:
    """Have a language model propose wordings and visual descriptions of each concept, for an expert to edit and sign.

    One request a concept that is present in the corpus. The model is told the concept's names and what the pictures
    are called, and nothing of any sample. Each proposal is checked once; what is refused stays in the file with the
    reason, and is not used. A file that is there is filled up: what has been signed, or checked as it stands, stays;
    what was changed since is checked again; only concepts that it has nothing of are asked for.

    Args:
        corpus: whose concepts are wanted.
        out: the file (YAML), for: voxtile caption template CORPUS --bank FILE
        provider: local (a model in this process), openai (an endpoint such as vLLM, llama.cpp or a hosted one), replay
            (from the cache of replies alone), or none (only check what is there).
        model: openai: name of the model there; local: a GGUF file, qwen-1.5b or gemma-270m; by
            default the better of the two that is installed and that memory has room for.
        base_url: openai: address of the endpoint, e.g. http://127.0.0.1:8000/v1.
        concepts: names of concepts, separated by commas; all that are present in the corpus by default.
        wordings: how many wordings of a concept to ask for.
        descriptions: how many descriptions to ask for.
        max_usd: stop asking when this much is spent.
        max_tokens: stop asking when so many tokens, in and out, are spent.
        temperature: of the sampling.
        seed: of the sampling; another one gives other proposals.
        prompts: folder of prompt files (YAML) that come before the installed ones.
        prices: price table (YAML) in place of ours.
        replies: folder of the replies that are kept; default beside the file, FILE.replies.
        concurrency: requests in flight at most.
        timeout: of one try at an endpoint, in seconds.
        key_variable: environment variable that holds the endpoint's key.
        completion: openai: the model there is a base model, which continues texts.

    Raises:
        ConfigError: an option that cannot be used, or a malformed file.
        InputError: the corpus has no facts, or lacks a concept that was named.
        ProviderError: the model or its endpoint cannot be used.
    """
    from voxtile_datasets.captions.phrase_bank.make import make_phrase_bank
    from voxtile_datasets.captions.providers.budget import Budget
    from voxtile_datasets.captions.providers.factory import open_provider

    if wordings < 1 or descriptions < 0:
        raise ConfigError(
            f"--wordings must be at least 1 and --descriptions at least 0, not {wordings}, {descriptions}"
        )
    Corpus(corpus)
    if provider == "none" and not out.is_file():
        raise ConfigError(f"there is no bank {out} to check; have a model propose one with --provider local or openai")
    opened = None
    if provider != "none":
        opened = open_provider(
            provider, model=model, base_url=base_url, cache=replies or out.with_name(f"{out.name}.replies"),
            budget=Budget(max_usd, max_tokens), prices=prices, concurrency=concurrency, timeout_s=timeout,
            key_variable=key_variable, chat=False if completion else None,
        )  # fmt: skip
    names = tuple(name.strip() for name in (concepts or "").split(",") if name.strip())
    make_phrase_bank(
        corpus, out, opened, concepts=names, wordings=wordings, descriptions=descriptions, temperature=temperature,
        seed=seed, prompts=prompts,
    )  # fmt: skip
