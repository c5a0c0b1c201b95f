"""Tiling scenes and reading tiles in training, beside bare rasterio and torchgeo, on the same GeoTIFFs in one run.

Scenes are Sentinel-2-like: four bands of 10 m as uint16, tiled by 512 pixels, deflate with a predictor, as COGs are.
Tiles have 256 pixels. Every measurement is a process of its own and the sides take turns; the clock of the peers starts
after their imports, ours includes the plan, the worker's start, hashes, footprints, previews, syncing and the manifest.

- `read`: rasterio reads every block-aligned window of all bands, and does nothing with it.
- `write`: the same, and each window becomes a deflate GeoTIFF of its own: what a tiling script does.
- `grid`: torchgeo's GridGeoSampler over a RasterDataset; nothing is written.
- `ours`: voxtile convert geotiff with one worker, and with one a processor.
- `random`: torchgeo's RandomGeoSampler from the GeoTIFFs, float32 tensors; ours: random tiles of the corpus's view,
  decoded to float32 tensors. Files are in the page cache for both.

Run: python benchmarks/tiles.py [--scenes 2] [--side 4096] [--rounds 3] [--reads 400] [--codec deflate|jp2]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TILE = 256

READ = """
import json, sys, time, pathlib, rasterio
files = sorted(pathlib.Path(sys.argv[1]).glob('*.*'))
started, count, seconds = time.perf_counter(), 0, time.process_time()
for path in files:
    with rasterio.open(path) as file:
        for _, window in file.block_windows(1):
            count += file.read(window=window).nbytes
print(json.dumps({'seconds': time.perf_counter() - started, 'cpu': time.process_time() - seconds, 'bytes': count}))
"""

WRITE = """
import json, sys, time, pathlib, rasterio
from rasterio.windows import Window
files, out, tile = sorted(pathlib.Path(sys.argv[1]).glob('*.*')), pathlib.Path(sys.argv[2]), 256
started, count, seconds = time.perf_counter(), 0, time.process_time()
for path in files:
    with rasterio.open(path) as file:
        for _, block in file.block_windows(1):
            values = file.read(window=block)
            for y in range(0, block.height, tile):
                for x in range(0, block.width, tile):
                    window = Window(block.col_off + x, block.row_off + y, tile, tile)
                    profile = dict(driver='GTiff', count=file.count, height=tile, width=tile, dtype=values.dtype,
                                   crs=file.crs, transform=file.window_transform(window), compress='deflate',
                                   predictor=2)
                    with rasterio.open(out / f'{count}.tif', 'w', **profile) as target:
                        target.write(values[:, y:y + tile, x:x + tile])
                    count += 1
print(json.dumps({'seconds': time.perf_counter() - started, 'cpu': time.process_time() - seconds, 'tiles': count}))
"""

GRID = """
import json, sys, time, warnings
warnings.simplefilter('ignore')
import torch
torch.set_num_threads(1)
from torchgeo.datasets import RasterDataset
from torchgeo.samplers import GridGeoSampler, RandomGeoSampler
class Scenes(RasterDataset):
    filename_glob = '*.*'
dataset = Scenes(sys.argv[1])
reads = int(sys.argv[3]) if len(sys.argv) > 3 else 0
random = dict(length=reads, generator=torch.Generator().manual_seed(0))
sampler = RandomGeoSampler(dataset, 256, **random) if reads else GridGeoSampler(dataset, 256, 256)
started, count, seconds = time.perf_counter(), 0, time.process_time()
for query in sampler:
    count += dataset[query]['image'].shape[0] > 0
print(json.dumps({'seconds': time.perf_counter() - started, 'cpu': time.process_time() - seconds, 'tiles': count}))
"""

OURS = """
import json, pathlib, resource, sys, time
import pyarrow.dataset
from voxtile_remote_sensing.tiles.convert import convert_geotiff
source, out, workers = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
started, seconds = time.perf_counter(), time.process_time()
convert_geotiff(source, out / 'corpus', workers=workers, split_by='none', min_valid=0.0)
wall = time.perf_counter() - started
children = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = time.process_time() - seconds + children.ru_utime + children.ru_stime
tiles = pyarrow.dataset.dataset(out / 'corpus/tables/samples').count_rows()
print(json.dumps({'seconds': wall, 'cpu': cpu, 'tiles': tiles}))
"""

OURS_RANDOM = """
import json, pathlib, sys, time
import numpy as np, torch
torch.set_num_threads(1)
from voxtile.corpus.reader import Corpus
from voxtile.corpus.view import compile_view
view = compile_view(Corpus(pathlib.Path(sys.argv[1])))
order = np.random.default_rng(0).integers(0, len(view), int(sys.argv[3]))
started, count, seconds = time.perf_counter(), 0, time.process_time()
for index in order:
    values = view.source(view.entry(int(index))).array()
    count += torch.from_numpy(values.astype(np.float32)).shape[0] > 0
print(json.dumps({'seconds': time.perf_counter() - started, 'cpu': time.process_time() - seconds, 'tiles': count}))
"""


def write_scenes(folder: Path, scenes: int, side: int, codec: str) -> int:
    """Smooth fields with sensor noise; the number of stored bytes."""
    import numpy as np
    import rasterio
    from affine import Affine
    from scipy import ndimage

    rng = np.random.default_rng(0)
    options = {
        "driver": "GTiff",
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
        "predictor": 2,
    }
    if codec == "jp2":
        options = {
            "driver": "JP2OpenJPEG",
            "REVERSIBLE": "YES",
            "QUALITY": "100",
            "BLOCKXSIZE": 1024,
            "BLOCKYSIZE": 1024,
        }
    for number in range(scenes):
        fields = [ndimage.zoom(rng.standard_normal((side // 64 + 1,) * 2), 64, order=1)[:side, :side] for _ in range(4)]
        values = (
            np.stack([1500 + 400 * f + 30 * rng.standard_normal((side, side)) for f in fields])
            .clip(1)
            .astype(np.uint16)
        )
        place = Affine(10, 0, 600_000 + 102_400 * number, 0, -10, 4_999_680)
        name = folder / f"scene-{number}.{'jp2' if codec == 'jp2' else 'tif'}"
        shape = {"count": 4, "height": side, "width": side, "dtype": "uint16"}
        with rasterio.open(name, "w", **shape, crs="EPSG:32632", transform=place, **options) as file:
            file.descriptions = ("B02 blue", "B03 green", "B04 red", "B08 nir")
            file.write(values)
    if codec == "jp2":
        for aux in folder.glob("*.aux.xml"):
            aux.unlink()
        (folder.parent / "bands.yaml").write_text("bands: [blue, green, red, nir]")
    return scenes * side * side * 8


def measure(program: str, source: Path, out: Path | None = None, *arguments: str) -> dict[str, float]:
    """Run one side in a process of its own, writing to a folder that is thrown away unless one is given."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GDAL_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as temporary:
        command = [sys.executable, "-P", "-W", "ignore", "-c", program, str(source), str(out or temporary), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print seconds of each side and the ratios with their spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=2)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reads", type=int, default=400)
    parser.add_argument("--codec", choices=("deflate", "jp2"), default="deflate")
    arguments = parser.parse_args()
    ratios: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "scenes"
        source.mkdir()
        stored = write_scenes(source, arguments.scenes, arguments.side, arguments.codec)
        measure(OURS, source, folder, "1")
        for number in range(arguments.rounds):
            sides = {"read": measure(READ, source), "write": measure(WRITE, source), "grid": measure(GRID, source)}
            ours = measure(OURS, source, None, "1")
            for side, aim in (("read", "1.0"), ("write", "1.0"), ("grid", "3")):
                for clock in ("seconds", "cpu"):
                    ratios.setdefault(f"tiling, {side}, {clock} (aim {aim})", []).append(
                        sides[side][clock] / ours[clock]
                    )
            every = measure(OURS, source, None, "0")
            for side, aim in (("read", "1.0"), ("grid", "3")):
                what = f"tiling with a worker a processor, {side}, seconds (aim {aim})"
                ratios.setdefault(what, []).append(sides[side]["seconds"] / every["seconds"])
            theirs = measure(GRID, source, None, str(arguments.reads))
            random = measure(OURS_RANDOM, folder / "corpus", None, str(arguments.reads))
            for clock in ("seconds", "cpu"):
                ratios.setdefault(f"training read, {clock} (aim 10)", []).append(theirs[clock] / random[clock])
            shown = {
                **sides,
                "ours": ours,
                "ours with all workers": every,
                "random torchgeo": theirs,
                "random ours": random,
            }
            texts = [f"{k} {v['seconds']:.2f} s ({v['cpu']:.2f} CPU)" for k, v in shown.items()]
            print(f"round {number + 1}, {stored / 1e6:.0f} MB: {', '.join(texts)}", flush=True)
    for what, found in ratios.items():
        print(f"{what}: median {statistics.median(found):.2f}, from {min(found):.2f} to {max(found):.2f}")


if __name__ == "__main__":
    main()
