"""`voxtile describe CORPUS --with pathgen`: describe, revise and summarise representative patches.

A thin layer over the caption strategy `describe-revise-summarise`, for the patches that stand for a slide.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from voxtile.corpus.reader import Corpus
from voxtile.engine.options import RunOptions
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.captions.by_language_model import ModelOptions, caption_with_model
from voxtile_datasets.captions.providers.http.address import is_remote
from voxtile_pathology.pathgen.choose import REPRESENTATIVE

STRATEGY = "describe-revise-summarise"
_PATCHES = "kind = 'patch'"
_CHOSEN = f"uid IN (SELECT uid FROM scores WHERE name = '{REPRESENTATIVE}')"


def describe_patches(
    corpus: Path,
    *,
    base_url: str,
    model: str,
    all_patches: bool = False,
    send_to_remote: bool = False,
    allow_remote_credentialed: bool = False,
    key_variable: str = "OPENAI_API_KEY",
    temperature: float = 0.0,
    tries: int = 4,
    max_reply_tokens: int | None = None,
    max_usd: float | None = None,
    max_tokens: int | None = None,
    timeout: float = 120.0,
    concurrency: int | None = None,
    replies: Path | None = None,
    prompts: Path | None = None,
    prices: Path | None = None,
    **run: Any,  # noqa: ANN401
) -> None:
    """Have a vision model describe patches, revise its descriptions against the picture, and summarise them.

    Each text is compared with what is known of its patch, and its verdict is stored; what contradicts the facts is told
    to the model and asked for again. The texts of a patch are each other's parents. Replies are kept on disk, so that a
    rerun asks nothing twice; what failed is asked again with --retry. The same with every option, for any samples:
    voxtile caption CORPUS --provider openai --strategy describe-revise-summarise.

    Args:
        corpus: a corpus of slides, with representative patches chosen.
        base_url: an OpenAI-compatible endpoint, e.g. http://127.0.0.1:8000/v1.
        model: name of the model there; it must see pictures.
        all_patches: describe every patch, not only representative ones.
        send_to_remote: pictures may be sent to another machine.
        allow_remote_credentialed: credentialed data may be sent there too, where your agreement covers it.
        key_variable: environment variable that holds the key.
        temperature: of the sampling.
        tries: requests at most for a text until it agrees with the facts.
        max_reply_tokens: longest answer; the step's own by default.
        max_usd: stop asking when this much is spent.
        max_tokens: stop asking when so many tokens, in and out, are spent.
        timeout: of one request, in seconds.
        concurrency: requests in flight at most.
        replies: folder of the replies that are kept; default beside the corpus, CORPUS.replies.
        prompts: folder of prompt files (YAML) that come before ours.
        prices: price table (YAML) in place of ours.
        run: options of the run.

    Raises:
        ConfigError: an option that cannot be used, or an endpoint that pictures must not be sent to.
        InputError: the corpus has no chosen patches.
        ProviderError: the endpoint cannot be used.
        RunFailedError: some patches got no accepted texts; the rest is stored.
    """
    settings = RunOptions(**run)
    if is_remote(base_url) and not send_to_remote:
        raise ConfigError(
            f"'{base_url}' is another machine; pictures of patients' tissue go there only with --send-to-remote, "
            "after you have checked that the data's licence and your rules allow it"
        )
    if not all_patches and not _has_chosen(corpus):
        raise InputError(
            f"'{corpus}' has no representative patches; choose some with: voxtile score CORPUS --from "
            "representatives, or take all with --all-patches"
        )
    options = ModelOptions(
        provider="openai", strategy=STRATEGY, model=model, base_url=base_url, key_variable=key_variable,
        where=_PATCHES if all_patches else f"{_PATCHES} AND {_CHOSEN}", temperature=temperature, tries=tries,
        max_reply_tokens=max_reply_tokens, max_usd=max_usd, max_tokens=max_tokens, timeout=timeout,
        concurrency=concurrency, replies=replies, prompts=prompts, prices=prices,
        allow_credentialed=allow_remote_credentialed,
    )  # fmt: skip
    caption_with_model(corpus, options, asdict(settings))


def _has_chosen(corpus: Path) -> bool:
    names = Corpus(corpus).table("scores", ["name"])["name"]
    return bool(pc.any(pc.equal(names, REPRESENTATIVE)).as_py())
