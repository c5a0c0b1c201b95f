"""Measuring 100 labels of a 512×512×300 label map: ours beside a loop over `labels == i` with scipy and numpy.

Both give, for every label: volume, connected parts, longest axial diameter, largest extent, and mean, standard
deviation, median, 5th and 95th percentile of the values. The peer finds the parts with `ndimage.label` and takes the
diameters from voxel centre to voxel centre, from the convex hull of each section's and of all voxels (`ConvexHull`,
then all pairs of its corners), per label over the whole volume, as such code is usually written. Values must agree; our
diameters begin a quarter of a step beyond the centres (docs/medical-facts.md). The two take turns on one thread, and
CPU time is given beside wall time: it is the same on an idle machine.
Run: python benchmarks/measurements.py [--rounds 1] [--small]
"""

import argparse
import contextlib
import statistics
import sys
from pathlib import Path

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist

from voxtile_medical.measurements.grid import Grid
from voxtile_medical.measurements.intensity import Values
from voxtile_medical.measurements.measured import measure
from voxtile_medical.measurements.shape import shape_of_mask

sys.path.append(str(Path(__file__).parent))
from bench.recording import installed, record
from commands import timed

FULL, SMALL = (300, 512, 512), (75, 128, 128)
STEPS = np.array([1.5, 0.8, 0.8])  # z, y, x mm


def label_map(shape, count, seed=0):
    """Ellipsoids of organ and lesion sizes with rough surfaces, most of them in one part."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    scale = shape[1] / 512
    texture = ndimage.zoom(rng.standard_normal([max(4, n // 12) for n in shape]).astype(np.float32), 12, order=1)
    for number in range(1, count + 1):
        radii = rng.uniform((4, 8, 8), (28, 48, 48)) * scale
        centre = rng.uniform(radii + 2, np.array(shape) - radii - 2)
        low = np.maximum(np.floor(centre - 1.3 * radii), 0).astype(int)
        high = np.minimum(np.ceil(centre + 1.3 * radii) + 1, shape).astype(int)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        at = [(np.arange(a, b) - c) / r for a, b, c, r in zip(low, high, centre, radii, strict=True)]
        distance = np.sqrt(at[0][:, None, None] ** 2 + at[1][:, None] ** 2 + at[2] ** 2)
        rough = texture[tuple(slice(0, b - a) for a, b in zip(low, high, strict=True))]
        rough = np.pad(rough, [(0, d - r) for d, r in zip(distance.shape, rough.shape, strict=True)])
        labels[box][(distance < 1 + 0.06 * rough) & (labels[box] == 0)] = number
    return labels


def ours(labels, values, grid):
    """Label to measurements."""
    found = {}
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        shape = shape_of_mask(labels[box] == number, grid, [part.start for part in box])
        done = measure(shape, values)
        whole = done.intensity
        statistics_of = (whole.mean, whole.sd, whole.median, whole.low, whole.high)
        found[number] = (shape.volume_ml, done.count, done.axial.longest.mm, done.extent.mm, *statistics_of)
    return found


def theirs(labels, stored):
    """The same by `labels == i`, label by label."""
    found = {}
    for number in range(1, int(labels.max()) + 1):
        mask = labels == number
        if not mask.any():
            continue
        volume = mask.sum() * STEPS.prod() / 1000
        parts, count = ndimage.label(mask, np.ones((3, 3, 3)))
        sizes = ndimage.sum(mask, parts, range(1, count + 1))
        longest = extent = 0.0
        for part in np.argsort(-sizes)[:20] + 1:
            voxels = np.argwhere(parts == part)
            extent = max(extent, farthest(voxels, STEPS))
            for z in np.unique(voxels[:, 0]):
                sections, many = ndimage.label(parts[z] == part, np.ones((3, 3)))
                for section in range(1, many + 1):
                    longest = max(longest, farthest(np.argwhere(sections == section), STEPS[1:]))
        inside = stored[mask].astype(np.float64)
        low, median, high = np.percentile(inside, (5, 50, 95))
        found[number] = (volume, count, longest, extent, inside.mean(), inside.std(), median, low, high)
    return found


def farthest(voxels, steps):
    """Longest distance between voxel centres."""
    if len(voxels) > 16:
        with contextlib.suppress(QhullError):  # flat
            voxels = voxels[ConvexHull(voxels).vertices]
    return float(pdist(voxels * steps).max()) if len(voxels) > 1 else 0.0


def check(mine, peer):
    """Volumes, counts and intensities are equal, diameters but for the half step that ours add."""
    for number, measured in mine.items():
        np.testing.assert_allclose(np.delete(measured, (2, 3)), np.delete(peer[number], (2, 3)), rtol=1e-6)
        more = np.subtract(measured[2:4], peer[number][2:4])
        assert (more > 0).all(), (number, measured, peer[number])
        assert (more <= STEPS[[1, 0]] / 2 + 1e-9).all(), (number, measured, peer[number])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--labels", type=int, default=100)
    parser.add_argument("--small", action="store_true", help=f"a volume of {SMALL} instead of {FULL}")
    options = parser.parse_args()
    shape = SMALL if options.small else FULL
    labels = label_map(shape, options.labels)
    stored = np.random.default_rng(1).integers(-200, 300, shape, dtype=np.int16)
    grid = Grid(shape, np.diag([*STEPS[::-1], 1.0]))
    wall, cpu, took = [], [], []
    for _ in range(options.rounds):
        mine, mine_s = timed(lambda: ours(labels, Values(stored), grid))
        peer, peer_s = timed(lambda: theirs(labels, stored))
        assert mine.keys() == peer.keys()
        check(mine, peer)
        wall.append(peer_s[0] / mine_s[0])
        cpu.append(peer_s[1] / mine_s[1])
        took.append((mine_s[0], peer_s[0]))
        print(f"{len(mine)} labels in {shape}: ours {mine_s[0]:.1f} s, peer {peer_s[0]:.1f} s", flush=True)
    for name, ratios in (("wall", wall), ("CPU", cpu)):
        middle = statistics.median(ratios)
        print(f"{name} time: {middle:.1f} times as fast (lowest {min(ratios):.1f}, highest {max(ratios):.1f})")
    own, theirs_s = (statistics.median(side) for side in zip(*took, strict=True))
    record(
        f"measurements of {options.labels} organs in a volume",
        peer="a loop over labels by SciPy",
        version=installed("scipy"),
        ratios=wall,
        ours=own,
        theirs=theirs_s,
        unit="s",
    )


if __name__ == "__main__":
    main()
