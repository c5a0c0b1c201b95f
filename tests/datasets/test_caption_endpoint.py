"""Endpoints: a real server that misbehaves, keys, refusals and dialects."""

import asyncio
import contextlib
import json
from collections import Counter
from pathlib import Path

import pytest

from voxtile.errors import ConfigError
from voxtile_datasets.captions.providers.budget import Budget
from voxtile_datasets.captions.providers.cache import ReplyCache
from voxtile_datasets.captions.providers.cached import CachedProvider
from voxtile_datasets.captions.providers.factory import open_provider
from voxtile_datasets.captions.providers.http.chat_api import Dialect
from voxtile_datasets.captions.providers.http.concurrency import Gate
from voxtile_datasets.captions.providers.http.faulty_endpoint import INJECTION, KEY, running
from voxtile_datasets.captions.providers.http.openai import OpenAIProvider
from voxtile_datasets.captions.providers.http.refusals import Place, retry_after
from voxtile_datasets.captions.providers.prices import Price
from voxtile_datasets.captions.providers.provider import ProviderError, ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request
from voxtile_datasets.captions.strategies.retries import best_of

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.fixture(scope="module")
def endpoint():
    with running("--latency", 0.002) as address:
        yield address


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """One request in five gets a fault; the log says what became of each."""
    log = tmp_path_factory.mktemp("hostile") / "log"
    with running("--faults", 0.2, "--latency", 0.002, "--log", log) as address:
        yield address, log


def asked(log):
    return [tuple(json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []


def wrapped(inner, folder, **options):
    provider = CachedProvider(inner, ReplyCache.open(folder), **options)
    inner.on_lost = provider.lose
    return provider


async def all_of(provider, requests):
    """The outcome of each request, in order: a reply or a ReplyError."""
    outcomes = await asyncio.gather(*map(provider.ask, requests), return_exceptions=True)
    await provider.close()
    return outcomes


def test_a_hostile_endpoint_gives_every_request_one_reply_and_none_is_asked_again(hostile, tmp_path):
    address, log = hostile
    requests = [Request(f"sample {i}") for i in range(300)]

    def provider():
        return wrapped(
            OpenAIProvider(address, "practice", concurrency=16, timeout_s=1.0, backoff_s=0.01, tries=9), tmp_path / "c"
        )

    first = provider()
    outcomes = asyncio.run(all_of(first, requests))
    of_faults = Counter(what for _, what in asked(log))
    assert set(of_faults) >= {"429", "500", "reset", "half", "cut", "wrong-index", "huge", "duplicate", "ok"}
    for request, outcome in zip(requests, outcomes, strict=True):
        assert isinstance(outcome, Reply), outcome
        assert outcome.text in (request.prompt, INJECTION)  # never another request's reply
    good = Counter(prompt for prompt, what in asked(log) if what in ("ok", "injection", "duplicate"))
    # Only a reply that was lost, behind a duplicate on its connection or after the time was up, is fetched once more.
    unreadable = sum(of_faults[fault] for fault in ("hang", "half", "cut", "wrong-index", "huge"))
    assert sum(count - 1 for count in good.values()) <= of_faults["duplicate"] + first.spend.lost - unreadable
    assert first.spend.asked == len(requests)
    before = len(asked(log))
    again = asyncio.run(all_of(provider(), requests))
    assert len(asked(log)) == before
    assert [reply.text for reply in again] == [outcome.text for outcome in outcomes]
    assert all(reply.cached and reply.created for reply in again)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("429", "rate-limited"), ("500", "endpoint-error"), ("reset", "connection-lost"), ("hang", "timeout"),
        ("half", "not-json"), ("cut", "connection-lost"), ("wrong-index", "wrong-index"), ("huge", "too-large"),
    ],
)  # fmt: skip
def test_a_fault_that_stays_becomes_a_failure_with_a_name(endpoint, tmp_path, fault, reason):
    timeout_s = 0.3 if fault == "hang" else 30
    inner = OpenAIProvider(endpoint, f"fault:{fault}", timeout_s=timeout_s, backoff_s=0.01, tries=2)
    provider = wrapped(inner, tmp_path / "c", budget=Budget())
    (failure,) = asyncio.run(all_of(provider, [Request("a", max_tokens=50)]))
    assert isinstance(failure, ReplyError)
    assert failure.reason == reason
    assert "tries" in str(failure)
    assert provider.spend.failed == {reason: 1}
    # What the model may have been paid for is charged, at most.
    lost = fault in ("hang", "half", "cut", "wrong-index", "huge")
    assert provider.budget.tokens == (2 * (50 + 8) if lost else 0)


@pytest.mark.parametrize("limits", [{"max_tokens": 4000}, {"max_usd": 0.004}], ids=["tokens", "usd"])
def test_a_budget_is_passed_by_no_more_than_the_requests_in_flight(hostile, tmp_path, limits):
    price = Price(1.0, 1.0)  # $1 a million tokens either way, so that both limits are the same
    inner = OpenAIProvider(hostile[0], "practice", concurrency=8, timeout_s=0.5, backoff_s=0.01)
    provider = wrapped(inner, tmp_path / "c", budget=Budget(**limits), price=price)
    requests = [Request(f"budgeted {i} " + "x" * 200, max_tokens=60) for i in range(120)]
    outcomes = asyncio.run(all_of(provider, requests))
    refused = [outcome for outcome in outcomes if isinstance(outcome, ReplyError) and outcome.reason == "budget"]
    most_of_one = 60 + len(requests[-1].prompt) // 4 + 8
    assert 4000 <= provider.budget.tokens <= 4000 + 8 * most_of_one
    assert refused
    assert "--max-usd or --max-tokens" in str(refused[0])
    assert provider.spend.tokens_in + provider.spend.tokens_out <= provider.budget.tokens
    assert sum(isinstance(outcome, Reply) for outcome in outcomes) == provider.spend.asked > 10


@pytest.mark.parametrize(
    ("model", "key", "sentence"),
    [
        ("needs-key", "", "wants a key .* set the environment variable PRACTICE_KEY"),
        ("needs-key", "sk-a-wrong-key", "refused the key in PRACTICE_KEY"),
        ("unknown", "", "has no model 'unknown'; it offers: practice, other"),
        ("web-page", "", "answers with a web page, not with an API; --base-url usually ends in /v1"),
        ("streams", "", "streams its replies although none asked for that; turn streaming off"),
    ],
)
def test_what_no_request_survives_is_said_once_in_a_sentence(endpoint, tmp_path, monkeypatch, model, key, sentence):
    monkeypatch.setenv("PRACTICE_KEY", key)
    provider = open_provider(
        "openai", model=model, base_url=endpoint, cache=tmp_path / "c", key_variable="PRACTICE_KEY"
    )
    outcomes = asyncio.run(all_of(provider, [Request("a"), Request("b")]))
    for outcome in outcomes:
        assert isinstance(outcome, ProviderError)
        assert "sk-a-wrong-key" not in str(outcome)
        with pytest.raises(ProviderError, match=sentence):
            raise outcome


def test_an_address_where_nothing_listens(tmp_path):
    inner = OpenAIProvider("http://127.0.0.1:9/v1", "practice", backoff_s=0.001)
    with pytest.raises(ProviderError, match=r"nothing answers at http://127.0.0.1:9/v1 \(connection refused\)"):
        raise asyncio.run(all_of(wrapped(inner, tmp_path / "c"), [Request("a")]))[0]


def test_an_endpoint_that_falls_silent_ends_the_run(tmp_path):
    server = contextlib.ExitStack()
    inner = OpenAIProvider(server.enter_context(running()), "practice", concurrency=4, backoff_s=0.001, tries=2)

    async def run():
        with server:
            first = await inner.ask(Request("a"))
        rest = await asyncio.gather(*(inner.ask(Request(f"{i}")) for i in range(60)), return_exceptions=True)
        await inner.close()
        return first, *rest

    first, *rest = asyncio.run(run())
    assert first.text == "a"
    assert any(isinstance(error, ProviderError) and "has stopped answering" in str(error) for error in rest)


@pytest.mark.parametrize("address", ["", "ftp://x", "http://user:pw@host/v1", "http://x:port", "host/v1"])
def test_an_address_that_is_none_is_refused(tmp_path, address):
    with pytest.raises(ConfigError, match="base-url") as caught:
        open_provider("openai", model="m", base_url=address, cache=tmp_path / "c")
    assert "pw" not in str(caught.value).replace("password", "")


def test_the_address_of_a_deployment_is_answered_with_the_one_to_give(tmp_path):
    address = "https://x.openai.azure.com/openai/deployments/d/chat/completions?api-key=hush"
    with pytest.raises(ConfigError, match=r"of Azure it is https://NAME\.openai\.azure\.com/openai/v1") as caught:
        open_provider("openai", model="m", base_url=address, cache=tmp_path / "c")
    assert "hush" not in str(caught.value)
    said = b'{"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}}'
    assert "has no model 'm'" in str(Place("http://here/v1", "m", "KEY", with_key=False).refusal(404, {}, said))


def test_a_key_that_cannot_be_one_is_refused_without_being_shown(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one\nsk-two")
    with pytest.raises(ConfigError, match="OPENAI_API_KEY holds characters that no key has") as caught:
        open_provider("openai", model="m", base_url="https://far.example/v1", cache=tmp_path / "c")
    assert "sk-one" not in str(caught.value)


def test_the_key_goes_nowhere_but_to_the_endpoint(endpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(ConfigError, match="unencrypted"):
        open_provider("openai", model="m", base_url="http://far.example/v1", cache=tmp_path / "c")
    provider = open_provider("openai", model="echo-key", base_url=endpoint, cache=tmp_path / "c")
    reply, admitted = (
        asyncio.run(all_of(provider, [Request("say it")])),
        open_provider("openai", model="needs-key", base_url=endpoint, cache=tmp_path / "c"),
    )
    assert reply[0].text == "your key is [key]"
    assert asyncio.run(all_of(admitted, [Request("with a key")]))[0].text == "with a key"
    seen = repr(provider.inner) + repr(vars(provider.inner)) + repr(vars(provider)) + repr(reply)
    assert KEY not in seen
    assert not any(KEY.encode() in path.read_bytes() for path in Path(tmp_path).rglob("*") if path.is_file())


def test_a_prompt_longer_than_the_context_fails_by_name_and_the_others_go_on(endpoint, tmp_path):
    provider = open_provider("openai", model="short", base_url=endpoint, cache=tmp_path / "c")
    long, fine = asyncio.run(all_of(provider, [Request("word " * 300), Request("word")]))
    assert isinstance(long, ReplyError)
    assert long.reason == "too-long"
    assert "longer than the context of 'short'" in str(long)
    assert fine.text == "word"


def test_an_endpoint_without_schemas_is_asked_in_words_and_its_reply_is_checked(endpoint, tmp_path):
    provider = open_provider("openai", model="no-schema", base_url=endpoint, cache=tmp_path / "c")
    (outcome,) = asyncio.run(all_of(provider, [Request("count", schema=SCHEMA)]))
    assert isinstance(outcome, ReplyError)  # this endpoint echoes, and an echo is no JSON
    assert outcome.reason == "not-json"
    enforced = open_provider("openai", model="practice", base_url=endpoint, cache=tmp_path / "c")
    prompts = ['{"n": 3}', '```json\n{"n": 4}\n```', '{"n": "four"}']
    good, fenced, wrong = asyncio.run(all_of(enforced, [Request(prompt, schema=SCHEMA) for prompt in prompts]))
    assert [json.loads(reply.text) for reply in (good, fenced)] == [{"n": 3}, {"n": 4}]
    assert wrong.reason == "off-schema"


def test_an_endpoint_with_newer_names_is_understood(endpoint, tmp_path):
    provider = open_provider("openai", model="new-fields", base_url=endpoint, cache=tmp_path / "c")
    assert asyncio.run(all_of(provider, [Request("hello")]))[0].text == "hello"


def test_a_model_with_a_sampling_of_its_own_is_asked_without_ours(endpoint, tmp_path):
    provider = open_provider("openai", model="own-sampling", base_url=endpoint, cache=tmp_path / "c")
    assert asyncio.run(all_of(provider, [Request("hello")]))[0].text == "hello"
    assert provider.inner.left_out == {"top_p", "temperature"}
    both = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    assert Dialect().simpler(both, Request("hello")).left_out == {"top_p"}


def test_a_refused_field_or_picture_is_no_missing_model(endpoint, tmp_path):
    provider = open_provider("openai", model="blind", base_url=endpoint, cache=tmp_path / "c")
    (outcome,) = asyncio.run(all_of(provider, [Request("look")]))
    assert isinstance(outcome, ReplyError)
    assert outcome.reason == "refused"
    assert "image_url is only supported by certain models" in str(outcome)
    place = Place("http://here/v1", "m", "KEY", with_key=False)
    for said in (b'{"message": "Invalid model: m"}', b'{"error": {"message": "Model Not Exist"}}'):
        assert "has no model 'm'" in str(place.refusal(400, {}, said))


def test_an_error_that_comes_with_status_200_is_said_and_costs_nothing(endpoint, tmp_path):
    inner = OpenAIProvider(endpoint, "passes-on", backoff_s=0.001, tries=2)
    provider = wrapped(inner, tmp_path / "c", budget=Budget(max_tokens=1000))
    (outcome,) = asyncio.run(all_of(provider, [Request("hello")]))
    assert outcome.reason == "endpoint-error"
    assert "503 Provider returned error" in str(outcome)
    assert provider.budget.tokens == 0


def test_a_refusal_of_the_model_is_told_in_its_words(endpoint, tmp_path):
    provider = open_provider("openai", model="declines", base_url=endpoint, cache=tmp_path / "c")

    async def tried():
        make, judge = (lambda tried: Request("hello", attempt=tried.number)), (lambda text: "no")
        with pytest.raises(ReplyError, match=r"is empty\. \(the model gave a refusal: I can't help with that\.\)"):
            await best_of(make, provider.ask, judge, tries=2)
        await provider.close()

    asyncio.run(tried())
    cut = Reply("", 1, 1, 0.0, 0.0, False, "", "length").cut_short
    assert "--max-reply-tokens raises that" in cut


def test_the_body_of_a_request_is_that_of_the_api():
    request = Request(
        "what is it?", system="be brief", images=(b"\x89PNG\r\n", b"\xff\xd8"), stop=("\n",), schema=SCHEMA
    )
    body = json.loads(Dialect().body("m", request))
    assert body["messages"][0] == {"role": "system", "content": "be brief"}
    assert [part["type"] for part in body["messages"][1]["content"]] == ["image_url", "image_url", "text"]
    assert body["messages"][1]["content"][0]["image_url"]["url"] == "data:image/png;base64,iVBORw0K"
    assert body["messages"][1]["content"][1]["image_url"]["url"] == "data:image/jpeg;base64,/9g="
    assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert body["stop"] == ["\n"]
    base = json.loads(Dialect(chat=False, left_out=frozenset({"seed"})).body("m", Request("once", system="tell")))
    assert base == {"model": "m", "max_tokens": 128, "temperature": 0.7, "top_p": 1.0, "prompt": "tell\n\nonce"}


def test_retry_after_is_read_as_seconds_and_as_a_date():
    assert retry_after({"retry-after": "3"}) == 3
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert retry_after({"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"}) == 120
    assert retry_after({"retry-after": "soon"}) == retry_after({}) == 0


def test_the_limit_follows_the_endpoint():
    async def run():
        gate = Gate(64)
        for _ in range(56):
            gate.kept_up(0.01)
        assert gate.limit == 64
        gate.fell_behind(0.5)
        gate.fell_behind(0.5)  # in the same round: not twice
        assert gate.limit == 32
        for _ in range(32):
            gate.kept_up(0.01)
        assert 32.9 < gate.limit < 33.1  # one more a round
        for _ in range(64 * 64):
            gate.kept_up(0.01)
        assert gate.limit == 64
        gate.fell_behind(1.0, pause_s=0.05)
        begun = asyncio.get_running_loop().time()
        await gate.enter()
        assert asyncio.get_running_loop().time() - begun > 0.04

    asyncio.run(run())
