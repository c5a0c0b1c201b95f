"""Tiling scenes and reading tiles in training, beside bare rasterio and torchgeo, on the same GeoTIFFs in one run.

A scene is Sentinel-2-like: four bands of 10 m as uint16, 10,980 pixels a side (964 MB of values), tiled by 512 pixels,
deflate with a predictor, as COGs are. Tiles have 256 pixels. Every measurement is a process of its own and the sides
take turns; the clock of the peers starts after their imports, ours includes the plan, the workers' start, hashes,
footprints, previews, compression, syncing and the manifest.

- `read`: rasterio reads every block-aligned window of all bands, and does nothing with it.
- `npy`: the same, and each tile becomes an uncompressed .npy file, without its place on the ground.
- `tif`: the same, and each tile becomes a deflate GeoTIFF with its georeference: what a tiling script does.
- `grid`: torchgeo's GridGeoSampler over a RasterDataset; nothing is written.
- `grid-tif`: the same, and each tile becomes a deflate GeoTIFF.
- `ours`: voxtile convert geotiff with one worker; `ours-all`: with one a processor, which is the default.
- `random`: torchgeo's RandomGeoSampler from the GeoTIFFs, float32 tensors; ours: random tiles of the corpus's view,
  decoded to float32 tensors. Files are in the page cache for both.

Ratios are of wall seconds and of processor seconds (all processes of a side together).

Run: python benchmarks/tiles.py [--scenes 1] [--side 10980] [--rounds 3] [--reads 400] [--codec deflate|jp2]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
from bench.recording import installed, record

TILE = 256

READ = """
import json, sys, time, pathlib, rasterio
files = sorted(p for p in pathlib.Path(sys.argv[1]).iterdir() if p.suffix in ('.tif', '.jp2'))
started, count, seconds = time.perf_counter(), 0, time.process_time()
for path in files:
    with rasterio.open(path) as file:
        for _, window in file.block_windows(1):
            count += file.read(window=window).nbytes
print(json.dumps({'seconds': time.perf_counter() - started, 'cpu': time.process_time() - seconds, 'bytes': count}))
"""

SAVE = """
def save(values, path, crs, transform, codec):
    if codec == 'npy':
        np.save(path.with_suffix('.npy'), values)
        return
    profile = dict(driver='GTiff', count=len(values), height=values.shape[1], width=values.shape[2],
                   dtype=values.dtype, crs=crs, transform=transform, compress='deflate', predictor=2)
    with rasterio.open(path.with_suffix('.tif'), 'w', **profile) as target:
        target.write(values)
"""

WRITE = (
    """
import json, sys, time, pathlib, numpy as np, rasterio
from rasterio.windows import Window
"""
    + SAVE
    + """
files = sorted(p for p in pathlib.Path(sys.argv[1]).iterdir() if p.suffix in ('.tif', '.jp2'))
out, tile = pathlib.Path(sys.argv[2]), 256
started, count, seconds = time.perf_counter(), 0, time.process_time()
for path in files:
    with rasterio.open(path) as file:
        for _, block in file.block_windows(1):
            values = file.read(window=block)
            for y in range(0, block.height, tile):
                for x in range(0, block.width, tile):
                    window = Window(block.col_off + x, block.row_off + y, tile, tile)
                    place = file.window_transform(window)
                    save(values[:, y:y + tile, x:x + tile], out / str(count), file.crs, place, sys.argv[3])
                    count += 1
print(json.dumps({'seconds': time.perf_counter() - started, 'cpu': time.process_time() - seconds, 'tiles': count}))
"""
)

GRID = (
    """
import json, sys, time, pathlib, warnings
warnings.simplefilter('ignore')
import numpy as np, rasterio, torch
from rasterio.transform import from_origin
torch.set_num_threads(1)
from torchgeo.datasets import RasterDataset
from torchgeo.samplers import GridGeoSampler, RandomGeoSampler
"""
    + SAVE
    + """
class Scenes(RasterDataset):
    filename_regex = r'.*\\.(tif|jp2)$'
dataset = Scenes(sys.argv[1])
mode, out = sys.argv[3], pathlib.Path(sys.argv[2])
random = dict(length=int(mode), generator=torch.Generator().manual_seed(0)) if mode.isdigit() else {}
sampler = RandomGeoSampler(dataset, 256, **random) if random else GridGeoSampler(dataset, 256, 256)
step = dataset.res[0]
started, count, seconds = time.perf_counter(), 0, time.process_time()
for query in sampler:
    image = dataset[query]['image']
    if mode == 'tif':
        place = from_origin(query[0].start, query[1].stop, step, step)
        save(image.numpy().astype(np.uint16), out / str(count), dataset.crs, place, mode)
    count += image.shape[0] > 0
print(json.dumps({'seconds': time.perf_counter() - started, 'cpu': time.process_time() - seconds, 'tiles': count}))
"""
)

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
from voxtile.corpus.view.view import compile_view
view = compile_view(Corpus(pathlib.Path(sys.argv[1])))
order = np.random.default_rng(0).integers(0, len(view), int(sys.argv[3]))
started, count, seconds = time.perf_counter(), 0, time.process_time()
for index in order:
    values = view.source(view.entry(int(index))).array()
    count += torch.from_numpy(values.astype(np.float32)).shape[0] > 0
print(json.dumps({'seconds': time.perf_counter() - started, 'cpu': time.process_time() - seconds, 'tiles': count}))
"""


FORMATS = {
    "deflate": {
        "driver": "GTiff",
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "compress": "deflate",
        "predictor": 2,
    },
    "jp2": {
        "driver": "JP2OpenJPEG",
        "REVERSIBLE": "YES",
        "QUALITY": "100",
        "BLOCKXSIZE": 1024,
        "BLOCKYSIZE": 1024,
    },
}


def write_scenes(folder: Path, scenes: int, side: int, codec: str) -> int:
    """Smooth fields with sensor noise; the number of bytes of their values."""
    import numpy as np
    import rasterio
    from affine import Affine
    from scipy import ndimage

    rng = np.random.default_rng(0)
    for number in range(scenes):
        values = np.empty((4, side, side), np.uint16)
        for plane in values:
            smooth = ndimage.zoom(rng.standard_normal((side // 64 + 2,) * 2, np.float32), 64, order=1)[:side, :side]
            plane[:] = (1500 + 400 * smooth + 30 * rng.standard_normal((side, side), np.float32)).clip(1)
        place = Affine(10, 0, 600_000 + 10 * side * number, 0, -10, 4_999_680)
        name = folder / f"scene-{number}.{'jp2' if codec == 'jp2' else 'tif'}"
        shape = {"count": 4, "height": side, "width": side, "dtype": "uint16"}
        with rasterio.open(name, "w", **shape, crs="EPSG:32632", transform=place, **FORMATS[codec]) as file:
            file.descriptions = ("B02 blue", "B03 green", "B04 red", "B08 nir")
            file.write(values)
    for described in folder.glob("*.aux.xml"):
        described.unlink()
    if codec == "jp2":
        (folder / "bands.yaml").write_text("bands: [blue, green, red, nir]\n")
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
    parser.add_argument("--scenes", type=int, default=1)
    parser.add_argument("--side", type=int, default=10_980)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--reads", type=int, default=400)
    parser.add_argument("--codec", choices=tuple(FORMATS), default="deflate")
    arguments = parser.parse_args()
    ratios: dict[str, list[float]] = {}
    taken: list[dict[str, dict[str, float]]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "scenes"
        source.mkdir()
        stored = write_scenes(source, arguments.scenes, arguments.side, arguments.codec)
        measure(OURS, source, folder, "1")
        for number in range(arguments.rounds):
            sides = one_round(source, folder / "corpus", arguments.reads)
            taken.append(sides)
            for what, ratio in ratios_of(sides).items():
                ratios.setdefault(what, []).append(ratio)
            texts = [f"{k} {v['seconds']:.2f} s ({v['cpu']:.2f} CPU)" for k, v in sides.items()]
            load = os.getloadavg()[0]
            print(f"round {number + 1}, {stored / 1e6:.0f} MB, load {load:.1f}: {', '.join(texts)}", flush=True)
    for what, found in ratios.items():
        print(f"{what}: median {statistics.median(found):.2f}, from {min(found):.2f} to {max(found):.2f}")
    for name, peer, theirs, ours, aim in (
        ("scene to tiles of 256 pixels, one worker", "rasterio's loop to GeoTIFF", "tif", "ours", 1),
        ("scene to tiles of 256 pixels, one worker", "torchgeo's GridGeoSampler to GeoTIFF", "grid-tif", "ours", 3),
        ("random tiles for training", "torchgeo's RandomGeoSampler", "random", "random-ours", 10),
    ):
        pairs = [(sides[ours]["seconds"], sides[theirs]["seconds"]) for sides in taken]
        record(
            name,
            peer=peer,
            version=installed("torchgeo" if "torchgeo" in peer else "rasterio"),
            ratios=[slow / fast for fast, slow in pairs],
            ours=statistics.median(fast for fast, _ in pairs),
            theirs=statistics.median(slow for _, slow in pairs),
            unit="s",
            aim=aim,
        )


def one_round(source: Path, corpus: Path, reads: int) -> dict[str, dict[str, float]]:
    """Every side once, in turn."""
    return {
        "read": measure(READ, source),
        "ours": measure(OURS, source, None, "1"),
        "npy": measure(WRITE, source, None, "npy"),
        "tif": measure(WRITE, source, None, "tif"),
        "ours-all": measure(OURS, source, None, "0"),
        "grid": measure(GRID, source, None, ""),
        "grid-tif": measure(GRID, source, None, "tif"),
        "random": measure(GRID, source, None, str(reads)),
        "random-ours": measure(OURS_RANDOM, corpus, None, str(reads)),
    }


def ratios_of(sides: dict[str, dict[str, float]]) -> dict[str, float]:
    """How much longer each peer takes than we do."""
    found = {}
    for peer, aim in (("read", ""), ("npy", ""), ("tif", ", aim 1"), ("grid", ""), ("grid-tif", ", aim 3")):
        for own, clocks in (("ours", ("seconds", "cpu")), ("ours-all", ("seconds",))):
            for clock in clocks:
                found[f"tiling, {peer} / {own}, {clock}{aim}"] = sides[peer][clock] / sides[own][clock]
    for clock in ("seconds", "cpu"):
        found[f"training read, {clock}, aim 10"] = sides["random"][clock] / sides["random-ours"][clock]
    return found


if __name__ == "__main__":
    main()
