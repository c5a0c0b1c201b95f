"""The protocol of everything that answers requests, and its two kinds of failure."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from voxtile.errors import StopRunError, VoxtileError
from voxtile_datasets.captions.providers.request import Reply, Request


class ProviderError(StopRunError):
    """No request can be answered: no key, no endpoint, an unknown model, a file that is no model; the run ends."""


class ReplyError(VoxtileError):
    """One request finally failed; the others go on.

    Attributes:
        reason: short name for counts and ledgers, e.g. `timeout`, `too-long`, `not-json`, `budget`, `not-in-cache`.
        is_counted: it is in the count of what failed already.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.is_counted = False


class OffSchemaError(ReplyError):
    """A reply came, and its text is not the JSON that was asked for.

    Attributes:
        reply: as the model gave it, for whoever can read it all the same.
    """

    def __init__(self, reason: str, message: str, reply: Reply) -> None:
        super().__init__(reason, message)
        self.reply = reply


@runtime_checkable
class Provider(Protocol):
    """Answers requests, many at a time; ask from one event loop.

    Attributes:
        name: `local`, `openai`, `replay` or `template`.
        model: the model's name, part of every request's key.
        chat: the model follows instructions; False for a base model, whose prompts are texts to continue.
        concurrency: so many requests in flight keep it busy; more wait their turn.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def model(self) -> str: ...  # noqa: D102

    @property
    def chat(self) -> bool: ...  # noqa: D102

    @property
    def concurrency(self) -> int: ...  # noqa: D102

    async def ask(self, request: Request) -> Reply:
        """Answer one request.

        Raises:
            ReplyError: this request finally failed.
            ProviderError: no request can be answered.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and memory; nothing is asked afterwards."""
        ...
