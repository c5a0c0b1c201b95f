"""Look: what is told of a sample, and its pictures, against the values that were stored."""

import io

import nibabel as nib
import numpy as np
import pytest
from nibabel.processing import resample_from_to
from PIL import Image
from serve_corpus import BANDS, HOUNSFIELD, NODATA, OTHER, PATCH, REPORT, SCENE, VOLUME

from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus

pytest.importorskip("fastapi", reason="the extra serve is not installed")


def picture(client, path, **query):
    answer = client.get(f"/api/samples/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_everything_that_is_known_is_told(client):
    known = client.get(f"/api/samples/{VOLUME}").json()
    [caption] = known["captions"]
    assert "".join(piece["text"] for piece in caption["pieces"]) == REPORT
    assert [(p["polarity"], p["text"]) for p in caption["pieces"] if p["polarity"]] == [
        ("present", "There is a nodule in the left lung."),
        ("absent", "No effusion."),
    ]
    assert caption["verdicts"][0]["verdict"] == "supported"
    assert ("nodule", "present", "reports@3") in [(f["concept"], f["polarity"], f["source"]) for f in known["facts"]]
    assert known["split"] == "val"
    assert known["study"] == [OTHER]
    assert known["sample"]["units"] == "HU"
    assert known["regions"][0]["has_mask"]


@pytest.mark.parametrize(("name", "index", "axis"), [("axial", 20, 0), ("coronal", 11, 1), ("sagittal", 50, 2)])
def test_planes_are_those_of_the_volume_as_radiologists_hang_them(client, name, index, axis):
    shown = picture(client, f"{VOLUME}/planes/{name}/{index}", window=0)
    values = np.take(HOUNSFIELD, index, axis=axis).astype(float)
    soft_tissue = np.clip((values + 160) / 400, 0, 1) * 255
    assert np.abs(shown.astype(float) - soft_tissue[::-1, ::-1]).max() < 1.01


def test_a_plane_with_regions_is_tinted_where_the_mask_is(client):
    plain = picture(client, f"{VOLUME}/planes/axial/20")
    tinted = picture(client, f"{VOLUME}/planes/axial/20", regions=True)
    changed = (tinted.astype(int) != np.repeat(plain[..., None], 3, axis=2)).any(axis=2)[::-1, ::-1]
    assert changed[10:20, 30:40].mean() > 0.9
    changed[10:20, 30:40] = False
    assert not changed.any()


def test_one_plane_reads_its_chunks_alone(explored, monkeypatch):
    from voxtile.corpus.source import StoredSample
    from voxtile.formats.pictures.planes import plane, volume_windows

    read = []
    array = StoredSample.array
    monkeypatch.setattr(StoredSample, "array", lambda self, part=None: read.append(part) or array(self, part))
    row = explored.row(VOLUME)
    with explored.source(row) as source:
        plane(source, "coronal", 3, volume_windows(source)[0])
    assert [tuple((s.start, s.stop) for s in part) for part in read][-1] == ((None, None), (3, 4), (None, None))
    assert all(any(s.start is not None and s.stop - s.start == 1 for s in part) for part in read)


def test_the_volume_and_its_labels_are_nifti_with_the_stored_values(client):
    for name, expected in (("volume.nii", HOUNSFIELD), ("regions.nii", None)):
        answer = client.get(f"/api/samples/{VOLUME}/{name}")
        assert len(answer.content) == int(answer.headers["content-length"])
        image = nib.Nifti1Image.from_bytes(answer.content)
        values = np.asarray(image.dataobj).transpose(2, 1, 0)
        assert image.header.get_zooms() == (1.5, 1.5, 3.0)
        if expected is not None:
            assert np.array_equal(values, expected)
        else:
            mask = np.zeros(HOUNSFIELD.shape, bool)
            mask[20, 10:20, 30:40] = True
            assert np.array_equal(values == 1, mask)


def test_a_volume_with_one_plane_is_shown(client):
    stacks = {s["name"]: s["count"] for s in client.get(f"/api/samples/{OTHER}/shown").json()["stacks"]}
    assert stacks == {"axial": 1, "coronal": 48, "sagittal": 56}
    assert picture(client, f"{OTHER}/planes/axial/0").shape == (48, 56)
    assert client.get(f"/api/samples/{OTHER}/planes/axial/1").status_code == 422


def test_a_scene_is_shown_by_bands_by_name_and_is_see_through_without_data(client):
    bands = client.get(f"/api/samples/{SCENE}/shown").json()["bands"]
    assert bands[:2] == ["natural colours", "colour infrared"]
    assert "NDVI" in bands
    natural = picture(client, f"{SCENE}/picture", bands="natural colours").astype(float)
    physical = BANDS * 1e-4
    for channel, band in enumerate((2, 1, 0)):
        expected = np.clip(physical[band] / 0.3, 0, 1) * 255
        assert np.abs(natural[5:, :, channel] - expected[5:]).max() < 1.01
    assert (natural[:5, :, 3] == 0).all()
    assert (natural[5:, :, 3] == 255).all()
    ndvi = picture(client, f"{SCENE}/picture", bands="NDVI").astype(float)
    red, nir = physical[2, 5:], physical[3, 5:]
    known = (nir + red) > 0
    index = np.clip(((nir - red) / np.where(known, nir + red, 1) + 1) / 2, 0, 1) * 255
    assert np.abs(ndvi[5:, :, 0] - index)[known].max() < 1.01
    assert NODATA not in BANDS[:, 5:]
    assert client.get(f"/api/samples/{SCENE}/picture", params={"bands": "B99"}).status_code == 422


def test_a_patch_and_its_mask(client):
    assert (picture(client, f"{PATCH}/picture") == (200, 120, 180)).all()
    mask = picture(client, f"{PATCH}/regions/r2/mask")
    assert (mask[5:15, 10:30, 3] > 0).all()
    assert mask[..., 3].astype(bool).sum() == 200


def test_every_sample_has_a_small_picture(client):
    for uid in (VOLUME, PATCH, SCENE, OTHER):
        assert max(picture(client, f"{uid}/thumbnail").shape[:2]) <= 512


def test_a_damaged_shard_says_so_without_naming_a_file(served_corpus, pages, tmp_path):
    import shutil

    from starlette.testclient import TestClient

    from voxtile.corpus.reader import Corpus
    from voxtile.serve.access import Access
    from voxtile.serve.application import application
    from voxtile.serve.explored import explore
    from voxtile.serve.sample_index import SampleIndex

    copy = tmp_path / "copy"
    shutil.copytree(served_corpus, copy)
    for shard in (copy / "shards").glob("*.tar"):
        shard.unlink()
    corpus = Corpus(copy)
    app = application(explore(corpus, SampleIndex(corpus)), Access(frozenset({"testserver"})), pages)
    client = TestClient(app, raise_server_exceptions=False)
    for name in ("thumbnail", "shown", "planes/axial/0", "volume.nii"):
        answer = client.get(f"/api/samples/{VOLUME}/{name}")
        assert answer.status_code == 500, name
        assert "cannot be read" in answer.json()["error"]
        assert str(tmp_path) not in answer.text
    assert client.get(f"/api/samples/{VOLUME}").status_code == 200, "what is known does not need the pixels"


CT, PET, ELSEWHERE = (f"{n:032x}" for n in range(11, 14))
TURNED = np.array([[2.9, 0.5, 0.0, -21.0], [-0.5, 3.9, 0.3, -20.0], [0.0, -0.4, 4.8, -9.0], [0, 0, 0, 1]])
STRAIGHT = np.array([[2.0, 0, 0, -15.0], [0, 2.5, 0, -15.0], [0, 0, 3.0, -15.0], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def fusable(tmp_path_factory):
    """CT, PET in SUV on a grid of its own, and another patient's PET."""
    root, rng = tmp_path_factory.mktemp("fusable") / "corpus", np.random.default_rng(2)
    new_corpus(root)
    writer, stored = JobWriter(root, "job"), {}
    of_pet = {"modality": "PT", "units": "SUVbw", "channels": [{"name": "PT", "scale": 0.01, "offset": -0.2}]}
    for uid, shape, affine, more in (
        (CT, (8, 10, 12), STRAIGHT, {"modality": "CT", "units": "HU", "subject": "p"}),
        (PET, (7, 6, 9), TURNED, {**of_pet, "subject": "p"}),
        (ELSEWHERE, (7, 6, 9), TURNED, {**of_pet, "subject": "q"}),
    ):
        values = stored[uid] = rng.integers(0, 1000, shape, dtype=np.int16)
        row = {"uid": uid, "study": "s", "kind": "volume", "axes": "ZYX", "affine": affine.ravel().tolist(), **more}
        writer.add(Sample(row, values))
    writer.publish()
    return root, stored


@pytest.mark.parametrize(("name", "index", "axis"), [("axial", 3, 2), ("coronal", 4, 1), ("sagittal", 7, 0)])
def test_pet_lies_over_ct_where_nibabel_resamples_it_in_the_colours_of_matplotlib(serving, fusable, name, index, axis):
    cmap = pytest.importorskip("matplotlib").colormaps["hot"]
    root, stored = fusable
    client, low, high = serving(root), 4.5, 8.0
    suv = nib.Nifti1Image(stored[PET].T * 0.01 - 0.2, TURNED)
    here = resample_from_to(suv, (stored[CT].T.shape, STRAIGHT), order=1, cval=-9.0).get_fdata()
    values = np.take(here, index, axis=axis).T[::-1, ::-1]
    grey = picture(client, f"{CT}/planes/{name}/{index}").astype(float)
    shown = picture(client, f"{CT}/planes/{name}/{index}", over=PET, low=low, high=high).astype(float)
    hot = cmap(np.clip((values - low) / (high - low), 0, 1))[..., :3] * 255
    expected = np.where((values > low)[..., None], grey[..., None] * 0.4 + hot * 0.6, grey[..., None])
    sure = (values > -0.2) & (np.abs(values - low) > 0.02)  # the edge of the other volume, half a voxel out, is ours
    assert sure.sum() > 30
    assert (values[sure] > low).any()
    assert (values[sure] < low).any()
    np.testing.assert_allclose(shown[sure], expected[sure], atol=3)


@pytest.mark.parametrize(
    ("query", "said"),
    [({"over": ELSEWHERE}, "same study"), ({"over": PET, "low": 5, "high": 5}, "from one value to a higher one"),
     ({"over": PET, "high": "nan"}, "from one value")],
)  # fmt: skip
def test_what_cannot_lie_over_a_volume_is_said(serving, fusable, query, said):
    answer = serving(fusable[0]).get(f"/api/samples/{CT}/planes/axial/3", params=query)
    assert (answer.status_code, said in answer.json()["error"]) == (422, True), answer.text
