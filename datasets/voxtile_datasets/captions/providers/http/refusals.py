"""What an endpoint's refusal means: for this try, for this request, or for the whole run."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from voxtile.bounded_text import load_json
from voxtile_datasets.captions.providers.provider import ProviderError, ReplyError

_RETRIED = frozenset({408, 409, 425, 429})
_LONGEST_WAIT_S = 120.0
_TOO_LONG = re.compile(
    r"context[ _](?:length|size|window)|exceed_context|maximum context|too many tokens|prompt is too long",
    re.IGNORECASE,
)
# Within one sentence, and not by OpenAI's type of error `invalid_request_error`: "… not supported with this model." is
# about a field or a picture, and names no model that is missing.
_NO_MODEL = re.compile(
    r"model(?:(?![.!?](?:\s|$)).){0,80}(?:not[ _]found|(?:does not|doesn't|not) exist|unknown|invalid(?!_request))"
    r"|(?:no such|unknown|invalid) model|DeploymentNotFound",
    re.IGNORECASE | re.DOTALL,
)
_NO_CREDIT = re.compile(
    r"insufficient_quota|billing_hard_limit|exceeded your current quota|insufficient.{0,10}credit", re.IGNORECASE
)


class TryError(Exception):
    """One try failed; another may succeed.

    Attributes:
        reason: as in `ReplyError`.
        wait_s: the endpoint asked to wait so long.
        factor: of the number of requests in flight; 1 where the endpoint is not overloaded.
        lost: the model may have worked, and been paid, for nothing.
    """

    def __init__(
        self, reason: str, message: str, *, wait_s: float = 0.0, factor: float = 1.0, lost: bool = False
    ) -> None:
        super().__init__(message)
        self.reason, self.wait_s, self.factor, self.lost = reason, wait_s, factor, lost


@dataclass(frozen=True)
class Place:
    """Which endpoint speaks, for messages.

    Attributes:
        base_url: its address.
        model: the model asked for.
        key_variable: environment variable of the key.
        with_key: the key was sent.
    """

    base_url: str
    model: str
    key_variable: str
    with_key: bool

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Exception:
        """What a reply that is not 200 means: a `TryError`, a `ReplyError` or a `ProviderError`."""
        said = message_of(body)
        if status in (401, 403):
            return self._key_refused(status, said)
        if status == 402 or (status == 429 and _NO_CREDIT.search(said)):
            return ProviderError(f"{self.base_url} has no credit left for this key ({said}); top it up and run again")
        if status == 429:
            return TryError("rate-limited", f"429 {said}", wait_s=retry_after(headers), factor=0.93)
        if status in _RETRIED or status >= 500:
            wait_s = retry_after(headers)
            return TryError("endpoint-error", f"{status} {said}", wait_s=wait_s, factor=0.7 if status == 503 else 1.0)
        if 300 <= status < 400:
            target = headers.get("location", "elsewhere")[:200]
            return ProviderError(f"{self.base_url} sends requests on to '{target}'; give that address as --base-url")
        if _TOO_LONG.search(said):
            return ReplyError("too-long", f"the prompt is longer than the context of '{self.model}': {said}")
        if _NO_MODEL.search(said):
            return self.unknown_model([])
        if status in (404, 405):
            return ProviderError(
                f"{self.base_url} has no chat completions ({status} {said}); --base-url usually ends in /v1"
            )
        return ReplyError("refused", f"{self.base_url} refused the request: {status} {said}")

    def unknown_model(self, offered: list[str]) -> ProviderError:
        """The model does not exist there; names those that do."""
        there = f"; it offers: {', '.join(offered[:10])}" if offered else "; see its list of models"
        return UnknownModelError(f"{self.base_url} has no model '{self.model}'{there}")

    def web_page(self) -> ProviderError:
        """The endpoint speaks HTML."""
        return ProviderError(
            f"{self.base_url} answers with a web page, not with an API; --base-url usually ends in /v1"
        )

    def stream(self) -> ProviderError:
        """The endpoint sends events, which nobody asked for."""
        return ProviderError(
            f"{self.base_url} streams its replies although none asked for that; turn streaming off there, or give "
            "another endpoint"
        )

    def unreachable(self, why: str) -> ProviderError:
        """Nothing answers at the address."""
        return ProviderError(f"nothing answers at {self.base_url} ({why}); is the server running, is --base-url right?")

    def _key_refused(self, status: int, said: str) -> ProviderError:
        if self.with_key:
            return ProviderError(f"{self.base_url} refused the key in {self.key_variable} ({status} {said})")
        return ProviderError(
            f"{self.base_url} wants a key ({status}); set the environment variable {self.key_variable}"
        )


class UnknownModelError(ProviderError):
    """The endpoint has no such model."""


def message_of(body: bytes) -> str:
    """What a refusal says, in one short line."""
    text = body[:20_000].decode(errors="replace")
    try:
        content = load_json(body) if len(body) <= 1 << 20 else None
        error = content.get("error", content) if isinstance(content, dict) else None
        if isinstance(error, dict):
            text = " ".join(str(error[name]) for name in ("message", "code", "type", "detail") if error.get(name))
        elif isinstance(error, str):
            text = error
    except ValueError:
        text = "a web page" if text.lstrip()[:1] == "<" else text
    return " ".join(text.split())[:300]


def stated_status(body: bytes) -> int:
    """The status of a reply that came with 200: what its error states where it is one, 502 of one that states none."""
    if b'"error"' not in body:
        return 200
    try:
        content = load_json(body)
    except ValueError:
        return 200
    error = content.get("error") if isinstance(content, Mapping) else None
    if not error or content.get("choices"):
        return 200
    code = error.get("code") if isinstance(error, Mapping) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 502


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that the endpoint asks to wait, as a number or a date (RFC 9110, 10.2.3); 0 where it does not."""
    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return min(_LONGEST_WAIT_S, seconds) if seconds > 0 else 0.0
