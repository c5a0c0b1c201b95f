"""`voxtile describe CORPUS --with pathgen`: describe, revise and summarise representative patches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from rich.console import Console

from voxtile.corpus.reader import Corpus
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError
from voxtile_pathology.pathgen.endpoint import OpenAIEndpoint, checked_endpoint
from voxtile_pathology.pathgen.steps import STEPS, Step, StepTask, load_step

CACHE_SUFFIX = ".replies"


def describe_patches(
    corpus: Path,
    *,
    base_url: str,
    model: str,
    steps: str = ",".join(STEPS),
    all_patches: bool = False,
    key_variable: str = "OPENAI_API_KEY",
    send_to_remote: bool = False,
    temperature: float = 0.0,
    max_tokens: int = 1024,
    timeout: float = 120.0,
    retries: int = 6,
    backoff: float = 1.0,
    cache: Path | None = None,
    prompts: Path | None = None,
    **run: Any,  # noqa: ANN401
) -> None:
    """Have a vision model describe patches, revise its descriptions against the picture, and summarise them.

    Each step writes captions whose parents are those of the step before. Replies are kept on disk, so that a rerun asks
    nothing twice; what failed is asked again with --retry.

    Args:
        corpus: a corpus of slides, with representative patches chosen.
        base_url: an OpenAI-compatible endpoint, e.g. http://127.0.0.1:8000/v1.
        model: name of the model there.
        steps: which of describe, revise and summarise, in this order.
        all_patches: describe every patch, not only representative ones.
        key_variable: environment variable that holds the key.
        send_to_remote: pictures may be sent to another machine.
        temperature: of the sampling.
        max_tokens: longest answer.
        timeout: of one request, in seconds.
        retries: further tries after a temporary failure.
        backoff: wait before the first of them, in seconds; it doubles each time.
        cache: folder of replies; default beside the corpus, CORPUS.replies.
        prompts: folder with describe.txt, revise.txt and summarise.txt in place of ours.
        run: options of the run; requests go out from as many workers at once.

    Raises:
        ConfigError: an unknown step, or an endpoint that pictures must not be sent to.
        InputError: the corpus has no chosen patches.
        RunFailedError: some patches got no answer; the rest is stored.
    """
    options = RunOptions(**run)
    Corpus(corpus)  # a folder that is no corpus is refused before anything is sent
    chosen = [load_step(name, prompts) for name in STEPS if name in _names(steps)]
    endpoint = checked_endpoint(
        OpenAIEndpoint(
            base_url=base_url, model=model, key_variable=key_variable, temperature=temperature, max_tokens=max_tokens,
            timeout_s=timeout, retries=retries, backoff_s=backoff,
            cache=str(cache or corpus.resolve().with_name(corpus.resolve().name + CACHE_SUFFIX)),
        ),
        send_to_remote=send_to_remote,
    )  # fmt: skip
    identity = {"model": model, "temperature": temperature, "max_tokens": max_tokens}
    for step in chosen:
        task = StepTask(str(corpus), step, endpoint, identity, all_patches)
        summary = run_task(task, corpus, options)
        if not options.dry_run:
            _say_tokens(corpus, step)
        summary.raise_if_failed()
        if options.dry_run:
            return


def _names(steps: str) -> list[str]:
    names = [name.strip() for name in steps.split(",") if name.strip()]
    unknown = [name for name in names if name not in STEPS]
    if unknown or not names:
        raise ConfigError(f"--steps are of {', '.join(STEPS)}, not '{steps}'")
    return names


def _say_tokens(corpus: Path, step: Step) -> None:
    table = Corpus(corpus).table("captions", ["provider", "tokens_in", "tokens_out"])
    table = table.filter(pc.equal(table["provider"], step.provider))
    given, got = (pc.sum(table[name]).as_py() or 0 for name in ("tokens_in", "tokens_out"))
    Console(stderr=True).print(
        f"{step.name}: {table.num_rows} texts, {given:,} tokens in and {got:,} out", highlight=False
    )
