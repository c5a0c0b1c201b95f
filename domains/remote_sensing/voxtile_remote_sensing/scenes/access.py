"""What may be opened: files inside the input folder, by the driver that fits their first bytes, and nothing remote.

GDAL opens whatever a name or a file's content suggests: URLs, scripts inside VRT, web services described by a small XML
file that is named `.tif`. Each file is therefore sniffed here, opened with that one driver, and a VRT's sources are
checked before GDAL sees it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

from voxtile.corpus.reference_roots import check_named_file
from voxtile_remote_sensing.scenes.metadata_xml import parse_xml
from voxtile_remote_sensing.scenes.protocol import SceneError, SceneOptions

MAX_VRT_DEPTH = 4
MAX_VRT_BYTES = 16 << 20
OVERVIEWS = "OVERVIEW_FILE"  # metadata by which any raster, and the `.aux.xml` beside it, says where its overviews are
_BESIDE = (".ovr", ".OVR", ".msk", ".MSK")  # GDAL opens them by the driver of their content
# Elements of a VRT that name files beside its sources: terrain, places of pixels, arguments of processing.
_NAME_FILES = frozenset({"DEMPath", "GeoLocTransformer", "ProcessingSteps", "Group"})
_TIFF = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")  # TIFF 6.0 and BigTIFF
_JP2 = (b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")  # ISO 15444-1: file format and raw codestream
_JP2_DRIVERS = ("JP2OpenJPEG", "JP2KAK", "JP2ECW", "JP2MrSID", "JP2Grok")

# https://gdal.org/user/configoptions.html; every option closes a way to the network or to code inside data.
_FENCED = {
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GDAL_VRT_ENABLE_RAWRASTERBAND": "NO",
    "GDAL_HTTP_MAX_RETRY": "0",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{noext-nothing}",
    "CPL_VSIL_CURL_USE_HEAD": "NO",
    "OGR_SQLITE_LOAD_EXTENSIONS": "",
}


CACHE_BYTES = 1 << 28  # rows of blocks; GDAL would take 5 % of all memory, new to every block of a scene read once


@contextmanager
def fenced_gdal(options: SceneOptions) -> Iterator[None]:
    """GDAL without network and without code inside data, unless the options allow the network."""
    settings = dict(_FENCED) | {"GDAL_CACHEMAX": CACHE_BYTES}
    if options.network:
        settings = {k: v for k, v in settings.items() if not k.startswith(("CPL_VSIL_CURL", "GDAL_HTTP"))}
    with rasterio.Env(**settings):
        yield


def is_remote(href: str) -> bool:
    """A href that leads to the network or to a GDAL virtual file system."""
    scheme = urlsplit(href).scheme.lower()
    return href.startswith(("/vsi", "//", "\\\\")) or (len(scheme) > 1 and scheme != "file")


def without_query(href: str) -> str:
    """A href for messages: the query of a signed one is a key."""
    return href.partition("?")[0]


def inside(root: Path, href: str, options: SceneOptions, *, base: Path, where: str) -> str:
    """The file that a href means.

    Args:
        root: the input folder.
        href: relative to `base`, absolute, `file:`, or remote.
        options: what is allowed.
        base: folder of the file that holds the href.
        where: name of that file, for the message.

    Returns:
        An absolute path, or a `/vsicurl/` name where the network is allowed.

    Raises:
        SceneError: the href leaves the input folder or leads to the network and that is not allowed.
    """
    if is_remote(href):
        if not options.network:
            raise SceneError(
                f"{where}: '{without_query(href)}' leads to the network; download it into the input folder, or allow "
                f"it with --allow-network"
            )
        return href if href.startswith("/vsi") else f"/vsicurl/{href}"
    local = unquote(urlsplit(href).path) if href.lower().startswith("file:") else href
    path = base / PurePosixPath(local.replace("\\", "/"))
    check_inside(root, path, options, where=where)
    return str(path)


def check_inside(root: Path, path: Path, options: SceneOptions, *, where: str) -> None:
    """Refuse a path that leaves the input folder, also through a symbolic link.

    Raises:
        SceneError: it does, and that is not allowed.
        CorpusError: it is allowed, but pixels are being copied out of a corpus, which must not refer to it.
    """
    if options.outside:
        check_named_file(path)
        return
    if path.resolve().is_relative_to(root.resolve()):
        return
    raise SceneError(
        f"{where}: '{path.name}' lies outside the input folder; copy it there, or allow it with --allow-outside"
    )


def drivers_of(path: str, root: Path, options: SceneOptions) -> tuple[str, ...]:
    """The GDAL drivers that may open a file, by its first bytes.

    Raises:
        SceneError: the file is missing, empty, outside the input folder, or in no accepted format.
    """
    if path.startswith("/vsi"):
        return ("GTiff", *_JP2_DRIVERS)
    file = Path(path)
    name = _name(file, root)
    check_inside(root, file, options, where=name)
    if not file.is_file():
        raise SceneError(f"{name}: the file does not exist; copy the scene again from its source")
    with file.open("rb") as stream:
        head = stream.read(512)
    if not head:
        raise SceneError(f"{name}: the file is empty; copy it again from its source")
    if head.startswith(_TIFF):
        return ("GTiff",)
    if head.startswith(_JP2):
        return _JP2_DRIVERS
    if b"<VRTDataset" in head.lstrip()[:256]:
        check_vrt(file, root, options)
        return ("VRT",)
    if envi_header(file) is not None:
        return ("ENVI",)
    raise SceneError(f"{name}: the content is neither TIFF, JPEG 2000, VRT nor ENVI; convert it with gdal_translate")


def opened(path: str, root: Path, options: SceneOptions) -> DatasetReader:
    """A raster by the driver that fits its content, if it takes its pixels from nowhere else.

    Raises:
        SceneError: it may not be opened, names another file for its overviews, or has one beside it that is no TIFF.
        rasterio.errors.RasterioError: it is damaged.
    """
    drivers = drivers_of(path, root, options)
    with fenced_gdal(options), warnings.catch_warnings():
        # That a raster has no place is said in our own words, where it matters.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            dataset = DatasetReader(path, driver=list(drivers))  # rasterio.open takes one driver only
        except UnicodeDecodeError as error:  # in what GDAL says of it
            raise SceneError(f"{_name(Path(path), root)}: the file is damaged; copy it from its source") from error
        try:
            _check_overviews(dataset, path, root, options)
        except BaseException:
            dataset.close()
            raise
    return dataset


def _check_overviews(dataset: DatasetReader, path: str, root: Path, options: SceneOptions) -> None:
    name = _name(Path(path), root)
    if OVERVIEWS in dataset.tags(ns="OVERVIEWS"):
        raise SceneError(f"{name}: it names another file for its overviews; write it again with gdal_translate")
    if path.startswith("/vsi"):
        return
    for beside in (Path(path + ending) for ending in _BESIDE):
        if not beside.is_file():
            continue
        if drivers_of(str(beside), root, options) != ("GTiff",):
            raise SceneError(f"{_name(beside, root)}: overviews and masks beside a file must be TIFF; remove the file")
        opened(str(beside), root, options).close()


def envi_header(file: Path) -> Path | None:
    """The ENVI text header beside a file: `x.hdr` or `x.img.hdr`."""
    for header in (file.with_suffix(".hdr"), file.with_name(file.name + ".hdr")):
        if header != file and header.is_file():
            with header.open("rb") as stream:
                if stream.read(4) == b"ENVI":
                    return header
    return None


def check_vrt(file: Path, root: Path, options: SceneOptions, *, depth: int = 0) -> None:
    """Refuse a VRT that runs code, or reads anything but rasters that the options allow.

    Raises:
        SceneError: it does.
    """
    name = _name(file, root)
    if depth > MAX_VRT_DEPTH:
        raise SceneError(f"{name}: VRT files refer to each other more than {MAX_VRT_DEPTH} deep; build one VRT")
    if file.stat().st_size > MAX_VRT_BYTES:
        raise SceneError(f"{name}: the VRT is larger than {MAX_VRT_BYTES >> 20} MiB; split it")
    tree = parse_xml(file, where=name)
    for element in tree.iter():
        tag = element.tag.rsplit("}", 1)[-1]
        if tag in ("PixelFunctionType", "PixelFunctionCode", "PixelFunctionLanguage"):
            raise SceneError(f"{name}: the VRT computes pixels with a function; write its result to a GeoTIFF first")
        if "Raw" in (element.get("subClass") or ""):
            raise SceneError(f"{name}: the VRT reads raw bytes of a file; write it to a GeoTIFF first")
        if tag in _NAME_FILES or element.get("key") == OVERVIEWS:
            raise SceneError(f"{name}: <{tag}> of the VRT may name any other file; write it to a GeoTIFF first")
        if tag in ("SourceFilename", "SourceDataset", "SourceBand") and (element.text or "").strip():
            _check_source(element.text or "", element.get("relativeToVRT") == "1", file, root, options, depth)


def _check_source(text: str, relative: bool, file: Path, root: Path, options: SceneOptions, depth: int) -> None:
    href, name = text.strip(), _name(file, root)
    if href.isdigit():  # SourceBand
        return
    if href.startswith("<"):
        raise SceneError(f"{name}: the VRT holds another dataset inside its text; write it to a GeoTIFF first")
    path = inside(root, href, options, base=file.parent if relative else Path.cwd(), where=name)
    if path.startswith("/vsi"):
        return
    source = Path(path)
    if not os.path.isfile(source):  # of a name that is too long Path.is_file raises
        raise SceneError(f"{name}: its source '{href}' does not exist; copy it into the input folder")
    with source.open("rb") as stream:
        head = stream.read(512)
    if b"<VRTDataset" in head.lstrip()[:256]:
        check_vrt(source, root, options, depth=depth + 1)
    elif not head.startswith((*_TIFF, *_JP2)):
        raise SceneError(f"{name}: its source '{href}' is neither TIFF nor JPEG 2000; convert it first")
    else:
        opened(path, root, options).close()


def _name(file: Path, root: Path) -> str:
    try:
        return file.relative_to(root).as_posix()
    except ValueError:
        return file.name
