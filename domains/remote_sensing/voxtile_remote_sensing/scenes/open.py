"""Find the scenes of a folder and open one: readers in order, the most specific first."""

from __future__ import annotations

import importlib
import os
from functools import cache
from pathlib import Path

from voxtile_remote_sensing.scenes.protocol import Listing, Scene, SceneError, SceneOptions, SceneReader, SceneRef

# "module:class", the most specific first; the plain raster takes what is left.
READERS = (
    "voxtile_remote_sensing.scenes.safe:SafeReader",
    "voxtile_remote_sensing.scenes.geotiff:GeoTiffReader",
)
PRODUCT_FOLDERS = (".safe", ".zarr")


def find_scenes(source: Path, options: SceneOptions | None = None) -> list[SceneRef]:
    """The scenes of a folder, or of one file or product folder.

    Args:
        source: a folder of products, one product folder (`….SAFE`), or one file.
        options: what readers may do.

    Returns:
        Descriptors sorted by id; nothing is opened but metadata.

    Raises:
        SceneError: the source does not exist or holds no scene.
    """
    listing = list_files(source, options or SceneOptions())
    refs: list[SceneRef] = []
    for reader in readers().values():
        found = reader.find(listing)
        refs += found.refs
        listing = listing.without(found.taken)
    if not refs:
        zipped = sum(name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz")) for name in listing.sizes)
        hint = f"; it holds {zipped} archives, which are to be unpacked first" if zipped else ""
        raise SceneError(
            f"'{source}' holds no scene that is known (SAFE, Landsat, GeoTIFF, NetCDF, Zarr, STAC items, …){hint}"
        )
    return sorted(refs, key=lambda ref: ref.id)


def open_scene(ref: SceneRef) -> Scene:
    """Open a scene; use it as a context manager.

    Raises:
        SceneError: one sentence that says what is wrong, where, and what to do next.
    """
    if ref.reader not in readers():
        raise SceneError(f"{ref.id}: no reader is named '{ref.reader}'; there are: {', '.join(readers())}")
    return readers()[ref.reader].open(ref)


@cache
def readers() -> dict[str, SceneReader]:
    """Every reader by name, in order."""
    found: dict[str, SceneReader] = {}
    for target in READERS:
        module, _, name = target.partition(":")
        reader: SceneReader = getattr(importlib.import_module(module), name)()
        found[reader.name] = reader
    return found


def list_files(source: Path, options: SceneOptions) -> Listing:
    """The files below a folder, sorted; a single file or product folder keeps its name in the paths.

    Raises:
        SceneError: the source does not exist.
    """
    source = source.absolute()
    if not source.exists():
        raise SceneError(f"'{source}' does not exist; give a folder of scenes")
    single = source.is_file() or source.suffix.lower() in PRODUCT_FOLDERS
    root = source.parent if single else source
    sizes: dict[str, int] = {}
    if source.is_file():
        beside = [source, source.with_suffix(".yaml"), source.with_suffix(".hdr"), source.parent / "bands.yaml"]
        sizes = {path.name: path.stat().st_size for path in beside if path.is_file()}
    else:
        for folder, names, files in os.walk(source):
            names.sort()
            for name in files:
                path = Path(folder, name)
                if path.is_file():
                    sizes[path.relative_to(root).as_posix()] = path.stat().st_size
    return Listing(root, dict(sorted(sizes.items())), options)
