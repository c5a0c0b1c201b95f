"""What comparing stored bytes with their checksums costs a loader: processor time an item with the checks and without.

One process, one thread, loads the same items through the training dataset (pixels to tensors as `lightning fit` gets
them), with the checks and without in turn; the ratio is that of each pair of neighbours. Pictures have a sha-256 in
their row instead, which a process compares the first time that it reads one: every reading here is a first one.
Run: python benchmarks/checksums.py [--rounds 40]
"""

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from voxtile.corpus import integrity, source
from voxtile.corpus.identity import sample_uid
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.shards import blosc2_frame
from voxtile.corpus.shards.memory_maps import map_payload
from voxtile.corpus.view.view import compile_view
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.batches.dataset import Draws
from voxtile.data.captions import CaptionPolicy
from voxtile.data.draws import DrawDataset
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.tile import TilePreset
from voxtile.data.presets.volume import VolumePreset

sys.path.append(str(Path(__file__).parent))
from bench.recording import record

ITEMS, BATCH, AIM = 8, 4, 1.03
REPEATS = {"volume": 1, "tile": 8, "image": 8}


@contextmanager
def without_checks():
    """The reader as it was before."""
    saved = blosc2_frame.check_chunk, blosc2_frame.check_around, source.check_hash, source.map_member
    blosc2_frame.check_chunk = blosc2_frame.check_around = lambda *_: None
    source.check_hash = lambda *_: True
    source.map_member = lambda path, offset, nbytes, name: map_payload(path, offset, nbytes)
    try:
        yield
    finally:
        blosc2_frame.check_chunk, blosc2_frame.check_around, source.check_hash, source.map_member = saved


def smooth(rng, shape, noise):
    """Structures of several sizes under noise, as a scanner gives them."""
    axes = np.ogrid[tuple(slice(0, size) for size in shape)]
    waves = sum(np.sin(axis / rng.uniform(3, 12) + rng.uniform(0, 6)) for axis in axes for _ in range(2))
    return waves * 180 + rng.normal(0, noise, shape)


def write(root, kind):
    import io

    from PIL import Image

    new_corpus(root)
    writer, rng = JobWriter(root, "job-0"), np.random.default_rng(0)
    for number in range(ITEMS):
        uid = sample_uid(f"{kind} {number}")
        row = {"uid": uid, "subject": uid}
        if kind == "volume":
            values = smooth(rng, (160, 224, 224), 14).astype(np.int16)
            row |= {"kind": "volume", "modality": "CT", "axes": "ZYX", "units": "HU", "spacing": [1.5, 1.0, 1.0]}
        elif kind == "tile":
            values = np.clip(smooth(rng, (12, 120, 120), 25) + 1500, 0, None).astype(np.uint16)
            bands = [{"name": f"B{n:02}", "unit": "reflectance", "scale": 1e-4, "offset": 0.0} for n in range(12)]
            row |= {"kind": "tile", "modality": "MSI", "axes": "CYX", "units": "reflectance", "channels": bands}
        else:
            stream, planes = io.BytesIO(), smooth(rng, (256, 256, 3), 20)
            Image.fromarray(np.clip(planes / 6 + 127, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
            values, row = stream.getvalue(), row | {"kind": "image"}
        writer.add(Sample(row, values))
        writer.add_rows("captions", [{"caption_id": uid, "uid": uid, "text": "a text", "kind": "raw"}])
    writer.publish()


CASES = {
    "volume 160×224×224, whole": ("volume", VolumePreset(shape=(160, 224, 224))),
    "volume, random 64×96×96 of it": ("volume", VolumePreset(shape=(64, 96, 96), crop="random")),
    "tile of 12 bands, 120²": ("tile", TilePreset(bands=tuple(f"B{n:02}" for n in range(12)), size=(120, 120))),
    "JPEG 256² to 224²": ("image", ImagePreset()),
}


def seconds(dataset, numbers):
    integrity._compared.clear()
    start = time.process_time()
    for first in range(0, ITEMS, BATCH):
        items = np.arange(first, first + BATCH)
        dataset[Draws(items, numbers + items)]
    return (time.process_time() - start) / ITEMS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="voxtile-checksums-") as name:
        for kind in ("volume", "tile", "image"):
            write(Path(name) / kind, kind)
        for title, (kind, preset) in CASES.items():
            dataset = DrawDataset(compile_view(Corpus(Path(name) / kind)), preset, CaptionPolicy())
            ratios, with_checks = [], []
            for number in range(rounds * REPEATS[kind] + 2):
                took = {}
                for checked in (True, False) if number % 2 else (False, True):
                    if checked:
                        took[True] = seconds(dataset, number * ITEMS)
                    else:
                        with without_checks():
                            took[False] = seconds(dataset, number * ITEMS)
                if number >= 2:  # the first pay for pages and compilers
                    ratios.append(took[True] / took[False])
                    with_checks.append(took[True])
            low, middle, high = (float(q) for q in np.quantile(ratios, (0.25, 0.5, 0.75)))
            print(
                f"{title}: {1e3 * statistics.median(with_checks):.2f} ms an item, {middle:.3f} of the time without "
                f"(quartiles {low:.3f} to {high:.3f}), aim ≤ {AIM}"
            )
            record(
                f"loading with checksums compared: {title}",
                peer="loading without",
                version="",
                ratios=[1 / middle],
                spread=(1 / high, 1 / low),
                ours=1e3 * statistics.median(with_checks),
                theirs=1e3 * statistics.median(with_checks) / middle,
                unit="ms of processor time",
                aim=1 / AIM,
            )


if __name__ == "__main__":
    main()
