"""Samples whose pixels stay in files that lie in a store: what is read is what the files hold on a disk."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from commands_here import run_here
from object_stores import BUCKET, proxy
from PIL import Image

from voxtile.corpus import references
from voxtile.corpus.identity import file_edges, sample_uid
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.reference_roots import only_references_in
from voxtile.corpus.remote.payloads import see_anew
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.domain import Domain
from voxtile.errors import CorpusError, StoreError

SHAPE, BANDS = (300, 400, 3), 2
NAMES = ("picture.png", "größe 50% #1?.png")
BOX = [5, 10, 25, 40]


class RawBands:
    """Files of one band each that hold nothing but values, in the folder of the first."""

    def __init__(self, path):
        self.folder = path.parent

    def read(self, reference, selection):
        y0, x0, y1, x1 = reference["box"]
        files = [np.fromfile(self.folder / name, np.uint8).reshape(SHAPE) for name, _ in reference["layers"]]
        return np.stack(files)[:, y0:y1, x0:x1][selection]

    def close(self):
        pass


@pytest.fixture(autouse=True)
def raw_reader(monkeypatch):
    domain = Domain(name="raw", title="", readers={"raw": SimpleNamespace(load=lambda: RawBands)})
    installed = references.discover()[0]
    monkeypatch.setattr(references, "discover", lambda: ({**installed, "raw": domain}, ()))
    monkeypatch.setattr(references, "_HANDLES", references._Handles())
    monkeypatch.delenv("VOXTILE_REFERENCES", raising=False)


@pytest.fixture
def folder(tmp_path):
    """A folder `data` with pictures, bands of more than one request, and a corpus `ct` that refers to them."""
    folder, rng = tmp_path / "data", np.random.default_rng(0)
    (folder / "files").mkdir(parents=True)
    for name in NAMES:
        Image.fromarray(rng.integers(0, 255, SHAPE, np.uint8)).save(folder / "files" / name)
    for band in range(BANDS):
        (folder / f"files/{band}.raw").write_bytes(rng.integers(0, 255, SHAPE, np.uint8).tobytes())
    size, edges = file_edges(folder / "files/0.raw")
    bands = {
        "reader": "raw",
        "box": BOX,
        "bytes": size,
        "edges": edges,
        "layers": [["0.raw", 1], ["../files/1.raw", 1]],
    }
    referring(
        folder / "ct",
        [*({"uri": f"../files/{name}", "box": BOX} for name in NAMES), {"uri": "../files/0.raw", **bands}],
    )
    return folder


def referring(root, found):
    new_corpus(root)
    writer = JobWriter(root, "job")
    for number, reference in enumerate(found):
        row = {"uid": sample_uid(f"{number}"), "subject": "s", "kind": "patch", "axes": "CYXS"}
        writer.add(Sample(row | {"ref": json.dumps(reference)}, None))
    writer.publish()
    return root


def arrays(corpus):
    return [corpus.source(row).array() for row in sorted(corpus.table("samples").to_pylist(), key=lambda r: r["ref"])]


def put(server, prefix, path, content):
    server.client.put_object(Bucket=BUCKET, Key=f"{prefix}/{path}", Body=content)


def put_all(server, place, folder):
    """The folder in the bucket, by its prefix and the address of the corpus."""
    prefix = f"{folder.parent.name}/data"
    server.upload(folder, prefix)
    return SimpleNamespace(server=server, prefix=prefix, address=f"{place(server, prefix)}/ct")


@pytest.fixture
def stored(any_server, place, folder):
    return put_all(any_server, place, folder)


@pytest.fixture
def heeding(servers, place, folder):
    """In a store that heeds conditions."""
    return put_all(servers("moto"), place, folder)


def test_files_beside_the_corpus_are_read_there_and_once(stored, folder, place):
    wanted = arrays(Corpus(folder / "ct"))
    assert [one.shape for one in wanted] == [(BANDS, 20, 30, 3), (20, 30, 3), (20, 30, 3)]
    with proxy(stored.server) as network:
        place(stored.server, "", network)
        see_anew()
        remote = Corpus(stored.address)
        shutil.rmtree(folder)
        for _ in range(2):
            for found, values in zip(arrays(remote), wanted, strict=True):
                np.testing.assert_array_equal(found, values)
        box = (slice(1, 2), slice(3, 7))
        row = next(row for row in remote.table("samples").to_pylist() if "raw" in row["ref"])
        np.testing.assert_array_equal(remote.source(row).array(box), wanted[0][box])
        gets = [path for path in network.paths if "data/files/" in path]
        assert len(gets) == 2 * len(set(gets)) == 2 * 4, "one request asks what it is, one for its bytes"
    copies = remote.roots[0].parents[1] / "referenced"
    assert {path.stat().st_mode & 0o777 for path in copies.glob("blocks/*")} == {0o600}
    assert not list(copies.glob("drafts/*"))


def test_what_is_recorded_is_used_again_without_asking(stored, folder):
    [reference] = [
        json.loads(r["ref"]) for r in Corpus(folder / "ct").table("samples").to_pylist() if "raw" in r["ref"]
    ]
    del reference["layers"][1]
    alone = referring(folder / "alone", [reference])
    stored.server.upload(alone, f"{stored.prefix}/alone")
    address = stored.address.replace("/ct", "/alone")
    [wanted] = arrays(Corpus(address))
    stored.server.client.delete_object(Bucket=BUCKET, Key=f"{stored.prefix}/files/0.raw")
    see_anew()
    np.testing.assert_array_equal(arrays(Corpus(address))[0], wanted)
    shutil.rmtree(Corpus(address).roots[0].parents[1])
    see_anew()
    with pytest.raises(CorpusError, match=r"0\.raw' is not in the store; put it there") as told:
        arrays(Corpus(address))
    assert not isinstance(told.value, StoreError), "one sample is at fault, and no run ends of it"


def test_another_file_in_its_place_is_refused(stored, folder):
    remote = Corpus(stored.address)
    row = next(row for row in remote.table("samples").to_pylist() if "raw" in row["ref"])
    content = (folder / "files/0.raw").read_bytes()
    for other, message in (
        (content[::-1], "has changed; put the old"),
        (content[:-7], "359993 bytes instead of 360000"),
    ):
        put(stored.server, stored.prefix, "files/0.raw", other)
        with pytest.raises(CorpusError, match=message):
            remote.source(row).array()
        assert not list((remote.roots[0].parents[1] / "referenced").glob("*/*")), "it is not kept"
    put(stored.server, stored.prefix, "files/0.raw", content)
    np.testing.assert_array_equal(remote.source(row).array(), Corpus(folder / "ct").source(row).array())


@pytest.mark.sweep(ci=True)
def test_a_large_file_comes_in_parts_and_one_that_is_larger_than_the_cache_does_not(
    any_server, place, tmp_path, monkeypatch
):
    values = np.random.default_rng(1).integers(0, 255, (1 << 12, 5000), np.uint8)  # 20 MB
    np.save(tmp_path / "values.npy", values)
    prefix = tmp_path.name
    any_server.upload(tmp_path, prefix)
    reference = {"uri": "../values.npy", "reader": "raw"}
    referring(tmp_path / "corpus", [reference])
    any_server.upload(tmp_path / "corpus", f"{prefix}/corpus")
    address = place(any_server, f"{prefix}/corpus")
    root = Corpus(address).roots[0]
    path = references.reference_path(root, "u", reference)
    np.testing.assert_array_equal(np.load(path), values)
    shutil.rmtree(root.parents[1])
    monkeypatch.setenv("VOXTILE_REMOTE_CACHE_GB", "0.015")
    see_anew()
    with pytest.raises(StoreError, match=r"20\.5 MB are to be read at once; raise VOXTILE_REMOTE_CACHE_GB"):
        references.reference_path(Corpus(address).roots[0], "u", reference)


OTHER = "s3://elsewhere/private/a.png"


def test_only_the_corpus_s_bucket_and_what_the_user_names_are_read(stored, folder, monkeypatch, tmp_path):
    whole = f"s3://{BUCKET}/{stored.prefix}/files/{NAMES[0]}"
    [wanted] = arrays(Corpus(referring(folder / "near", [{"uri": f"../files/{NAMES[0]}"}])))
    local = Corpus(referring(tmp_path / "local", [{"uri": whole}]))
    stored.server.upload(referring(folder / "far", [{"uri": OTHER}]), f"{stored.prefix}/far")
    stored.server.upload(referring(folder / "by-address", [{"uri": whole}]), f"{stored.prefix}/by-address")
    far, by_address = (Corpus(stored.address.replace("/ct", f"/{name}")) for name in ("far", "by-address"))
    np.testing.assert_array_equal(arrays(by_address)[0], wanted)
    for corpus in (local, far):
        with pytest.raises(CorpusError, match="in another bucket than the corpus; where it may be read"):
            arrays(corpus)
    monkeypatch.setenv("VOXTILE_REFERENCES", f"/somewhere:s3://{BUCKET}/{stored.prefix}:/else")
    np.testing.assert_array_equal(arrays(local)[0], wanted)
    monkeypatch.setenv("VOXTILE_REFERENCES", f"s3://{BUCKET}/{stored.prefix[:-1]}")
    with pytest.raises(CorpusError, match="in another bucket"):
        arrays(local)


def test_pixels_are_copied_out_of_the_corpus_s_own_prefix_and_named_ones_alone(stored, tmp_path, monkeypatch):
    row = next(r for r in Corpus(stored.address).table("samples").to_pylist() if NAMES[0] in r["ref"])
    words = ["extract", stored.address, row["uid"], "--to", "png", "--out", tmp_path / "out.png"]
    ran = run_here(*words)
    assert ran.returncode, "the file lies beside the corpus and not in it"
    assert "outside the corpus; where that file may be copied" in " ".join(ran.stderr.split())
    ran = run_here(*words, "--references", f"s3://{BUCKET}/{stored.prefix}/files")
    assert ran.returncode == 0, ran.stderr
    raw = next(r for r in Corpus(stored.address).table("samples").to_pylist() if "raw" in r["ref"])
    with only_references_in([Path(f"s3://{BUCKET}/{stored.prefix}/files")]):
        assert Corpus(stored.address).source(raw).array().size


def test_places_that_are_none_are_refused(stored, folder):
    odd = ["../../../../a.png", "s3://data/../other/a.png", "s3://data", "ftp://host/a.png"]
    stored.server.upload(referring(folder / "odd", [{"uri": uri} for uri in odd]), f"{stored.prefix}/odd")
    remote = Corpus(stored.address.replace("/ct", "/odd"))
    for row in remote.table("samples").to_pylist():
        with pytest.raises(CorpusError, match=r"leads out of 'data'|names no object|copy the file and import it again"):
            remote.source(row).array()


def test_files_of_the_machine_where_it_was_made_are_named_and_found_where_the_user_says(
    heeding, folder, tmp_path, monkeypatch
):
    absolute = referring(folder / "absolute", [{"uri": str(folder / "files" / NAMES[0])}])
    [wanted] = arrays(Corpus(absolute))
    address = heeding.address.replace("/ct", "/absolute")
    ran = run_here("push", absolute, address)
    assert ran.returncode == 0, ran.stderr
    assert "1 samples refer to files of this machine, such as" in " ".join(ran.stdout.split())
    np.testing.assert_array_equal(arrays(Corpus(address))[0], wanted)
    folder.rename(tmp_path / "away")
    with pytest.raises(CorpusError, match="on the machine where its corpus was made; have the file there"):
        arrays(Corpus(address))
    monkeypatch.setenv("VOXTILE_REFERENCES_MOVED", f"/x=/y:{folder}=s3://{BUCKET}/{heeding.prefix}")
    np.testing.assert_array_equal(arrays(Corpus(address))[0], wanted)
    monkeypatch.setenv("VOXTILE_REFERENCES_MOVED", f"{folder}={tmp_path / 'away'}")
    np.testing.assert_array_equal(arrays(Corpus(tmp_path / "away/absolute"))[0], wanted)


def test_a_push_says_where_the_files_belong_and_refuses_what_nobody_could_read(heeding, folder):
    address = heeding.address.replace("/ct", "/again/ct")
    said = " ".join(run_here("push", folder / "ct", address).stdout.split())
    assert "3 samples refer to files beside the corpus, which are not copied" in said
    assert f"is read at s3://{BUCKET}/{heeding.prefix}/again/files/" in said
    ran = run_here("push", folder / "ct", f"s3://{BUCKET}/ct-alone/ct/../x")
    assert ran.returncode
    deep = referring(folder / "deep", [{"uri": "../../../../../a.png"}])
    ran = run_here("push", deep, heeding.address.replace("/ct", "/deep"))
    assert (ran.returncode, "leads out of 'data'" in " ".join(ran.stderr.split())) == (2, True)


def test_tiles_that_stay_in_their_scenes_are_read_there(servers, place, tmp_path):
    """By the commands: references that a conversion made beside its scenes, and one straight into the store."""
    rasterio = pytest.importorskip("rasterio", reason="the extra remote-sensing is not installed")
    data, prefix = tmp_path / "data", f"{tmp_path.name}/data"
    (data / "scenes").mkdir(parents=True)
    values = np.random.default_rng(2).integers(1, 4000, (3, 150, 160), np.uint16)
    place_of = rasterio.Affine(10, 0, 500_000, 0, -10, 5_100_000)
    kind = {"driver": "GTiff", "dtype": "uint16", "count": 3, "height": 150, "width": 160, "crs": "EPSG:32632"}
    with rasterio.open(data / "scenes/a.tif", "w", transform=place_of, nodata=0, **kind) as scene:
        scene.write(values)
        scene.descriptions = ("red", "green", "blue")
    words = ["convert", "geotiff", data / "scenes"]
    options = ["--size", "64px", "--coords-only", "true", "--engine", "inline", "--split-by", "none"]
    ran = run_here(*words, data / "tiles", *options)
    assert ran.returncode == 0, ran.stderr
    server = servers("moto")
    server.upload(data, prefix)
    address = place(server, f"{prefix}/tiles")
    direct = address.replace("/tiles", "/direct")
    wanted = arrays(Corpus(data / "tiles"))
    ran = run_here(*words, direct, *options)
    assert ran.returncode == 0, ran.stderr
    assert "refer to files of this machine" in " ".join(ran.stdout.split())
    see_anew()
    for found, tile in zip(arrays(Corpus(direct)), wanted, strict=True):
        np.testing.assert_array_equal(found, tile)
    shutil.rmtree(data)
    assert len(wanted) > 1
    for found, tile in zip(arrays(Corpus(address)), wanted, strict=True):
        np.testing.assert_array_equal(found, tile)
    with pytest.raises(CorpusError, match="have the file there on this one too"):
        arrays(Corpus(direct))
