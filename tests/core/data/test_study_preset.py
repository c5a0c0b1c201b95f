"""Studies by roles: placed in the patient against SimpleITK, chosen by facts, masked where missing, refused by name."""

import io
import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.schema import ROLE
from voxtile.corpus.view.view import compile_view
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.batches.dataset import Draws
from voxtile.data.captions import CaptionPolicy
from voxtile.data.datamodule import CorpusDataModule
from voxtile.data.draws import DrawDataset
from voxtile.data.images import CorpusImages
from voxtile.data.presets.intensity import bias_field, foreground_range, middle_range
from voxtile.data.presets.load import preset_from_config
from voxtile.data.presets.placement import grid_affine, place_on_grid
from voxtile.data.presets.roles import pick_roles
from voxtile.data.presets.study import RoleVolume, StudyPreset
from voxtile.data.presets.study_of_pictures import PictureStudyPreset
from voxtile.errors import ConfigError, CorpusError, PresetError

SHAPE = (16, 20, 24)
ROLES = {"ct": {"windows": [[0, 1000]]}, "t1-post": {}}


def ball(affine, shape, centre, radius, inside=800.0):
    """A ball in space with a soft edge, sampled on a grid: [Z, Y, X]."""
    z, y, x = np.indices(shape)
    places = np.stack([x, y, z, np.ones(shape)], -1) @ affine.T
    depth = radius - np.linalg.norm(places[..., :3] - centre, axis=-1)
    return (100 + (inside - 100) * np.clip(depth / 8 + 0.5, 0, 1)).astype(np.float32)


def turned(shape, spacing, centre, degrees):
    return grid_affine(shape, spacing, np.array(centre), Rotation.from_euler("xyz", degrees, degrees=True).as_matrix())


def itk(values, affine):
    image = sitk.GetImageFromArray(values)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


@pytest.mark.parametrize("degrees", [(0, 0, 0), (12, -20, 33), (90, 0, 0)])
def test_a_volume_is_read_where_its_affine_says(degrees):
    source = turned((20, 22, 26), (3.0, 2.0, 2.5), (10, -5, 40), degrees)
    values = np.random.default_rng(0).normal(100, 30, (20, 22, 26)).astype(np.float32)
    grid = grid_affine(SHAPE, (2.5, 1.5, 1.5), np.array([12.0, -4.0, 38.0]))
    ours = place_on_grid(torch.from_numpy(values), source, SHAPE, grid, pad=-7.0).numpy()
    reference = itk(np.zeros(SHAPE, np.float32), grid)
    theirs = sitk.GetArrayFromImage(
        sitk.Resample(itk(values, source), reference, sitk.Transform(), sitk.sitkLinear, -7)
    )
    core = np.pad(np.ones([n - 2 for n in values.shape], np.float32), 1)  # at the edge the two pad differently
    weights = sitk.Resample(itk(core, source), reference, sitk.Transform(), sitk.sitkLinear, 0.0)
    inside = sitk.GetArrayFromImage(weights) > 0.999
    assert inside.mean() > 0.5
    assert np.abs(ours - theirs)[inside].max() < 0.01
    assert ours.min() >= min(-7, values.min())


def test_coarser_grids_average_instead_of_skipping():
    values = np.random.default_rng(0).normal(0, 1, (32, 32, 32)).astype(np.float32)
    affine = grid_affine((32, 32, 32), (1, 1, 1), np.zeros(3))
    grid = grid_affine((8, 8, 8), (4, 4, 4), np.zeros(3))
    ours = place_on_grid(torch.from_numpy(values), affine, (8, 8, 8), grid, 0.0).numpy()
    assert np.allclose(ours, values.reshape(8, 4, 8, 4, 8, 4).mean((1, 3, 5)), atol=1e-5)


def study_corpus(root, studies=3):
    """A CT and an oblique MR of the same ball for each patient, the last without MR; a localizer that has no role."""
    new_corpus(root)
    writer = JobWriter(root, "job")
    for n in range(studies):
        centre = np.array([20.0 + n, -10.0, 35.0])
        shapes = {"CT": ((30, 40, 40), (2, 1.5, 1.5), (0, 0, 0)), "MR": ((24, 30, 34), (2.5, 2, 2), (15, -10, 20))}
        for modality, (shape, spacing, degrees) in shapes.items():
            for part in ("scan", "localizer"):
                if modality == "MR" and n == studies - 1:
                    continue
                affine = turned(shape, spacing, centre + (3 if modality == "MR" else 0), degrees)
                values = ball(affine, shape, centre, 12.0)
                if part == "localizer":
                    values, affine = np.zeros((2, 8, 8), np.float32), np.eye(4)
                row = {
                    "uid": sample_uid(f"{n} {modality} {part}"), "subject": f"p{n}", "study": f"s{n}", "kind": "volume",
                    "modality": modality, "axes": "ZYX", "units": "HU" if modality == "CT" else "a.u.",
                    "affine": affine.ravel().tolist(), "spacing": list(map(float, spacing)),
                }  # fmt: skip
                writer.add(Sample(row, values))
                if modality == "MR" and part == "scan":
                    attributes = json.dumps({"role": "t1-post", "evidence": {"EchoTime": 5}})
                    writer.add_rows(
                        "facts",
                        [{"uid": row["uid"], "concept": ROLE, "polarity": "present", "attributes": attributes}],
                    )
        first = sample_uid(f"{n} CT scan")
        writer.add_rows("captions", [{"caption_id": f"c{n}", "uid": first, "text": f"Study {n}.", "kind": "raw"}])
        writer.add_rows("facts", [{"uid": first, "concept": "mass", "polarity": "present", "source": "labels@1"}])
        writer.add_rows("splits", [{"scheme": "default", "subject": f"p{n}", "split": "train"}])
    writer.publish()
    return Corpus(root)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return study_corpus(tmp_path_factory.mktemp("roles") / "corpus")


def preset(**changes):
    return StudyPreset(**{"roles": ROLES, "shape": (16, 16, 16), "spacing": (3.0, 3.0, 3.0), **changes})


def load(corpus, chosen, **options):
    return DrawDataset(compile_view(corpus), chosen, CaptionPolicy(), unit="study", **options).load(
        Draws(np.arange(3), None)
    )


def test_both_modalities_show_the_same_ball_at_the_same_place(corpus):
    batch = load(corpus, preset())
    assert batch.images.shape == (3, 2, 16, 16, 16)
    assert batch.image_item.tolist() == [0, 1, 2]
    assert sorted(batch.texts) == ["Study 0.", "Study 1.", "Study 2."]
    grid = np.indices((16, 16, 16)).reshape(3, -1)
    both = [i for i, images in enumerate(batch.images) if images[1].abs().sum() > 0]
    assert len(both) == 2
    for i in both:
        bright = [(batch.images[i, c] > batch.images[i, c].mean() + 0.3).numpy().ravel() for c in range(2)]
        centres = [grid[:, mask].mean(axis=1) for mask in bright]
        assert np.abs(centres[0] - centres[1]).max() < 0.3  # grid voxels of 3 mm
        overlap = 2 * (bright[0] & bright[1]).sum() / (bright[0].sum() + bright[1].sum())
        assert overlap > 0.9


def test_roles_are_no_targets_of_training(corpus):
    assert compile_view(corpus).concepts == ("mass",)


def test_a_missing_role_is_zero_and_known(corpus):
    batch = load(corpus, preset(presence=True, drop=0.2))
    lacking = [i for i in range(3) if batch.images[i, 3].max() == 0]
    assert len(lacking) == 1
    assert batch.images[lacking[0], 1].abs().max() == 0
    assert batch.images[lacking[0], 2].min() == 1


def test_a_missing_role_may_be_refused(corpus):
    with pytest.raises(CorpusError, match="no sample with the role t1-post; set the preset's missing to mask"):
        load(corpus, preset(missing="refuse"))


def test_a_role_that_no_sample_has_is_named(corpus):
    data = CorpusDataModule(preset(roles={**ROLES, "flair": {}}), str(corpus.roots[0]), unit="study")
    with pytest.raises(PresetError, match="no sample of the corpus has the role 'flair'; there are ct, mr, t1-post"):
        data.prepare_data()


def test_studies_need_the_unit_study(corpus):
    with pytest.raises(ConfigError, match="one image of a whole study"):
        DrawDataset(compile_view(corpus), preset(), CaptionPolicy())


def test_evaluation_sees_the_same_image_as_training(corpus):
    batch = load(corpus, preset())
    rows = corpus.table("samples").to_pylist()
    studies = {
        uid: [r["uid"] for r in rows if r["study"] == s]
        for uid, s in zip(batch.uids, "012", strict=True)
        for s in [f"s{s}"]
    }
    images = CorpusImages(corpus, preset(), [r["uid"] for r in rows], 2, studies)
    again = torch.cat([found for _, found in images(batch.uids)])
    by_uid = {r["uid"]: r["study"] for r in rows}
    for place, uid in enumerate(batch.uids):
        assert by_uid[uid] == f"s{place}"
    assert torch.equal(again, batch.images)


def test_the_largest_series_of_a_role_is_taken_whatever_the_order():
    study = {
        "c": {"modality": "CT", "shape": [2, 8, 8]},
        "b": {"modality": "CT", "shape": [9, 8, 8]},
        "a": {"modality": "MR"},
    }
    assert pick_roles(["ct", "pt"], study) == ("b", None)
    assert pick_roles(["ct", "pt"], dict(reversed(study.items()))) == ("b", None)
    assert pick_roles(["ct", "prior:ct"], study, {"x": {"modality": "CT", "shape": [1]}}) == ("b", "x")
    assert pick_roles(["ct", "prior:ct"], study) == ("b", None)
    assert pick_roles(["ct+lung-kernel"], {"a": {"modality": "CT", "roles": ["lung-kernel"], "shape": [1]}}) == ("a",)
    with pytest.raises(PresetError, match="none of the roles pt; its samples are ct, mr"):
        pick_roles(["pt"], study)


def test_the_latest_earlier_study_of_the_subject_is_its_prior(tmp_path):
    """Three examinations of one patient, the second and third on one day, and a patient with one."""
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job")
    days = {"first": "2019-03-01", "second": "2020-05-05", "same": "2020-05-05", "third": "2021-01-01", "undated": None}
    brightness = {name: 100.0 * (n + 1) for n, name in enumerate((*days, "alone"))}
    for name, value in brightness.items():
        row = {
            "uid": sample_uid(name), "subject": "q" if name == "alone" else "p", "study": name, "kind": "volume",
            "modality": "CT", "axes": "ZYX", "units": "HU", "spacing": [2.0, 2, 2],
            "datetime": days.get(name, "2018-01-01"),
        }  # fmt: skip
        writer.add(Sample(row, np.full((8, 8, 8), value, np.float32)))
    writer.add_rows("splits", [{"scheme": "default", "subject": s, "split": "train"} for s in "pq"])
    writer.publish()
    corpus = Corpus(root)
    chosen = StudyPreset(roles={"ct": {"windows": [[0, 1000]]}, "prior:ct": {"windows": [[0, 1000]]}},
                         shape=(4, 4, 4), spacing=(2.0, 2, 2), value_range=(0, 1000))  # fmt: skip
    batch = DrawDataset(compile_view(corpus), chosen, CaptionPolicy(), unit="study").load(Draws(np.arange(6), None))
    by_uid = {sample_uid(name): name for name in brightness}
    seen = {by_uid[uid]: images[:, 2, 2, 2].tolist() for uid, images in zip(batch.uids, batch.images, strict=True)}
    priors = {"first": None, "second": "first", "same": "first", "third": "second", "undated": None, "alone": None}
    for name, prior in priors.items():
        assert seen[name] == pytest.approx([brightness[name], brightness[prior] if prior else 0.0], abs=1), name
    images = CorpusImages(corpus, chosen, list(batch.uids), 2, {uid: [uid] for uid in batch.uids})
    assert torch.equal(torch.cat([found for _, found in images(batch.uids)]), batch.images)


def test_training_shifts_all_roles_alike_and_may_drop_some(corpus):
    view = compile_view(corpus)
    moving = preset(shift=(2, 2, 2), drop=0.5, presence=True)
    data = DrawDataset(view, moving, CaptionPolicy(), unit="study")
    once, again = (data.load(Draws(np.arange(3), np.arange(3) + 10)).images for _ in range(2))
    assert torch.equal(once, again)
    counts = [data.load(Draws(np.arange(3), np.arange(3) + 3 * n)).images[:, 2:, 0, 0, 0].sum(1) for n in range(20)]
    kept = torch.stack(counts)
    assert kept.min() == 1  # one role always stays
    assert kept.max() == 2
    shifted = DrawDataset(view, preset(shift=(2, 2, 2)), CaptionPolicy(), unit="study").load(
        Draws(np.arange(1), np.array([5]))
    )
    grid = np.indices((16, 16, 16)).reshape(3, -1)
    bright = [(shifted.images[0, c] > shifted.images[0, c].mean() + 0.3).numpy().ravel() for c in range(2)]
    assert np.abs(grid[:, bright[0]].mean(1) - grid[:, bright[1]].mean(1)).max() < 0.3


def test_foreground_ranges_follow_any_intensity_scale():
    values = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (20, 20, 20)).astype(np.float32)).abs()
    values[5:15, 5:15, 5:15] += 50
    low, high = foreground_range(values, (1, 99))
    assert 49 < low < high < 55
    scaled = foreground_range(values * 37 + 5, (1, 99))
    assert scaled == pytest.approx((low * 37 + 5, high * 37 + 5), rel=1e-5)


def test_the_foreground_is_looked_at_in_all_columns_of_a_volume():
    # A 64th of 12.8 million voxels is sampled: of rows of 256, columns 0, 64, 128 and 192 alone, all in the air here.
    values = torch.zeros(196, 256, 256)
    body = torch.linspace(100, 200, 60)
    values[:, 40:200, 2:62], values[:, 40:200, 130:190] = body, body + 300
    low, high = foreground_range(values, (1, 99))
    exact = np.percentile(values[values > values.mean()].numpy(), (1, 99))
    assert (low, high) == pytest.approx(exact, rel=0.02)


def test_the_middle_of_the_grid_does_not_know_of_what_lies_around_it():
    brain = torch.linspace(10, 20, 10**3).reshape(10, 10, 10)
    found = []
    for scalp in (0.0, 900.0):
        values = torch.full((20, 20, 20), scalp)
        values[5:15, 5:15, 5:15] = brain
        found.append(middle_range(values, (10, 60), 0.5))
    assert found[0] == found[1] == pytest.approx((11, 16), abs=0.01)
    assert middle_range(values, (0, 100), 1) == (10, 900)
    assert middle_range(values, (0, 50), 1e-9)[1] > 0  # at least one voxel


def test_a_role_may_be_scaled_by_the_middle(corpus):
    by_middle = {"percentiles": [20, 60], "middle": 0.5, "headroom": 2}
    image = load(corpus, preset(roles={"ct": ROLES["ct"], "t1-post": by_middle}, value_range=(-9, 9))).images[0, 1]
    values = (image[4:12, 4:12, 4:12] + 9) / 18
    assert np.percentile(values, 20) == pytest.approx(0, abs=2e-3)
    assert np.percentile(values, 60) == pytest.approx(0.5, abs=2e-3)


def test_headroom_keeps_what_is_brighter_than_the_range_apart(corpus):
    roles = [{"ct": ROLES["ct"], "t1-post": {"percentiles": [0, 30], "headroom": factor}} for factor in (1, 3)]
    tight, wide = (load(corpus, preset(roles=of, value_range=(0, 1))).images[0, 1] for of in roles)
    brighter = tight == 1
    assert 0.02 < brighter.float().mean() < 0.5
    assert torch.allclose(wide[~brighter], tight[~brighter] / 3, atol=2e-3)
    assert wide[brighter].min() >= 1 / 3 - 2e-3
    assert wide[brighter].std() > 0.01


def test_the_bias_field_is_smooth_and_of_the_strength_asked_for():
    fields = torch.stack([bias_field((24, 24, 24), 0.3, np.random.default_rng(n)) for n in range(40)]).log()
    corners = fields[:, ::23, ::23, ::23]
    assert corners.std().item() == pytest.approx(0.3, rel=0.1)
    assert (fields[:, 1:] - fields[:, :-1]).abs().max() < 0.3


def test_the_preset_survives_its_own_description():
    chosen = preset(roles={"ct": RoleVolume(windows=((0.0, 1.0),)), "flair": RoleVolume(bias_field=0.2)}, drop=0.1)
    again = preset_from_config(json.loads(json.dumps(chosen.to_config())))
    assert again == chosen
    assert again.channels == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"roles": {}}, "at least one role"),
        ({"roles": {"ct": {"windows": [[3, 1]]}}}, "low below high"),
        ({"roles": {"ct": {"window": [[1, 3]]}}}, "not known"),
        ({"presence": True}, "set drop above 0"),
        ({"roles": {"ct": {"percentiles": [50, 20]}}}, "percentiles"),
        ({"roles": {"ct": {"headroom": 0}}}, "headroom"),
        ({"roles": {"ct": {"middle": 1.5}}}, "middle"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(PresetError, match=message):
        preset(**changes)


def test_frontal_and_lateral_pictures_are_one_image(tmp_path):
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job")
    grey = {"frontal": 60, "lateral": 180}
    for n in range(2):
        for view, level in grey.items():
            if n == 1 and view == "lateral":
                continue
            row = {
                "uid": sample_uid(f"{n} {view}"),
                "subject": f"p{n}",
                "study": f"s{n}",
                "kind": "image",
                "modality": "DX",
            }
            buffer = io.BytesIO()
            Image.fromarray(np.full((12, 10), level, np.uint8)).save(buffer, "PNG")
            writer.add(Sample(row, buffer.getvalue()))
            attributes = json.dumps({"role": view, "evidence": {"view": "PA"}})
            writer.add_rows(
                "facts", [{"uid": row["uid"], "concept": ROLE, "polarity": "present", "attributes": attributes}]
            )
        writer.add_rows("splits", [{"scheme": "default", "subject": f"p{n}", "split": "train"}])
    writer.publish()
    picture = {"size": [8, 8], "channels": 1, "mean": [0.0], "std": [1.0], "augment": {"crop": "none"}}
    chosen = PictureStudyPreset(roles=("frontal", "lateral"), picture=picture)
    assert preset_from_config(json.loads(json.dumps(chosen.to_config()))) == chosen
    view = compile_view(Corpus(root))
    batch = DrawDataset(view, chosen, CaptionPolicy(), unit="study").load(Draws(np.arange(2), None))
    assert batch.images.shape == (2, 2, 8, 8)
    levels = {tuple(np.round(images.mean((1, 2)).numpy() * 255).astype(int).tolist()) for images in batch.images}
    assert levels == {(60, 180), (60, 0)}
    strict = PictureStudyPreset(roles=("frontal", "lateral"), picture=picture, missing="refuse")
    with pytest.raises(CorpusError, match="no sample with the role lateral"):
        DrawDataset(view, strict, CaptionPolicy(), unit="study").load(Draws(np.arange(2), None))
    with pytest.raises(PresetError, match="not single samples"):
        chosen(None, None)


def test_training_mirrors_all_roles_alike_and_evaluation_none():
    mirrored, plain = preset(flip=("x",)), preset()
    base = torch.from_numpy(np.random.default_rng(0).random((2, *plain.shape)))
    seen = set()
    for seed in range(12):
        found = mirrored.finish_study(base, np.random.default_rng(seed))
        straight = plain.finish_study(base, np.random.default_rng(seed))
        turned = torch.equal(found, straight.flip(3))
        assert turned or torch.equal(found, straight)
        seen.add(turned)
    assert seen == {True, False}
    assert torch.equal(mirrored.finish_study(base, None), plain.finish_study(base, None))
