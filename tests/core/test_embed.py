"""`voxtile embed`: any model's own vectors, as its own library computes them, resumed and recorded."""

import io
import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import CheckpointError, ConfigError, InputError, PresetError, RunFailedError
from voxtile.stages.embed.command import embed_corpus
from voxtile.stages.embed.extractor import load_extractor
from voxtile.stages.embed.task import EmbedTask
from voxtile.stages.verify.command import verify_corpus

PICTURES = 7


def picture(number, size=(40, 56)):
    rng = np.random.default_rng(number)
    return rng.integers(0, 255, (*size, 3), dtype=np.uint8)


def as_png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def corpus(tmp_path):
    """Seven patches of one slide and its overview."""
    root = tmp_path / "corpus"
    new_corpus(root)
    with_kinds = [("patch", n) for n in range(PICTURES)] + [("overview", 99)]
    writer = JobWriter(root, "part-a")
    for kind, n in with_kinds:
        row = {"uid": f"{n:032x}", "subject": "s", "study": "s", "kind": kind, "modality": "SM"}
        writer.add(Sample(row, as_png(picture(n))))
    writer.publish()
    return root


@pytest.fixture(scope="session")
def timm_folder(tmp_path_factory):
    """A tiny vision transformer with a transform of its own, saved as timm saves for the hub."""
    import timm
    from timm.models import save_for_hf

    torch.manual_seed(1)
    shape = {"img_size": 32, "patch_size": 16, "embed_dim": 24, "depth": 1, "num_heads": 2}
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0, **shape)
    folder = tmp_path_factory.mktemp("timm") / "tiny"
    own = {"input_size": (3, 32, 32), "mean": (0.7, 0.5, 0.7), "std": (0.2, 0.2, 0.2), "crop_pct": 1.0}
    model.pretrained_cfg = model.default_cfg = {**model.pretrained_cfg, **own, "num_classes": 0}
    save_for_hf(model, str(folder), model_args=shape, safe_serialization=True)
    return folder, model.eval(), own


@pytest.fixture(scope="session")
def open_clip_folder(tmp_path_factory):
    """A tiny open_clip model in the layout of its hub."""
    import open_clip

    folder = tmp_path_factory.mktemp("open_clip") / "tiny"
    folder.mkdir()
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    own = {"mean": [0.6, 0.5, 0.4], "std": [0.3, 0.3, 0.3], "interpolation": "bilinear", "resize_mode": "shortest"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": own}))
    torch.manual_seed(2)
    model = open_clip.create_model(f"local-dir:{folder}", pretrained=None, load_weights=False)
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return folder


def vectors(corpus):
    rows = Corpus(corpus).table("embeddings").to_pylist()
    return {row["uid"]: np.array(row["vector"], np.float32) for row in rows}, {row["model"] for row in rows}


def test_a_timm_folder_gives_what_timm_gives_with_its_own_transform(corpus, timm_folder):
    folder, model, own = timm_folder
    embed_corpus(corpus, str(folder), batch_size=3)
    found, names = vectors(corpus)
    (name,) = names
    assert name.startswith("tiny-")
    assert len(found) == PICTURES  # and not the overview
    for n in range(PICTURES):
        image = Image.fromarray(picture(n)).resize((44, 32), Image.Resampling.BICUBIC)
        left = round((image.width - 32) / 2)
        pixels = np.asarray(image.crop((left, 0, left + 32, 32)), np.float32) / 255
        normal = torch.from_numpy((pixels - np.float32(own["mean"])) / np.float32(own["std"])).permute(2, 0, 1)
        with torch.no_grad():
            expected = model(normal[None])[0].numpy()
        assert np.abs(found[f"{n:032x}"] - expected).max() < 0.02
    assert Corpus(corpus).table("embeddings").schema.field("vector").type.value_type == "halffloat"


def test_open_clip_weights_of_this_machine_are_called_by_their_content(tmp_path, monkeypatch):
    """A training writes `epoch_latest.pt` again and again: vectors of an earlier one were taken for its own."""
    from types import SimpleNamespace

    from voxtile.stages.embed import clip_model

    monkeypatch.setattr(clip_model, "load_model", lambda spec: SimpleNamespace(preset=None))
    called = []
    for content in (b"first", b"first", b"second"):
        for path in (tmp_path / "epoch_latest.pt", tmp_path / "open_clip_model.bin"):
            path.write_bytes(content)
        names = (f"ViT-B-32/{tmp_path / 'epoch_latest.pt'}", f"local-dir:{tmp_path}", "ViT-B-32/openai", "ViT-B-32")
        called.append([load_extractor(f"open_clip:{name}").name for name in names])
    assert called[0] == called[1]
    assert called[0][0].startswith("open_clip:ViT-B-32/epoch_latest-")
    assert called[0][1].startswith(f"{tmp_path.name}-")
    assert [one == other for one, other in zip(*called[1:], strict=True)] == [False, False, True, True]
    assert called[0][2:] == ["open_clip:ViT-B-32/openai", "open_clip:ViT-B-32"]


def test_an_open_clip_folder_gives_what_open_clip_gives(corpus, open_clip_folder):
    import open_clip

    embed_corpus(corpus, str(open_clip_folder))
    found, _ = vectors(corpus)
    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{open_clip_folder}")
    model.eval()
    for n in range(PICTURES):
        with torch.no_grad():
            expected = model.encode_image(transform(Image.fromarray(picture(n)))[None], normalize=True)[0].numpy()
        assert np.abs(found[f"{n:032x}"] - expected).max() < 0.01


def test_a_transformers_folder_gives_what_transformers_gives(corpus, tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(3)
    config = transformers.ViTConfig(
        image_size=32, patch_size=16, hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    folder = tmp_path / "tiny-vit"
    transformers.ViTModel(config).save_pretrained(folder, safe_serialization=True)
    own = transformers.ViTImageProcessor(size={"height": 32, "width": 32}, image_mean=[0.7] * 3, image_std=[0.2] * 3)
    own.save_pretrained(folder)
    embed_corpus(corpus, str(folder))
    found, _ = vectors(corpus)
    model, processor = (
        transformers.AutoModel.from_pretrained(folder).eval(),
        transformers.AutoImageProcessor.from_pretrained(folder),
    )
    for n in range(PICTURES):
        inputs = processor(images=Image.fromarray(picture(n)), return_tensors="pt")
        with torch.no_grad():
            expected = model(**inputs).pooler_output[0].numpy()
        assert np.abs(found[f"{n:032x}"] - expected).max() < 0.01


def test_a_second_run_does_nothing_and_new_samples_are_added(corpus, timm_folder, monkeypatch):
    embed_corpus(corpus, str(timm_folder[0]), chunk=2)
    before = {p.name: p.read_bytes() for p in (corpus / "tables" / "embeddings").iterdir()}
    assert len(before) == 4  # chunks of two samples
    from voxtile.stages.embed.timm_model import TimmExtractor

    seen = []
    encode = TimmExtractor.encode
    monkeypatch.setattr(TimmExtractor, "encode", lambda self, images: seen.append(len(images)) or encode(self, images))
    embed_corpus(corpus, str(timm_folder[0]), chunk=2)
    assert not seen
    writer = JobWriter(corpus, "part-b")
    row = {"uid": f"{50:032x}", "subject": "t", "study": "t", "kind": "patch", "modality": "SM"}
    writer.add(Sample(row, as_png(picture(50))))
    writer.publish()
    embed_corpus(corpus, str(timm_folder[0]), chunk=2)
    assert sum(seen) == 1
    after = {p.name: p.read_bytes() for p in (corpus / "tables" / "embeddings").iterdir()}
    assert before.items() <= after.items()
    assert len(vectors(corpus)[0]) == PICTURES + 1
    verify_corpus(corpus)


def test_a_run_that_stops_goes_on_where_it_was(corpus, timm_folder, monkeypatch):
    from voxtile.stages.embed.timm_model import TimmExtractor

    encode, calls = TimmExtractor.encode, []

    def breaks(self, images):
        calls.append(len(images))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(self, images)

    monkeypatch.setattr(TimmExtractor, "encode", breaks)
    with pytest.raises(KeyboardInterrupt):
        embed_corpus(corpus, str(timm_folder[0]), chunk=2)
    assert len(vectors(corpus)[0]) == 4
    embed_corpus(corpus, str(timm_folder[0]), chunk=2)
    assert sum(calls) == PICTURES + 2  # only the chunk that was under way is done twice
    assert len(vectors(corpus)[0]) == PICTURES


def test_a_sample_that_cannot_be_read_costs_itself_alone(corpus, timm_folder):
    shard = next((corpus / "shards").glob("*.tar"))
    row = next(r for r in Corpus(corpus).table("samples").to_pylist() if r["uid"] == f"{2:032x}")
    data = bytearray(shard.read_bytes())
    data[row["offset"] + 8 : row["offset"] + 60] = bytes(52)
    shard.write_bytes(data)
    with pytest.raises(RunFailedError):
        embed_corpus(corpus, str(timm_folder[0]))
    assert sorted(vectors(corpus)[0]) == [f"{n:032x}" for n in range(PICTURES) if n != 2]


def test_a_condition_chooses(corpus, timm_folder):
    embed_corpus(corpus, str(timm_folder[0]), where=f"uid < '{3:032x}'")
    assert len(vectors(corpus)[0]) == 3


def test_sql_still_reads_a_corpus_with_embeddings(corpus, timm_folder):
    embed_corpus(corpus, str(timm_folder[0]))
    connection = Corpus(corpus).connection()
    assert connection.execute("SELECT count(DISTINCT uid) FROM embeddings").fetchone() == (PICTURES,)
    connection.close()


def test_a_model_by_timm_name_uses_what_timm_says(monkeypatch):
    """A hub name gets the arguments that its model card asks for."""
    import timm

    asked = {}

    def create(name, **arguments):
        asked.update(arguments, name=name)
        raise ValueError("offline")

    monkeypatch.setattr(timm, "create_model", create)
    with pytest.raises(ConfigError, match="offline"):
        load_extractor("timm:hf-hub:MahmoodLab/UNI")
    assert asked["name"] == "hf-hub:MahmoodLab/UNI"
    assert asked["pretrained"]
    assert asked["init_values"] == 1e-5


def test_conch_is_loaded_by_its_own_package(corpus, monkeypatch):
    """A stand-in for the package shows which of its calls are made."""
    import sys
    import types

    class Model(torch.nn.Module):
        def encode_image(self, images, *, proj_contrast, normalize):
            assert not proj_contrast
            assert not normalize
            return images.mean((2, 3)).repeat(1, 2)

    def transform(image):
        return torch.from_numpy(np.asarray(image, np.float32)[:32, :32] / 255).permute(2, 0, 1)

    package = types.ModuleType("conch.open_clip_custom")
    asked = []
    package.create_model_from_pretrained = lambda *names: asked.append(names) or (Model(), transform)
    monkeypatch.setitem(sys.modules, "conch", types.ModuleType("conch"))
    monkeypatch.setitem(sys.modules, "conch.open_clip_custom", package)
    embed_corpus(corpus, "hf:MahmoodLab/CONCH")
    assert asked == [("conch_ViT-B-16", "hf_hub:MahmoodLab/CONCH")]
    found, names = vectors(corpus)
    assert names == {"hf:MahmoodLab/CONCH"}
    expected = picture(3)[:32, :32].reshape(-1, 3).mean(0) / 255
    assert np.abs(found[f"{3:032x}"][:3] - expected).max() < 1e-3


def test_virchow_is_the_class_token_beside_the_mean_of_patches():
    import timm

    from voxtile.stages.embed.timm_model import _POOLING, TimmExtractor

    shape = {"img_size": 32, "patch_size": 16, "embed_dim": 24, "depth": 1, "num_heads": 2, "reg_tokens": 2}
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0, **shape).eval()
    extractor = TimmExtractor("v", model, _POOLING["paige-ai/Virchow2"])
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        tokens = model.forward_features(images)
    expected = torch.cat([tokens[:, 0], tokens[:, 3:].mean(1)], 1)
    assert torch.allclose(extractor.encode(images), expected, atol=1e-6)
    assert extractor.width == 48


@pytest.mark.parametrize("layout", ["safetensors", "pth"])
def test_a_file_of_weights_after_the_name_as_towers_take_it(corpus, tmp_path, layout):
    """What timm itself makes of the file, by timm's own transform; no folder of the machine is in the table."""
    import timm
    from safetensors.torch import save_file
    from timm.data import create_transform, resolve_data_config

    torch.manual_seed(3)
    model = timm.create_model("resnet10t", num_classes=0).eval()
    file = tmp_path / f"mine.{layout}"
    state = {**model.state_dict(), "fc.weight": torch.zeros(7, 512), "fc.bias": torch.zeros(7)}
    save_file(state, file) if layout == "safetensors" else torch.save({"state_dict": state}, file)
    embed_corpus(corpus, f"timm:resnet10t/{file}")
    found, (name,) = vectors(corpus)
    assert name.startswith("timm:resnet10t/mine-")
    assert str(tmp_path) not in name
    transform = create_transform(**resolve_data_config({}, model=model), is_training=False)
    for n in range(3):
        with torch.no_grad():
            expected = model(transform(Image.fromarray(picture(n)))[None])[0].numpy()
        np.testing.assert_allclose(found[f"{n:032x}"], expected, atol=5e-3)


@pytest.mark.parametrize(
    ("spec", "error", "sentence"),
    [
        ("nothing-here", ConfigError, "no such file or folder"),
        ("keras:resnet", ConfigError, "open_clip:NAME"),
        ("timm:no_such_model_at_all", ConfigError, "timm (has no|cannot make the) model .no_such_model_at_all."),
        ("timm:no_such_model_at_all/weights.pt", ConfigError, "timm has no model 'no_such_model_at_all'"),
        ("timm:resnet10t/no/such/weights.pt", CheckpointError, "do not exist; give a local file"),
        ("hf:MahmoodLab/CONCH", ConfigError, "code of its own"),
    ],
)
def test_a_model_that_does_not_exist_is_named(spec, error, sentence):
    with pytest.raises(error, match=sentence):
        load_extractor(spec)


def test_a_hub_that_cannot_be_reached_says_what_to_do(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def offline(*_args, **_named):
        raise LocalEntryNotFoundError("offline")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(CheckpointError, match="give its folder"):
        load_extractor("hf:vinid/plip")


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no model"):
        load_extractor(str(tmp_path))


def test_arrays_of_sixteen_bits_are_refused(corpus, timm_folder):
    writer = JobWriter(corpus, "part-c")
    row = {"uid": f"{60:032x}", "subject": "t", "kind": "tile", "modality": "MSI", "axes": "CYX"}
    writer.add(Sample(row, np.zeros((4, 8, 8), np.uint16)))
    writer.publish()
    with pytest.raises(PresetError, match="8 bits"):
        embed_corpus(corpus, str(timm_folder[0]))


def test_bad_options_are_refused(corpus, timm_folder):
    with pytest.raises(ConfigError, match="--batch-size"):
        embed_corpus(corpus, str(timm_folder[0]), batch_size=0)
    with pytest.raises(ConfigError, match="not a condition"):
        embed_corpus(corpus, str(timm_folder[0]), where="no_such_column = 1")
    with pytest.raises(InputError, match="no sample"):
        embed_corpus(corpus, str(timm_folder[0]), where="kind = 'volume'")


def test_the_hub_says_whose_model_it_is_by_its_config_files(monkeypatch, tmp_path):
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError

    import voxtile.stages.embed.hub as hub

    (tmp_path / "timm.json").write_text(json.dumps({"architecture": "vit_large_patch16_224"}))
    (tmp_path / "clip.json").write_text(json.dumps({"model_type": "clip"}))
    files = {
        ("wisdomik/QuiltNet-B-32", "open_clip_config.json"): tmp_path / "timm.json",
        ("MahmoodLab/UNI", "config.json"): tmp_path / "timm.json",
        ("vinid/plip", "config.json"): tmp_path / "clip.json",
    }

    def download(identity, file, **_):
        if (identity, file) not in files:
            raise EntryNotFoundError("no such file")
        return str(files[identity, file])

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    for library in ("open_clip_extractor", "timm_extractor", "transformers_extractor"):
        monkeypatch.setattr(hub, library, lambda name, library=library: (library, name))
    assert load_extractor("hf:wisdomik/QuiltNet-B-32") == ("open_clip_extractor", "hf-hub:wisdomik/QuiltNet-B-32")
    assert load_extractor("hf:MahmoodLab/UNI") == ("timm_extractor", "hf-hub:MahmoodLab/UNI")
    assert load_extractor("hf:vinid/plip") == ("transformers_extractor", "vinid/plip")


@pytest.mark.sweep(ci=True)
@pytest.mark.timeout(1000)
def test_slots_of_a_ray_load_the_model_again_and_give_the_same_vectors(corpus, timm_folder, tmp_path):
    pytest.importorskip("ray")
    folder, _, _ = timm_folder
    other = shutil.copytree(corpus, tmp_path / "other")
    embed_corpus(corpus, str(folder), chunk=3)
    embed_corpus(other, str(folder), chunk=3, engine="ray", workers=1)
    (expected, names), (found, same) = vectors(corpus), vectors(other)
    assert names == same
    assert found.keys() == expected.keys()
    for uid, vector in found.items():
        np.testing.assert_allclose(vector, expected[uid], rtol=2**-10)  # float16's last bit


def test_a_model_that_another_process_finds_changed_is_refused(corpus, timm_folder, tmp_path):
    folder = shutil.copytree(timm_folder[0], tmp_path / "tiny")
    task = EmbedTask(Corpus(corpus), load_extractor(str(folder)), {}, 3, 2, (str(folder), ()))
    packed = pickle.dumps(task)
    assert pickle.loads(packed).config() == task.config()
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\x80\x3f")
    with pytest.raises(CheckpointError, match=r"is 'tiny-.*' here and 'tiny-.*' where the run began; copy it again"):
        pickle.loads(packed)
