"""Curation of caption rows by the million: a condition, near-duplicates, balance and compiling, in time and memory.

The corpus is synthetic: five captions of twelve words a sample, words by Zipf's law, and planted near-duplicates (case
and stops, a word more, a word less), all at or above a Jaccard similarity of 0.8 of word pairs by plain Python sets.
`voxtile curate` runs in a process of its own. It must find every planted pair whose samples meet the condition, and
merge nothing else. MinHash of datasketch and rensa, where installed, do the same to a part of the texts.
Run: python benchmarks/curation.py [--captions 10000000] [--folder DIR]
"""

import argparse
import itertools
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

sys.path.append(str(Path(__file__).parent))
from bench.recording import installed, record, record_figure

A_SAMPLE, WORDS, VOCABULARY, PLANTED, PART = 5, 12, 30_000, 0.02, 250_000
THRESHOLD, LEAST_SCORE = 0.8, 0.2
PEER_TEXTS = 100_000


def vocabulary() -> np.ndarray:
    """Different made-up words."""
    rng = np.random.default_rng(1)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = {"".join(letters[rng.integers(0, 26, rng.integers(3, 10))]) for _ in range(2 * VOCABULARY)}
    return np.array(sorted(words))[:VOCABULARY]


def draw_texts(count: int, rng: np.random.Generator, words: np.ndarray) -> pa.Array:
    """Texts of words by Zipf's law, shuffled so that no two neighbours are bound to each other."""
    ranks = np.minimum(rng.zipf(1.3, (WORDS, count)) + rng.integers(0, 200, (WORDS, count)), VOCABULARY) - 1
    columns = [pa.array(words).take(pa.array(rank)) for rank in ranks]
    return pc.binary_join_element_wise(*columns, " ")


def variant(text: str, number: int) -> str:
    """A near-duplicate: other case and stops, one word more, or one less."""
    if number % 3 == 0:
        return text.capitalize().replace(" ", ", ", 1) + "."
    return f"{text} indeed" if number % 3 == 1 else text.rpartition(" ")[0]


def word_pairs(text: str) -> set[tuple[str, str]]:
    """Neighbouring words, with the edges of the text."""
    words = ["<", *"".join(c if c.isalnum() else " " for c in text.lower()).split(), ">"]
    return set(itertools.pairwise(words))


def similarity(one: str, other: str) -> float:
    a, b = word_pairs(one), word_pairs(other)
    return len(a & b) / len(a | b)


def write_corpus(root: Path, captions: int) -> dict[str, int]:
    """Write the tables; say how many planted pairs must be found."""
    from voxtile.corpus.header import new_corpus

    new_corpus(root)
    words = vocabulary()
    (root / "entries.txt").write_text("\n".join(words))
    expected = planted = 0
    for part, start in enumerate(range(0, captions, PART)):
        rng = np.random.default_rng(start)
        count = min(PART, captions - start)
        samples = count // A_SAMPLE
        texts = draw_texts(count, rng, words)
        scores = rng.random(samples)
        # Pairs within a part, disjoint: originals in the first half, copies in the second.
        pairs = int(PLANTED * count)
        originals = np.sort(rng.permutation(count // 2)[:pairs])
        copies = count // 2 + np.sort(rng.permutation(count - count // 2)[:pairs])
        made = [variant(text, n) for n, text in enumerate(texts.take(pa.array(originals)).to_pylist())]
        alike = np.array(
            [similarity(a, b) for a, b in zip(texts.take(pa.array(originals)).to_pylist(), made, strict=True)]
        )
        originals, copies = originals[alike >= THRESHOLD], copies[alike >= THRESHOLD]
        replaced = np.zeros(count, np.bool_)
        replaced[copies] = True
        texts = pc.replace_with_mask(texts, pa.array(replaced), pa.array(np.array(made)[alike >= THRESHOLD]))
        passes = scores >= LEAST_SCORE
        planted += len(copies)
        expected += int((passes[originals // A_SAMPLE] & passes[copies // A_SAMPLE]).sum())
        write_part(root, f"part-{part:04}", rng, texts, scores)
    return {"planted": planted, "expected": expected}


def write_part(root: Path, stem: str, rng: np.random.Generator, texts: pa.Array, scores: np.ndarray) -> None:
    from voxtile.corpus.schema import SCHEMA_VERSION, TABLES, VERSION_KEY

    samples, captions = len(scores), len(texts)
    uids = hexadecimal(rng, samples)
    rows = {
        "samples": {
            "uid": uids, "subject": uids, "kind": ["image"] * samples, "modality": ["RGB"] * samples,
            "axes": ["YXC"] * samples, "shape": [[256, 256, 3]] * samples, "dtype": ["uint8"] * samples,
            "codec": ["jpg"] * samples, "shard": [f"shards/{stem}.tar"] * samples,
            "offset": np.arange(samples) * 10_000, "nbytes": np.full(samples, 9_000),
        },
        "captions": {
            "caption_id": hexadecimal(rng, captions), "uid": uids.take(pa.array(np.arange(captions) // A_SAMPLE)),
            "text": texts, "kind": ["raw"] * captions, "lang": ["en"] * captions,
        },
        "scores": {
            "uid": uids, "name": ["quality"] * samples, "value": scores, "producer": ["synthetic@1"] * samples,
        },
    }  # fmt: skip
    for table, columns in rows.items():
        schema, count = TABLES[table], len(next(iter(columns.values())))
        arrays = [
            columns[f.name]
            if isinstance(columns.get(f.name), pa.Array)
            else pa.array(columns[f.name], f.type)
            if f.name in columns
            else pa.nulls(count, f.type)
            for f in schema
        ]
        folder = root / "tables" / table
        folder.mkdir(parents=True, exist_ok=True)
        made = pa.Table.from_arrays(arrays, schema=schema.with_metadata({VERSION_KEY: SCHEMA_VERSION.encode()}))
        pq.write_table(made, folder / f"{stem}.parquet", compression="zstd")


def hexadecimal(rng: np.random.Generator, count: int) -> pa.Array:
    digits = rng.bytes(16 * count).hex().encode()
    offsets = np.arange(0, 32 * count + 1, 32, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(digits)])


def measure(root: Path) -> None:
    """Curate, and print time and memory as JSON."""
    from voxtile_datasets.curation.command import curate_corpus

    clock, cpu = time.perf_counter(), time.process_time()
    curate_corpus(
        root, view="bench", where=f"quality >= {LEAST_SCORE}", dedup=f"minhash:{THRESHOLD}", balance="text",
        entries=root / "entries.txt",
    )  # fmt: skip
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": time.perf_counter() - clock, "cpu": time.process_time() - cpu, "peak_mb": peak}))


def compare(root: Path) -> None:
    """Time to link near-duplicates among some texts: ours, datasketch, rensa, in turn."""
    texts = pq.read_table(root / "tables" / "captions" / "part-0000.parquet", columns=["text"])["text"]
    chosen = texts.combine_chunks()[:PEER_TEXTS]
    plain = [sorted("\1".join(pair) for pair in word_pairs(text)) for text in chosen.to_pylist()]
    runs = {"ours": lambda: ours(chosen), "datasketch": lambda: datasketch(plain), "rensa": lambda: rensa(plain)}
    times: dict[str, list[float]] = {name: [] for name in runs}
    found: dict[str, int | None] = {}
    for _ in range(3):
        for name, run in runs.items():
            clock = time.perf_counter()
            found[name] = run()
            times[name].append(time.perf_counter() - clock)
    for name, seconds in times.items():
        if found[name] is None:
            print(f"{name}: not installed")
            continue
        ratio = np.median(seconds) / np.median(times["ours"])
        if name != "ours":
            record(
                f"near-duplicates among {len(chosen):,} texts by MinHash",
                peer=name,
                version=installed(name),
                ratios=[theirs / mine for theirs, mine in zip(seconds, times["ours"], strict=True)],
                ours=float(np.median(times["ours"])),
                theirs=float(np.median(seconds)),
                unit="s",
            )
        print(
            f"{name}: {len(chosen):,} texts in {np.median(seconds):.1f} s ({min(seconds):.1f} – {max(seconds):.1f}), "
            f"{found[name]:,} texts linked to an earlier one; {ratio:.1f} × our time"
        )


def ours(texts: pa.Array) -> int:
    from voxtile_datasets.curation.minhash import Banding, TextSets, near_duplicates

    with tempfile.TemporaryDirectory() as scratch:
        sets = TextSets(Path(scratch), Banding.for_threshold(THRESHOLD))
        for start in range(0, len(texts), 1 << 16):
            sets.add(sets.prepare(texts[start : start + (1 << 16)]))
        sets.close()
        by = near_duplicates(sets, THRESHOLD, np.arange(len(sets)), np.zeros(len(sets), np.bool_))
    return int((by >= 0).sum())


def datasketch(texts: list[list[str]]) -> int | None:
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError:
        return None
    index, linked = MinHashLSH(threshold=THRESHOLD, num_perm=72, params=(18, 4)), 0
    for number, words in enumerate(texts):
        sketch = MinHash(num_perm=72)
        sketch.update_batch([word.encode() for word in words])
        linked += bool(index.query(sketch))
        index.insert(number, sketch)
    return linked


def rensa(texts: list[list[str]]) -> int | None:
    try:
        from rensa import RMinHash, RMinHashLSH
    except ImportError:
        return None
    index, linked = RMinHashLSH(threshold=THRESHOLD, num_perm=72, num_bands=18), 0
    for number, words in enumerate(texts):
        sketch = RMinHash(num_perm=72, seed=42)
        sketch.update(words)
        linked += bool(index.query(sketch))
        index.insert(number, sketch)
    return linked


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=int, default=10_000_000)
    parser.add_argument("--folder", help="where to write the temporary corpus; it needs 150 bytes a caption")
    parser.add_argument("--keep", action="store_true", help="leave the corpus there, and take it again")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(Path(options.measure))
        return
    folder = Path(options.folder or tempfile.mkdtemp(prefix="voxtile-curation-"))
    root = folder / f"curation-{options.captions}"
    try:
        if not (root / "planted.json").exists():
            shutil.rmtree(root, ignore_errors=True)
            (root.parent).mkdir(parents=True, exist_ok=True)
            told = write_corpus(root, options.captions)
            (root / "planted.json").write_text(json.dumps(told))
        told = json.loads((root / "planted.json").read_text())
        command = [sys.executable, "-W", "ignore", __file__, "--measure", str(root)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        result = json.loads(out.splitlines()[-1])
        steps = json.loads((root / "views" / "bench.selection" / "selection.json").read_text())["steps"]
        print("\n".join(out.splitlines()[:-1]))
        dedup = next(step for step in steps if step["name"].startswith("dedup"))
        print(
            f"{options.captions:,} captions: {result['seconds']:.0f} s, {result['cpu']:.0f} s of processor, "
            f"peak {result['peak_mb']:.0f} MB; aim: 10,000,000 in 300 s and 2,000 MB\n"
            f"near-duplicates: {dedup['captions'][0] - dedup['captions'][1]:,} captions left out, "
            f"{told['expected']:,} of the {told['planted']:,} planted pairs meet the condition; aim: the same number"
        )
        record_figure(f"curation of {options.captions:,} captions: memory", result["peak_mb"], unit="MB", aim=2000)
        aim = 300 * options.captions / 10_000_000
        record_figure(f"curation of {options.captions:,} captions: time", result["seconds"], unit="s", aim=aim)
        if not options.no_peers:
            compare(root)
    finally:
        if not options.keep:
            shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
