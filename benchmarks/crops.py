"""Random 64×96×96 crops from a 160×224×224 int16 CT volume: ours, in place from a shard, beside nibabel on .nii.gz.

The volume is a smooth body with scanner noise. nibabel reads the same crop through `dataobj`, the way that decompresses
least. The two take turns on the same boxes, whose values must be equal. Both run on one thread, so CPU time is given
beside wall time: it is the same on an idle machine. Run: python benchmarks/crops.py [--rounds 20]
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.view.view import compile_view
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.presets.volume import VolumePreset

sys.path.append(str(Path(__file__).parent))
from bench.recording import installed, record
from commands import timed

SHAPE, CROP = (160, 224, 224), (64, 96, 96)


def volume():
    """Soft tissue, lung and air with 12 HU of correlated noise, as a body scanner gives it."""
    rng = np.random.default_rng(0)
    tissue = ndimage.gaussian_filter(rng.standard_normal(SHAPE).astype(np.float32), 8)
    values = np.select([tissue > 0.01, tissue > -0.01], [40.0, -80.0], -850.0)
    noise = ndimage.gaussian_filter(rng.standard_normal(SHAPE).astype(np.float32), 0.7)
    return (ndimage.gaussian_filter(values, 1) + 12 * noise / noise.std()).astype(np.int16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="voxtile-crops-") as temporary:
        folder, values = Path(temporary), volume()
        new_corpus(folder / "corpus")
        writer = JobWriter(folder / "corpus", "job-0")
        row = {"uid": sample_uid("v"), "subject": "s", "kind": "volume", "axes": "ZYX", "units": "HU"}
        writer.add(Sample(row, values))
        writer.publish()
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "volume.nii.gz")
        view = compile_view(Corpus(folder / "corpus"))
        preset = VolumePreset(shape=CROP, crop="random")
        rng, wall, cpu, took = np.random.default_rng(1), [], [], []
        for _ in range(rounds):
            start = [int(rng.integers(0, s - c + 1)) for s, c in zip(SHAPE, CROP, strict=True)]
            box = tuple(slice(a, a + c) for a, c in zip(start, CROP, strict=True))
            ours, ours_s = timed(lambda box=box: view.source(view.entry(0)).array(box))
            theirs, theirs_s = timed(lambda box=box: np.asarray(nibabel.load(folder / "volume.nii.gz").dataobj[box]))
            assert np.array_equal(ours, theirs)
            _, preset_s = timed(lambda: preset(view.source(view.entry(0)), rng))
            wall.append(theirs_s[0] / ours_s[0])
            cpu.append(theirs_s[1] / ours_s[1])
            took.append((1e3 * ours_s[0], 1e3 * theirs_s[0]))
            print(
                f"ours {1e3 * ours_s[0]:.2f} ms ({1e3 * ours_s[1]:.2f} CPU), with windowing to float32 "
                f"{1e3 * preset_s[0]:.2f} ms, nibabel {1e3 * theirs_s[0]:.1f} ms ({1e3 * theirs_s[1]:.1f} CPU)"
            )
        for name, ratios in (("wall", wall), ("CPU", cpu)):
            print(f"{name} ratio: median {statistics.median(ratios):.1f}, range {min(ratios):.1f} to {max(ratios):.1f}")
        print("aim: 15")
        own, peer = (statistics.median(side) for side in zip(*took, strict=True))
        record(
            "random crop of 64×96×96 from a CT volume",
            peer="nibabel on .nii.gz",
            version=installed("nibabel"),
            ratios=wall,
            ours=own,
            theirs=peer,
            unit="ms",
            aim=15,
        )


if __name__ == "__main__":
    main()
