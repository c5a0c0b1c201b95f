"""What is asked of a language model and what comes back; a request's key names the reply in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voxtile.errors import ConfigError

HOTTEST = 2.0
"""Greatest temperature that is asked for."""
REFUSAL = "refusal: "
"""So begins `Reply.finish` where the model would not answer; its words follow."""


@dataclass(frozen=True)
class Request:
    """One question to a language model.

    Attributes:
        prompt: what the user says; for a base model, the text to continue.
        system: instructions ahead of the prompt; a base model reads them as the prompt's first paragraph.
        images: encoded pictures (JPEG or PNG bytes), shown ahead of the prompt.
        max_tokens: the reply ends after so many tokens.
        temperature: 0 takes the likeliest token each time.
        top_p: tokens are drawn from the smallest set that holds this share of probability.
        stop: the reply ends before any of these.
        seed: of the sampler, together with the attempt.
        attempt: which try this is; another attempt at the same question is another request.
        schema: JSON schema of the reply; None for free text.
    """

    prompt: str
    system: str | None = None
    images: tuple[bytes, ...] = ()
    max_tokens: int = 128
    temperature: float = 0.7
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    attempt: int = 0
    schema: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse what no model can answer.

        Raises:
            ConfigError: a parameter is out of range; the message names it.
        """
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens is {self.max_tokens}; a reply needs at least 1")
        if not 0 <= self.temperature <= HOTTEST:
            raise ConfigError(f"temperature is {self.temperature:g}; give 0 to {HOTTEST:g}")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p is {self.top_p}; give more than 0 and at most 1")

    def key(self, model: str) -> str:
        """SHA-256 (hex) of everything that the reply depends on: model, texts, pictures, parameters, seed, attempt."""
        parts = {
            "model": model,
            "prompt": self.prompt,
            "system": self.system,
            "images": [hashlib.sha256(image).hexdigest() for image in self.images],
            "max_tokens": self.max_tokens,
            "temperature": float(self.temperature),
            "top_p": float(self.top_p),
            "stop": list(self.stop),
            "seed": self.seed,
            "attempt": self.attempt,
            "schema": self.schema,
        }
        text = json.dumps(parts, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def draw(self) -> int:
        """The sampler's seed (31 bits): another for each seed and attempt."""
        digest = hashlib.sha256(f"{self.seed}:{self.attempt}".encode()).digest()
        return int.from_bytes(digest[:4], "little") >> 1


@dataclass(frozen=True)
class Reply:
    """What a model answered, and what it took.

    Attributes:
        text: the reply.
        tokens_in: tokens of the question, as the model counts them.
        tokens_out: tokens of the reply.
        cost_usd: by the price table, the first time; 0 for a model of one's own.
        latency_s: seconds from sending to the whole reply, the first time.
        cached: it came from the cache and cost nothing now.
        request_sha: key of the request.
        finish: why it ended: `stop`, `length`, …, or `refusal: ` and the model's words; None where it does not say.
        created: when the reply came, ISO 8601 in UTC; a cached one keeps it, so that reruns write the same rows.
    """

    text: str
    tokens_in: int
    tokens_out: int
    cost_usd: float
    latency_s: float
    cached: bool
    request_sha: str
    finish: str | None
    created: str = ""

    @property
    def cut_short(self) -> str:
        """In brackets, for whoever reads of a reply that will not do: how it ended before it was one; else empty."""
        if self.finish == "length":
            return " (it ended at the longest length; --max-reply-tokens raises that, for a model that thinks first)"
        return f" (the model gave a {self.finish})" if self.finish and self.finish.startswith(REFUSAL) else ""
