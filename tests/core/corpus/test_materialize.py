"""A derived corpus gives a preset what the original gives it, from fewer bytes, under the same uids."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from voxtile.corpus.parts import part_batches
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.volume import VolumePreset
from voxtile.errors import ConfigError, CorpusError, PresetError
from voxtile.stages.materialize import command
from voxtile.stages.materialize.command import MaterializeTask, carry_tables, materialize_corpus
from voxtile.stages.materialize.derive import derive
from voxtile.stages.materialize.preset_file import read_preset
from voxtile.stages.verify.corpus import verify

WIDTH = 2000.0  # of the HU window that the presets map to 0–1


def smooth(shape, seed):
    coarse = torch.from_numpy(np.random.default_rng(seed).normal(0, 400, (1, 1, 4, 4, 4)))
    fine = torch.nn.functional.interpolate(coarse, shape, mode="trilinear", align_corners=True)[0, 0].numpy()
    return (fine + np.random.default_rng(seed + 1).normal(0, 20, shape)).astype(np.int16) + 1024


def volume(uid, shape, spacing=(2.5, 0.8, 0.7), **row):
    affine = np.diag([*spacing[::-1], 1.0])
    affine[:3, 3] = -30, 20, 500
    channel = {"name": "ct", "unit": "HU", "scale": 1.0, "offset": -1024.0}
    columns = {
        "uid": uid,
        "subject": f"s-{uid}",
        "study": f"t-{uid}",
        "kind": "volume",
        "modality": "CT",
        "units": "HU",
    }
    columns |= {"axes": "ZYX", "spacing": list(spacing), "affine": affine.ravel().tolist(), "channels": [channel]}
    columns |= {"attributes": json.dumps({"kernel": "B30f"}), "licence": "CC0-1.0"}
    return Sample({**columns, **row}, smooth(shape, len(uid)), np.zeros((8, 8), np.uint8))


def picture(uid, size, form, mode="RGB"):
    stream = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 255, (9, 11, 3)).astype(np.uint8)
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).convert(mode).save(stream, form)
    return Sample({"uid": uid, "subject": "s", "kind": "image", "modality": "RGB"}, stream.getvalue())


def make(root, samples, **tables):
    new_corpus(root)
    writer = JobWriter(root, "job-1")
    for sample in samples:
        writer.add(sample)
    for name, rows in tables.items():
        writer.add_rows(name, rows)
    writer.publish()
    return root


def description(preset):
    return json.dumps(preset.to_config())


def run_here(source, target, preset):
    """The task without worker processes, which cost seconds each."""
    task = MaterializeTask(str(source), description(preset), "{}")
    new_corpus(target)
    writer = JobWriter(target, "here")
    for item in task.items():
        outcome = task.process(item)
        for sample in outcome.samples:
            writer.add(sample)
        for table, rows in outcome.tables.items():
            writer.add_rows(table, rows)
    writer.publish()
    list(carry_tables(source, target))


def both(source, target, uid):
    """The same sample of the original and of the derived corpus."""
    return [corpus.source(corpus.row(uid)) for corpus in (Corpus(source), Corpus(target))]


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [
        ((16, 24, 24), (2.5, 2.0, 2.0)),
        ((40, 20, 64), (1.7, 0.8, 0.7)),
        ((40, 20, 64), (4.0, 3.1, 5.3)),
        ((9, 7, 5), (4.0, 3.1, 5.3)),
        ((40, 20, 64), "native"),
        ((9, 7, 5), "native"),
    ],
)
def test_evaluation_on_the_derived_corpus_equals_the_original(tmp_path, spacing, shape):
    source = make(tmp_path / "a", [volume("u1", (20, 61, 72)), volume("u22", (33, 30, 31))])
    preset = VolumePreset(shape=shape, spacing=spacing, augment={"shift": (1, 2, 3)})
    run_here(source, tmp_path / "b", preset)
    for uid in ("u1", "u22"):
        original, derived = both(source, tmp_path / "b", uid)
        rounding = 0.5 / WIDTH + 1e-5
        torch.testing.assert_close(preset(derived, None), preset(original, None), atol=rounding, rtol=0)
        for seed in range(2):  # shifts in training stay inside what was kept
            a, b = (preset(sample, np.random.default_rng(seed)) for sample in (derived, original))
            torch.testing.assert_close(a, b, atol=rounding, rtol=0)


def test_random_crops_of_the_derived_corpus_equal_the_original(tmp_path):
    source = make(tmp_path / "a", [volume("u1", (40, 61, 72))])
    preset = VolumePreset(shape=(8, 16, 16), spacing=(5.0, 1.6, 1.4), crop="random")
    run_here(source, tmp_path / "b", preset)
    original, derived = both(source, tmp_path / "b", "u1")
    assert list(derived.meta["shape"]) == [20, 30, 36]
    for seed in range(3):
        a, b = (preset(sample, np.random.default_rng(seed)) for sample in (derived, original))
        torch.testing.assert_close(a, b, atol=0.5 / WIDTH + 1e-5, rtol=0)


@pytest.mark.parametrize("crop", ["centre", "random"])
def test_voxels_stay_at_their_place_in_the_patient(tmp_path, crop):
    """A ramp along each patient axis must read the same at the same millimetre."""
    sample = volume("u1", (40, 50, 60))
    affine = np.asarray(sample.row["affine"]).reshape(4, 4)
    z, y, x = np.meshgrid(*map(np.arange, (40, 50, 60)), indexing="ij")
    for axis in range(3):
        place = (affine @ np.stack([x, y, z, np.ones_like(x)]).reshape(4, -1))[axis].reshape(x.shape)
        ramp = Sample(sample.row | {"channels": None}, np.rint(place * 10).astype(np.int16))
        root = make(tmp_path / f"a{axis}", [ramp])
        preset = VolumePreset(shape=(10, 12, 14), spacing=(5.0, 2.0, 2.0), crop=crop)
        run_here(root, tmp_path / f"b{axis}", preset)
        derived = both(root, tmp_path / f"b{axis}", "u1")[1]
        matrix = np.asarray(derived.meta["affine"]).reshape(4, 4)
        np.testing.assert_allclose(np.linalg.norm(matrix[:3, :3], axis=0), [2, 2, 5])
        values = derived.array()[2:-2, 2:-2, 2:-2]
        kz, ky, kx = np.meshgrid(*(np.arange(2, n - 2) for n in derived.meta["shape"]), indexing="ij")
        expected = (matrix @ np.stack([kx, ky, kz, np.ones_like(kx)]).reshape(4, -1))[axis].reshape(kx.shape)
        np.testing.assert_allclose(values / 10, expected, atol=0.11)


@pytest.mark.parametrize(("form", "tolerance"), [("PNG", 0), ("JPEG", 0.06)])
@pytest.mark.parametrize("resize", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_pictures_evaluate_the_same(tmp_path, form, tolerance, resize, mode):
    source = make(tmp_path / "a", [picture("u1", (90, 120), form, mode), picture("u2", (20, 10), form, mode)])
    preset = ImagePreset(size=(32, 32), resize=resize, mean=(0.0,) * 3, std=(1.0,) * 3)
    run_here(source, tmp_path / "b", preset)
    for uid in ("u1", "u2"):
        original, derived = both(source, tmp_path / "b", uid)
        assert derived.meta["codec"] == {"PNG": "png", "JPEG": "jpg"}[form]
        assert (preset(derived, None) - preset(original, None)).abs().mean() <= tolerance / 4
        assert (preset(derived, None) - preset(original, None)).abs().max() <= tolerance
    small = both(source, tmp_path / "b", "u2")
    assert small[0].encoded() == small[1].encoded()  # never enlarged, never written anew


def test_an_x_ray_array_keeps_its_type_and_window(tmp_path):
    values = np.random.default_rng(0).normal(2000, 300, (60, 80)).astype(np.uint16)
    row = {"uid": "u1", "subject": "s", "kind": "image", "modality": "DX", "units": "a.u.", "axes": "YX"}
    row |= {"spacing": [0.2, 0.2], "mpp": [200.0, 200.0], "transform": [1.0, 0.0, 5.0, 0.0, -1.0, 9.0], "gsd_m": 10.0}
    source = make(tmp_path / "a", [Sample(row | {"attributes": json.dumps({"window": [1000, 3000]})}, values)])
    preset = ImagePreset(size=(30, 30), units="a.u.", mean=(0.0,) * 3, std=(1.0,) * 3)
    run_here(source, tmp_path / "b", preset)
    original, derived = both(source, tmp_path / "b", "u1")
    assert (derived.meta["dtype"], list(derived.meta["shape"])) == ("uint16", [30, 40])
    assert derived.meta["spacing"] == [0.4, 0.4]
    assert derived.meta["mpp"] == [400.0, 400.0]
    assert derived.meta["transform"] == [2.0, 0.0, 5.0, 0.0, -2.0, 9.0]
    assert derived.meta["gsd_m"] == 20.0
    assert (preset(derived, None) - preset(original, None)).abs().max() < 0.05


@pytest.fixture
def source(tmp_path):
    root = make(
        tmp_path / "a",
        [
            volume("u1", (20, 40, 40)),
            volume("u22", (20, 40, 40)),
            volume("mr", (20, 40, 40), modality="MR", units="a.u."),
        ],
        facts=[{"uid": uid, "concept": "nodule", "polarity": "present"} for uid in ("u1", "u22", "mr")],
        scopes=[{"uid": "u1", "vocabulary": "v", "closed": True, "concepts": ["nodule"]}],
        captions=[{"caption_id": f"c-{uid}", "uid": uid, "text": "t", "kind": "raw"} for uid in ("u1", "mr")],
        splits=[{"scheme": "default", "subject": f"s-{uid}", "split": "test"} for uid in ("u1", "u22", "mr")],
        regions=[
            {"region_id": "r1", "uid": "u1", "box": [5.0, 10.0, 10.0, 15.0, 30.0, 30.0], "mask_shard": "x"},
            {"region_id": "r2", "uid": "u1", "box": [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]},
        ],
    )
    for name, uids, region in (("d1", ["u1"], ["r1"]), ("d2", ["u1", "mr"], None), ("d3", ["u1"], ["r2"])):
        turn = {"dialogue_id": name, "turn": 0, "role": "user", "text": "?", "kind": "region"}
        append_rows(root, "dialogues", name, [turn | {"uids": uids, "region_ids": region}])
    append_rows(root, "verdicts", "v", [{"caption_id": f"c-{uid}", "verdict": "supported"} for uid in ("u1", "mr")])
    return root


PRESET = VolumePreset(shape=(10, 16, 16), spacing=(2.5, 1.6, 1.4), modalities=("CT",))


def test_the_reason_is_looked_for_no_further_than_the_first_sample_that_does_not_fit(source, monkeypatch):
    """A table of a hundred million rows is not read again whole."""
    read = []

    def batches(*arguments):
        for batch in part_batches(*arguments):
            read.extend(batch["uid"].to_pylist())
            yield batch

    monkeypatch.setattr(command, "part_batches", batches)
    monkeypatch.setattr(command, "_AT_ONCE", 1)
    for_mr = VolumePreset(shape=(10, 16, 16), spacing=(2.5, 1.6, 1.4), modalities=("MR",))
    refusal = MaterializeTask(str(source), description(for_mr), "{}").first_refusal()
    assert refusal is not None
    assert "holds a volume (CT" in refusal
    assert read == ["u1"]


def test_what_belongs_to_the_samples_comes_along(source, tmp_path, capsys):
    (source / "manifests").mkdir()
    (source / "manifests/0001.json").write_text(json.dumps({"licence": "CC0-1.0", "deidentify": True, "files": {}}))
    materialize_corpus(source, tmp_path / "b", preset=description(PRESET), engine="inline")
    derived = Corpus(tmp_path / "b")
    rows = {row["uid"]: row for row in derived.table("samples").to_pylist()}
    assert set(rows) == {"u1", "u22"}
    before = Corpus(source).row("u1")
    assert json.loads(rows["u1"]["attributes"]) == {"kernel": "B30f", "materialized_from": before["sha256"]}
    for column in ("subject", "study", "kind", "modality", "units", "channels", "source", "licence", "axes", "dtype"):
        assert rows["u1"][column] == before[column]
    for table, uids in (("facts", ["u1", "u22"]), ("scopes", ["u1"]), ("captions", ["u1"]), ("regions", ["u1"])):
        assert derived.table(table)["uid"].to_pylist() == uids
    assert derived.splits() == {"s-u1": "test", "s-u22": "test"}
    assert derived.table("verdicts")["caption_id"].to_pylist() == ["c-u1"]
    # Of the others a sample or a region is left out.
    assert derived.table("dialogues")["dialogue_id"].to_pylist() == ["d1"]
    assert derived.source(rows["u1"]).preview()
    region = derived.table("regions").to_pylist()[0]
    # z: 20 → the central 10; y and x: every two pixels, 40 → 20, the central 16.
    assert region["box"] == pytest.approx([0, 3, 3, 10, 13, 13])
    assert region["mask_shard"] is None
    ledger = {row["source"]: (row["status"], row["reason"]) for row in derived.ledger().to_pylist()}
    assert ledger == {"u1": ("used", None), "u22": ("used", None), "mr": ("dropped", "unfit-for-preset")}
    assert "unfit-for-preset: this model needs units HU, but the corpus holds a volume (MR" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "b/manifests/0001.json").read_text())
    assert manifest["config"]["preset"]["init_args"]["shape"] == [10, 16, 16]
    assert (manifest["licence"], manifest["deidentify"]) == ("CC0-1.0", True)
    assert len(manifest["config"]["derived_from"]) == 64
    assert verify(tmp_path / "b").problems == []


def test_a_second_run_adds_what_is_new_and_the_bytes_do_not_depend_on_the_workers(source, tmp_path):
    before = {p: p.read_bytes() for p in source.rglob("*") if p.is_file()}
    materialize_corpus(source, tmp_path / "b", preset=description(PRESET), workers=2, job_items=1)
    assert {p: p.read_bytes() for p in source.rglob("*") if p.is_file()} == before
    writer = JobWriter(source, "job-2")
    writer.add(volume("u333", (20, 40, 40)))
    writer.publish()
    append_rows(source, "facts", "late", [{"uid": "u333", "concept": "c", "polarity": "absent"}])
    for name in ("b", "c"):
        materialize_corpus(source, tmp_path / name, preset=description(PRESET), engine="inline", job_items=1)
    assert sorted(Corpus(tmp_path / "b").table("samples")["uid"].to_pylist()) == ["u1", "u22", "u333"]
    assert sorted(Corpus(tmp_path / "b").table("facts")["uid"].to_pylist()) == ["u1", "u22", "u333"]
    assert verify(tmp_path / "b").problems == []
    files = [
        {p.relative_to(tmp_path / name).as_posix(): p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
        for name in "bc"
    ]
    data = [{name: content for name, content in f.items() if name.startswith(("shards/", "tables/"))} for f in files]
    assert len([name for name in data[0] if name.startswith("shards/")]) == 3
    assert data[0] == data[1]


def test_a_damaged_sample_is_one_sentence(source):
    row = Corpus(source).row("u1")
    shard = bytearray((source / row["shard"]).read_bytes())
    shard[row["offset"] : row["offset"] + 20] = bytes(20)
    (source / row["shard"]).write_bytes(shard)
    task = MaterializeTask(str(source), description(PRESET), "{}")
    damaged, sound, _ = task.items()
    with pytest.raises(CorpusError, match="not a Blosc2 array frame"):
        task.process(damaged)
    assert task.process(sound).status == "used"


def test_a_preset_that_suits_nothing_is_refused_before_anything_is_written(source, tmp_path):
    with pytest.raises(PresetError, match="needs modality PT"):
        materialize_corpus(
            source, tmp_path / "b", preset=description(VolumePreset(shape=(4, 4, 4), modalities=("PT",)))
        )
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("out", ["a", "a/inner", "."])
def test_a_corpus_is_not_derived_into_itself(source, tmp_path, out):
    with pytest.raises(ConfigError, match="inside each other"):
        materialize_corpus(source, tmp_path / out, preset=description(PRESET))


def test_presets_are_found_in_files_and_configs(tmp_path):
    config = PRESET.to_config()
    (tmp_path / "p.yaml").write_text(json.dumps(config))
    (tmp_path / "train.yaml").write_text(json.dumps({"model": {"class_path": "x"}, "data": {"preset": config}}))
    for text in (str(tmp_path / "p.yaml"), str(tmp_path / "train.yaml"), json.dumps(config)):
        assert read_preset(text)["class_path"] == config["class_path"]
    (tmp_path / "none.yaml").write_text("model: 1")
    for text, said in (
        (str(tmp_path / "none.yaml"), "holds no preset"),
        (str(tmp_path / "gone.yaml"), "does not exist"),
        ("{a: [", "cannot be read"),
        ("medical/nonsense", "no config named"),
    ):
        with pytest.raises(ConfigError, match=said):
            read_preset(text)


def test_code_named_by_a_preset_is_not_run(source, tmp_path):
    with pytest.raises(PresetError, match="is no class that voxtile"):
        materialize_corpus(
            source, tmp_path / "b", preset='{"class_path": "subprocess.Popen", "init_args": {"args": "id"}}'
        )


def test_a_preset_without_a_rule_names_what_is_missing_before_anything_is_stored(source, tmp_path):
    with pytest.raises(PresetError, match="preset object says nothing about stored resolutions"):
        derive(object(), None)
    with pytest.raises(PresetError, match=r"TilePreset says nothing .* train on the corpus as it is, or register"):
        materialize_corpus(source, tmp_path / "b", preset="remote_sensing/sentinel2")
    assert not (tmp_path / "b").exists()


def test_the_plan_is_the_same_twice(source):
    task = MaterializeTask(str(source), description(PRESET), "{}")
    assert [item.source for item in task.items()] == ["u1", "u22", "mr"]
    assert list(task.items()) == list(task.items())
