"""Patches of a whole slide, one core: ours beside openslide and beside a loop as CLAM writes its patch files.

The slide is made for the purpose: 20,480 × 20,480 pixels in native 256-pixel JPEG tiles (4:2:0, quality 80), a bank of
stained-looking tiles in random order. Four pieces of work, each done by every side on the same patches in turn:
reading native patches, reading patches that straddle four tiles, reading + encoding (quality 80) + writing them to a
corpus, and passing the native JPEG through. The peer of the last two reads through openslide and writes with our own
writer; the CLAM-style side opens its HDF5 file for each patch and appends the pixels, as CLAM's patch writer does.
Pixels are compared before the clock starts. Run: python benchmarks/slides.py [--patches 1500] [--rounds 7]
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import openslide
import simplejpeg
import tifffile
from scipy import ndimage

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile_pathology.slides import open_slide

sys.path.append(str(Path(__file__).parent))
from bench.recording import installed, record

SIDE, TILE, QUALITY = 20_480, 256, 80
Box = tuple[int, int, int, int]


def tile_bank(count: int = 48) -> list[bytes]:
    """Encoded tiles with smooth stain, dark nuclei and sensor noise."""
    rng, bank = np.random.default_rng(0), []
    for _ in range(count):
        smooth = ndimage.gaussian_filter(rng.normal(size=(TILE, TILE)), 6)
        picture = np.array([225.0, 190, 215]) + smooth[..., None] / smooth.std() * np.array([12.0, 20, 10])
        nuclei = ndimage.gaussian_filter(rng.normal(size=(TILE, TILE)), 2.5)
        picture[nuclei > 1.2 * nuclei.std()] = (110, 70, 140)
        picture += rng.normal(size=picture.shape) * 4
        pixels = np.clip(picture, 0, 255).astype(np.uint8)
        bank.append(simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorsubsampling="420"))
    return bank


def write_slide(path: Path, pixels: int = SIDE) -> None:
    """A tiled TIFF of so many pixels a side whose tiles are drawn from the bank."""
    bank, side = tile_bank(), pixels // TILE
    order = np.random.default_rng(1).integers(0, len(bank), side * side)
    tifffile.imwrite(
        path,
        (bank[index] for index in order),
        shape=(pixels, pixels, 3),
        dtype="uint8",
        tile=(TILE, TILE),
        compression="jpeg",
        photometric="ycbcr",
        subsampling=(2, 2),
        resolution=(20_000, 20_000),
        resolutionunit="CENTIMETER",
        metadata=None,
    )


def boxes(count: int, offset: int) -> list[Box]:
    """A grid in row order, as converters walk it, from (offset, offset)."""
    across = (SIDE - offset) // TILE
    corners = [(offset + i % across * TILE, offset + i // across * TILE) for i in range(count)]
    return [(x, y, x + TILE, y + TILE) for x, y in corners]


def by_openslide(path: Path, work: list[Box]) -> Iterator[np.ndarray]:
    """The usual loop: read a region, drop the alpha channel."""
    with openslide.OpenSlide(str(path)) as slide:
        for x0, y0, _, _ in work:
            yield np.asarray(slide.read_region((x0, y0), 0, (TILE, TILE)).convert("RGB"))


def by_voxtile(path: Path, work: list[Box]) -> Iterator[np.ndarray]:
    """Our reader."""
    with open_slide(path) as slide:
        for box in work:
            yield slide.read(0, box)


def encoded(patches: Iterator[np.ndarray]) -> Iterator[bytes]:
    """Patches as JPEG."""
    return (simplejpeg.encode_jpeg(patch, quality=QUALITY, colorsubsampling="420") for patch in patches)


def native(path: Path, work: list[Box]) -> Iterator[bytes]:
    """Native tiles, not decoded."""
    with open_slide(path) as slide:
        grid = slide.tile_grid(0)
        assert grid is not None
        for x0, y0, _, _ in work:
            yield grid.encoded(x0 // TILE, y0 // TILE)


def to_corpus(payloads: Iterator[bytes], work: list[Box]) -> None:
    """Write patches to a corpus that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="voxtile-slides-") as name:
        new_corpus(Path(name) / "corpus")
        writer = JobWriter(Path(name) / "corpus", "job-0")
        for box, data in zip(work, payloads, strict=True):
            row = {
                "uid": sample_uid("slide", f"{box}"),
                "subject": "s",
                "kind": "patch",
                "axes": "YXC",
                "mpp": [0.5, 0.5],
            }
            writer.add(Sample(row | {"level0_box": list(box)}, data))
        writer.publish()


def to_clam_file(patches: Iterator[np.ndarray], work: list[Box]) -> None:
    """Append patches to an HDF5 file that is opened for each."""
    with tempfile.TemporaryDirectory(prefix="voxtile-slides-") as name:
        path = Path(name) / "patches.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset(
                "imgs", (0, TILE, TILE, 3), "u1", maxshape=(None, TILE, TILE, 3), chunks=(1, TILE, TILE, 3)
            )
            file.create_dataset("coords", (0, 2), "i4", maxshape=(None, 2), chunks=(1, 2))
        for box, patch in zip(work, patches, strict=True):
            with h5py.File(path, "a") as file:
                for dataset, value in ((file["imgs"], patch), (file["coords"], box[:2])):
                    dataset.resize(len(dataset) + 1, axis=0)
                    dataset[-1] = value


def drained(patches: Iterator[np.ndarray]) -> None:
    """Read all and keep none."""
    for _ in patches:
        pass


def tasks(path: Path, count: int) -> dict[str, tuple[float, dict[str, Callable[[], None]]]]:
    """Name of each piece of work, the ratio aimed at, and its sides: the peer first, ours last."""
    aligned, straddling = boxes(count, 0), boxes(count, 100)
    through_openslide = lambda: to_corpus(encoded(by_openslide(path, aligned)), aligned)  # noqa: E731
    return {
        "read native patches": (
            4.0,
            {
                "openslide": lambda: drained(by_openslide(path, aligned)),
                "voxtile": lambda: drained(by_voxtile(path, aligned)),
            },
        ),
        "read straddling patches": (
            4.0,
            {
                "openslide": lambda: drained(by_openslide(path, straddling)),
                "voxtile": lambda: drained(by_voxtile(path, straddling)),
            },
        ),
        "read, encode, write": (
            2.2,
            {
                "openslide": through_openslide,
                "CLAM-style": lambda: to_clam_file(by_openslide(path, aligned), aligned),
                "voxtile": lambda: to_corpus(encoded(by_voxtile(path, aligned)), aligned),
            },
        ),
        "pass the native JPEG through": (
            15.0,
            {
                "openslide": through_openslide,
                "voxtile": lambda: to_corpus(native(path, aligned), aligned),
            },
        ),
    }


def check(path: Path) -> None:
    """Both sides give the same pixels, and a native tile decodes to them."""
    for offset in (0, 100):
        work = boxes(200, offset)
        for theirs, ours in zip(by_openslide(path, work), by_voxtile(path, work), strict=True):
            assert np.array_equal(theirs, ours)
    work = boxes(50, 0)
    for theirs, data in zip(by_openslide(path, work), native(path, work), strict=True):
        assert np.array_equal(theirs, simplejpeg.decode_jpeg(data))
    to_corpus(native(path, work), work)  # the first table written imports half of pyarrow


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Seconds of wall and of CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Print patches a second of each side and the ratios with their spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patches", type=int, default=1500)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core, and no side gets a second
    with tempfile.TemporaryDirectory(prefix="voxtile-slides-") as name:
        path = Path(name) / "slide.tif"
        write_slide(path)
        check(path)
        for work, (aim, sides) in tasks(path, arguments.patches).items():
            seconds = {side: [] for side in sides}
            for _ in range(arguments.rounds):
                for side, run in sides.items():
                    seconds[side].append(timed(run))
            report(work, aim, seconds, arguments.patches)


def report(work: str, aim: float, seconds: dict[str, list[tuple[float, float]]], count: int) -> None:
    """One line a side: the median rate, and how many times faster ours is, by wall and by CPU time."""
    print(f"\n{work} ({count} patches of {TILE} pixels)")
    ours = seconds["voxtile"]
    for side, times in seconds.items():
        rate = count / statistics.median(wall for wall, _ in times)
        line = f"  {side:<12}{rate:8.0f} patches/s"
        if side != "voxtile":
            for clock, index in (("wall", 0), ("CPU", 1)):
                ratios = [theirs[index] / mine[index] for theirs, mine in zip(times, ours, strict=True)]
                spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
                line += f"; voxtile {statistics.median(ratios):.2f} times ({spread}) by {clock}"
            line += f"; aim {2.5 if side == 'CLAM-style' else aim:g}"
            record(
                f"patches of a slide, {work}",
                peer=side,
                version=installed("openslide-python") if "CLAM" not in side else "as its authors wrote it",
                ratios=[theirs[0] / mine[0] for theirs, mine in zip(times, ours, strict=True)],
                ours=count / statistics.median(wall for wall, _ in ours),
                theirs=rate,
                unit="patches/s",
                aim=2.5 if side == "CLAM-style" else aim,
            )
        print(line, flush=True)


if __name__ == "__main__":
    main()
