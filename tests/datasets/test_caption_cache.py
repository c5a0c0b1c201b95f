"""The cache of replies, money and what a killed run leaves."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from voxtile.errors import ConfigError
from voxtile_datasets.captions.providers import cache as cache_module
from voxtile_datasets.captions.providers.budget import Budget
from voxtile_datasets.captions.providers.cache import ReplyCache
from voxtile_datasets.captions.providers.cached import CachedProvider
from voxtile_datasets.captions.providers.estimate import estimate
from voxtile_datasets.captions.providers.factory import open_provider
from voxtile_datasets.captions.providers.http.address import is_remote
from voxtile_datasets.captions.providers.http.faulty_endpoint import running
from voxtile_datasets.captions.providers.http.waiting_line import Line
from voxtile_datasets.captions.providers.prices import Price, load_prices
from voxtile_datasets.captions.providers.provider import ProviderError, ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request
from voxtile_datasets.captions.providers.spend import spend_table

RUN = """
import asyncio, os, signal, sys
from pathlib import Path
from voxtile_datasets.captions.providers.factory import open_provider
from voxtile_datasets.captions.providers.http.faulty_endpoint import running
from voxtile_datasets.captions.providers.request import Request
from voxtile_datasets.captions.providers.http.faulty_endpoint import running

async def main():
    provider = open_provider("openai", model="practice", base_url=sys.argv[1], cache=Path(sys.argv[2]), concurrency=8)
    returned = []
    async def one(number):
        await provider.ask(Request(f"sample {number}"))
        print(number, flush=True)
        returned.append(number)
        if len(returned) == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.gather(*map(one, range(150)))
    await provider.close()

asyncio.run(main())
"""


class Counting:
    """A model that answers with the prompt in 10 tokens, and counts how often it is asked."""

    name, model, chat, concurrency = "local", "counting", False, 4

    def __init__(self):
        self.asked = Counter()

    async def ask(self, request):
        self.asked[request.prompt] += 1
        await asyncio.sleep(0.002)
        return Reply(request.prompt, 20, 10, 0.0, 0.002, False, request.key(self.model), "stop", "2030-01-01T00:00:00")

    async def close(self):
        pass


def ask_all(provider, requests):
    async def run():
        outcomes = await asyncio.gather(*map(provider.ask, requests), return_exceptions=True)
        await provider.close()
        return outcomes

    return asyncio.run(run())


def test_every_part_of_a_request_is_in_its_key():
    base = Request("a")
    others = [
        Request("b"), Request("a", system="s"), Request("a", images=(b"x",)), Request("a", max_tokens=9),
        Request("a", temperature=0), Request("a", top_p=0.5), Request("a", stop=("x",)), Request("a", seed=1),
        Request("a", attempt=1), Request("a", schema={"type": "string"}),
    ]  # fmt: skip
    keys = {request.key("m") for request in (base, *others)} | {base.key("n")}
    assert len(keys) == len(others) + 2
    assert Request("a").key("m") == base.key("m")
    assert Request("a", seed=1).draw != Request("a", attempt=1).draw


def test_a_rerun_is_free_and_says_what_the_first_run_paid(tmp_path):
    requests = [Request(f"sample {i}") for i in range(30)]
    price = Price(1.0, 2.0)
    first = CachedProvider(Counting(), ReplyCache.open(tmp_path), price=price)
    paid = ask_all(first, requests)
    assert first.spend.usd == pytest.approx(30 * (20 * 1.0 + 10 * 2.0) / 1e6)
    second = CachedProvider(Counting(), ReplyCache.open(tmp_path), price=price, budget=Budget(max_tokens=1))
    free = ask_all(second, requests)
    assert not second.inner.asked
    assert (second.spend.usd, second.spend.cached, second.budget.tokens) == (0, 30, 0)
    stored = [(reply.text, reply.tokens_in, reply.cost_usd, reply.created) for reply in paid]
    assert stored == [(reply.text, reply.tokens_in, reply.cost_usd, reply.created) for reply in free]


def test_a_model_file_that_was_exchanged_under_its_name_is_refused(tmp_path):
    """A model that was trained on keeps name, size and ends; its replies were those of the model before."""
    for content in (None, "first", "first"):  # a cache of before says nothing of the content
        model = Counting()
        if content:
            model.content = content
        provider = CachedProvider(model, ReplyCache.open(tmp_path))
        ask_all(provider, [Request(f"{content} {random.random()}")])
    model.content = "trained on"
    with pytest.raises(ConfigError, match=r"'counting' is another one than that whose replies are kept in .*--replies"):
        CachedProvider(model, ReplyCache.open(tmp_path))


def test_a_cancelled_asker_does_not_lose_the_reply(tmp_path):
    provider = CachedProvider(Counting(), ReplyCache.open(tmp_path))

    async def run():
        asker = asyncio.create_task(provider.ask(Request("paid for")))
        await asyncio.sleep(0.001)
        asker.cancel()
        reply = await provider.ask(Request("paid for"))
        await provider.close()
        return reply

    assert asyncio.run(run()).text == "paid for"
    assert provider.inner.asked == {"paid for": 1}


def test_the_same_request_at_the_same_time_is_asked_once(tmp_path):
    provider = CachedProvider(Counting(), ReplyCache.open(tmp_path))
    replies = ask_all(provider, [Request("one and the same")] * 50)
    assert provider.inner.asked == {"one and the same": 1}
    assert sum(not reply.cached for reply in replies) == 1


def test_the_budget_lets_nothing_through_that_could_pass_it_together(tmp_path):
    budget = Budget(max_tokens=300)
    provider = CachedProvider(Counting(), ReplyCache.open(tmp_path), budget=budget)
    outcomes = ask_all(provider, [Request(f"{i}", max_tokens=100) for i in range(40)])
    assert sum(isinstance(outcome, Reply) for outcome in outcomes) == 10  # of 30 tokens each, to the last
    assert budget.tokens == 300
    assert {outcome.reason for outcome in outcomes if isinstance(outcome, ReplyError)} == {"budget"}


def test_a_call_to_a_cancelled_task_goes_to_the_next_in_line():
    async def run():
        line = Line()
        first, second, third = (asyncio.create_task(line.stand()) for _ in range(3))
        await asyncio.sleep(0)
        line.call(1)
        first.cancel()  # called, but gone before it could look
        await asyncio.sleep(0.01)
        third.cancel()
        return first.cancelled(), second.done(), third.done()

    assert asyncio.run(run()) == (True, True, False)


@pytest.mark.parametrize("limit", [{"max_usd": 0}, {"max_usd": float("nan")}, {"max_tokens": -1}])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(ConfigError, match="give a number above 0"):
        Budget(**limit)


def test_a_killed_run_asks_again_at_most_what_was_in_flight(tmp_path):
    log, cache = tmp_path / "log", tmp_path / "cache"
    with running("--latency", 0.01, "--log", log) as address:
        command = [sys.executable, "-P", "-c", RUN, address, str(cache)]
        killed = subprocess.run([*command, "60"], capture_output=True, text=True, check=False)
        returned = set(killed.stdout.split())
        time.sleep(0.1)  # the server finishes what it had been asked
        before = Counter(json.loads(line)[0] for line in log.read_text().splitlines())
        assert subprocess.run([*command, "-1"], check=True, capture_output=True, text=True).stdout.count("\n") == 150
    after = Counter(json.loads(line)[0] for line in log.read_text().splitlines())
    twice = {prompt.removeprefix("sample ") for prompt, count in after.items() if count > 1}
    assert len(after) == 150
    assert max(after.values()) <= 2
    assert killed.returncode == -signal.SIGKILL
    assert len(returned) == 60 <= len(before) < 150
    assert len(twice) <= 8
    assert not twice & returned


def test_a_full_disk_ends_the_run_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_module, "_ADDRESSES", 64 << 10)  # LMDB then says that it is full, as a disk would
    provider = CachedProvider(Counting(), ReplyCache.open(tmp_path))
    outcomes = ask_all(provider, [Request(random.Random(i).randbytes(3000).hex()) for i in range(40)])
    assert isinstance(outcomes[-1], ProviderError)
    assert "cannot be stored in" in str(outcomes[-1])


def test_a_cache_is_written_by_one_run_at_a_time(tmp_path):
    held = ReplyCache.open(tmp_path)
    assert ReplyCache.open(tmp_path) is held  # providers of one process share it
    code = (
        "import sys; from pathlib import Path; from voxtile_datasets.captions.providers.cache import ReplyCache; "
        "ReplyCache.open(Path(sys.argv[1]))"
    )
    other = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    held.close()
    held.close()
    assert "another run uses the reply cache" in other.stderr
    ReplyCache.open(tmp_path).close()


def test_a_replay_answers_from_the_cache_and_names_what_is_missing(tmp_path):
    ask_all(CachedProvider(Counting(), ReplyCache.open(tmp_path / "c")), [Request("known")])
    replay = open_provider("replay", cache=tmp_path / "c")
    assert (replay.model, replay.chat) == ("counting", False)
    known, missing = ask_all(replay, [Request("known"), Request("never asked", attempt=2)])
    assert (known.text, known.cached) == ("known", True)
    assert missing.reason == "not-in-cache"
    assert Request("never asked", attempt=2).key("counting")[:12] in str(missing)
    assert "never asked" in str(missing)
    with pytest.raises(ConfigError, match="no replies of 'other'; give --model one of: counting"):
        open_provider("replay", model="other", cache=tmp_path / "c")
    ReplyCache.open(tmp_path / "empty").close()
    with pytest.raises(ConfigError, match="has no replies yet; run once with another provider"):
        open_provider("replay", cache=tmp_path / "empty")
    with pytest.raises(ConfigError, match="is no reply cache"):
        open_provider("replay", cache=tmp_path / "nowhere")


def test_a_dry_run_foretells_what_the_run_then_costs(tmp_path):
    price = Price(10.0, 30.0)
    requests = [Request(f"{i:04d} " + "x" * 75, max_tokens=100) for i in range(200)]
    provider = CachedProvider(Counting(), ReplyCache.open(tmp_path), price=price)
    at_most = estimate(requests[::10], 200, model="counting", price=price, cache=provider.cache)
    ask_all(provider, requests[:100])
    cache = ReplyCache.open(tmp_path)
    half = estimate(requests[::10], 200, model="counting", price=price, cache=cache)
    cache.close()
    rest = CachedProvider(Counting(), ReplyCache.open(tmp_path), price=price)
    ask_all(rest, requests)
    assert (half.requests, half.cached, half.measured) == (100, 100, True)
    assert half.usd == pytest.approx(rest.spend.usd, rel=0.01)
    assert at_most.tokens_out == 200 * 100
    assert "at most" in str(at_most)


def test_prices_come_from_a_file_of_the_users(tmp_path):
    table = tmp_path / "prices.yaml"
    table.write_text("models:\n  - {model: 'big-*', input: 1, output: 4}\n")
    assert load_prices(table).of("big-one").cost(1_000_000, 500_000) == 3.0
    assert not load_prices(table).of("small").known
    assert load_prices().of("gpt-4o-mini-2024-07-18").output == 0.60  # not the line of gpt-4o
    far = {"model": "small", "base_url": "https://far.example/v1", "cache": tmp_path / "c", "prices": table}
    with pytest.raises(ConfigError, match="the price of 'small' is not known; give --prices FILE"):
        open_provider("openai", **far, budget=Budget(max_usd=1))
    table.write_text("models:\n  - {model: x, input: -1, output: 4}\n")
    with pytest.raises(ConfigError, match=r"model 1 of .* is no price"):
        load_prices(table)


def test_what_was_spent_is_shown_by_model(tmp_path):
    provider = CachedProvider(Counting(), ReplyCache.open(tmp_path), price=Price(1e6, 0))
    ask_all(provider, [Request("a"), Request("b"), Request("a")])
    provider.spend.failed["timeout"] += 2
    console = Console(width=120, record=True)
    console.print(spend_table([provider.spend]))
    row = console.export_text()
    for part in ("local: counting", " 2 ", " 1 ", "2 timeout", "40/20", "$40.0000", "0.00 (0.00) s"):
        assert part in row


def test_addresses_of_this_machine_are_not_remote():
    assert not any(map(is_remote, ["http://localhost:1/v1", "http://127.0.0.1:1", "http://[::1]:8000/v1"]))
    assert all(map(is_remote, ["http://10.0.0.1/v1", "https://api.example/v1", "http://localhost.example"]))


def test_providers_that_are_none_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no provider named 'magic'; there are: template, local, openai, replay"):
        open_provider("magic", cache=tmp_path)
    with pytest.raises(ConfigError, match="'template' asks no language model: voxtile caption template CORPUS"):
        open_provider("template", cache=tmp_path)
    with pytest.raises(ConfigError, match="needs --model"):
        open_provider("openai", base_url="http://127.0.0.1:1/v1", cache=tmp_path)
    with pytest.raises(ConfigError, match="--base-url goes with --provider openai"):
        open_provider("local", base_url="http://127.0.0.1:1/v1", cache=tmp_path)
    assert not list(Path(tmp_path).iterdir()) or ReplyCache.open(tmp_path).close() is None  # nothing is left locked
