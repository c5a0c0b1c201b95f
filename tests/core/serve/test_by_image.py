"""Search by an image of one's own and by a part of a sample, against embedding the same pixels by hand."""

import io
import tempfile
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from tests.core.serve.conftest import as_png, picture

pytest.importorskip("fastapi", reason="the extra serve is not installed")
from voxtile.api.inputs import ArraySample
from voxtile.errors import ConfigError
from voxtile.formats.pictures import planes
from voxtile.serve.search.region import plane_box, region_of

THIRD = f"{3:032x}"


def send(client, name, data, **query):
    return client.post("/api/images", params={"name": name, **query}, content=data)


def search(client, **question):
    answer = client.post("/api/search", json=question)
    assert answer.status_code == 200, answer.text
    return answer.json()["samples"]


def test_a_picture_that_is_in_the_corpus_is_found_by_itself(ask_pictures):
    image = send(ask_pictures, "mine.PNG", as_png(picture(3))).json()["image"]
    first, second = search(ask_pictures, image=image)[:2]
    assert first["uid"] == THIRD
    assert first["cosine"] == pytest.approx(1, abs=1e-3)
    assert second["cosine"] < first["cosine"]
    assert search(ask_pictures, image=image, where=f"uid <> '{THIRD}'")[0]["uid"] == second["uid"]


def test_a_part_is_searched_by_as_if_it_were_a_picture(ask_pictures, pictured):
    """The box is in array order, half-open: rows 8 to 40, columns 16 to 56."""
    cut = as_png(picture(3)[8:40, 16:56])
    image = send(ask_pictures, "part.png", cut).json()["image"]
    by_image = [(s["uid"], s["cosine"]) for s in search(ask_pictures, image=image)]
    by_part = [(s["uid"], s["cosine"]) for s in search(ask_pictures, like=THIRD, box=[8, 16, 40, 56])]
    assert by_part == by_image
    whole = [(s["uid"], s["cosine"]) for s in search(ask_pictures, like=THIRD, box=[-5, 0, 999, 999])]
    assert whole[0] == (THIRD, pytest.approx(1, abs=1e-3)), "what lies outside is cut off"


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"like": THIRD, "box": [0, 0, 2, 40]}, "smaller than 4 pixels"),
        ({"like": THIRD, "box": [500, 500, 600, 600]}, "lies outside"),
        ({"like": THIRD, "box": [0, 0, 0, 9, 9, 9]}, "4 numbers"),
        ({"like": THIRD, "box": [0, 0, 9, 9], "plane": "axial"}, "of a volume"),
        ({"image": "0" * 32}, "held no longer"),
        ({"image": "0" * 32, "words": "gland"}, "not by both"),
        ({"words": "ورم في الرئة"}, "none of the letters"),
        ({"words": "肺结节"}, "none of the letters"),
    ],
)
def test_what_cannot_be_searched_by_is_said(ask_pictures, question, said):
    answer = ask_pictures.post("/api/search", json=question)
    assert answer.status_code == 422
    assert said in answer.json()["error"]


def test_words_with_one_that_is_known_are_searched_by(ask_pictures):
    assert search(ask_pictures, words="a gland (غدة)")


def bomb():
    """A PNG of 60,000 × 60,000 pixels in a few kilobytes of header."""
    stream = io.BytesIO()
    Image.new("1", (60_000, 1)).save(stream, "PNG")
    data = bytearray(stream.getvalue())
    data[20:24] = (60_000).to_bytes(4, "big")
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.png", b"", "cannot be read"),
        ("a.png", b"\x89PNG\r\n\x1a\n" + b"x" * 200, "cannot be read"),
        ("a.png", bomb(), "cannot be read"),
        ("../../etc/passwd", b"root:x:0:0", "neither DICOM nor NIfTI"),
    ],
)
def test_a_hostile_file_is_refused_in_a_sentence(ask_pictures, tmp_path, monkeypatch, name, data, said):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # other tests have folders in /tmp meanwhile
    answer = send(ask_pictures, name, data)
    assert answer.status_code == 422, answer.text
    assert said in answer.json()["error"]
    assert "/tmp" not in answer.text
    assert "voxtile-image" not in answer.text
    assert not list(tmp_path.glob("voxtile-image-*")), "nothing of it is kept"


def test_a_file_of_another_kind_than_the_model_reads_is_refused(ask_pictures):
    nib = pytest.importorskip("nibabel", reason="the extra medical is not installed")
    volume = nib.Nifti1Image(np.random.default_rng(0).normal(0, 300, (8, 9, 10)), np.eye(4))
    answer = send(ask_pictures, "a.nii", volume.to_bytes(), modality="CT")
    assert answer.status_code == 422
    assert "reads pictures" in answer.json()["error"]


def test_only_images_may_be_large(ask_pictures):
    assert ask_pictures.post("/api/search", content=b"x" * 100_000).status_code == 413
    assert send(ask_pictures, "a.png", b"x" * 100_000).status_code == 422


def test_a_box_on_a_plane_is_that_part_of_the_volume(explored):
    """Against what the plane shows: the brightest voxel of it lies in the box that is drawn round it."""
    from serve_corpus import VOLUME

    row = explored.row(VOLUME)
    with explored.source(row) as source:
        window = planes.volume_windows(source)[0]
        for name, at in (("axial", 20), ("coronal", 11), ("sagittal", 50)):
            shown = planes.plane(source, name, at, window)
            box = [4, 9, 16, 30]
            part = region_of(source, plane_box(row, name, at, box))
            cut = "ZYX".index({"axial": "Z", "coronal": "Y", "sagittal": "X"}[name])
            first = plane_box(row, name, at, box)[cut]
            inside = np.take(part.array(), at - int(first), axis=cut)[::-1, ::-1]
            assert np.array_equal(window.grey(inside.astype(np.float32)), shown[4:16, 9:30]), name


def test_the_place_of_a_part_is_kept():
    """A voxel of the part lies where it lay: affine and transform are those of its first voxel."""
    affine = np.array([[1.5, 0, 0, -10], [0, 2, 0, 5], [0, 0, 3, 7], [0, 0, 0, 1.0]])
    values = np.arange(4 * 8 * 9 * 10).reshape(4, 8, 9, 10)[0]
    meta = {"axes": "ZYX", "shape": list(values.shape), "affine": affine.ravel().tolist(), "kind": "volume"}
    part = region_of(ArraySample(values, meta), [2, 1, 3, 8, 9, 9])
    moved = np.asarray(part.meta["affine"]).reshape(4, 4)
    assert part.array()[1, 2, 1] == values[3, 3, 4]
    assert np.allclose(moved @ [1, 2, 1, 1], affine @ [4, 3, 3, 1])
    with pytest.raises(ConfigError, match="outside"):
        region_of(ArraySample(values, meta), [8, 0, 0, 12, 9, 10])


def zipped(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return stream.getvalue()


def test_an_archive_of_one_picture_is_that_picture_whatever_its_name(ask_pictures):
    image = send(ask_pictures, "mine.zip", zipped([("../../deep/er/Mine.PNG", as_png(picture(3)))])).json()["image"]
    assert search(ask_pictures, image=image)[0]["uid"] == THIRD
    answer = send(ask_pictures, "two.zip", zipped([("a.txt", b"one"), ("b.txt", b"two")]))
    assert (answer.status_code, "neither DICOM" in answer.json()["error"]) == (422, True)
    assert "/tmp" not in answer.text
    assert "voxtile-image" not in answer.text


def test_slices_of_a_series_in_an_archive_are_the_volume_that_their_folder_is(tmp_path, test_data):
    from voxtile.api.inputs import file_corpus, images_of
    from voxtile.data.presets.volume import VolumePreset
    from voxtile.serve.search.image_file import _prepared, _Reader

    slices = sorted((test_data / "medical/totalseg_ct_mr_labels/example_ct_dicom").iterdir())[:4]
    preset = VolumePreset(shape=(4, 64, 64), windows=((-200.0, 300.0),), units="HU")
    (tmp_path / "some").mkdir()
    for path in slices:
        (tmp_path / "some" / path.name).symlink_to(path)
    corpus = file_corpus(tmp_path / "some", preset, tmp_path / "own", {}, 0.0)
    [row] = images_of(corpus, "some")
    (tmp_path / "series.zip").write_bytes(zipped([(f"CT/{n}", p.read_bytes()) for n, p in enumerate(slices[::-1])]))
    found, *_ = _prepared(_Reader(preset), str(tmp_path / "series.zip"), None, lambda _: None)
    assert row["shape"] == [4, 512, 512]
    assert np.array_equal(found, preset(corpus.source(row), None).numpy())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: b"PK no archive", "cannot be read"),
        (lambda: zipped([]), "holds 0 files"),
        (lambda: zipped([(f"{n}.dcm", b"") for n in range(6)]), "holds 6 files"),
        (lambda: zipped([("a.dcm", bytes(4000)), ("b.dcm", bytes(4000))]), "together"),
    ],
)
def test_a_hostile_archive_is_refused_in_a_sentence(tmp_path, monkeypatch, make, said):
    from voxtile.serve.search import series_archive

    monkeypatch.setattr(series_archive, "_MOST_FILES", 5)
    monkeypatch.setattr(series_archive, "_MOST_BYTES", 6000)
    (tmp_path / "a.zip").write_bytes(make())
    with pytest.raises(ConfigError, match=said):
        series_archive.unpacked(tmp_path / "a.zip", tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) <= 8000
