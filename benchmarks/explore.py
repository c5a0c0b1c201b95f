"""`voxtile serve` on a large corpus: first page, exact search, first plane, and the memory of the server.

    python -P benchmarks/explore.py [--samples 1000000] [--width 512] [--out explore.json]

The corpus is made in a temporary folder: rows, facts, captions and vectors of as many samples as asked for, and one
volume of 300 × 512 × 512. A server is started for it and asked over HTTP; each figure is the median of several askings,
after one that is not counted, except for the first page, which is asked of a server that has just begun.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.corpus.records import Sample
from voxtile.corpus.schema import CAPTIONS, EMBEDDINGS, FACTS, SAMPLES
from voxtile.corpus.writer import JobWriter, new_corpus

_PART = 50_000  # samples of a part
_VOLUME = "v" * 32
_CONCEPTS = ("nodule", "effusion", "cyst", "fracture")
# Serves the corpus with vectors of no model: texts are read by a stand-in, so that the search alone is timed.
_SERVER = """
import sys, numpy as np, torch
from voxtile.serve import command
from voxtile.serve.search import meaning
from voxtile.serve.search.vector_cache import vector_file
class Texts:
    name = "bench"
    def encode_texts(self, texts):
        rng = np.random.default_rng(abs(hash(texts[0])) % 2**32)
        return torch.from_numpy(rng.normal(size=(1, int(sys.argv[2]))).astype(np.float32))
command.front_end = lambda: __import__("pathlib").Path(sys.argv[3])
command.meaning_search = lambda corpus, index, model: meaning.MeaningSearch(
    Texts(), vector_file([corpus], index, "bench"))
command.serve_corpus(__import__("pathlib").Path(sys.argv[1]), model="bench", port=0)
"""


def write_corpus(root: Path, count: int, width: int) -> None:
    new_corpus(root)
    rng = np.random.default_rng(0)
    writer = JobWriter(root, "volume")
    plane = rng.normal(0, 30, (512, 512)).astype(np.int16)  # noise as a scanner has it, the same in all planes
    values = plane + np.arange(300, dtype=np.int16)[:, None, None]
    row = {"uid": _VOLUME, "subject": "v", "kind": "volume", "modality": "CT", "axes": "ZYX", "units": "HU"}
    writer.add(Sample({**row, "spacing": [1.0, 0.7, 0.7]}, values))
    writer.publish()
    for start in range(0, count, _PART):
        uids = [f"{n:032x}" for n in range(start, min(start + _PART, count))]
        tables = {
            "samples": (SAMPLES, _samples(uids)),
            "facts": (FACTS, _facts(uids, rng)),
            "captions": (CAPTIONS, _captions(uids)),
        }
        for name, (schema, columns) in tables.items():
            _write(root, name, start, _table(schema, columns))
        vectors = rng.normal(size=(len(uids), width)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        flat = pa.array(vectors.astype(np.float16).reshape(-1))
        column = pa.ListArray.from_arrays(pa.array(np.arange(0, len(flat) + 1, width, dtype=np.int32)), flat)
        table = pa.table({"uid": uids, "model": ["bench"] * len(uids), "vector": column}, schema=EMBEDDINGS)
        _write(root, "embeddings", start, table)


def _samples(uids: list[str]) -> dict[str, list]:
    n = len(uids)
    return {
        "uid": uids, "subject": [uid[-5:] for uid in uids], "kind": ["patch"] * n, "modality": ["SM"] * n,
        "axes": ["YXC"] * n, "shape": [[224, 224, 3]] * n, "dtype": ["uint8"] * n, "codec": ["jpg"] * n,
        "shard": ["shards/none.tar"] * n, "offset": [0] * n, "nbytes": [1] * n,
    }  # fmt: skip


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
    repeated = {
        "a page further on, s": ("api/search", {"offset": count // 2, "limit": 24}),
        "a fact, s": ("api/search", {"facts": [{"concept": "cyst"}]}),
        "a condition, s": ("api/search", {"where": "subject < '00100'"}),
        "the first plane of 300 × 512 × 512, s": (f"api/samples/{_VOLUME}/planes/axial/150", None),
        "a sagittal plane, s": (f"api/samples/{_VOLUME}/planes/sagittal/256", None),
    }
    for name, (path, body) in repeated.items():
        figures[name] = statistics.median(ask(address, path, body) for _ in range(5))
    ask(address, "api/search", {"words": "warm"})
    searches = [ask(address, "api/search", {"words": f"query {n}"}) for n in range(9)]
    figures["exact search with its page, s"] = statistics.median(searches)
    figures["memory of the server, MB"] = process.memory_info().rss / 1e6
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, pages = Path(folder, "corpus"), Path(folder)
        write_corpus(root, given.samples, given.width)
        environment = {**os.environ, "VOXTILE_CACHE": f"{folder}/cache"}
        command = [sys.executable, "-P", "-c", _SERVER, str(root), str(given.width), str(pages)]
        began = time.perf_counter()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
            try:
                line = server.stdout.readline()
                figures = {"start with laying out the vectors, s": time.perf_counter() - began}
                figures |= measured(re.search(r"http://\S+", line)[0], psutil.Process(server.pid), given.samples)
            finally:
                server.terminate()
    for name, value in figures.items():
        print(f"{name:48} {value:10.3f}")
    if given.out:
        given.out.write_text(json.dumps({"samples": given.samples, "width": given.width, **figures}, indent=1))


if __name__ == "__main__":
    main()
