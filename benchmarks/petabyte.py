"""A petabyte in plan: a billion samples' tables without their pictures; what opening, shuffling, curating take.

At a megabyte a sample a billion samples are a petabyte of shards. Nothing but tables and one shard of 64 pictures is
made here, and what is simulated is said:

index: the compiled view has its true size and form (94 bytes a sample in record batches of 65,536 rows, 100,000 shards
    and parts of tables) as a sparse file, whose rows are zeros but for those that are drawn; these point to one of the
    64 pictures. Reading a hole costs no disk, so that cold pages of a real disk come on top: some 14 a row. Measured,
    each in a process of its own: open the view as a training does, the first 8 batches of 64, 8 batches after a
    checkpoint in the middle of the third epoch, the order of a million positions, and the marks of all samples.
tables: samples, captions and splits as Parquet, at sizes that fit; `voxtile curate --where` with compiling, out of core
    under --memory-mb, in time, peak memory and disk. Time is fitted by a line through the sizes, and the line's value
    at a billion is extrapolated, not measured.

Run: python benchmarks/petabyte.py [--samples 1000000000] [--tables 1000000 2000000 4000000] [--quick] [--folder DIR]
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
from bench.recording import record_figure

SHARD, BATCH, STEPS, SEED = 10_000, 64, 8, 0
PART = 250_000
HOLE = 1 << 16  # bytes; every column of a whole record batch is at least as long
MILLION, BILLION = 1_000_000, 1_000_000_000


class Holes:
    """A file that is written by an Arrow writer, whose long writes (columns of zeros) become holes."""

    closed = False

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def write(self, data) -> int:
        """Write what is short, and leave the place of what is long."""
        size = memoryview(data).nbytes
        if size < HOLE or bytes(memoryview(data)[:64]).strip(b"\0"):  # a long footer, too
            self._file.write(data)
        else:
            self._file.seek(size, 1)
        return size

    def tell(self) -> int:
        """Where the next write goes."""
        return self._file.tell()

    def flush(self) -> None:
        """Write what is buffered."""
        self._file.flush()

    def close(self) -> None:
        """End where the last write did."""
        self._file.truncate(self._file.tell())
        self._file.close()


def write_holes(path: Path, schema, rows: int) -> None:
    """An Arrow file of zeros, of which only headers and footer take disk."""
    import numpy as np
    import pyarrow as pa

    from voxtile.corpus.view.files import BATCH_ROWS

    def zeros(count: int):
        widths = [field.type.bit_width // 8 for field in schema]
        buffers = [pa.py_buffer(np.zeros(count * width, np.uint8)) for width in widths]
        columns = [
            pa.Array.from_buffers(field.type, count, [None, buffer])
            for field, buffer in zip(schema, buffers, strict=True)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    sink = Holes(path)
    with pa.ipc.new_file(pa.PythonFile(sink, "w"), schema) as writer:
        whole = zeros(BATCH_ROWS)
        for _ in range(rows // BATCH_ROWS):
            writer.write_batch(whole)
        if rows % BATCH_ROWS:
            writer.write_batch(zeros(rows % BATCH_ROWS))
    sink.close()


def fill(path: Path, entries: list, rows) -> None:
    """Write rows of the index into the sparse file."""
    import index
    import numpy as np
    import pyarrow as pa

    from voxtile.corpus.view.files import BATCH_ROWS

    mapped = pa.memory_map(str(path))
    base = mapped.read_buffer(mapped.size()).address
    file = pa.ipc.open_file(mapped)
    columns = index.index_columns(entries, rows)
    with path.open("r+b") as writable:
        for number in np.unique(rows // BATCH_ROWS).tolist():
            batch = file.get_batch(number)
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                width = column.type.bit_width // 8
                begin = column.buffers()[1].address - base
                values = (
                    pa.array(columns[name], column.type) if isinstance(columns[name], np.ndarray) else columns[name]
                )
                raw = values.buffers()[1].to_pybytes()
                for place in np.flatnonzero(rows // BATCH_ROWS == number).tolist():
                    writable.seek(begin + int(rows[place] % BATCH_ROWS) * width)
                    writable.write(raw[place * width : (place + 1) * width])


def middle(samples: int) -> int:
    """Samples consumed in the third epoch at the checkpoint."""
    return samples // 2 // BATCH * BATCH


def write_view(root: Path, samples: int) -> int:
    """The corpus with its sparse view; bytes that the index seems to have."""
    import index
    import numpy as np

    from voxtile.corpus.view.files import INDEX, STUDIES
    from voxtile.data.epoch_order import EpochOrder

    view = index.picture_corpus(root)
    entries = [view.entry(row) for row in range(index.PICTURES)]
    path = view.folder / "index.arrow"
    write_holes(path, INDEX, samples)
    write_holes(view.folder / "studies.arrow", STUDIES, samples // index.STUDY)
    order, first = EpochOrder.automatic(samples, SEED), np.arange(STEPS * BATCH)
    fill(path, entries, np.unique(np.concatenate([order.rows(0, first), order.rows(2, middle(samples) + first)])))
    jobs = max(1, samples // SHARD)
    index.pretend(root, view.folder, samples, parts=jobs, shards=jobs)
    return path.stat().st_size


def measure(what: str, root: Path, samples: int) -> dict[str, float]:
    """Seconds and memory beyond the imports of one thing that a training does."""
    import numpy as np

    from voxtile.data.datamodule import CorpusDataModule
    from voxtile.data.presets.image import ImagePreset

    before = peak()
    started, spent = time.perf_counter(), time.process_time()
    data = CorpusDataModule(ImagePreset(size=(64, 64)), str(root), batch_size=BATCH, seed=SEED)
    assert len(data.compiled) == samples
    if what == "resumed":
        state = data.state_dict() | {"epoch": 2, "consumed": middle(samples)}
        data.load_state_dict(state)
    opened = time.perf_counter() - started
    found = 0
    if what in ("first", "resumed"):
        batches = iter(data.train_dataloader())
        found = len({uid for _ in range(STEPS) for uid in next(batches).uids})
    if what == "order":
        order = data._source.order(SEED)
        for start in range(0, MILLION, BATCH * 512):
            found += len(np.unique(order.rows(1, samples // 3 + np.arange(start, start + BATCH * 512))))
    if what == "marks":
        found = len(data.training_marks.samples)
    seconds = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - spent, "open": opened}
    return {**seconds, "mb": peak() - before, "imports_mb": before, "found": found}


def peak() -> float:
    """The most that this process has held so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def alone(*words: str) -> dict[str, float]:
    """Measure in a process of its own."""
    command = [sys.executable, "-P", "-W", "ignore", __file__, "--measure", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def views(folder: Path, samples: int) -> None:
    """Open, draw and resume, of a view of so many samples."""
    root, clock = folder / "view", time.perf_counter()
    size = write_view(root, samples)
    used = sum(path.stat().st_blocks * 512 for path in root.rglob("*") if path.is_file())
    made = time.perf_counter() - clock
    print(f"index of {samples:,} samples, {size / 1e9:.1f} GB of which {used / 1e6:.0f} MB are no holes ({made:.0f} s)")
    titles = {
        "open": ("open", 1, 300),
        "first": (f"open and the first {STEPS} batches of {BATCH}", 3, 400),
        "resumed": (f"open and {STEPS} batches from the middle of epoch 3", 3, 400),
        "order": ("open and the order of a million positions", 3, 400),
        "marks": ("open and the marks of all samples", None, 1000),
    }
    for what, (title, aim_s, aim_mb) in titles.items():
        found = alone(what, str(root), str(samples))
        print(
            f"{title}: {found['seconds']:.2f} s ({found['cpu']:.2f} s of processor; opening {found['open']:.2f} s), "
            f"{found['mb']:.0f} MB beyond {found['imports_mb']:.0f} MB of imports",
            flush=True,
        )
        record_figure(f"view of {samples:,} samples: {title}", found["seconds"], unit="s", aim=aim_s)
        record_figure(f"view of {samples:,} samples: {title}", found["mb"], unit="MB beyond imports", aim=aim_mb)
    shutil.rmtree(root)


def write_tables(root: Path, samples: int) -> None:
    """Samples, a caption each, and splits; subjects of four samples."""
    import curation
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from voxtile.corpus.header import new_corpus
    from voxtile.corpus.schema import SCHEMA_VERSION, TABLES, VERSION_KEY

    new_corpus(root)
    for start in range(0, samples, PART):
        rng, count = np.random.default_rng(start), min(PART, samples - start)
        uids, place = curation.hexadecimal(rng, count), np.arange(start, start + count)
        subjects = pa.array(np.char.add("subject ", (place // 4).astype(str)))
        rows = {
            "samples": {
                "uid": uids, "subject": subjects, "kind": ["image"] * count, "modality": ["RGB"] * count,
                "axes": ["YXC"] * count, "shape": [[256, 256, 3]] * count, "dtype": ["uint8"] * count,
                "codec": ["jpg"] * count, "shard": pa.array(np.char.add("shards/", (place // SHARD).astype(str))),
                "offset": place % SHARD * 10_000, "nbytes": np.full(count, 9_000), "valid_fraction": rng.random(count),
            },
            "captions": {
                "caption_id": uids, "uid": uids, "kind": ["raw"] * count, "lang": ["en"] * count,
                "text": pa.array(np.char.add("a picture of thing ", (place % 5000).astype(str))),
            },
            "splits": {
                "subject": subjects.take(pa.array(np.arange(0, count, 4))), "scheme": ["default"] * (-(-count // 4)),
                "split": ["train"] * (-(-count // 4)),
            },
        }  # fmt: skip
        for table, columns in rows.items():
            schema, length = TABLES[table], len(next(iter(columns.values())))
            arrays = [
                pa.nulls(length, f.type)
                if f.name not in columns
                else columns[f.name].cast(f.type)
                if isinstance(columns[f.name], pa.Array)
                else pa.array(columns[f.name], f.type)
                for f in schema
            ]
            (root / "tables" / table).mkdir(parents=True, exist_ok=True)
            made = pa.Table.from_arrays(arrays, schema=schema.with_metadata({VERSION_KEY: SCHEMA_VERSION.encode()}))
            pq.write_table(made, root / "tables" / table / f"part-{start:012}.parquet", compression="zstd")


def curate(root: Path, memory_mb: int) -> dict[str, float]:
    """Curate and compile; seconds, peak memory, and the most of the disk that was used at once."""
    from voxtile_datasets.curation.command import curate_corpus

    before, most, stop = peak(), [0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.2):
            used = 0
            for path in (root / "views").rglob("*"):
                try:
                    used += path.stat().st_blocks * 512
                except OSError:
                    continue
            most[0] = max(most[0], used / 1e6)

    threading.Thread(target=watch, daemon=True).start()
    started, spent = time.perf_counter(), time.process_time()
    curate_corpus(root, view="half", where="valid_fraction >= 0.5", memory_mb=memory_mb)
    seconds = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - spent}
    stop.set()
    return {**seconds, "mb": peak() - before, "imports_mb": before, "disk_mb": most[0]}


def tables(folder: Path, sizes: list[int], memory_mb: int) -> None:
    """Curation at several sizes, and the line through them."""
    import numpy as np

    rows = []
    for samples in sizes:
        root = folder / f"tables-{samples}"
        write_tables(root, samples)
        stored = sum(path.stat().st_size for path in (root / "tables").rglob("*.parquet"))
        found = alone("curate", str(root), str(memory_mb))
        rows.append((samples, found["seconds"], found["mb"], found["disk_mb"], stored / 1e6))
        print(
            f"curate and compile {samples:,} samples ({stored / 1e6:.0f} MB of tables): {found['seconds']:.1f} s "
            f"({found['cpu']:.1f} s of processor), {found['mb']:.0f} MB beyond {found['imports_mb']:.0f} MB of imports "
            f"with queries held to {memory_mb} MB, {found['disk_mb']:.0f} MB of disk at most",
            flush=True,
        )
        shutil.rmtree(root)
    sizes_m = np.array([row[0] for row in rows]) / MILLION
    titles = (("time", "h", 3600), ("memory", "GB beyond imports", 1e3), ("disk", "TB", 1e6), ("tables", "GB", 1e3))
    for place, (title, unit, per) in enumerate(titles, 1):
        slope, start = np.polyfit(sizes_m, [row[place] for row in rows], 1) if len(rows) > 1 else (rows[0][place], 0)
        at = (start + slope * BILLION / MILLION) / per
        print(f"{title}: {start:.1f} + {slope:.2f} a million samples; a billion by that line: {at:.2f} {unit}")
        record_figure(f"curation of 1,000,000,000 samples, extrapolated: {title}", float(at), unit=unit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=BILLION)
    parser.add_argument("--tables", type=int, nargs="*", default=[MILLION, 2 * MILLION, 4 * MILLION])
    parser.add_argument("--memory-mb", type=int, default=512)
    parser.add_argument("--quick", action="store_true", help="tables of one and two million samples")
    parser.add_argument("--folder", help="where files are written and removed; a few GB")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        what, root, number = options.measure
        run = curate(Path(root), int(number)) if what == "curate" else measure(what, Path(root), int(number))
        print(json.dumps(run))
        return
    folder = Path(tempfile.mkdtemp(prefix="voxtile-petabyte-", dir=options.folder))
    try:
        if options.samples:
            views(folder, options.samples)
        if sizes := [MILLION, 2 * MILLION] if options.quick else options.tables:
            tables(folder, sizes, options.memory_mb)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
