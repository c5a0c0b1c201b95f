"""A compiled view of 100 million samples: time and memory to open it and to load the first 8 batches.

The index is synthetic and complete (every column, 20,000 parts in the tables' folders, studies of four samples), but
its rows point to the 64 JPEGs of one real shard and share their captions. Opening goes through `compile_view`, as
training does. Memory is what the process holds beyond its imports, and the total. The files take about 8 GB in a
temporary folder and are removed. Run: python benchmarks/index.py [--samples 100000000] [--folder DIR]
"""

import argparse
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
from bench.recording import record_figure

PICTURES, STUDY, PARTS = 64, 4, 20_000


def picture_corpus(root: Path):
    """A corpus of 64 pictures and its compiled view."""
    import numpy as np
    from PIL import Image

    from voxtile.corpus.identity import sample_uid
    from voxtile.corpus.reader import Corpus
    from voxtile.corpus.records import Sample
    from voxtile.corpus.view.view import compile_view
    from voxtile.corpus.writer import JobWriter, new_corpus

    rng = np.random.default_rng(0)
    new_corpus(root)
    writer = JobWriter(root, "job-0")
    for number in range(PICTURES):
        uid, stream = sample_uid(f"{number}"), io.BytesIO()
        pixels = np.kron(rng.integers(0, 255, (32, 32, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        Image.fromarray(pixels).save(stream, "JPEG")
        writer.add(Sample({"uid": uid, "subject": uid, "kind": "image"}, stream.getvalue()))
        writer.add_rows("captions", [{"caption_id": uid, "uid": uid, "text": f"picture {number}", "kind": "raw"}])
        writer.add_rows("splits", [{"scheme": "default", "subject": uid, "split": "train"}])
    writer.publish()
    return compile_view(Corpus(root))


def index_columns(entries: list, rows) -> dict:
    """Columns of the index at some rows, each of which is one of the pictures."""
    import numpy as np
    import pyarrow as pa

    names = ("offset", "nbytes", "meta", "caption_start", "caption_count")
    small = {name: np.array([getattr(entry, name) for entry in entries]) for name in names}
    # Readers compare a picture with the name and the hash of its row.
    uids = b"".join(bytes.fromhex(entries[row].uid) for row in (rows % PICTURES).tolist())
    digests = b"".join(bytes.fromhex(entries[row].digest) for row in (rows % PICTURES).tolist())
    return {
        "uid": pa.Array.from_buffers(pa.binary(16), len(rows), [None, pa.py_buffer(uids)]),
        "digest": pa.Array.from_buffers(pa.binary(8), len(rows), [None, pa.py_buffer(digests)]),
        "shard": np.zeros(len(rows), np.int32),
        "codec": np.ones(len(rows), np.uint8),  # jpg
        "split": np.zeros(len(rows), np.uint8),
        "subject": rows // STUDY,
        "study": rows // STUDY,
        "facts": np.full(len(rows), -1),
        "moment": rows,
        **{name: values[rows % PICTURES] for name, values in small.items()},
    }


def pretend(root: Path, folder: Path, samples: int, *, parts: int = PARTS, shards: int = 1) -> None:
    """Have the view say that it is of so many samples, and tables of so many parts stand beside it."""
    from voxtile.corpus.view.key import ViewChoice, view_stamp
    from voxtile.corpus.view.sums import with_sums

    about = json.loads((folder / "view.json").read_text())
    about |= {"rows": samples, "studies": samples // STUDY, "splits": {"train": [0, samples, 0, samples // STUDY]}}
    about["shards"] += [[0, f"shards/job-{number:06}.tar"] for number in range(1, shards)]
    (folder / "view.json").write_text(json.dumps(with_sums(folder, {n: v for n, v in about.items() if n != "sum"})))
    for part in range(parts):
        for table in ("samples", "captions"):
            (root / "tables" / table / f"job-{part + 1:06}.parquet").touch()
    stamp = view_stamp((root,), ViewChoice(scheme="default", where=None))
    (folder / "stamp.json").write_text(json.dumps({"stamp": stamp, "samples": samples}))


def write_index(root: Path, samples: int) -> None:
    """Compile a real view of 64 pictures, then replace its index by a large one of the same form."""
    import numpy as np

    from voxtile.corpus.view.files import BATCH_ROWS, INDEX, STUDIES, BatchWriter

    view = picture_corpus(root)
    entries = [view.entry(row) for row in range(PICTURES)]
    index = BatchWriter(view.folder / "index.arrow", INDEX)
    for start in range(0, samples, BATCH_ROWS):
        index.write(index_columns(entries, np.arange(start, min(start + BATCH_ROWS, samples))))
    index.close()
    studies = BatchWriter(view.folder / "studies.arrow", STUDIES)
    for start in range(0, samples // STUDY, BATCH_ROWS):
        numbers = np.arange(start, min(start + BATCH_ROWS, samples // STUDY))
        studies.write(
            {"start": numbers * STUDY, "count": np.full(len(numbers), STUDY), "prior": np.full(len(numbers), -1)}
        )
    studies.close()
    pretend(root, view.folder, samples)


def resident() -> float:
    """Resident memory of this process in MB."""
    fields = Path("/proc/self/status").read_text().split("VmRSS:")[1].split()
    return int(fields[0]) / 1024


def measure(root: Path) -> dict[str, float]:
    from voxtile.data.datamodule import CorpusDataModule
    from voxtile.data.presets.image import ImagePreset

    before, clock = resident(), time.perf_counter()
    data = CorpusDataModule(ImagePreset(size=(64, 64)), str(root), batch_size=64)
    samples = len(data.compiled)
    opened, opened_mb, clock = time.perf_counter() - clock, resident(), time.perf_counter()
    batches = iter(data.train_dataloader())
    uids = {uid for _ in range(8) for uid in next(batches).uids}
    return {
        "samples": samples,
        "different": len(uids),
        "imports_mb": before,
        "open_s": opened,
        "open_mb": opened_mb - before,
        "batches_s": time.perf_counter() - clock,
        "batches_mb": resident() - before,
        "total_mb": resident(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000_000)
    parser.add_argument("--folder", help="where to write the temporary index; it needs 80 bytes a sample")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(Path(options.measure))))
        return
    folder = Path(tempfile.mkdtemp(prefix="voxtile-index-", dir=options.folder))
    try:
        needed, free = 90 * options.samples, shutil.disk_usage(folder).free
        if needed > free:
            raise SystemExit(f"the index needs {needed / 1e9:.0f} GB, but {folder} has {free / 1e9:.0f} GB free")
        write_index(folder / "corpus", options.samples)
        result = {}
        for attempt in ("first", "second"):
            command = [sys.executable, "-W", "ignore", __file__, "--measure", str(folder / "corpus")]
            result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(
                f"{attempt}: {result['samples']:,} samples; open {result['open_s']:.2f} s, {result['open_mb']:.0f} MB; "
                f"first 8 batches of 64 ({result['different']} different samples) {result['batches_s']:.2f} s, "
                f"{result['batches_mb']:.0f} MB beyond {result['imports_mb']:.0f} MB of imports"
            )
        print("aim: open under 1 s and 300 MB, first 8 batches under 1 s more")
        title = f"view of {options.samples:,} samples"
        record_figure(f"{title}: open", result["open_s"], unit="s", aim=1)
        record_figure(f"{title}: open", result["open_mb"], unit="MB", aim=300)
        record_figure(f"{title}: first 8 batches", result["batches_s"], unit="s", aim=1)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
