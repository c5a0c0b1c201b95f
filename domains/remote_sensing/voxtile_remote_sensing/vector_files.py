"""Which vector files GDAL may open: by their first bytes, whatever their names say.

GDAL takes a driver by a file's content. A `.geojson` whose text describes another source (OGR VRT, WFS, GML with
schemas, pipelines) has it read files of this machine or ask servers.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from voxtile.errors import InputError

# SQLite (GeoPackage), the main file of a Shapefile (whitepaper of 1998, page 4), FlatGeobuf: they hold their data.
_COMPUTED = """SELECT DISTINCT parts.name AS name FROM sqlite_master AS parts, pragma_table_xinfo(parts.name) AS columns
WHERE parts.type = 'view' OR columns.hidden IN (2, 3)"""  # 2, 3: generated columns (sqlite.org/pragma.html)
_LAYERS = (  # all of a GeoPackage, where GDAL looks into each; of a SpatiaLite database those of its lists
    "SELECT name FROM sqlite_master WHERE EXISTS (SELECT 1 FROM gpkg_contents)",
    "SELECT view_name FROM views_geometry_columns",
    "SELECT f_table_name FROM geometry_columns",
)  # fmt: skip
_HEADS = (b"SQLite format 3\x00", b"\x00\x00\x27\x0a", b"fgb\x03fgb")


def check_vector_file(path: Path) -> None:
    """Hold a file to GeoPackage, Shapefile and FlatGeobuf, which refer to nothing but what lies beside them.

    Raises:
        InputError: it is something else, cannot be read, or computes a layer.
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
    if head.startswith(_HEADS[0]):
        _refuse_computed(path)


def _refuse_computed(path: Path) -> None:
    """Refuse layers whose rows a database makes while they are read: a view of one line has rows without end."""
    import pyogrio

    def names(query: str) -> set[str]:
        return set(map(str, pyogrio.read_dataframe(path, sql=query, read_geometry=False).iloc[:, 0]))

    layers: set[str] = set()
    try:
        computed = names(_COMPUTED)
        for query in _LAYERS if computed else ():  # by no list of GDAL's, which reads the first row of each
            with suppress(pyogrio.errors.DataLayerError):  # no such table
                layers |= names(query)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError, RuntimeError) as error:
        raise InputError(f"'{path}' cannot be read ({' '.join(str(error).split())[:300]}); export it again") from error
    computed &= layers
    if computed:
        raise InputError(
            f"the layer '{min(computed)}' of '{path}' is a view, or has columns that are computed while it is read, "
            "which may go on for ever; save it as a layer of its own, in another file"
        )
