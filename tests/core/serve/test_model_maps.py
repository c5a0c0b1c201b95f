"""What the model sees: maps and masks of phrases lie where its answer is, files hold them, classes score as told."""

import io
import threading
import zipfile
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from serve_corpus import AFFINE, BANDS, HOUNSFIELD, NODATA, OTHER, PATCH, SCENE, VOLUME
from toy_models import COLOUR, CT, INFRARED, Bright, tiny

from voxtile.api.corpus import open_corpus
from voxtile.api.model import Model
from voxtile.data.presets.study import RoleVolume, StudyPreset

pytest.importorskip("fastapi", reason="the extra serve is not installed")

BONE = HOUNSFIELD > 500


@pytest.fixture
def served_with(explored, serving):
    from voxtile.serve.model_maps.phrase_map import PhraseMaps
    from voxtile.serve.model_maps.turns import Turns

    def serve(model, **turns):
        return serving(replace(explored, maps=None if model is None else PhraseMaps(model, Turns(**turns))))

    return serve


def asked(client, uid, name, **query):
    answer = client.get(f"/api/samples/{uid}/phrase/{name}", params={"phrase": "bone", **query})
    assert answer.status_code == 200, answer.text
    return answer


def picture(answer):
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_a_phrase_in_a_volume_is_shown_and_saved_where_the_model_sees_it(served_with, explored, tmp_path):
    model = Bright(CT)
    client = served_with(model)
    told = client.post(f"/api/samples/{VOLUME}/phrase", json={"phrase": "bone"}).json()
    assert told["method"] == "decoder"
    assert told["presence"] == pytest.approx(0.9)
    assert told["forms"] == ["nifti", "dicom-seg"]
    for name, index, axis in (("axial", 20, 0), ("sagittal", 7, 2)):
        plain = picture(client.get(f"/api/samples/{VOLUME}/planes/{name}/{index}"))
        for query in ({}, {"threshold": 0.5}):
            shown = picture(asked(client, VOLUME, f"planes/{name}/{index}", **query)).astype(int)
            changed = (shown != plain[..., None]).any(axis=2)
            assert np.array_equal(changed[::-1, ::-1], np.take(BONE, index, axis=axis))
    image = nib.Nifti1Image.from_bytes(asked(client, VOLUME, "map.nii").content)
    np.testing.assert_allclose(np.asarray(image.dataobj).transpose(2, 1, 0), BONE, atol=1e-6)
    np.testing.assert_allclose(image.affine, np.reshape(AFFINE, (4, 4)))
    kept = asked(client, VOLUME, "saved", to="nifti", threshold=0.5)
    with zipfile.ZipFile(io.BytesIO(kept.content)) as archive:
        [name] = [one for one in archive.namelist() if one.endswith(".nii.gz")]
        (tmp_path / name).write_bytes(archive.read(name))
    mask = nib.load(tmp_path / name)
    assert np.array_equal(mask.get_fdata()[..., 0].transpose(2, 1, 0) > 0, BONE)
    np.testing.assert_allclose(mask.affine, np.reshape(AFFINE, (4, 4)))
    assert model.calls == 1, "computed once, held for the rest"
    assert not list(explored.corpus.roots[0].rglob("*ground*")), "nothing is written to the corpus"


def test_masks_of_the_corpus_are_saved_too(served_with, tmp_path):
    shapely = pytest.importorskip("shapely")
    client = served_with(None)
    assert client.get(f"/api/samples/{VOLUME}/shown").json()["forms"] == ["nifti", "dicom-seg"]
    kept = client.get(f"/api/samples/{VOLUME}/regions/saved", params={"to": "nifti"})
    with zipfile.ZipFile(io.BytesIO(kept.content)) as archive:
        [name] = [one for one in archive.namelist() if one.endswith(".nii.gz")]
        (tmp_path / name).write_bytes(archive.read(name))
    mask = nib.load(tmp_path / name).get_fdata()[..., 0].transpose(2, 1, 0)
    assert np.argwhere(mask).min(0).tolist() == [20, 10, 30]
    assert mask.sum() == 100
    pydicom = pytest.importorskip("pydicom")
    drawn = client.get(f"/api/samples/{VOLUME}/regions/saved", params={"to": "dicom-seg"})
    [segment] = pydicom.dcmread(io.BytesIO(drawn.content)).SegmentSequence
    assert segment.SegmentAlgorithmType == "MANUAL"  # nothing says that a program drew it
    outlined = client.get(f"/api/samples/{PATCH}/regions/saved", params={"to": "geojson"}).json()
    shapes = [shapely.geometry.shape(one["geometry"]) for one in outlined["features"]]
    assert [shape.bounds for shape in shapes] == [(10, 5, 30, 15)]
    refused = client.get(f"/api/samples/{SCENE}/regions/saved", params={"to": "geojson"})
    assert (refused.status_code, "nothing to save" in refused.json()["error"]) == (422, True)


def test_a_sample_that_cannot_be_read_is_said_without_a_file(served_with, monkeypatch):
    from voxtile.corpus.source import StoredSample
    from voxtile.errors import CorpusError

    def gone(self, part=None):
        raise CorpusError("'/secret/shard.tar' is gone")

    monkeypatch.setattr(StoredSample, "array", gone)
    answer = served_with(Bright(CT)).post(f"/api/samples/{VOLUME}/phrase", json={"phrase": "bone"})
    assert (answer.status_code, "cannot be read" in answer.json()["error"]) == (500, True)
    assert "secret" not in answer.text


def test_a_volume_of_one_plane_is_shown_too(served_with):
    client = served_with(Bright(CT))
    shown = picture(asked(client, OTHER, "planes/axial/0", threshold=0.5)).astype(int)
    plain = picture(client.get(f"/api/samples/{OTHER}/planes/axial/0"))
    assert np.array_equal((shown != plain[..., None]).any(axis=2)[::-1, ::-1], BONE[0])


class OfStudies(Bright):
    """Shows what is bright in the CT of a study."""

    def __init__(self):
        grid = {"shape": (40, 48, 56), "spacing": (3.0, 1.5, 1.5), "value_range": (0.0, 1.0)}
        super().__init__(StudyPreset(roles={"ct": RoleVolume(windows=((0.0, 1000.0),))}, **grid))


@pytest.mark.parametrize(("uid", "expected"), [(VOLUME, BONE), (OTHER, BONE[:1])])
def test_a_model_of_whole_studies_is_shown_on_each_of_their_series(served_with, uid, expected):
    """The study's larger CT is read, whichever series is open: the other is its first plane, in the same place."""
    client = served_with(OfStudies())
    assert client.get("/api/model").json()["methods"] == ["decoder"]
    image = nib.Nifti1Image.from_bytes(asked(client, uid, "map.nii").content)
    found = np.asarray(image.dataobj).transpose(2, 1, 0)
    np.testing.assert_allclose(found, expected, atol=0.0051)  # a level, since resampling rounds
    refused = client.post(f"/api/samples/{SCENE}/phrase", json={"phrase": "bone"})
    assert (refused.status_code, "open a series of the study" in refused.json()["error"]) == (422, True)


def test_a_dicom_segmentation_refers_to_the_series_that_extract_writes(served_with, served_corpus, tmp_path):
    highdicom = pytest.importorskip("highdicom")
    import pydicom

    from voxtile.cli.main import main

    answer = asked(served_with(Bright(CT)), VOLUME, "saved", to="dicom-seg", threshold=0.5)
    assert answer.headers["content-disposition"] == f'attachment; filename="{VOLUME[:12]}-bone.seg.dcm"'
    found = highdicom.seg.segread(io.BytesIO(answer.content))
    assert main(["extract", str(served_corpus), VOLUME, "--to", "dicom", "--out", str(tmp_path / "series")]) == 0
    series = [pydicom.dcmread(path) for path in (tmp_path / "series").rglob("*.dcm")]
    assert {str(s.SOPInstanceUID) for s in series} >= {str(uid) for *_, uid in found.get_source_image_uids()}
    [segment] = found.SegmentSequence
    assert (segment.SegmentLabel, segment.SegmentAlgorithmType) == ("bone", "AUTOMATIC")
    assert segment.SegmentAlgorithmName if "SegmentAlgorithmName" in segment else True
    assert int(found.pixel_array.sum()) == int(BONE.sum())


def test_a_phrase_that_is_believed_to_be_absent_has_no_mask(served_with):
    client = served_with(Bright(CT))
    query = {"phrase": "dragon", "threshold": 0.5}
    plain = picture(client.get(f"/api/samples/{VOLUME}/planes/axial/20"))
    assert np.array_equal(picture(asked(client, VOLUME, "planes/axial/20", **query))[..., 0], plain)
    refused = client.get(f"/api/samples/{VOLUME}/phrase/saved", params={**query, "to": "nifti"})
    assert (refused.status_code, "nothing to save" in refused.json()["error"]) == (422, True)
    lower = picture(asked(client, VOLUME, "planes/axial/20", **query, presence=0.05))
    assert not np.array_equal(lower[..., 0], plain), "the viewer may believe it from less"


def test_a_phrase_in_a_scene_has_its_area_on_the_ground(served_with, tmp_path):
    geopandas = pytest.importorskip("geopandas")
    client = served_with(Bright(INFRARED))
    water = np.where(BANDS[3] == NODATA, 0, BANDS[3]) * 1e-4 / 0.2 > 0.5
    shown = picture(asked(client, SCENE, "picture", threshold=0.5))
    assert np.array_equal(shown[..., 3] > 0, water)
    (tmp_path / "a.gpkg").write_bytes(asked(client, SCENE, "saved", to="geopackage", threshold=0.5).content)
    frame = geopandas.read_file(tmp_path / "a.gpkg")
    assert frame.crs.to_epsg() == 32632
    assert frame.geometry.area.sum() == pytest.approx(100 * water.sum())
    assert frame["phrase"].tolist() == ["bone"]
    assert b'"FeatureCollection"' in asked(client, SCENE, "saved", to="geojson", threshold=0.5).content


def test_a_map_by_similarity_is_that_of_the_library(served_with, served_corpus):
    model = tiny(COLOUR)
    client = served_with(model)
    told = client.post(f"/api/samples/{PATCH}/phrase", json={"phrase": "gland"}).json()
    assert (told["method"], told["forms"]) == ("gradcam", ["geojson"])
    [expected] = Model(model, "tiny").ground(open_corpus(served_corpus)[PATCH], "gland")
    assert told["presence"] == pytest.approx(expected.presence, abs=1e-6)
    for threshold in (0.07, 0.29, 0.5):
        shown = picture(asked(client, PATCH, "picture", phrase="gland", threshold=threshold, presence=0))
        assert np.array_equal(shown[..., 3] > 0, expected.probability >= np.float32(threshold))
    assert client.get("/api/model").json() == {"name": "tiny", "methods": ["gradcam"], "trained_by": "softmax"}


def test_one_computation_at_a_time_and_few_that_wait(served_with):
    model, going, free = Bright(CT), threading.Event(), threading.Event()
    ground = model.ground

    def slow(images, phrases):
        found = ground(images, phrases)
        going.set()
        model.at_once += 1
        assert free.wait(60)
        model.at_once -= 1
        return found

    model.ground = slow
    client = served_with(model, most_waiting=1)
    ask = [lambda n=n: client.post(f"/api/samples/{VOLUME}/phrase", json={"phrase": f"bone {n}"}) for n in range(3)]
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(ask[0])
        assert going.wait(60)
        others = [pool.submit(one) for one in ask[1:]]
        wait(others, return_when=FIRST_COMPLETED)
        [refused] = [one.result() for one in others if one.done()]
        assert (refused.status_code, "busy" in refused.json()["error"]) == (422, True)
        assert client.get(f"/api/samples/{PATCH}/picture").status_code == 200, "pictures are served meanwhile"
        free.set()
        assert [one.result().status_code for one in (first, *others)].count(200) == 2
    assert model.most == 1


@pytest.mark.parametrize(
    ("uid", "body", "said"),
    [
        (PATCH, {"phrase": "gland"}, "this is"),  # a model of CT
        (OTHER, {"phrase": " "}, "no phrase"),
        (VOLUME, {"phrase": "x" * 501}, "501 characters"),
        (VOLUME, {"phrase": "bone", "method": "magic"}, "there is no other way"),
        (VOLUME, {"phrase": "bone", "method": "gradcam"}, "encode phrases"),
    ],
)
def test_what_cannot_be_shown_is_said_in_a_sentence(served_with, uid, body, said):
    answer = served_with(Bright(CT)).post(f"/api/samples/{uid}/phrase", json=body)
    assert answer.status_code == 422
    assert said in answer.json()["error"]


def test_without_a_model_it_says_how_to_name_one(served_with):
    client = served_with(None)
    assert client.get("/api/model").json() is None
    for name, body in (("phrase", {"phrase": "bone"}), ("classes", {"classes": {"a": ["a"], "b": ["b"]}})):
        answer = client.post(f"/api/samples/{VOLUME}/{name}", json=body)
        assert (answer.status_code, "--model" in answer.json()["error"]) == (422, True)


CLASSES = {"gland": ["a gland", "glands"], "none": ["no gland"], "tumour": ["tumour"]}


def scores(client, temperature=1.0):
    body = {"classes": CLASSES, "temperature": temperature}
    answer = client.post(f"/api/samples/{PATCH}/classes", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_classes_are_scored_as_by_the_library_and_a_temperature_softens_them(served_with, served_corpus):
    model = tiny(COLOUR)
    client = served_with(model)
    expected = Model(model, "tiny").classify(open_corpus(served_corpus)[PATCH], CLASSES)
    found = scores(client)
    assert found["trained_by"] == "softmax"
    assert {one["name"]: one["probability"] for one in found["scores"]} == pytest.approx(expected, abs=1e-6)
    softer = np.array(list(expected.values())) ** (1 / 4)  # softmax(z / 4) is p^(1/4), made to sum to 1
    assert [one["probability"] for one in scores(client, 4.0)["scores"]] == pytest.approx(softer / softer.sum())
    answer = client.post(f"/api/samples/{PATCH}/classes", json={"classes": {"a": ["a"]}})
    assert (answer.status_code, "at least two classes" in answer.json()["error"]) == (422, True)


def test_a_model_trained_by_sigmoid_scores_each_class_by_itself(served_with):
    model = tiny(COLOUR, logit_bias=-3.0)
    found = scores(served_with(model), temperature=2.0)
    assert found["trained_by"] == "sigmoid"
    for one in found["scores"]:
        logit = (model.logit_scale * one["cosine"] - 3.0) / 2.0
        assert one["probability"] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-6)
