"""A language model in this process, through llama.cpp: no network, no key, no price."""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voxtile.errors import ConfigError, required
from voxtile.processors import chosen_threads, free_processors
from voxtile_datasets.captions.providers.default_model import CONTEXT, SLOTS, default_model
from voxtile_datasets.captions.providers.gguf import read_header
from voxtile_datasets.captions.providers.http.chat_api import answer_of, completion_prompt, messages
from voxtile_datasets.captions.providers.http.refusals import TryError
from voxtile_datasets.captions.providers.provider import ProviderError, ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request


class LocalProvider:
    """Answers from a GGUF model, several requests in one batch.

    Each request runs in a slot of the batch. Twice as many are handed over as there are slots, so that a slot which
    falls free is filled before the next step; slots keep the beginning that prompts have in common.

    Args:
        path: of the model; by default the best that memory has room for.
        slots: requests in one batch.
        context: tokens of a prompt and its reply together, at most those that the model was trained on.
        threads: to compute with; by default the processors that are free.
        load: read the weights; without them the model says its name, and is asked nothing.

    Attributes:
        model: the file's name with a fingerprint of its content.
        chat: the file has a chat template.
        slots: requests in one batch.
        context: tokens of a prompt and its reply together.
    """

    name = "local"

    def __init__(
        self,
        path: Path | None = None,
        *,
        slots: int = SLOTS,
        context: int | None = None,
        threads: int | None = None,
        load: bool = True,
    ) -> None:
        if slots < 1:
            raise ConfigError(f"the number of slots is {slots}; give at least 1")
        path = path or default_model(slots, context or CONTEXT).model.assembled()
        header = read_header(path)
        self.model, self.chat, self.slots = header.name, header.chat, slots
        self.content = header.content
        self.context = min(context or CONTEXT, header.context or CONTEXT)
        self._server: Any = _loaded(path, slots, self.context, threads or _processors()) if load else None
        self._threads = ThreadPoolExecutor(self.concurrency, "local-model")

    @property
    def concurrency(self) -> int:
        """See `Provider`."""
        return 2 * self.slots

    async def ask(self, request: Request) -> Reply:
        """See `Provider.ask`."""
        if request.images:
            raise ProviderError(f"the local model '{self.model}' reads no pictures; use --provider openai for those")
        if self._server is None:
            raise ProviderError(f"the local model '{self.model}' is closed, or was not loaded")
        begun = time.perf_counter()
        content = await asyncio.get_running_loop().run_in_executor(self._threads, self._complete, request)
        error = content.get("error") if isinstance(content, dict) else None
        if error:
            raise self._failure(error)
        try:
            answer = answer_of(content, request)
        except TryError as trouble:
            raise ReplyError(trouble.reason, f"the local model gave no reply: {trouble}") from trouble
        return Reply(
            text=answer.text, tokens_in=answer.tokens_in, tokens_out=answer.tokens_out, cost_usd=0.0,
            latency_s=time.perf_counter() - begun, cached=False, request_sha=request.key(self.model),
            finish=answer.finish, created=datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip

    async def close(self) -> None:
        """See `Provider.close`."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._server = None

    def _complete(self, request: Request) -> Any:  # noqa: ANN401
        """Run one request; the interpreter is free meanwhile."""
        settings: dict[str, Any] = {
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "seed": request.draw,
            "stop": list(request.stop),
            "cache_prompt": True,
        }
        if request.schema is not None:
            settings["json_schema"] = dict(request.schema)
        if self.chat:
            return self._server.handle_chat_completions({**settings, "messages": messages(request)})
        return self._server.handle_completions({**settings, "prompt": completion_prompt(request)})

    def _failure(self, error: Any) -> ReplyError:  # noqa: ANN401
        kind, said = (str(error.get(name, "")) for name in ("type", "message")) if isinstance(error, dict) else ("", "")
        if kind == "exceed_context_size_error":
            return ReplyError("too-long", f"the prompt has {error.get('n_prompt_tokens')} tokens, and '{self.model}' "
                              f"takes {self.context}; shorten it")  # fmt: skip
        return ReplyError("refused", f"the local model refused the request: {said or error}")


def _processors() -> int:
    """Threads to compute with: OMP_NUM_THREADS, else the processors that are free."""
    return chosen_threads() or free_processors("the language model")


def _library() -> Any:  # noqa: ANN401
    """Import llama.cpp's binding beside blosc2.

    Extensions that Cython has compiled share types through modules named by its version, which both have at different
    sizes: whichever came second would not load. Set aside, each keeps its own.
    """
    shared = {name: sys.modules.pop(name) for name in list(sys.modules) if name.startswith("_cython_")}
    try:
        with required("xllamacpp", "llm"):
            import xllamacpp
    finally:
        sys.modules.update(shared)
    return xllamacpp


def _loaded(path: Path, slots: int, context: int, threads: int) -> Any:  # noqa: ANN401
    xllamacpp = _library()
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.n_parallel = slots
    parameters.n_ctx = slots * context
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.swa_full = True  # models with sliding windows keep the common beginning of prompts only so
    parameters.cache_ram_mib = 0  # slots keep their last prompt; a store of older ones costs memory and gains nothing
    parameters.warmup = False
    parameters.verbosity = -1
    # The library also listens on a port of this machine; nobody else knows its key.
    parameters.api_keys = [secrets.token_hex(32)]
    try:
        return xllamacpp.Server(parameters)
    except Exception as error:  # whatever a native library raises for a file that it cannot load
        raise ProviderError(
            f"the model file '{path}' cannot be loaded ({' '.join(str(error).split()) or type(error).__name__}); "
            "is it whole, and is there memory for it?"
        ) from error
