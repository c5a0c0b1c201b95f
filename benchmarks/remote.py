"""Training batches of a corpus behind 50 ms of latency beside the same corpus on the disk, with worker processes.

256-pixel JPEGs become 224-pixel tensors, as in benchmarks/loading.py; volumes of 96 × 160 × 160 become random crops of
32 × 96 × 96. The store speaks S3 over HTTP on this machine, waits before each answer, and sends no more than --mb-s to
all connections together. `cold` begins with an empty cache, `again` with what `cold` left there, `small` with an empty
cache of a quarter of the corpus, `faults` is `cold` where one request of twenty fails (reset, 503, or half of the
body). Every side must give the same batches to the bit. The sides take turns, each in a process of its own; the
store's processor time is taken from the same cores, of which --workers leaves it some, and --light-store, nginx with
its Lua module, needs less (`faults` is of the script's own store). Rounds end before --seconds are over; the last lines
also say what the main process, the workers and the fetching process have spent of the processors, start included.

Run: python benchmarks/remote.py [--kind pictures|volumes] [--items 2400] [--workers 2] [--rounds 5] [--seconds 240]
     [--light-store]
"""

import argparse
import asyncio
import hashlib
import json
import mmap
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

sys.path.append(str(Path(__file__).parent))
from bench.recording import record

BATCH, SHARDS = 64, 24
VOLUME, CROP = (96, 160, 160), (32, 96, 96)
SIDES = ("local", "cold", "again", "small", "faults")
FAULTS = ("reset", "503", "cut")


class Store:
    """Enough of S3 for a reader: lists of objects, and ranges of them.

    Args:
        folder: whose files are the objects.
        latency: seconds before each answer.
        rate: bytes a second over all connections.
        share: of requests that fail.
    """

    def __init__(self, folder: Path, latency: float, rate: float, share: float) -> None:
        self._files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        self._tags = {name: hashlib.md5(path.read_bytes()).hexdigest() for name, path in self._files.items()}
        self._maps = {name: _mapped(path) for name, path in self._files.items()}
        self._latency, self._rate, self._share = latency, rate, share
        self._free_at, self._random, self._failed = 0.0, random.Random(0), 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(self._latency)
                if not await self._answer(head.decode("latin-1"), writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> bool:
        fault = None
        if self._random.random() < self._share:
            self._failed += 1
            fault = FAULTS[self._failed % len(FAULTS)]
        if fault == "reset":
            return False
        if fault == "503":
            writer.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return True
        place = urlsplit(head.split(" ", 2)[1])
        if "list-type=2" in place.query:
            return await self._send(writer, "200 OK", [], memoryview(self.listed().encode()), cut=False)
        name = unquote(place.path).removeprefix("/bench/")
        if name not in self._files:
            return await self._send(writer, "404 Not Found", [], memoryview(b""), cut=False)
        content, asked = self._maps[name], [line for line in head.split("\r\n") if line.lower().startswith("range:")]
        headers = [f'ETag: "{self._tags[name]}"', "Last-Modified: Sun, 01 Jan 2023 00:00:00 GMT"]
        if not asked:
            return await self._send(writer, "200 OK", headers, content, cut=fault == "cut")
        first, last = (int(number) for number in asked[0].rpartition("=")[2].split("-"))
        last = min(last, len(content) - 1)
        headers.append(f"Content-Range: bytes {first}-{last}/{len(content)}")
        return await self._send(writer, "206 Partial Content", headers, content[first : last + 1], cut=fault == "cut")

    async def _send(self, writer: asyncio.StreamWriter, status: str, headers: list[str], body, *, cut: bool) -> bool:
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        writer.write("\r\n".join(lines).encode())
        end = len(body) // 2 if cut else len(body)
        for start in range(0, end, 1 << 18):
            piece = body[start : min(end, start + (1 << 18))]
            self._free_at = max(self._free_at, time.monotonic()) + len(piece) / self._rate
            await asyncio.sleep(max(0.0, self._free_at - time.monotonic()))
            writer.write(piece)
            await writer.drain()
        await writer.drain()
        return not cut

    def tag_as_nginx(self) -> None:
        """Give the objects the tags of that server: when they were changed and how long they are."""
        found = {name: path.stat() for name, path in self._files.items()}
        self._tags = {name: f"{int(state.st_mtime):x}-{state.st_size:x}" for name, state in found.items()}

    def listed(self) -> str:
        """The answer to a request for the list of objects."""
        entries = "".join(
            f"<Contents><Key>{escape(name)}</Key><LastModified>2023-01-01T00:00:00.000Z</LastModified>"
            f"<ETag>&quot;{self._tags[name]}&quot;</ETag><Size>{len(self._maps[name])}</Size></Contents>"
            for name in sorted(self._files)
        )
        return f"<ListBucketResult><Name>bench</Name><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"


def _mapped(path: Path) -> memoryview:
    with path.open("rb") as stream:
        return (
            memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
            if path.stat().st_size
            else memoryview(b"")
        )


def serve(folder: Path, port: int, latency: float, rate: float, share: float) -> None:
    async def run() -> None:
        async with await asyncio.start_server(Store(folder, latency, rate, share).talk, "127.0.0.1", port) as server:
            print("ready", flush=True)
            await server.serve_forever()

    asyncio.run(run())


NGINX = """
load_module {modules}/ndk_http_module.so;
load_module {modules}/ngx_http_lua_module.so;
worker_processes 1; daemon off; pid {own}/pid; error_log stderr error;
events {{ worker_connections 512; }}
http {{
    access_log off; sendfile on; keepalive_requests 1000000;
    client_body_temp_path {own}/body; proxy_temp_path {own}/proxy; fastcgi_temp_path {own}/fastcgi;
    uwsgi_temp_path {own}/uwsgi; scgi_temp_path {own}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /bench {{
            rewrite_by_lua_block {{
                ngx.sleep({latency})
                if ngx.var["arg_list-type"] then ngx.req.set_uri("/list.xml", true) end
            }}
            alias {objects};
            limit_rate {rate:.0f};
        }}
        location = /list.xml {{ internal; root {own}; }}
    }}
}}
"""
MODULES = Path("/usr/lib/nginx/modules")


@contextmanager
def light_store(folder: Path, options: argparse.Namespace):
    """The same by nginx, which takes little of the processors; the network's rate holds for each connection."""
    if not shutil.which("nginx") or not (MODULES / "ngx_http_lua_module.so").exists():
        raise SystemExit("--light-store needs nginx: apt-get install nginx-light libnginx-mod-http-lua")
    with tempfile.TemporaryDirectory() as name, closing(socket.socket()) as free:
        own = Path(name)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        own.chmod(0o755)
        objects = Store(folder, 0, 1, 0)
        objects.tag_as_nginx()
        (own / "list.xml").write_text(objects.listed())
        words = {"modules": MODULES, "own": own, "port": port, "latency": options.latency, "objects": folder}
        (own / "conf").write_text(NGINX.format(**words, rate=options.mb_s * 1e6))
        process = subprocess.Popen(["nginx", "-p", name, "-c", str(own / "conf"), "-g", "user root;"])
        try:
            while True:
                with closing(socket.socket()) as tried:
                    if tried.connect_ex(("127.0.0.1", port)) == 0 or process.poll() is not None:
                        break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


@contextmanager
def store(folder: Path, options: argparse.Namespace, share: float):
    """Run a store; its address."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--serve", str(folder), str(port), str(options.latency), str(options.mb_s * 1e6), str(share)]
    process = subprocess.Popen([sys.executable, __file__, *words], stdout=subprocess.PIPE, text=True)
    try:
        process.stdout.readline()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def write_volumes(folder: Path, items: int) -> None:
    """Smooth noise, which compresses as scans do, in the scanner's integers."""
    import numpy as np
    from scipy.ndimage import gaussian_filter

    from voxtile.corpus.identity import sample_uid
    from voxtile.corpus.records import Sample
    from voxtile.corpus.writer import JobWriter, new_corpus

    new_corpus(folder / "corpus")
    rng = np.random.default_rng(0)
    grains = [
        gaussian_filter(rng.standard_normal(VOLUME), 2) * 3000 + rng.standard_normal(VOLUME) * 12 for _ in range(8)
    ]
    for shard in range(SHARDS):
        writer = JobWriter(folder / "corpus", f"job-{shard}")
        for number in range(shard, items, SHARDS):
            uid = sample_uid(f"{number}")
            row = {"uid": uid, "subject": uid, "kind": "volume", "modality": "CT", "axes": "ZYX", "units": "HU"}
            row |= {"spacing": [1.0, 1.0, 1.0], "channels": [{"name": "CT", "scale": 1.0, "offset": 0.0}]}
            values = np.roll(grains[number % 8], number, axis=(0, 1, 2)).astype(np.int16)
            writer.add(Sample(row, values))
            writer.add_rows("captions", [{"caption_id": uid, "uid": uid, "text": f"volume {number}", "kind": "raw"}])
            writer.add_rows("splits", [{"scheme": "default", "subject": uid, "split": "train"}])
        writer.publish()


def write_corpus(folder: Path, kind: str, items: int) -> None:
    if kind == "volumes":
        write_volumes(folder, items)
        return
    sys.path.insert(0, str(Path(__file__).parent))
    import loading

    loading.SHARDS = SHARDS
    loading.write_data(folder, items)


def measure(corpus: str, kind: str, workers: int) -> dict[str, Any]:
    """Seconds to the first batch, items a second from there to the last, processor time, and what the batches hold."""
    import psutil

    from voxtile.data.datamodule import CorpusDataModule
    from voxtile.data.presets.image import ImagePreset
    from voxtile.data.presets.volume import VolumePreset

    preset = ImagePreset() if kind == "pictures" else VolumePreset(spacing=(1.0, 1.0, 1.0), shape=CROP, crop="random")
    batch = BATCH if kind == "pictures" else 4
    begin = time.perf_counter()
    data = CorpusDataModule(preset, corpus, batch_size=batch, num_workers=workers)
    digest, count, start = hashlib.sha256(), 0, 0.0
    for found in data.train_dataloader():
        if not start:
            start = time.perf_counter()
        else:
            count += len(found.images)
        digest.update(found.images[:, :, ::16, ::16].contiguous().numpy().tobytes())
    end = time.perf_counter()
    parts = {"main": [psutil.Process()], "workers": [], "fetcher": []}
    for process in psutil.Process().children(recursive=True):
        parts["fetcher" if "remote.fetcher" in " ".join(process.cmdline()) else "workers"].append(process)
    cpu = {name: sum(sum(process.cpu_times()[:2]) for process in own) for name, own in parts.items()}
    clock = {"rate": count / (end - start), "first": start - begin, "whole": end - begin}
    return {**clock, "cpu": cpu, "hash": digest.hexdigest()}


def measured(side: str, folder: Path, address: str, options: argparse.Namespace, nbytes: int) -> dict[str, Any]:
    cache = folder / "cache"
    if side in {"cold", "small", "faults"}:
        shutil.rmtree(cache, ignore_errors=True)
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
    own = {**keys, "AWS_ENDPOINT_URL": address, "VOXTILE_CACHE": str(cache)}
    if side == "small":
        own["VOXTILE_REMOTE_CACHE_GB"] = str(nbytes / 4e9)
    corpus = str(folder / "corpus") if side == "local" else "s3://bench/corpus"
    command = [sys.executable, "-W", "ignore", __file__, "--measure", corpus, "--kind", options.kind]
    command += ["--workers", str(options.workers)]
    done = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def compare(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="voxtile-remote-") as name:
        folder = Path(name)
        write_corpus(folder, options.kind, options.items)
        nbytes = sum(path.stat().st_size for path in (folder / "corpus" / "shards").iterdir())
        objects = folder / "objects"
        shutil.copytree(folder / "corpus", objects / "corpus")
        network = f"{options.latency * 1e3:.0f} ms, {options.mb_s:g} MB/s"
        print(f"{options.items} {options.kind}, {nbytes / 1e6:.0f} MB; {network}", flush=True)
        found: dict[str, list[dict[str, Any]]] = {side: [] for side in ("local", *options.sides)}
        sound_store = light_store(objects, options) if options.light_store else store(objects, options, 0.0)
        with sound_store as sound, store(objects, options, 0.05) as failing:
            measured("local", folder, sound, options, nbytes)  # compiles the view, and warms the page cache
            begin = time.monotonic()
            for number in range(options.rounds):
                for side, own in found.items():
                    own.append(measured(side, folder, failing if side == "faults" else sound, options, nbytes))
                    if own[-1]["hash"] != found["local"][-1]["hash"]:
                        raise SystemExit(f"{side} gave other batches than the local corpus")
                    print(
                        f"  {side} {own[-1]['rate']:.0f} a second, first batch after {own[-1]['first']:.2f} s",
                        flush=True,
                    )
                each = (time.monotonic() - begin) / (number + 1)
                if time.monotonic() - begin + each > options.seconds:
                    break
        report(found, f"{options.kind} out of an S3 store behind {network}, {options.workers} workers")


def report(found: dict[str, list[dict[str, Any]]], title: str) -> None:
    """Ratios of rounds, their medians and ranges, and the processor time of each part beside local's."""
    local = found["local"]
    for side, own in found.items():
        spent = {part: statistics.median(run["cpu"][part] for run in own) for part in local[0]["cpu"]}
        profile = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in spent.items())
        if side == "local":
            print(f"local: processor time {profile}")
            continue
        ratios = [run["rate"] / beside["rate"] for run, beside in zip(own, local, strict=True)]
        wholes = [beside["whole"] / run["whole"] for run, beside in zip(own, local, strict=True)]
        work = [sum(beside["cpu"].values()) / sum(run["cpu"].values()) for run, beside in zip(own, local, strict=True)]
        print(
            f"{side}: median {statistics.median(ratios):.2f}, range {min(ratios):.2f} to {max(ratios):.2f} of "
            f"{len(ratios)} rounds; with the start {statistics.median(wholes):.2f}; "
            f"by processor time {statistics.median(work):.2f} ({profile}); aim 0.9"
        )
        record(
            f"{title}, {side}",
            peer="the same corpus on the disk",
            version="",
            ratios=ratios,
            ours=statistics.median(run["rate"] for run in own),
            theirs=statistics.median(run["rate"] for run in local),
            unit="items/s",
            aim=0.9,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=("pictures", "volumes"), default="pictures")
    parser.add_argument("--items", type=int, default=2400)
    parser.add_argument("--workers", type=int, default=2, help="1 leaves the store a core of two to itself")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=240.0, help="no round begins that would not end before")
    parser.add_argument("--sides", nargs="+", choices=SIDES[1:], default=SIDES[1:])
    parser.add_argument("--latency", type=float, default=0.05, help="seconds")
    parser.add_argument("--mb-s", type=float, default=125.0, help="of the network, all connections together")
    parser.add_argument("--light-store", action="store_true", help="nginx in place of the script's own store")
    parser.add_argument("--measure", metavar="CORPUS", help=argparse.SUPPRESS)
    parser.add_argument("--serve", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        folder, port, *numbers = options.serve
        serve(Path(folder), int(port), *map(float, numbers))
    elif options.measure:
        print(json.dumps(measure(options.measure, options.kind, options.workers)))
    else:
        compare(options)


if __name__ == "__main__":
    main()
