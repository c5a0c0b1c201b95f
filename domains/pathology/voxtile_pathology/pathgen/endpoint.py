"""One small interface to a vision model, and its implementation for OpenAI-compatible endpoints.

The key comes from the environment and is neither stored nor logged. Replies are kept on disk by the hash of the
request, so that a rerun asks nothing twice.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from voxtile.errors import ConfigError, MissingExtraError, VoxtileError
from voxtile_pathology.pathgen.replies import ReplyCache

_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_LONGEST_WAIT_S = 60.0
_LONGEST_REPLY = 4 << 20  # bytes


class EndpointError(VoxtileError):
    """The endpoint gave no usable reply; `reason` is the ledger's name for it."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True)
class Reply:
    """What a model answered.

    Attributes:
        text: the answer, stripped.
        model: as the endpoint names it.
        request_sha: sha-256 of the request's body.
        tokens_in, tokens_out: as the endpoint counts them; None where it does not.
        created: when, ISO 8601; of the first reply where it comes from the cache.
    """

    text: str
    model: str
    request_sha: str
    tokens_in: int | None
    tokens_out: int | None
    created: str


class VisionEndpoint(Protocol):
    """Answers a prompt about a picture."""

    def ask(self, prompt: str, image: bytes | None) -> Reply:
        """The answer to a prompt, with a JPEG or PNG picture or without one.

        Raises:
            EndpointError: there is no usable answer.
        """


@dataclass(frozen=True)
class OpenAIEndpoint:
    """An endpoint that speaks the chat completions of OpenAI: a service, or vLLM, Ollama or llama.cpp on this machine.

    Attributes:
        base_url: e.g. `http://127.0.0.1:8000/v1`.
        model: name of the model there.
        key_variable: environment variable that holds the key; it may be unset for a local server.
        temperature: of the sampling.
        max_tokens: longest answer.
        timeout_s: of one request.
        retries: further tries after a reply that promises to be temporary (429, 5xx, no connection).
        backoff_s: first wait; it doubles with each try, up to a minute.
        cache: folder of replies.
    """

    base_url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    temperature: float = 0.0
    max_tokens: int = 1024
    timeout_s: float = 120.0
    retries: int = 6
    backoff_s: float = 1.0
    cache: str = ""

    def ask(self, prompt: str, image: bytes | None) -> Reply:
        """See `VisionEndpoint.ask`."""
        body = json.dumps(self._request(prompt, image), sort_keys=True, separators=(",", ":")).encode()
        digest = hashlib.sha256(f"{self.base_url}\n".encode() + body).hexdigest()
        cache = ReplyCache(Path(self.cache)) if self.cache else None
        content = cache.get(digest) if cache else None
        if content is None:
            content = self._post(body) | {"received": datetime.now(UTC).isoformat(timespec="seconds")}
            reply = self._reply(content, digest)
            if cache:
                cache.put(digest, content)
            return reply
        return self._reply(content, digest)

    def _request(self, prompt: str, image: bytes | None) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": prompt}]
        if image is not None:
            kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
            url = f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
            content.append({"type": "image_url", "image_url": {"url": url}})
        return {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }

    def _post(self, body: bytes) -> dict[str, Any]:
        import httpx

        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self.key_variable):
            headers["Authorization"] = f"Bearer {key}"
        url = f"{self.base_url.rstrip('/')}/chat/completions"
        trouble, wait = "", self.backoff_s
        for attempt in range(self.retries + 1):
            if attempt:
                time.sleep(min(_LONGEST_WAIT_S, wait) * random.uniform(0.75, 1.25))
                wait *= 2
            try:
                response = _client(self.timeout_s).post(url, content=body, headers=headers)
            except httpx.TransportError as error:
                trouble = f"{type(error).__name__}: {error}"
                continue
            if response.status_code == 200:
                return _parsed(response.content)
            trouble = f"{response.status_code} {_message(response.content)}"
            if response.status_code not in _RETRIED:
                raise EndpointError("endpoint-refused", f"{self.base_url} refused the request: {trouble}")
            wait = max(wait, _retry_after(response.headers))
        raise EndpointError(
            "endpoint-unavailable",
            f"{self.base_url} gave no answer in {self.retries + 1} tries ({trouble}); run again with --retry",
        )

    def _reply(self, content: Mapping[str, Any], digest: str) -> Reply:
        try:
            text = content["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            text = None
        if not isinstance(text, str) or not text.strip():
            raise EndpointError("empty-reply", f"{self.base_url} answered without a text")
        usage = content.get("usage") or {}
        return Reply(
            text=text.strip(),
            model=str(content.get("model") or self.model),
            request_sha=digest,
            tokens_in=usage.get("prompt_tokens"),
            tokens_out=usage.get("completion_tokens"),
            created=str(content["received"]),
        )


def checked_endpoint(endpoint: OpenAIEndpoint, *, send_to_remote: bool) -> OpenAIEndpoint:
    """Refuse an endpoint that pictures must not be sent to.

    Args:
        endpoint: where to send.
        send_to_remote: the user said that pictures may leave this machine.

    Raises:
        ConfigError: the URL is no HTTP address, is another machine's without `send_to_remote`, or would carry the key
            unencrypted to one.
        MissingExtraError: httpx is not installed.
    """
    try:
        import httpx  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("httpx", "llm") from error
    parts = urlsplit(endpoint.base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ConfigError(f"--base-url must be like http://127.0.0.1:8000/v1, not '{endpoint.base_url}'")
    if is_local(parts.hostname):
        return endpoint
    if not send_to_remote:
        raise ConfigError(
            f"'{parts.hostname}' is another machine; pictures of patients' tissue go there only with --send-to-remote, "
            "after you have checked that the data's licence and your rules allow it"
        )
    if parts.scheme == "http":
        raise ConfigError(f"'{endpoint.base_url}' would send pictures and the key unencrypted; use https")
    return endpoint


def is_local(host: str) -> bool:
    """Whether a host name is this machine's."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data) if len(data) <= _LONGEST_REPLY else None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise EndpointError("malformed-reply", "the endpoint answered with something that is not a JSON object")
    return content


def _message(data: bytes) -> str:
    """What a refusal says, in one short line."""
    try:
        content = json.loads(data)
        error = content.get("error", content)
        text = error.get("message", "") if isinstance(error, dict) else error
    except (ValueError, AttributeError, RecursionError):
        text = data.decode(errors="replace")
    return " ".join(str(text).split())[:200]


def _retry_after(headers: Mapping[str, str]) -> float:
    try:
        return min(_LONGEST_WAIT_S, max(0.0, float(headers.get("retry-after", 0))))
    except ValueError:
        return 0.0


@lru_cache(maxsize=4)
def _client(timeout_s: float) -> Any:  # noqa: ANN401
    """One client a process, so that connections are kept."""
    import httpx

    return httpx.Client(timeout=timeout_s, follow_redirects=False)
