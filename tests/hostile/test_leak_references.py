"""A reference in a table carries no private file out of a machine."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.identity import KeyMap
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.reference_roots import check_reference, named_roots, only_references_in
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import CorpusError

UID = "0" * 32
PRESET = "{class_path: voxtile.data.ImagePreset, init_args: {size: [32, 32]}}"


@pytest.fixture
def private(tmp_path):
    """A picture that no corpus should carry away."""
    folder = tmp_path / "home"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "passport.png")
    return folder / "passport.png"


def _corpus(root, uri, **fields):
    new_corpus(root)
    writer = JobWriter(root, "job")
    row = {"uid": UID, "subject": "s", "kind": "image", "codec": "ref", "shape": [40, 40, 3], "dtype": "uint8"}
    row |= {"axes": "YXC", "ref": json.dumps({"uri": uri, **fields})}
    writer.add(Sample(row, None))
    writer.add_rows("captions", [{"caption_id": "c", "uid": UID, "text": "a holiday", "kind": "raw"}])
    writer.add_rows("splits", [{"scheme": "default", "subject": "s", "split": "train"}])
    writer.publish()
    return root


def _hidden(root, private):
    """A key map beside the corpus, as an archive may bring one."""
    keys = KeyMap.for_corpus(root)
    keys.remember("a" * 32, str(private))
    keys.save()
    return f"source:{'a' * 32}"


TRICKS = {
    "file": lambda root, private: private.as_uri(),
    "absolute": lambda root, private: str(private),
    "relative": lambda root, private: f"../{private.parent.name}/{private.name}",
    "escaped": lambda root, private: private.as_uri().replace("passport", "%70assport"),
    "link": lambda root, private: "inside.png",
    "key map": _hidden,
}


def _commands(root, out):
    return {
        "extract": ["extract", str(root), UID, "--to", "png", "--out", str(out / "x.png")],
        "export-wds": ["export-wds", str(root), str(out / "wds")],
        "materialize": ["materialize", str(root), str(out / "small"), "--preset", PRESET, "--workers", "1"],
    }


@pytest.mark.parametrize("trick", TRICKS)
def test_no_export_follows_a_reference_out_of_the_corpus(tmp_path, private, trick, capfd, monkeypatch):
    monkeypatch.delenv("VOXTILE_REFERENCES", raising=False)
    root, out = tmp_path / "corpus", tmp_path / "out"
    out.mkdir()
    _corpus(root, TRICKS[trick](root, private))
    if trick == "link":
        (root / "inside.png").symlink_to(private)
    commands = _commands(root, out) if trick == "file" else {"extract": _commands(root, out)["extract"]}
    for name, command in commands.items():
        assert main(command) != 0, name
        said = "".join(capfd.readouterr())
        assert "outside the corpus" in said, name
        assert "--references" in said, name
    copied = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert private.read_bytes()[50:150] not in copied
    assert not list(out.rglob("*.png"))
    Corpus(root).source(Corpus(root).row(UID)).array()  # who reads for himself leaves it where it is


def test_a_folder_that_the_user_names_may_be_copied_from(tmp_path, private, monkeypatch):
    root = _corpus(tmp_path / "corpus", private.as_uri())
    (tmp_path / "out").mkdir()
    for command in _commands(root, tmp_path / "out").values():
        assert main([*command, "--references", str(private.parent)]) == 0
    with tarfile.open(tmp_path / "out/wds/train/000000.tar") as tar:
        assert tar.extractfile(f"{UID}.png").read() == private.read_bytes()
    monkeypatch.setenv("VOXTILE_REFERENCES", f"/nowhere:{private.parent}")
    again = tmp_path / "again.png"
    assert main(["extract", str(root), UID, "--to", "png", "--out", str(again)]) == 0
    np.testing.assert_array_equal(np.asarray(Image.open(again)), np.asarray(Image.open(private)))


def _overview(root, uri):
    """A reference as the picture of a whole slide, with a mask, so that the page of the corpus shows it."""
    new_corpus(root)
    writer = JobWriter(root, "job")
    row = {"uid": UID, "subject": "s", "kind": "overview", "codec": "ref", "shape": [40, 40, 3], "dtype": "uint8"}
    writer.add(Sample(row | {"axes": "YXC", "source": "a", "ref": json.dumps({"uri": uri})}, None))
    writer.add_rows("regions", [{"region_id": "r", "uid": UID, "phrase": "tissue"}])
    writer.publish()
    return root


def _sample_page(root, page):
    return ["inspect", str(root), UID, "--html", str(page)]


def _corpus_page(root, page):
    return ["inspect", str(root), "--html", str(page)]


@pytest.mark.cases(1)
@pytest.mark.parametrize(("write", "command"), [(_corpus, _sample_page), (_overview, _corpus_page)])
def test_no_page_shows_a_picture_from_outside_the_corpus(tmp_path, private, write, command, monkeypatch):
    monkeypatch.delenv("VOXTILE_REFERENCES", raising=False)
    root, page = tmp_path / "corpus", tmp_path / "page.html"
    write(root, _hidden(root, private))
    assert main(command(root, page)) == 0
    written = page.read_text()
    assert "data:image/" not in written
    assert "is not copied into this page" in written
    assert "name its folder with --references" in written
    assert "passport" not in written, "the page tells the name of a file that the corpus hides"
    assert main([*command(root, page), "--references", str(private.parent)]) == 0
    assert "data:image/" in page.read_text()
    private.unlink()  # neither does what else goes wrong with it
    assert main([*command(root, page), "--references", str(private.parent)]) == 0
    assert "passport" not in page.read_text()


def test_after_an_export_a_reader_goes_where_references_lead(tmp_path):
    with only_references_in(()), pytest.raises(CorpusError, match="outside the corpus"):
        check_reference(tmp_path, UID, Path("/elsewhere/a.png"))
    assert check_reference(tmp_path, UID, Path("/elsewhere/a.png")) == Path("/elsewhere/a.png")


def test_further_files_of_a_reference_are_held_to_the_same(tmp_path):
    """A raster's bands may lie in several files, which the reference names beside the first."""
    root = tmp_path / "corpus"
    layers = [["first.tif", 1], ["../home/secret.tif", 1]]
    _corpus(root, "first.tif", reader="raster-window", layers=layers, box=[0, 0, 8, 8], grid=[8, 8], fill=[0, 0])
    (root / "first.tif").write_bytes(b"II*\0")
    with only_references_in(named_roots(None)), pytest.raises(CorpusError, match=r"secret\.tif', outside the corpus"):
        Corpus(root).source(Corpus(root).row(UID)).array()


@pytest.mark.parametrize("depth", [1, 2])
def test_a_file_that_a_referenced_one_names_is_held_to_the_same(tmp_path, depth, capfd):
    """A VRT in the corpus that takes its pixels from a picture elsewhere, itself or through another VRT."""
    root, secret = tmp_path / "corpus", tmp_path / "home/secret.tif"
    secret.parent.mkdir()
    profile = {"driver": "GTiff", "count": 1, "height": 40, "width": 40, "dtype": "uint8"}
    with rasterio.open(secret, "w", **profile, transform=rasterio.Affine(1, 0, 9, 0, -1, 9)) as out:
        out.write(np.random.default_rng(0).integers(0, 255, (1, 40, 40)).astype(np.uint8))
    layout = {"reader": "raster-window", "box": [0, 0, 40, 40], "grid": [40, 40], "fill": [0]}
    _corpus(root, "top.vrt", layers=[["top.vrt", 1]], **layout)
    for name, source in (("top.vrt", root / "next.vrt" if depth == 2 else secret), ("next.vrt", secret)):
        (root / name).write_text(
            '<VRTDataset rasterXSize="40" rasterYSize="40"><GeoTransform>9, 1, 0, 9, 0, -1</GeoTransform>'
            '<VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
            f'<SourceFilename relativeToVRT="0">{source}</SourceFilename><SourceBand>1</SourceBand>'
            "</SimpleSource></VRTRasterBand></VRTDataset>"
        )
    assert Corpus(root).source(Corpus(root).row(UID)).array().any()  # and stays open
    assert main(["extract", str(root), UID, "--to", "png", "--out", str(tmp_path / "x.png")]) == 2
    assert f"takes its pixels from '{secret}', outside the corpus" in capfd.readouterr().err
    assert not (tmp_path / "x.png").exists()
    with only_references_in([secret.parent]):
        assert Corpus(root).source(Corpus(root).row(UID)).array().any()


def test_what_lies_in_the_corpus_is_copied_as_ever(tmp_path):
    root = _corpus(tmp_path / "corpus", "pictures/a.png")
    stream = io.BytesIO()
    Image.new("RGB", (40, 40), (9, 8, 7)).save(stream, "PNG")
    (root / "pictures").mkdir()
    (root / "pictures/a.png").write_bytes(stream.getvalue())
    assert main(["extract", str(root), UID, "--to", "png", "--out", str(tmp_path / "x.png")]) == 0
    assert (np.asarray(Image.open(tmp_path / "x.png")) == (9, 8, 7)).all()
