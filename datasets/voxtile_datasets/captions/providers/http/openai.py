"""Any endpoint that speaks OpenAI's HTTP API: vLLM, SGLang, Ollama, llama.cpp's server, and hosted services."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from voxtile.bounded_text import load_json
from voxtile.errors import ConfigError
from voxtile_datasets.captions.providers.http.address import checked_base_url
from voxtile_datasets.captions.providers.http.chat_api import Dialect, read_answer
from voxtile_datasets.captions.providers.http.concurrency import Gate
from voxtile_datasets.captions.providers.http.connection import Answered, Connection
from voxtile_datasets.captions.providers.http.refusals import (
    Place,
    TryError,
    UnknownModelError,
    message_of,
    stated_status,
)
from voxtile_datasets.captions.providers.provider import ProviderError, ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request

_LONGEST_BACKOFF_S = 30.0
_STREAM = "text/event-stream"
_FIRST_TRIES = 3  # at an address that has never answered
_PATIENCE = 4  # times as many tries where the endpoint only says that it has too much to do
_NEVER_BACK = 20  # requests in a row that finally failed without a word from the endpoint


class OpenAIProvider:
    """Sends requests over kept connections, as many at once as the endpoint takes, and again where that may help.

    The key is read from the environment variable `key_variable` when it is needed; no attribute holds it.

    Attributes:
        base_url: e.g. `http://127.0.0.1:8000/v1`.
        model: name of the model there.
        chat: use chat completions; False for a base model's completions.
        concurrency: requests in flight at most.
        tries: of one request, the first among them.
    """

    name = "openai"

    def __init__(
        self,
        base_url: str | None,
        model: str,
        *,
        chat: bool = True,
        concurrency: int = 64,
        timeout_s: float = 120.0,
        tries: int = 7,
        backoff_s: float = 0.5,
        key_variable: str = "OPENAI_API_KEY",
        on_lost: Callable[[Request], None] = lambda request: None,
    ) -> None:
        self._connection = Connection("", key_variable=key_variable, concurrency=concurrency, timeout_s=timeout_s)
        with_key = bool(self._connection.key)
        if not self._connection.key.isascii() or not self._connection.key.isprintable():
            raise ConfigError(f"{key_variable} holds characters that no key has; was it copied whole, and alone?")
        self.base_url = self._connection.base_url = checked_base_url(base_url, with_key=with_key)
        self.model, self.chat, self.concurrency, self.tries = model, chat, concurrency, tries
        self.on_lost = on_lost
        self._backoff_s = backoff_s
        self._place = Place(self.base_url, model, key_variable, with_key)
        self._dialect = Dialect(chat=chat)
        self._gate = Gate(concurrency)
        self._answered = False
        self._silent = 0
        self._over: ProviderError | None = None

    @property
    def left_out(self) -> frozenset[str]:
        """Fields of a request that the model there does not take, so that it answers by its own."""
        return self._dialect.left_out

    def __repr__(self) -> str:
        return f"OpenAIProvider({self.base_url!r}, {self.model!r})"

    async def ask(self, request: Request) -> Reply:
        """See `Provider.ask`."""
        tried = 0
        while True:
            if self._over is not None:
                raise self._over
            await self._gate.enter()
            try:
                reply = await self._one_try(request)
                self._answered, self._silent = True, 0
                return reply
            except TryError as error:
                tried += 1
                self._take_note(request, error)
                if tried >= self._tries_of(error):
                    raise self._given_up(error, tried) from error
                wait_s = self._wait_s(error, tried)
            except ProviderError as error:
                self._over = await self._with_offer(error)
                raise self._over from error
            finally:
                self._gate.leave()
            await asyncio.sleep(wait_s)

    async def close(self) -> None:
        """See `Provider.close`."""
        await self._connection.close()

    async def _one_try(self, request: Request) -> Reply:
        """Send a request once, or more often where the endpoint wants it worded in a simpler dialect."""
        while True:
            dialect = self._dialect
            begun = time.perf_counter()
            answered = await self._connection.post(dialect.path, dialect.body(self.model, request))
            seconds = time.perf_counter() - begun
            answered = self._as_stated(answered)
            if answered.status == 200:
                break
            simpler = dialect.simpler(message_of(answered.body), request) if answered.status in (400, 422) else None
            if simpler is None:
                raise self._refusal(answered)
            if self._dialect == dialect:  # not changed meanwhile by another request
                self._dialect = simpler
        self._refuse_page(answered)
        answer = read_answer(answered.body, request)
        self._gate.kept_up(seconds)
        return Reply(
            text=self._connection.hide_key(answer.text), tokens_in=answer.tokens_in, tokens_out=answer.tokens_out,
            cost_usd=0.0, latency_s=seconds, cached=False, request_sha=request.key(self.model), finish=answer.finish,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip

    @staticmethod
    def _as_stated(answered: Answered) -> Answered:
        """A refusal that came with status 200, as of services that pass requests on, with the status that it states."""
        return replace(answered, status=stated_status(answered.body)) if answered.status == 200 else answered

    def _refusal(self, answered: Answered) -> Exception:
        body = self._connection.hide_key(answered.body.decode(errors="replace")).encode()
        return self._place.refusal(answered.status, answered.headers, body)

    def _refuse_page(self, answered: Answered) -> None:
        if answered.body.startswith(b"data:") and answered.headers.get("content-type", "").startswith(_STREAM):
            raise self._place.stream()
        if answered.body.lstrip()[:1] == b"<":
            if not self._answered:
                raise self._place.web_page()
            raise TryError("not-json", "a web page came instead of a reply")

    def _take_note(self, request: Request, error: TryError) -> None:
        if error.factor < 1 or error.wait_s > 0:
            self._gate.fell_behind(error.factor, error.wait_s)
        if error.lost:
            self.on_lost(request)

    def _tries_of(self, error: TryError) -> int:
        if error.reason == "rate-limited":
            return _PATIENCE * self.tries
        never = error.reason == "unreachable" and not self._answered
        return min(self.tries, _FIRST_TRIES) if never else self.tries

    def _given_up(self, error: TryError, tried: int) -> ReplyError | ProviderError:
        """The failure of a request after its last try; of the run, where the endpoint is silent for good."""
        self._silent += 1
        if error.reason == "unreachable" and not self._answered:
            self._over = self._place.unreachable(str(error))
        elif self._silent >= max(_NEVER_BACK, 2 * self.concurrency):
            self._over = ProviderError(
                f"{self.base_url} has stopped answering ({error}); run again when it is back, nothing is asked twice"
            )
        return self._over or ReplyError(error.reason, f"no reply from {self.base_url} in {tried} tries ({error})")

    def _wait_s(self, error: TryError, tried: int) -> float:
        """Seconds until the next try: growing, of which a random part is waited; at least what the endpoint asks for.

        Where it only has too much to do, the gate sees to it that less is sent, and a place is free again in a round.
        """
        if error.reason == "rate-limited":
            first, doublings = min(self._backoff_s, self._gate.round_s), (tried - 1) // _PATIENCE
        else:
            first, doublings = self._backoff_s, tried - 1
        longest = min(_LONGEST_BACKOFF_S, first * 2.0**doublings)
        return max(error.wait_s, longest * random.uniform(0.5, 1.0))

    async def _with_offer(self, error: ProviderError) -> ProviderError:
        """An unknown model's error with the names of those that the endpoint has."""
        if not isinstance(error, UnknownModelError):
            return error
        try:
            answered = await self._connection.get("/models")
            names = [str(entry["id"])[:100] for entry in load_json(answered.body)["data"]]
        except (TryError, ValueError, KeyError, TypeError, RecursionError):
            return error
        return self._place.unknown_model(names)
