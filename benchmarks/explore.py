"""`voxtile serve` on a large corpus: first page, search, first plane, many viewers, and the memory of the server.

    python -P benchmarks/explore.py [--samples 1000000] [--width 512] [--approximate] [--viewers 50 --seconds 120]
                                    [--corpus FOLDER] [--out explore.json]

The corpus is made in a temporary folder, or in FOLDER, where a later run finds it again: rows, facts, captions and
vectors of as many samples as asked for, with uids as scattered as hashes are, and one volume of 300 × 512 × 512. A
server is started for it and asked over HTTP; each figure is the median of several askings, after one that is not
counted, except for the first page, which is asked of a server that has just begun.

With --approximate lists of near vectors are built at first, and its recall is a figure. Vectors without any order are
the hardest case: --clusters 1000 has as many groups.

Viewers are threads of another process. Each asks for a page of results with its thumbnails, or looks at a sample and a
plane, reads for some seconds (5 on average), and goes on; times are those of single requests.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.schema import CAPTIONS, EMBEDDINGS, FACTS, SAMPLES
from voxtile.corpus.writer import JobWriter, new_corpus

_PART = 50_000  # samples of a part
_VOLUME = "v" * 32
_PICTURES = 2000  # samples that have a picture; the others are rows alone
_READS_S = 5.0  # a viewer, on average, before it asks again
_CONCEPTS = ("nodule", "effusion", "cyst", "fracture")
# Serves the corpus with vectors of no model: texts are read by a stand-in, so that the search alone is timed.
_SERVER = """
import sys, numpy as np, torch
from pathlib import Path
from voxtile.serve import command
class Texts:
    name = "bench"
    preset = None
    def check(self, metas):
        pass
    def encode_texts(self, texts):
        rng = np.random.default_rng(abs(hash(texts[0])) % 2**32)
        return torch.from_numpy(rng.normal(size=(1, int(sys.argv[2]))).astype(np.float32))
command.front_end = lambda: Path(sys.argv[3])
command.load_search_model = lambda spec: Texts()
command.serve_corpus(Path(sys.argv[1]), model="bench", port=0, embed=False, approximate_from=int(sys.argv[4]))
"""


def write_corpus(root: Path, count: int, width: int, clusters: int) -> None:
    new_corpus(root)
    rng = np.random.default_rng(0)
    writer = JobWriter(root, "volume")
    plane = rng.normal(0, 30, (512, 512)).astype(np.int16)  # noise as a scanner has it, the same in all planes
    values = plane + np.arange(300, dtype=np.int16)[:, None, None]
    row = {"uid": _VOLUME, "subject": "v", "kind": "volume", "modality": "CT", "axes": "ZYX", "units": "HU"}
    writer.add(Sample({**row, "spacing": [1.0, 0.7, 0.7]}, values))
    patch = {"kind": "patch", "modality": "SM", "axes": "YXC"}
    first = min(_PICTURES, count)
    for n in range(first):
        writer.add(Sample({**patch, "uid": scattered(n), "subject": scattered(n)[-5:]}, _jpeg(rng)))
    writer.publish()
    shown = Corpus(root).row(scattered(0))
    centres = rng.normal(size=(max(1, clusters), width)).astype(np.float32) * (1.5 if clusters else 0.0)
    for start in range(0, count, _PART):
        uids = [scattered(n) for n in range(start, min(start + _PART, count))]
        tables = {
            "samples": (SAMPLES, _samples(uids[max(0, first - start) :], shown)),
            "facts": (FACTS, _facts(uids, rng)),
            "captions": (CAPTIONS, _captions(uids)),
        }
        for name, (schema, columns) in tables.items():
            _write(root, name, start, _table(schema, columns))
        vectors = rng.standard_normal((len(uids), width), np.float32)
        vectors += centres[rng.integers(0, len(centres), len(uids))]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        flat = pa.array(vectors.astype(np.float16).reshape(-1))
        column = pa.ListArray.from_arrays(pa.array(np.arange(0, len(flat) + 1, width, dtype=np.int32)), flat)
        table = pa.table({"uid": uids, "model": ["bench"] * len(uids), "vector": column}, schema=EMBEDDINGS)
        _write(root, "embeddings", start, table)


def scattered(number: int) -> str:
    """A uid in an order as hashes have it: a number times an odd constant, modulo 2^128."""
    return f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}"


def _jpeg(rng: np.random.Generator) -> bytes:
    stream = io.BytesIO()
    coarse = rng.integers(0, 255, (28, 28, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((224, 224), Image.Resampling.BICUBIC).save(stream, "JPEG")
    return stream.getvalue()


def _samples(uids: list[str], shown: dict) -> dict[str, list]:
    same = {name: [value] * len(uids) for name, value in shown.items() if value is not None}
    return {**same, "uid": uids, "subject": [uid[-5:] for uid in uids]}


def _facts(uids: list[str], rng: np.random.Generator) -> dict[str, list]:
    twice = [uid for uid in uids for _ in range(2)]
    named = [_CONCEPTS[n] for n in rng.integers(0, len(_CONCEPTS), len(twice))]
    return {"uid": twice, "concept": named, "polarity": ["present"] * len(twice), "source": ["b@1"] * len(twice)}


def _captions(uids: list[str]) -> dict[str, list]:
    n = len(uids)
    return {
        "caption_id": [f"c{u}" for u in uids],
        "uid": uids,
        "text": ["A text of some length about it."] * n,
        "kind": ["raw"] * n,
    }


def _table(schema: pa.Schema, columns: dict[str, list]) -> pa.Table:
    n = len(columns["uid"])
    return pa.table({field.name: columns.get(field.name, [None] * n) for field in schema}, schema=schema)


def _write(root: Path, name: str, start: int, table: pa.Table) -> None:
    folder = root / "tables" / name
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / f"part-{start:09d}.parquet", compression="zstd")


def ask(address: str, path: str, body: dict | None = None) -> float:
    """Seconds until an answer is there."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, data, {"Content-Type": "application/json"})
    began = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as answer:
        answer.read()
    return time.perf_counter() - began


def measured(address: str, process: psutil.Process, count: int) -> dict[str, float]:
    figures = {"first page, s": ask(address, "api/search", {}), "counts and concepts, s": ask(address, "api/corpus")}
    seen = scattered(count // 3)
    repeated = {
        "a page further on, s": ("api/search", {"offset": count // 2, "limit": 24}),
        "a fact, s": ("api/search", {"facts": [{"concept": "cyst"}]}),
        "a condition, s": ("api/search", {"where": "subject < '00100'"}),
        "all that is known of a sample, s": (f"api/samples/{seen}", None),
        "the first plane of 300 × 512 × 512, s": (f"api/samples/{_VOLUME}/planes/axial/150", None),
        "a sagittal plane, s": (f"api/samples/{_VOLUME}/planes/sagittal/256", None),
    }
    for name, (path, body) in repeated.items():
        figures[name] = statistics.median(ask(address, path, body) for _ in range(5))
    ask(address, "api/search", {"words": "warm"})
    facts = [{"concept": "cyst"}]
    figures["search with its page, s"] = statistics.median(
        ask(address, "api/search", {"words": f"query {n}"}) for n in range(9)
    )
    figures["search among those with a fact, s"] = statistics.median(
        ask(address, "api/search", {"words": f"query {n}", "facts": facts}) for n in range(5)
    )
    figures["search among a thousandth, s"] = statistics.median(
        ask(address, "api/search", {"words": f"query {n}", "where": "subject < '00400'"}) for n in range(5)
    )
    figures["memory of the server, MB"] = process.memory_info().rss / 1e6
    return figures


def viewed(address: str, viewers: int, seconds: float, count: int) -> dict[str, float]:
    """Times of single requests of many viewers at once, by what they ask for."""
    times: dict[str, list[float]] = defaultdict(list)
    errors: list[str] = []
    end = time.monotonic() + seconds
    with ThreadPoolExecutor(viewers) as pool:
        list(pool.map(lambda n: _view(address, n, end, count, times, errors), range(viewers)))
    everything = [one for group in times.values() for one in group]
    figures = {f"{name}, p95 s": _p95(group) for name, group in sorted(times.items())}
    figures |= {"all requests, p95 s": _p95(everything), "the longest, s": max(everything, default=0.0)}
    for error in errors[:5]:
        print(f"error: {error}")
    return {f"{viewers} viewers: {name}": value for name, value in figures.items()} | {
        f"{viewers} viewers: requests": len(everything), f"{viewers} viewers: errors": len(errors)
    }  # fmt: skip


def _view(address: str, viewer: int, end: float, count: int, times: dict[str, list[float]], errors: list[str]) -> None:
    rng = random.Random(viewer)
    while time.monotonic() < end:
        for name, path, body in _visit(rng, count):
            began = time.perf_counter()
            try:
                ask(address, path, body)
            except OSError as error:
                errors.append(f"{name}: {error}")
            times[name].append(time.perf_counter() - began)
        time.sleep(min(rng.expovariate(1 / _READS_S), max(0.0, end - time.monotonic())))


def _visit(rng: random.Random, count: int) -> Iterator[tuple[str, str, dict | None]]:
    """What a viewer does before it reads: a page of results with six of its pictures, or a sample."""
    sample = scattered(rng.randrange(count))
    kind = rng.choice(["words", "page", "fact", "sample", "volume"])
    if kind == "words":
        yield "search", "api/search", {"words": f"query {rng.randrange(200)}"}
    elif kind in ("page", "fact"):
        facts = [{"concept": rng.choice(_CONCEPTS)}] if kind == "fact" else []
        yield "page", "api/search", {"offset": 24 * rng.randrange(max(1, count // 100)), "facts": facts}
    elif kind == "sample":
        yield "sample", f"api/samples/{sample}", None
        yield "alike", f"api/samples/{sample}/alike", None
    else:
        for _ in range(3):
            yield "plane", f"api/samples/{_VOLUME}/planes/axial/{rng.randrange(300)}", None
    if kind != "volume":
        for uid in (scattered(rng.randrange(min(count, _PICTURES))) for _ in range(6)):
            yield "thumbnail", f"api/samples/{uid}/thumbnail", None


def _p95(times: list[float]) -> float:
    return float(np.quantile(times, 0.95)) if times else 0.0


def built(address: str, wait_s: float = 3600.0) -> dict[str, float]:
    """Recall of the lists of near vectors, when they are there."""
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        with urllib.request.urlopen(address + "api/corpus", timeout=120) as answer:
            model = json.load(answer)["model"]
        if model["recall"]:
            recall = model["recall"]
            return {"recall@10": recall["images"], "samples looked at": recall["looked_at"]}
        time.sleep(1)
    raise TimeoutError("the lists were not built")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--clusters", type=int, default=0)
    parser.add_argument("--approximate", action="store_true")
    parser.add_argument("--viewers", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.corpus or Path(temporary)
        root = folder / "corpus"
        if not (folder / "made").is_file():
            write_corpus(root, given.samples, given.width, given.clusters)
            (folder / "made").touch()
        figures = served(folder, given)
    for name, value in figures.items():
        print(f"{name:48} {value:10.3f}")
    if given.out:
        given.out.write_text(json.dumps({"samples": given.samples, "width": given.width, **figures}, indent=1))


def served(folder: Path, given: argparse.Namespace) -> dict[str, float]:
    """Figures of a server that is started and ended."""
    environment = {**os.environ, "VOXTILE_CACHE": f"{folder}/cache"}
    beyond = given.samples // 2 if given.approximate else 10**12
    command = [sys.executable, "-P", "-c", _SERVER, str(folder / "corpus"), str(given.width), str(folder), str(beyond)]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        try:
            lines = iter(server.stdout.readline, "")  # what is laid out at first is said before the address
            address = next(found[0] for line in lines if (found := re.search(r"http://\S+", line)))
            figures = {"start with what was not laid out yet, s": time.perf_counter() - began}
            if given.approximate:
                figures |= built(address)
            figures |= measured(address, psutil.Process(server.pid), given.samples)
            if given.viewers:
                figures |= viewed(address, given.viewers, given.seconds, given.samples)
                figures["memory of the server afterwards, MB"] = psutil.Process(server.pid).memory_info().rss / 1e6
        finally:
            server.terminate()
    return figures


if __name__ == "__main__":
    main()
