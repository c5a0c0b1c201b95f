"""What a NetCDF or Zarr store may contain: numbers in known codecs, inside its own files.

Zarr's object codecs (pickle among them) run what the store says on decoding; HDF5 can point to other files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import h5py

from voxtile.bounded_text import load_json
from voxtile_remote_sensing.scenes.protocol import SceneError

_METADATA = (".zarray", ".zmetadata", "zarr.json")
MAX_METADATA_BYTES = 64 << 20
# Codecs that turn bytes into numbers and nothing else: numcodecs for version 2, the core codecs for version 3.
SAFE_CODECS = frozenset((
    "blosc", "zlib", "gzip", "zstd", "lz4", "bz2", "lzma", "shuffle", "delta", "fixedscaleoffset", "quantize",
    "bitround", "packbits", "crc32", "crc32c", "adler32", "fletcher32", "bytes", "transpose", "sharding_indexed",
    "vlen-utf8",
))  # fmt: skip
STRINGS = "vlen-utf8"  # labels of an axis


def check_zarr(store: Path, where: str) -> None:
    """Refuse a store with unknown codecs, object arrays, or links; by its metadata, before zarr opens it.

    Raises:
        SceneError: it has.
    """
    found = False
    for folder, names, files in os.walk(store):
        for name in (*names, *files):
            if os.path.islink(os.path.join(folder, name)):
                raise SceneError(f"{where}: the store holds a symbolic link ('{name}'); copy what it points to")
        for name in files:
            if name in _METADATA:
                found = True
                path = Path(folder, name)
                _check_metadata(name, path.stat().st_size, path.read_bytes, where)
    if not found:
        raise SceneError(f"{where}: the folder holds no Zarr metadata; copy the store again from its source")


def check_zarr_zip(path: Path) -> None:
    """The same of a store in a zip.

    Raises:
        SceneError: it has unknown codecs or object arrays.
        OSError: it is no zip; or a `zipfile.BadZipFile` or another error of the decoder.
    """
    with ZipFile(path) as store:
        for member in store.infolist():
            name = member.filename.rpartition("/")[2]
            if name in _METADATA:
                _check_metadata(name, member.file_size, partial(store.read, member), path.name)


def check_hdf5(path: Path, where: str) -> None:
    """Refuse a file that points to other files: external links, external storage, virtual datasets.

    Raises:
        SceneError: it does, or it is no HDF5.
    """
    try:
        with h5py.File(path, "r") as file:
            _check_group(file, where)
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise SceneError(f"{where}: the file is truncated or is no HDF5; copy it again from its source") from error


def _check_group(group: h5py.Group, where: str, depth: int = 0, seen: set[int] | None = None) -> None:
    seen = set() if seen is None else seen
    place = h5py.h5o.get_info(group.id).addr
    if place in seen:  # linked from several places: thirty groups with two links each to the next are 2³⁰ ways
        return
    seen.add(place)
    if depth > 32:
        raise SceneError(f"{where}: its groups are nested more than 32 deep")
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise SceneError(
                f"{where}: '{name}' points to another file ('{link.filename}'); copy the data into one file"
            )
        if isinstance(link, h5py.SoftLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Group):
            _check_group(item, where, depth + 1, seen)
        elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            raise SceneError(f"{where}: '{name}' takes its values from other files; copy the data into one file")


def _check_metadata(name: str, nbytes: int, read: Callable[[], bytes], where: str) -> None:
    if nbytes > MAX_METADATA_BYTES:
        raise SceneError(f"{where}: metadata of more than {MAX_METADATA_BYTES >> 20} MiB")
    try:
        value = load_json(read().decode("utf-8"))
    except ValueError as error:
        raise SceneError(f"{where}: '{name}' is not valid JSON; copy the store again from its source") from error
    for array in _arrays(value if isinstance(value, dict) else {}):
        _check_array(array, where)


def _arrays(value: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Array metadata, also inside consolidated metadata of version 2 and 3."""
    if "chunks" in value or value.get("node_type") == "array":
        yield value
    consolidated = value.get("consolidated_metadata")
    for inner in (value.get("metadata"), consolidated.get("metadata") if isinstance(consolidated, dict) else None):
        for entry in inner.values() if isinstance(inner, dict) else ():
            if isinstance(entry, dict):
                yield from _arrays(entry)


def _check_array(array: Mapping[str, Any], where: str) -> None:
    names = list(_codecs([array.get("compressor"), *_listed(array, "filters"), *_listed(array, "codecs")]))
    for name in names:
        if name not in SAFE_CODECS:
            raise SceneError(
                f"{where}: the store uses the codec '{name}', which may run code or is not known; write it again with "
                f"numbers only"
            )
    dtype = array.get("dtype", array.get("data_type"))
    objects = "|O" in json.dumps(dtype) or dtype in ("object", "variable_length_bytes")
    if objects and (STRINGS not in names or len(_listed(array, "shape")) > 1):
        raise SceneError(f"{where}: the store holds an array of objects; write it again with numbers only")


def _codecs(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        if entry is None:
            continue
        if not isinstance(entry, dict):
            yield str(entry)
            continue
        yield str(entry.get("id", entry.get("name"))).removeprefix("numcodecs.").lower()
        inner = entry.get("configuration")
        if isinstance(inner, dict):
            yield from _codecs([*_listed(inner, "codecs"), *_listed(inner, "index_codecs")])


def _listed(metadata: Mapping[str, Any], key: str) -> list[Any]:
    """A list of codecs; what stands in its place is taken for the name of one."""
    value = metadata.get(key) or []
    return value if isinstance(value, list) else [value]
