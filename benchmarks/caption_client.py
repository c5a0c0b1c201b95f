"""Requests to language models: the client's own speed and memory, a slow server's rate, and the embedded model's.

Three parts, each in processes of its own on this machine; the servers are `voxtile_datasets…faulty_endpoint`.

client: requests a second to a server that answers at once with a constant, through the provider alone and with cache
    and budget in front, beside bare aiohttp and beside httpx (which the openai package is built on); processor time a
    request; private memory over the run.
slow: a server with 32 slots of 0.25 s. Its own rate is what bare aiohttp gets with exactly 32 requests in flight. The
    provider does not know the 32: once the server queues what is too much, once it refuses it with 429.
local: tokens a second of the small Gemma, through cache and budget, beside as many threads that call llama.cpp directly
    with the same prompts (of twelve examples each) and slots.

Run: python benchmarks/caption_client.py [client|slow|local …] [--requests 200000]
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from voxtile_datasets.captions.providers.http.faulty_endpoint import running

sys.path.append(str(Path(__file__).parent))
from bench.recording import installed, record

SLOTS, LATENCY_S = 32, 0.25
EXAMPLES = "".join(
    f"Fact: {size} mm nodule, {lobe} lobe\nSentence: A nodule of {size} mm is seen in the {lobe} lobe.\n"
    for size, lobe in zip(range(4, 16), ("left upper", "right middle", "left lower") * 4, strict=True)
)


def private_mib():
    """Memory that is this process's own; the cache's file is mapped and does not count."""
    line = next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


async def drive(ask, requests, workers, samples=10):
    """Seconds and processor seconds of so many requests, and the memory along the way."""
    numbers, memory = iter(range(requests)), []

    async def work():
        for number in numbers:
            await ask(number)
            if number % max(1, requests // samples) == 0:
                memory.append(private_mib())

    begun, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(workers)))
    return time.perf_counter() - begun, time.process_time() - used, memory


def body(number):
    from voxtile_datasets.captions.providers.http.chat_api import Dialect
    from voxtile_datasets.captions.providers.request import Request

    return Dialect().body("practice", Request(f"Write a caption of sample {number}."))


async def bare_aiohttp(address, requests, workers):
    import aiohttp

    connector = aiohttp.TCPConnector(limit=workers)
    async with aiohttp.ClientSession(connector=connector, headers={"Content-Type": "application/json"}) as session:

        async def ask(number):
            async with session.post(f"{address}/chat/completions", data=body(number)) as response:
                await response.read()

        return await drive(ask, requests, workers)


async def bare_httpx(address, requests, workers):
    import httpx

    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=workers)) as client:

        async def ask(number):
            await client.post(f"{address}/chat/completions", content=body(number))

        return await drive(ask, requests, workers)


async def provider(address, requests, workers, *, folder=None, run=""):
    """Through our provider; with a folder, cache and budget are in front of it."""
    from voxtile_datasets.captions.providers.budget import Budget
    from voxtile_datasets.captions.providers.cache import ReplyCache
    from voxtile_datasets.captions.providers.cached import CachedProvider
    from voxtile_datasets.captions.providers.http.openai import OpenAIProvider
    from voxtile_datasets.captions.providers.request import Request

    inner = OpenAIProvider(address, "practice", concurrency=64)
    asked = CachedProvider(inner, ReplyCache.open(folder), budget=Budget(max_tokens=10**12)) if folder else inner

    async def ask(number):
        await asked.ask(Request(f"Write a caption of sample {number}.{run}"))

    result = await drive(ask, requests, workers)
    await asked.close()
    return result


def client(requests):
    with running("--constant") as address, tempfile.TemporaryDirectory() as folder:
        runs = {
            "provider": lambda n: provider(address, n, 64),
            "provider, cache, budget": lambda n: provider(address, n, 64, folder=Path(folder) / str(n)),
            "bare aiohttp": lambda n: bare_aiohttp(address, n, 64),
            "httpx": lambda n: bare_httpx(address, n // 20, 64),
        }
        used_each = {}
        for name, run in runs.items():
            asyncio.run(run(2000))
            seconds, used, memory = asyncio.run(run(requests))
            done = requests // 20 if name == "httpx" else requests
            used_each[name] = used / done * 1e6
            print(
                f"{name:24} {done / seconds:6.0f} requests/s, {used / done * 1e6:4.0f} µs of processor each "
                f"({done / used:.0f} a processor second); private MiB {' '.join(f'{mib:.0f}' for mib in memory)}"
            )
    for name, package in (("bare aiohttp", "aiohttp"), ("httpx", "httpx")):
        record(
            "a request to a language model's server",
            peer=name,
            version=installed(package),
            ratios=[used_each[name] / used_each["provider"]],
            ours=used_each["provider"],
            theirs=used_each[name],
            unit="µs of processor time",
        )


def slow(requests):
    for options in ((), ("--reject",)):
        ratios = []
        for _ in range(3):  # in turn, so that both see the same machine
            with running("--latency", LATENCY_S, "--slots", SLOTS, *options) as address:
                own, *_ = asyncio.run(bare_aiohttp(address, requests, SLOTS))
                ours, *_ = asyncio.run(provider(address, requests, 64))
            ratios.append(own / ours)
            print(
                f"  its own {requests / own:.0f}, ours {requests / ours:.0f} requests/s (ideal {SLOTS / LATENCY_S:.0f})"
            )
        print(f"slow server {' '.join(options):9} ours/its own {statistics.median(ratios):.3f}")


def local(requests, slots=4):
    from voxtile_datasets.captions.providers.cache import ReplyCache
    from voxtile_datasets.captions.providers.cached import CachedProvider
    from voxtile_datasets.captions.providers.default_model import named_model
    from voxtile_datasets.captions.providers.local import LocalProvider
    from voxtile_datasets.captions.providers.request import Request

    model = LocalProvider(named_model("gemma-270m"), slots=slots, context=1024)

    def requests_of(turn):
        prompts = [f"{EXAMPLES}Fact: {turn}.{number} cm mass, liver\nSentence:" for number in range(requests)]
        return [Request(prompt, max_tokens=24, temperature=0.7, seed=number) for number, prompt in enumerate(prompts)]

    def raw(turn):
        def complete(request):
            given = {"prompt": request.prompt, "max_tokens": 24, "temperature": 0.7, "top_p": 1.0, "seed": request.draw}
            return model._server.handle_completions(given)["usage"]["completion_tokens"]

        with ThreadPoolExecutor(slots) as threads:
            return sum(threads.map(complete, requests_of(turn)))

    async def ours(turn, folder):
        asked = CachedProvider(model, ReplyCache.open(folder))
        replies = await asyncio.gather(*map(asked.ask, requests_of(turn)))
        asked.cache.close()
        return sum(reply.tokens_out for reply in replies)

    raw(9)
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(3):
            begun = time.perf_counter()
            of_raw = raw(turn) / (time.perf_counter() - begun)
            begun = time.perf_counter()
            of_ours = asyncio.run(ours(turn, Path(folder))) / (time.perf_counter() - begun)
            ratios.append(of_ours / of_raw)
            print(f"  raw {of_raw:.1f}, ours {of_ours:.1f} tokens/s")
    print(f"local model              ours/raw {statistics.median(ratios):.3f}")
    asyncio.run(model.close())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["client", "slow", "local"])
    parser.add_argument("--requests", type=int, help="200000 for client, 3000 for slow, 48 for local")
    options = parser.parse_args()
    for part in options.parts:
        print(f"== {part}", flush=True)
        {"client": lambda: client(options.requests or 200_000), "slow": lambda: slow(options.requests or 3000),
         "local": lambda: local(options.requests or 48)}[part]()  # fmt: skip


if __name__ == "__main__":
    main()
