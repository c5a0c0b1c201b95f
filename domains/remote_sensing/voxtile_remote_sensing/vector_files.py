"""Which vector files GDAL may open: by their first bytes, whatever their names say.

GDAL takes a driver by a file's content. A `.geojson` whose text describes another source (OGR VRT, WFS, GML with
schemas, pipelines) has it read files of this machine or ask servers.
"""

from __future__ import annotations

from pathlib import Path

from voxtile.errors import InputError

# SQLite (GeoPackage), the main file of a Shapefile (whitepaper of 1998, page 4), FlatGeobuf: they hold their data.
_HEADS = (b"SQLite format 3\x00", b"\x00\x00\x27\x0a", b"fgb\x03fgb")


def check_vector_file(path: Path) -> None:
    """Hold a file to GeoPackage, Shapefile and FlatGeobuf, which refer to nothing but what lies beside them.

    Raises:
        InputError: it is something else, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}); give a file that can") from error
    if not head.startswith(_HEADS):
        raise InputError(
            f"'{path}' cannot be read as vectors: its content is no GeoPackage, Shapefile or FlatGeobuf; "
            "export it as one, or as GeoJSON"
        )
