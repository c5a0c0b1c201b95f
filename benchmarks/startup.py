"""Small runs, start-up included: voxtile's commands beside the plain loops of rasterio and openslide.

Each side is a process of its own, timed from its start to its end by the clock and by processor time (its children's
too); sides take turns, and files are in the page cache. The loops do what a person would write: read a window, and
write it as a file of its own.

- `scene`: one GeoTIFF of 5,120² pixels with four bands (uint16, deflate, tiled by 512) to 400 tiles of 256 pixels. The
  loop writes deflate GeoTIFFs with their georeference.
- `tiles`: 400 GeoTIFFs of 256² pixels with four bands, one tile each. The loop reads each and writes it likewise.
- `slide`: a slide of 10,240² pixels in JPEG tiles to its 1,600 patches of 256 pixels. The loop reads regions through
  openslide and writes JPEG files of quality 80. Nobody leaves out glass (--min-tissue 0), though we look where it is.
- `small slide`: the same on a slide that is given, such as CMU-1-Small-Region.svs of openslide's test data.

Ours also hashes, writes tables and a manifest, and syncs. Ratios above 1 mean that ours took less.

With --answers it times what computes nothing instead: help, mistakes and plans, by processor time.

Run: python benchmarks/startup.py [--rounds 5] [--slide FILE.svs] [--answers]
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from slides import write_slide
from tiles import write_scenes

RASTERIO = """
import pathlib, sys, rasterio
from rasterio.windows import Window
out, count, tile = pathlib.Path(sys.argv[2]), 0, 256
for path in sorted(pathlib.Path(sys.argv[1]).glob('*.tif')):
    with rasterio.open(path) as file:
        for y in range(0, file.height, tile):
            for x in range(0, file.width, tile):
                window = Window(x, y, tile, tile)
                values = file.read(window=window)
                profile = dict(driver='GTiff', count=len(values), height=tile, width=tile, dtype=values.dtype,
                               crs=file.crs, transform=file.window_transform(window), compress='deflate', predictor=2)
                with rasterio.open(out / f'{count}.tif', 'w', **profile) as target:
                    target.write(values)
                count += 1
print(count)
"""
OPENSLIDE = """
import pathlib, sys, openslide
out, count, tile = pathlib.Path(sys.argv[2]), 0, 256
with openslide.OpenSlide(sys.argv[1]) as slide:
    width, height = slide.dimensions
    for y in range(0, height - tile + 1, tile):
        for x in range(0, width - tile + 1, tile):
            slide.read_region((x, y), 0, (tile, tile)).convert('RGB').save(out / f'{count}.jpg', quality=80)
            count += 1
print(count)
"""
WSI = ("convert", "wsi", "--mpp", "native", "--min-tissue", "0", "--max-pen", "1")
GEOTIFF = ("convert", "geotiff", "--split-by", "none")
OURS = "import sys; from voxtile.cli.main import main; sys.exit(main())"


ANSWERS = (
    "fit --help",
    "fit",
    "fit medical/ct",
    "fit -c medical/ctt",
    "fit -c medical/ct --data.corpsu x",
    "fit -c medical/ct --trainer.max_epochs many",
    "fit -c medical/ct --data.unit stduy",
    "fit -c medical/ct --model.encoder.image.class_path voxtile.models.NoTower",
    "fit -c medical/ct --model.optimizer.lrr 1",
    "fit -c medical/ct --print_config",
    "plan medical/ct",
    "evaluate --help",
    "serve nowhere",
    "prefer nowhere last.ckpt",
    "caption checkpoint nowhere",
    "build torchgeo {scene} {out} --dataset EuroSatt",
    "convert geotiff {scene} {out} --size 256px --dry-run",
    "convert wsi {slide} {out} --dry-run",
)
"""Words of commands whose answers need no data to be read."""


def measure(program: str, *arguments: str, may_fail: bool = False) -> tuple[float, float]:
    """Seconds by the clock and of processor time of a process and its children."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GDAL_NUM_THREADS": "1"}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-P", "-W", "ignore", "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode and not may_fail:
        raise SystemExit(done.stderr or done.stdout)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def one_round(name: str, source: Path) -> list[tuple[float, float]]:
    """Both sides once, the loop first."""
    slide = "slide" in name
    with tempfile.TemporaryDirectory() as out:
        loop = measure(OPENSLIDE if slide else RASTERIO, str(source), out)
    with tempfile.TemporaryDirectory() as out:
        words = WSI if slide else GEOTIFF
        ours = measure(OURS, *words[:2], str(source), f"{out}/corpus", *words[2:])
    return [loop, ours]


def main() -> None:
    """Print the median of each side and of the ratios, with their spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slide", type=Path)
    parser.add_argument("--only", help="one of the inputs")
    parser.add_argument("--answers", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="voxtile-startup-") as folder:
        if arguments.answers:
            answers(Path(folder), arguments.rounds)
            return
        for name, source in inputs(Path(folder), arguments.slide).items():
            if arguments.only in (None, name):
                report(name, [one_round(name, source) for _ in range(arguments.rounds + 1)][1:])


def answers(folder: Path, rounds: int) -> None:
    """One line a command."""
    places = {name: str(path) for name, path in inputs(folder, None).items()} | {"out": str(folder / "new")}
    for line in ANSWERS:
        words = [word.format(**places) for word in line.split()]
        took = [measure(OURS, *words, may_fail=True)[1] for _ in range(rounds + 1)][1:]
        print(f"{line}: {statistics.median(took):.2f} s ({min(took):.2f} to {max(took):.2f})", flush=True)


def inputs(folder: Path, slide: Path | None) -> dict[str, Path]:
    """The files, made for the purpose, by name."""
    for name, scenes, side in (("scene", 1, 5120), ("tiles", 400, 256)):
        (folder / name).mkdir()
        write_scenes(folder / name, scenes, side, "deflate")
    (folder / "slide").mkdir()
    write_slide(folder / "slide" / "slide.tif", 10_240)
    found = {"scene": folder / "scene", "tiles": folder / "tiles", "slide": folder / "slide" / "slide.tif"}
    return found | ({"small slide": slide} if slide is not None else {})


def report(name: str, rounds: list[list[tuple[float, float]]]) -> None:
    """One line a clock."""
    for clock, index in (("clock", 0), ("processor", 1)):
        loop, ours = ([sides[side][index] for sides in rounds] for side in (0, 1))
        ratios = [theirs / mine for theirs, mine in zip(loop, ours, strict=True)]
        print(
            f"{name}, {clock}: loop {statistics.median(loop):.2f} s, ours {statistics.median(ours):.2f} s, "
            f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
