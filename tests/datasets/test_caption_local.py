"""The embedded model, the header of its file, and llama.cpp's own server as an endpoint."""

import asyncio
import importlib.util
import json
import secrets
import struct
from dataclasses import replace

import pytest

from voxtile.packaged_models import GEMMA
from voxtile_datasets.captions.providers.budget import Budget
from voxtile_datasets.captions.providers.cache import ReplyCache
from voxtile_datasets.captions.providers.cached import CachedProvider
from voxtile_datasets.captions.providers.factory import open_provider
from voxtile_datasets.captions.providers.gguf import read_header
from voxtile_datasets.captions.providers.http.openai import OpenAIProvider
from voxtile_datasets.captions.providers.local import LocalProvider
from voxtile_datasets.captions.providers.provider import ProviderError, ReplyError
from voxtile_datasets.captions.providers.request import Request

SCHEMA = {
    "type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False,
}  # fmt: skip
KEY = "practice-key-of-the-test"


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(*entries, version=3, magic=b"GGUF"):
    """The head of a GGUF file, by its specification; entries are (name, type, packed value)."""
    packed = b"".join(text(name) + struct.pack("<I", kind) + value for name, kind, value in entries)
    return magic + struct.pack("<IQQ", version, 0, len(entries)) + packed


PLAIN = (
    ("general.architecture", 8, text("llama")),
    ("llama.context_length", 4, struct.pack("<I", 512)),
    ("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2) + text("a") + text("bc")),
    ("tokenizer.ggml.scores", 9, struct.pack("<IQ", 6, 3) + bytes(12)),
)


def test_the_header_tells_a_chat_model_from_a_base_model(tmp_path):
    base, chat = tmp_path / "base.gguf", tmp_path / "chat.gguf"
    base.write_bytes(gguf(*PLAIN) + b"weights")
    chat.write_bytes(gguf(*PLAIN, ("tokenizer.chat_template", 8, text("{{ messages }}"))) + b"weights")
    header = read_header(base)
    assert (header.architecture, header.context, header.chat) == ("llama", 512, False)
    assert read_header(chat).chat
    base.write_bytes(gguf(*PLAIN) + b"weightz")
    assert read_header(base).name != header.name  # another content is another model
    found = []
    for middle in (b"old", b"new"):  # of a model that was trained on, both ends and the size stay
        base.write_bytes(gguf(*PLAIN) + bytes(2 << 20) + middle * (1 << 19) + bytes(2 << 20))
        found.append(read_header(base))
    assert found[0].name == found[1].name
    assert found[0].content != found[1].content


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"PK\x03\x04 a zip", "is no GGUF model"),
        (gguf(*PLAIN, magic=b"GGJT"), "is no GGUF model"),
        (gguf(*PLAIN, version=99), "version 99"),
        (gguf(*PLAIN)[:60], "cut off or damaged"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60), "metadata entries"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62), "cut off or damaged"),
        (gguf(*PLAIN) + bytes(100), "cannot be loaded"),
    ],
)
def test_a_file_that_is_no_model_is_refused_before_anything_is_asked(tmp_path, content, sentence):
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(ProviderError, match=sentence):
        open_provider("local", model=str(path), cache=tmp_path / "c")
    with pytest.raises(ProviderError, match=r"cannot be read: No such file"):
        open_provider("local", model=str(tmp_path / "absent.gguf"), cache=tmp_path / "c")


@pytest.fixture(scope="module")
def local():
    if importlib.util.find_spec("xllamacpp") is None:  # imported by the provider, which keeps it apart from blosc2
        pytest.skip("xllamacpp is not installed")
    if not GEMMA.is_installed:
        pytest.skip(f"{GEMMA.title} is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "token_hex", lambda size: KEY)  # so that the test may use the port that it listens on
        provider = LocalProvider(GEMMA.assembled(), slots=2, context=256)
    yield provider
    asyncio.run(provider.close())


@pytest.mark.sweep(ci=True)
def test_the_small_model_answers_many_at_once_by_the_schema_and_within_its_context(local, tmp_path):
    assert (local.name, local.chat, local.concurrency) == ("local", False, 4)
    provider = CachedProvider(local, ReplyCache.open(tmp_path), budget=Budget(max_tokens=2000))
    days = Request("Monday, Tuesday, Wednesday, Thursday,", max_tokens=3, temperature=0)
    requests = [
        days, replace(days, attempt=1), replace(days, prompt="January, February, March,"),
        Request("x", max_tokens=24, temperature=0, schema=SCHEMA), Request("word " * 400), days,
    ]  # fmt: skip

    async def run():
        return await asyncio.gather(*map(provider.ask, requests), return_exceptions=True)

    first, second, other, structured, long, same = asyncio.run(run())
    assert first.text.startswith("Friday")
    assert first.text == second.text == same.text
    assert other.text.startswith("April")
    assert json.loads(structured.text)["n"] in (1, 2)
    assert isinstance(long, ReplyError)
    assert long.reason == "too-long"
    assert "takes 256" in str(long)
    assert provider.spend.asked == 4
    assert (first.tokens_out, first.finish) == (3, "length")
    assert 8 <= first.tokens_in <= 10
    with pytest.raises(ProviderError, match="reads no pictures"):
        asyncio.run(local.ask(Request("what is it?", images=(b"\xff\xd8",))))
    provider.cache.close()


@pytest.mark.sweep(ci=True)
def test_our_client_and_the_server_of_llama_cpp_understand_each_other(local, tmp_path, monkeypatch):
    address = f"{local._server.listening_address}/v1"

    def outcomes(model, *requests, chat):
        provider = OpenAIProvider(address, model, chat=chat, timeout_s=60)

        async def run():
            replies = await asyncio.gather(*map(provider.ask, requests), return_exceptions=True)
            await provider.close()
            return replies

        return asyncio.run(run())

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (no_key,) = outcomes("gemma", Request("a", max_tokens=2), chat=False)
    assert isinstance(no_key, ProviderError)
    assert "set the environment variable OPENAI_API_KEY" in str(no_key)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    reply, long = outcomes("gemma", Request("one two three four", max_tokens=3), Request("word " * 400), chat=False)
    assert (reply.finish, reply.tokens_out) == ("length", 3)
    assert long.reason == "too-long"
    (structured,) = outcomes("gemma", Request("x", max_tokens=24, temperature=0, schema=SCHEMA), chat=True)
    assert json.loads(structured.text)["n"] in (1, 2)
