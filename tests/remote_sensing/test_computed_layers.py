"""A GeoPackage is a database, and may compute its rows while it is read, without end: such layers are refused."""

import signal
import sqlite3

import geopandas as gpd
import pytest
from shapely.geometry import box

from voxtile.errors import InputError
from voxtile_remote_sensing.footprints.layer import read_layer
from voxtile_remote_sensing.osm.read_vector import read_geopackage

COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS fid, (SELECT geom FROM base) AS geom, 'a' AS name FROM n"  # noqa: E501
LISTED = (
    "INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) VALUES ('v', 'features', 'v', 4326)",
    "INSERT INTO gpkg_geometry_columns VALUES ('v', 'geom', 'POLYGON', 4326, 0, 0)",
)


@pytest.fixture(autouse=True)
def alarm():
    """A reader that goes on for ever fails its test by this, and not the run."""
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def package(tmp_path):
    """A GeoPackage of one place, and what SQL adds to it."""

    def made(*statements):
        path = tmp_path / "a.gpkg"
        gpd.GeoDataFrame({"name": ["water"]}, geometry=[box(0, 0, 1, 1)], crs=4326).to_file(path, layer="base")
        with sqlite3.connect(path) as database:
            for statement in statements:
                database.execute(statement)
        database.close()
        return path

    return made


@pytest.mark.parametrize(
    "statements",
    [
        (f"CREATE VIEW v AS {COUNT}", *LISTED),
        (f"CREATE VIEW v AS {COUNT} WHERE i < 0", *LISTED),
        (f"CREATE VIEW v AS {COUNT} WHERE i < 0",),
        ("ALTER TABLE base ADD COLUMN g TEXT GENERATED ALWAYS AS (hex(zeroblob(400000000)))",),
    ],
    ids=["rows without end", "none, looked for without end", "in no list", "a column of 800 MB"],
)
@pytest.mark.parametrize("read", [read_layer, lambda path: read_geopackage(path, None)], ids=["places", "map"])
def test_rows_that_are_computed_are_refused(package, statements, read):
    with pytest.raises(InputError, match=r"is a view, or has columns that are computed .*; save it as a layer"):
        read(package(*statements))


def test_a_trigger_and_an_index_compute_nothing_that_is_read(package):
    path = package("CREATE TRIGGER t AFTER INSERT ON base BEGIN DELETE FROM base; END", "CREATE INDEX i ON base (name)")
    assert [place.labels for place in read_layer(path).places] == [("water",)]
    assert len(read_geopackage(path, None).features) == 1


def test_a_function_that_asks_others_opens_nothing(package):
    """GDAL's own guard, which a later release may move."""
    path = package("CREATE VIEW v AS SELECT fid, geom, ogr_geocode('Paris') AS name FROM base", *LISTED)
    with pytest.raises(InputError, match="cannot be read"):
        read_layer(path)
