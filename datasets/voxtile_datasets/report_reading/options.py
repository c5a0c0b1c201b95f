"""Options of the commands that read the reports of a corpus, in all domains."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from voxtile.engine.options import RunOptions
from voxtile.errors import ConfigError
from voxtile.folders import OutputFile

_OF_RULES = ("listing", "reader")


@dataclass(frozen=True)
class ReadingOptions(RunOptions):
    """How reports are read, by rules or also by a model.

    Attributes:
        listing: CSV file to write: each sentence that was not read and how often it occurs; with a model also what is
            disputed, and why statements of the model were not taken.
        reader: rules, or model: the rules and a language model whose statements they check.
        provider: of --reader model: local (a model in this process), openai (an endpoint such as vLLM, llama.cpp or a
            hosted one), or replay (from the cache of replies alone).
        model: openai: name of the model there; local: a GGUF file, or qwen-1.5b, which answers where none is named.
        base_url: openai: address of the endpoint, e.g. http://127.0.0.1:8000/v1.
        where: model: only reports of samples for which this SQL condition holds, e.g. "modality = 'CT'".
        limit: model: reports of so many samples at most, the first ones by uid that have one.
        tries: model: requests at most for a report until a reply can be read.
        max_usd: model: stop asking when this much is spent.
        max_tokens: model: stop asking when so many tokens, in and out, are spent.
        allow_remote_credentialed: model: send reports of credentialed data to another machine, where your agreement
            covers it.
        temperature: model: of the sampling.
        seed: model: of the sampling.
        max_reply_tokens: model: longest reply; by the length of the report by default.
        prompts: model: folder of prompt files (YAML) that come before the installed ones.
        prices: model: price table (YAML) in place of ours.
        replies: model: folder of the replies that are kept; default beside the corpus, CORPUS.replies.
        concurrency: model: requests in flight at most.
        timeout: model: of one try at an endpoint, in seconds.
        key_variable: model: environment variable that holds the endpoint's key.
        key_file: model: key map of the corpus, whose paths are kept out of prompts; default beside the corpus.
    """

    listing: OutputFile | None = None
    reader: Literal["rules", "model"] = "rules"
    provider: str = "local"
    model: str | None = None
    base_url: str | None = None
    where: str | None = None
    limit: int | None = None
    tries: int = 2
    max_usd: float | None = None
    max_tokens: int | None = None
    allow_remote_credentialed: bool = False
    temperature: float = 0.0
    seed: int = 0
    max_reply_tokens: int | None = None
    prompts: Path | None = None
    prices: Path | None = None
    replies: Path | None = None
    concurrency: int | None = None
    timeout: float = 120.0
    key_variable: str = "OPENAI_API_KEY"
    key_file: Path | None = None

    def __post_init__(self) -> None:
        """Refuse a reader that does not exist, and options of a model where none is asked."""
        super().__post_init__()
        if self.reader not in ("rules", "model"):
            raise ConfigError(
                f"there is no reader '{self.reader}'; choose rules, or model (the rules and a language model)"
            )
        defaults = {field.name: field.default for field in fields(self)}
        given = next((name for name, value in self.of_model.items() if value != defaults[name]), None)
        if self.reader == "rules" and given is not None:
            raise ConfigError(
                f"--{given.replace('_', '-')} goes with --reader model; the rules alone ask no model, so leave it out"
            )

    @property
    def of_model(self) -> dict[str, Any]:
        """How the model is asked, by the names of the options."""
        others = {*(field.name for field in fields(RunOptions)), *_OF_RULES}
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in others}

    @property
    def of_run(self) -> dict[str, Any]:
        """How the run is done, by the names of the options."""
        return {field.name: getattr(self, field.name) for field in fields(RunOptions)}
