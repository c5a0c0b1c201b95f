"""`facts --from osm` holds what lies at its tiles, not the extract: the tables are those of the whole map."""

import numpy as np
import osmium
import pytest
from osmium.osm.mutable import Node, Way
from pyproj import Transformer

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile_remote_sensing.osm import read_pbf, source
from voxtile_remote_sensing.osm.source import Near, read_map
from voxtile_remote_sensing.osm.tag_table import load_table

TABLES = ("facts", "scopes", "regions", "captions")


def _corpus(root, lon, lat, crs, count=1):
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    new_corpus(root)
    writer = JobWriter(root, "tiles-0")
    for i in range(count):
        row = {"uid": f"t{i}", "subject": "s", "kind": "tile", "modality": "RGB", "axes": "CYX", "crs": crs}
        writer.add(Sample({**row, "transform": [1, 0, x, 0, -1, y - 256 * i]}, np.zeros((1, 256, 256), np.uint8)))
    writer.publish()
    return root


def _tables(root):
    return {name: Corpus(root).table(name).to_pylist() for name in TABLES}


def _facts(root, path, *extra):
    assert main(["facts", str(root), "--from", "osm", "--osm", str(path), "--engine", "inline", *extra]) == 0
    return _tables(root)


@pytest.mark.filterwarnings("ignore")
def test_what_is_held_is_what_lies_at_the_tiles_and_the_tables_are_the_same(test_data, tmp_path, monkeypatch):
    path = test_data / "remote_sensing" / "osm_pbf_pyrosm" / "test.osm.pbf"
    place = (26.95, 60.53, "EPSG:32635")
    held = []

    def counted(*arguments, **options):
        found = read_map(*arguments, **options)
        held.append((found.read, len(found.features)))
        return found

    monkeypatch.setattr("voxtile_remote_sensing.osm.command.read_map", counted)
    cut = _facts(_corpus(tmp_path / "cut", *place), path)
    (read, kept) = held[0]
    assert 0 < kept < read / 5
    monkeypatch.setattr(Near, "__call__", lambda self, feature: feature)
    whole = _facts(_corpus(tmp_path / "whole", *place), path)
    assert held[1] == (read, read)
    assert cut == whole
    assert len(cut["facts"]) > 20


@pytest.mark.filterwarnings("ignore")
def test_a_large_file_keeps_the_places_of_its_nodes_on_disk(test_data, monkeypatch):
    path = test_data / "remote_sensing" / "osm_pbf_pyrosm" / "test.osm.pbf"
    table = load_table()
    in_memory = source.read_map(path, table)
    monkeypatch.setattr(read_pbf, "IN_MEMORY_BYTES", 0)
    with read_pbf._locations(path) as storage:
        assert storage.startswith("sparse_file_array,")
    on_disk = source.read_map(path, table)
    assert len(on_disk.features) > 1000
    assert [(f.osm_id, f.geometry.wkb) for f in on_disk.features] == [
        (f.osm_id, f.geometry.wkb) for f in in_memory.features
    ]


def test_a_tile_of_empty_land_in_the_extract_is_still_looked_at(tmp_path):
    """Its only building lies 20 km away: nothing is held, and the closed scope still says that nothing is there."""
    path = tmp_path / "map.osm.pbf"
    header = osmium.io.Header()
    header.add_box(osmium.osm.Box(osmium.osm.Location(13.0, 52.0), osmium.osm.Location(14.0, 53.0)))
    with osmium.SimpleWriter(str(path), header=header) as writer:
        corners = [(13.8, 52.8), (13.801, 52.8), (13.801, 52.801), (13.8, 52.801)]
        for number, corner in enumerate(corners, start=1):
            writer.add_node(Node(id=number, location=corner, version=1))
        writer.add_way(Way(id=1, nodes=[1, 2, 3, 4, 1], tags={"building": "yes"}, version=1))
    tables = _facts(_corpus(tmp_path / "corpus", 13.5, 52.6, "EPSG:32633"), path)
    assert not tables["facts"]
    assert [scope["closed"] for scope in tables["scopes"]] == [True]
    assert "building" in tables["scopes"][0]["concepts"]
