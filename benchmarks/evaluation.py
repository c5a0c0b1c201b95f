"""Seconds to evaluate 500 CT volumes with everything: two splits encoded, baseline, controls, intervals, page.

A corpus of random volumes with seventeen findings is made first (2,000 training, 250 validation and 500 test studies of
48×64×88 voxels by default); the model is three random convolutions, since figures do not matter here.
CPU time is given beside wall time. Run: python benchmarks/evaluation.py [--test 500] [--train 2000]
"""

import argparse
import io
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch.nn import functional

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.presets.volume import VolumePreset
from voxtile.evaluation.options import Options
from voxtile.evaluation.run import evaluate_model, report
from voxtile.evaluation.tasks.file import load_task

sys.path.append(str(Path(__file__).parent))
from bench.recording import record_figure

TASK = "medical/ct-findings"
SHAPE = (48, 64, 88)


class RandomModel:
    """A few 3D convolutions; texts are random directions."""

    name, logit_scale = "random", 10.0

    def __init__(self, concepts):
        generator = torch.Generator().manual_seed(0)
        self.preset = VolumePreset(shape=SHAPE, windows=((-1000, 400), (-160, 240), (200, 1200)))
        self.fact_names = tuple(concepts)
        self._kernels = [torch.randn(16, c, 3, 3, 3, generator=generator) / 9 for c in (3, 16, 16)]
        self._head = torch.randn(16, len(concepts), generator=generator)

    def _pooled(self, images):
        for kernel in self._kernels:
            images = functional.relu(functional.conv3d(images, kernel, stride=2, padding=1))
        return images.mean(dim=(2, 3, 4))

    def encode_images(self, images):
        """[S, C, *G] to [S, 16]."""
        return functional.normalize(self._pooled(images), dim=1)

    def fact_logits(self, images):
        """[S, C, *G] to [S, F]."""
        return self._pooled(images) @ self._head

    def encode_texts(self, texts):
        """T texts to [T, 16]."""
        rows = [np.random.default_rng(list(text.encode())).standard_normal(16) for text in texts]
        return functional.normalize(torch.tensor(np.array(rows), dtype=torch.float32), dim=1)


def write_corpus(root, sizes, concepts):
    """Volumes of smooth noise; labels are random at 18 %."""
    rng = np.random.default_rng(0)
    base = functional.interpolate(torch.tensor(rng.normal(0, 300, (8, 1, 6, 8, 11))), SHAPE, mode="trilinear")[:, 0]
    new_corpus(root)
    writer, tables = JobWriter(root, "made"), {"facts": [], "splits": []}
    for split, size in sizes.items():
        for number in range(size):
            uid = f"{split}{number}"
            values = (base[number % 8].numpy() + rng.normal(0, 20, SHAPE)).astype(np.int16)
            row = {"uid": uid, "subject": uid, "study": uid, "kind": "volume", "modality": "CT", "axes": "ZYX"}
            writer.add(Sample(row | {"units": "HU", "licence": "phantom"}, values))
            tables["splits"].append({"scheme": "default", "subject": uid, "split": split})
            for concept in concepts:
                polarity = "present" if rng.random() < 0.18 else "absent"
                tables["facts"].append({"uid": uid, "concept": concept, "polarity": polarity, "source": "labels@1"})
    for name, rows in tables.items():
        writer.add_rows(name, rows)
    writer.publish()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--train", type=int, default=2000)
    arguments = parser.parse_args()
    concepts = [item.concept for item in load_task(TASK).classes]
    with tempfile.TemporaryDirectory(prefix="voxtile-evaluation-") as temporary:
        folder = Path(temporary)
        sizes = {"train": arguments.train, "val": arguments.test // 2, "test": arguments.test}
        write_corpus(folder / "corpus", sizes, concepts)
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        evaluation = evaluate_model(RandomModel(concepts), "random", Corpus(folder / "corpus"), [TASK], Options())
        scored = time.perf_counter()
        report(evaluation, folder, Console(file=io.StringIO()))
        ended, after = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        size = (folder / "index.html").stat().st_size / 1e6
    print(f"{sizes}: figures {scored - started:.1f} s, report {ended - scored:.1f} s ({size:.1f} MB), CPU {cpu:.1f} s")
    title = f"evaluation of {arguments.test} CT volumes with report"
    record_figure(title, ended - started, unit="s")
    print(f"{len(evaluation.rows)} rows, 1,000 replicates, with a fact head and its ensemble")


if __name__ == "__main__":
    main()
