"""Find the scenes of a folder and open one: readers in order, the most specific first."""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path, PurePosixPath

from voxtile.errors import MissingExtraError
from voxtile_datasets.intake.walk import walk
from voxtile_datasets.recipes.download import some_of, tell, tell_packed, tell_unread
from voxtile_remote_sensing.scenes.listing import Listing, SceneReader
from voxtile_remote_sensing.scenes.plausible import check_scene
from voxtile_remote_sensing.scenes.protocol import Scene, SceneError, SceneOptions, SceneRef

# Name, "module:class", and the endings of file names that a reader looks for: a reader is imported only where such a
# file is there. The most specific come first; the plain raster takes what is left.
READERS = (
    ("sentinel2-safe", "products.sentinel2_safe:SafeReader", (".xml",)),
    ("sentinel1-safe", "products.sentinel1:Sentinel1Reader", (".tiff", ".tif")),
    ("landsat", "products.landsat:LandsatReader", ("_mtl.txt",)),
    ("enmap", "products.enmap:EnmapReader", ("-metadata.xml",)),
    ("planetscope", "products.planet:PlanetReader", (".tif", ".tiff")),
    ("bigearthnet", "products.bigearthnet:BigEarthNetReader", (".tif",)),
    ("sen2r", "products.sentinel2_sen2r:Sen2rReader", (".tif", ".vrt")),
    ("prisma", "products.prisma:PrismaReader", (".he5",)),
    ("gridded", "gridded.reader:GriddedReader", (".nc", ".nc4", ".cdf", ".zarray", ".zmetadata", "zarr.json")),
    ("stac", "stac.reader:StacReader", (".json", ".geojson")),
    ("sentinel1-rtc", "products.rtc:RtcReader", (".tif", ".tiff")),
    ("naip", "products.aerial:NaipReader", (".tif", ".tiff")),
    ("envi", "envi:EnviReader", (".hdr",)),
    ("geotiff", "geotiff:GeoTiffReader", (".tif", ".tiff", ".jp2", ".vrt")),
)
PRODUCT_FOLDERS = (".safe", ".zarr")
# Of rasters, where no reader took them.
_OTHER_FORMATS = (
    ".img", ".ecw", ".sid", ".asc", ".bil", ".bip", ".bsq", ".hgt", ".dem", ".dt1", ".dt2", ".grib", ".grb", ".grib2",
    ".grb2", ".hdf", ".hdf4", ".hdf5", ".h5", ".he5", ".kea", ".ntf", ".nitf", ".pix",
)  # fmt: skip
_COPIED_BY_MACOS = "__MACOSX"


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
    products = _product_folders(listing)
    refs: list[SceneRef] = []
    for name, _, endings in READERS:
        if any(path.lower().endswith(endings) for path in listing.sizes):
            found = load_reader(name).find(listing)
            refs += found.refs
            listing = listing.without(found.taken) if found.taken else listing
    empty = [name for name in products if not any(f"{ref.path}/".startswith(f"{name}/") for ref in refs)]
    if not refs and empty:
        raise SceneError(f"the product '{empty[0]}' lacks its images or its metadata; copy it again from its source")
    if not refs:
        zipped = sum(name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz")) for name in listing.sizes)
        hint = f"; it holds {zipped} archives, which are to be unpacked first" if zipped else ""
        raise SceneError(
            f"'{source}' holds no scene that is known (SAFE, Landsat, GeoTIFF, NetCDF, Zarr, STAC items, …){hint}"
        )
    if empty:
        tell(
            f"{len(empty)} product folders of '{source}' lack their images or their metadata and are not read "
            f"({some_of(empty)}); copy them again from their source"
        )
    tell_packed(source, listing.sizes)
    tell_unread(source, listing.sizes, _OTHER_FORMATS, "convert them to GeoTIFF first (gdal_translate)")
    return sorted(refs, key=lambda ref: ref.id)


def _product_folders(listing: Listing) -> list[str]:
    """Relative paths of folders that are one product by their name."""
    found: dict[str, None] = {}
    for path in listing.sizes:
        parts = PurePosixPath(path).parts[:-1]
        depth = next((n for n, part in enumerate(parts, start=1) if part.lower().endswith(PRODUCT_FOLDERS)), None)
        if depth is not None:
            found["/".join(parts[:depth])] = None
    return list(found)


def open_scene(ref: SceneRef) -> Scene:
    """Open a scene; use it as a context manager.

    Raises:
        SceneError: one sentence that says what is wrong, where, and what to do next.
    """
    scene = load_reader(ref.reader).open(ref)
    try:
        check_scene(scene)
    except SceneError:
        scene.pixels.close()
        raise
    return scene


@cache
def load_reader(name: str) -> SceneReader:
    """A reader by name.

    Raises:
        SceneError: there is none of that name.
        MissingExtraError: it needs a package that is not installed.
    """
    targets = {own: target for own, target, _ in READERS}
    if name not in targets:
        raise SceneError(f"no reader of scenes is named '{name}'; there are: {', '.join(targets)}")
    module, _, kind = targets[name].partition(":")
    try:
        loaded = importlib.import_module(f"voxtile_remote_sensing.scenes.{module}")
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or module, "remote-sensing") from error
    reader: SceneReader = getattr(loaded, kind)()
    return reader


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
        if source.name.endswith("_MTL.txt"):  # it names the rasters of its scene, which are beside it
            prefix = source.name.removesuffix("MTL.txt")
            beside += [path for path in source.parent.iterdir() if path.name.startswith(prefix) and path != source]
        sizes = {path.name: path.stat().st_size for path in beside if path.is_file()}
    else:
        for folder, names, files in walk(source):
            names[:] = sorted(name for name in names if name != _COPIED_BY_MACOS)
            for name in files:
                if name.startswith("._"):  # what macOS leaves beside a file on other systems' disks
                    continue
                path = Path(folder, name)
                if path.is_file():
                    sizes[path.relative_to(root).as_posix()] = path.stat().st_size
    return Listing(root, dict(sorted(sizes.items())), options)
