"""Weights of published models: files in their layout, filled at random, against vectors that their own code made."""

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.core.evaluate.test_single_label import CLASSES
from tests.core.evaluate.test_single_label import pictures as pictures_corpus  # noqa: F401 - a fixture
from tests.support.published_inputs import TEXTS, cube, filled, grey_scans, pictures, sample, scans

from voxtile.cli.main import main
from voxtile.data.presets.published.preset import published_preset
from voxtile.data.presets.published.table import published_models
from voxtile.errors import CheckpointError, ConfigError
from voxtile.inference.load import load_model
from voxtile.inference.published.images import PublishedImages
from voxtile.inference.published.weights import Pair, from_open_clip, from_transformers, load_pair
from voxtile.models.hub.conch import ConchTower
from voxtile.models.hub.openclip import OpenClipImage, OpenClipText

NUMBERS = json.loads((Path(__file__).parents[1] / "data" / "published_numbers.json").read_text("utf-8"))
NARROW: dict[str, Any] = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "head_width": 64, "patch_size": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2},
}
PAIRS = ("chexzero", "plip")


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The architecture of both, with two blocks of 64."""
    from open_clip import factory

    monkeypatch.setitem(factory._MODEL_CONFIGS, "ViT-B-32-quickgelu", NARROW)


def tensors(model: str) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(v) for key, v in filled(NUMBERS[model]["vectors"]["layout"]).items()}


def saved(tmp_path: Path, state: dict[str, Any]) -> str:
    torch.save(state, tmp_path / "weights.pt")
    return str(tmp_path / "weights.pt")


def images(model: str) -> torch.Tensor:
    preset = published_preset(model)
    return torch.stack([preset(sample(pictures()[name]), None) for name in ("wide", "grey")])


def unit(rows: Any) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.tensor(rows), dim=1)


@pytest.mark.parametrize("model", PAIRS)
def test_vectors_of_pictures_and_texts_equal_the_models_own_code(model: str, tmp_path: Path) -> None:
    opened = load_model(f"hub:{model}/{saved(tmp_path, tensors(model))}")
    expected = NUMBERS[model]["vectors"]
    assert (opened.encode_images(images(model)) - unit(expected["first"])).abs().max() < 1e-4
    assert (opened.encode_texts(TEXTS) - unit(expected["second"])).abs().max() < 1e-4
    assert opened.logit_scale == pytest.approx(np.exp(3.5), rel=1e-4)
    assert opened.name == f"hub:{model}/weights.pt"  # no folder of this machine


def test_a_published_model_is_evaluated_by_the_command(
    pictures_corpus: Any,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prompts = "".join(f"  {name}: {{prompts: [{name}]}}\n" for name in CLASSES)
    (tmp_path / "task.yaml").write_text(f"kind: zero-shot-singlelabel\nclasses:\n{prompts}", "utf-8")
    model = f"hub:chexzero/{saved(tmp_path, tensors('chexzero'))}"
    out = ["--corpus", str(pictures_corpus.roots[0]), "--out", str(tmp_path / "out"), "--bootstrap", "100"]
    assert main(["evaluate", model, str(tmp_path / "task.yaml"), *out]) == 0
    content = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert content["provenance"]["preset"] == json.loads(json.dumps(published_preset("chexzero").to_config()))
    file = (tmp_path / "weights.pt").read_bytes()
    assert content["provenance"]["model"]["sha256"] == hashlib.sha256(file).hexdigest()
    assert {row["model"] for row in content["rows"]} == {"hub:chexzero/weights.pt", "histogram-and-blocks"}
    assert "62 weights used" in capsys.readouterr().err


@pytest.mark.parametrize("model", PAIRS)
def test_every_key_is_accounted_for(model: str, tmp_path: Path) -> None:
    state = {**tensors(model), "text_model.embeddings.position_ids": torch.arange(77)[None]}
    image, text = OpenClipImage(name="ViT-B-32-quickgelu"), OpenClipText(name="ViT-B-32-quickgelu")
    pair = Pair(image.visual, text.text)
    report = load_pair(pair, saved(tmp_path, state), layout=published_models()[model].layout, title=model)
    assert set(report.used) == set(pair.state_dict())
    assert report.unexpected == ("text_model.embeddings.position_ids",)
    assert not report.missing
    assert not report.resized


def test_training_code_may_have_wrapped_the_weights(tmp_path: Path) -> None:
    state = {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in tensors("chexzero").items()}}
    opened = load_model(f"hub:chexzero/{saved(tmp_path, state)}")
    plain = load_model(f"hub:chexzero/{saved(tmp_path, tensors('chexzero'))}")
    assert torch.equal(opened.encode_texts(TEXTS), plain.encode_texts(TEXTS))


@pytest.mark.parametrize(
    ("model", "other", "said"),
    [
        ("chexzero", "plip", r"are not those of CheXzero \(ViT-B-32-quickgelu\): visual\.\w+ is missing, .*more keys"),
        ("plip", "chexzero", r"are not those of PLIP \(ViT-B-32-quickgelu\): .* is missing"),
        ("chexzero", "conch", r"are not those of CheXzero"),
    ],
)
def test_weights_of_another_architecture_are_refused_by_their_keys(
    model: str, other: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match=said):
        load_model(f"hub:{model}/{saved(tmp_path, tensors(other))}")


def test_weights_of_another_size_are_refused_with_both_shapes(tmp_path: Path) -> None:
    state = tensors("chexzero")
    state["visual.conv1.weight"] = torch.zeros(64, 3, 16, 16)
    shapes = r"visual\.conv1\.weight is \(64, 3, 16, 16\) and not \(64, 3, 32, 32\)"
    with pytest.raises(CheckpointError, match=f"are not those of CheXzero .*: {shapes}; give the file"):
        load_model(f"hub:chexzero/{saved(tmp_path, state)}")


def test_the_three_projections_of_attention_are_joined_or_reported() -> None:
    state = tensors("plip")
    del state["text_model.encoder.layers.0.self_attn.k_proj.bias"]
    assert "text.transformer.resblocks.0.attn.in_proj_bias" not in from_transformers(state)
    assert "text.transformer.resblocks.1.attn.in_proj_bias" in from_transformers(state)
    assert set(from_open_clip({"module.ln_final.bias": torch.zeros(1)})) == {"text.ln_final.bias"}


@pytest.mark.parametrize("projected", [True, False])
def test_the_image_tower_of_conch_equals_its_own_code(projected: bool, tmp_path: Path) -> None:
    file = saved(tmp_path, tensors("conch"))
    tower = ConchTower(pretrained=file, projected=projected, width=64, depth=2, heads=2, embed_dim=32).eval()
    with torch.no_grad():
        vectors = tower(images("conch")).pooled
    expected = torch.tensor(NUMBERS["conch"]["vectors"]["first" if projected else "second"])
    assert (vectors - expected).abs().max() < 1e-4
    assert tower.load_report is not None
    left_out = set(tower.load_report.unexpected)
    rest = [key for key in tensors("conch") if key.startswith(("text.", "logit_scale")) or "caption" in key]
    assert left_out == {key.removeprefix("visual.") for key in rest}
    assert len(tower.load_report.used) + len(left_out) == len(tensors("conch"))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("hub:chexzero", "the weights of CheXzero are on no hub: .* name the file: hub:chexzero/FILE"),
        ("hub:rad-dino/FOLDER", "encodes images alone, .*voxtile embed CORPUS hub:rad-dino"),
        ("hub:ct-clip", "the weights of CT-CLIP are on no hub: .* name the file: hub:ct-clip/FILE"),
        ("hub:remoteclip", "no published model is called 'remoteclip'"),
    ],
)
def test_what_cannot_be_opened_says_what_to_do(spec: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_model(spec)


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"'absent\.pt' do"):
        load_model("hub:chexzero/absent.pt")


def test_images_alone_are_embedded_with_their_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from voxtile.stages.embed.extractor import load_extractor

    narrow = partial(ConchTower, width=64, depth=2, heads=2, embed_dim=32)
    monkeypatch.setattr("voxtile.models.ConchTower", narrow)
    extractor = load_extractor(f"hub:conch/{saved(tmp_path, tensors('conch'))}")
    assert isinstance(extractor._model, PublishedImages)  # type: ignore[attr-defined]
    vectors = extractor.encode(torch.stack([extractor.prepare(sample(pictures()["wide"]))]))
    assert (vectors - torch.tensor(NUMBERS["conch"]["vectors"]["second"][:1])).abs().max() < 1e-4
    assert extractor.name.startswith("hub:conch/weights-")
    other = {name: tensor + 1e-3 for name, tensor in tensors("conch").items()}  # trained on, under the same path
    assert load_extractor(f"hub:conch/{saved(tmp_path, other)}").name not in (extractor.name, "hub:conch/weights.pt")


def test_the_file_of_dofas_authors_ends_with_its_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its README lists what is missing from the model and unknown to it."""
    from voxtile.models.hub import torchgeo

    models = pytest.importorskip("torchgeo.models")

    def small(name: str, options: Any) -> torch.nn.Module:
        narrow = {"img_size": 32, "patch_size": 16, "embed_dim": 32, "depth": 1, "num_heads": 2}
        made: torch.nn.Module = models.DOFA(**{**options, **narrow})
        return made

    monkeypatch.setattr(torchgeo, "_create", small)
    state = small("", {"num_classes": 0, "global_pool": True}).state_dict()
    file = {key: value for key, value in state.items() if not key.startswith("fc_norm.")}
    extra = ("mask_token", "norm.weight", "norm.bias", "projector.weight", "projector.bias")
    file |= {key: torch.zeros(3) for key in extra}
    tower = torchgeo.DofaTower(
        name="dofa_base_patch16_224", wavelengths_nm=[665, 560, 490], pretrained=saved(tmp_path, file), size=32
    )
    assert tower.load_report is not None
    assert set(tower.load_report.missing) == {"fc_norm.weight", "fc_norm.bias"}
    assert set(tower.load_report.unexpected) == set(extra)
    assert len(tower.load_report.used) == len(state) - 2
    del file["cls_token"]
    with pytest.raises(CheckpointError, match="cls_token is missing"):
        torchgeo.DofaTower(
            name="dofa_base_patch16_224", wavelengths_nm=[665], pretrained=saved(tmp_path, file), size=32
        )


def test_a_folder_of_open_clip_is_opened_with_the_preset_of_the_table(tmp_path: Path) -> None:
    import open_clip

    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": NARROW, "preprocess_cfg": {}}), "utf-8")
    torch.save(open_clip.CLIP(**NARROW).state_dict(), tmp_path / "open_clip_pytorch_model.bin")
    opened = load_model(f"hub:biomedclip/{tmp_path}")
    assert opened.name == f"hub:biomedclip/{tmp_path.name}"
    assert opened.preset.to_config() == published_preset("biomedclip").to_config()
    with pytest.raises(CheckpointError, match="there is no folder 'absent' of BiomedCLIP"):
        load_model("hub:biomedclip/absent")


NARROW_BERT = {"hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 96}


@pytest.fixture
def m3d_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as GoodBaiBai88/M3D-CLIP is, whose configuration asks for code of its own."""
    from voxtile.models.hub import m3d

    pytest.importorskip("monai")
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", *(f"[unused{n}]" for n in range(1, 100)), "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]
    (tmp_path / "vocab.txt").write_text("\n".join(words), "utf-8")
    transformers.BertTokenizer(vocab=str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    config = {"model_type": "m3d_clip", "auto_map": {"AutoModel": "modeling_m3d_clip.M3DCLIP"}}
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    torch.save(tensors("m3d-clip"), tmp_path / "pytorch_model.bin")
    image = partial(m3d.M3dImage, width=48, depth=2, heads=2)
    monkeypatch.setattr(m3d, "M3dImage", image)
    monkeypatch.setattr(m3d, "M3dText", partial(m3d.M3dText, options={**NARROW_BERT, "vocab_size": 320}))
    return tmp_path


def test_the_towers_of_m3d_equal_its_own_code(m3d_folder: Path) -> None:
    opened: Any = load_model(f"hub:m3d-clip/{m3d_folder}")
    expected = NUMBERS["m3d-clip"]["vectors"]
    scan = opened.preset(sample(grey_scans()["framed"]), None)
    assert (opened.encode_images(scan[None]) - torch.tensor(expected["first"])).abs().max() < 1e-4
    words = torch.tensor([[101, 7, 250, 33, 102, 0], [101, 12, 102, 0, 0, 0]])
    with torch.no_grad():
        vectors = opened.encoder.text(words, local=False).pooled
    assert (unit(vectors.tolist()) - torch.tensor(expected["second"])).abs().max() < 1e-4
    assert opened.logit_scale == pytest.approx(3.5)
    assert opened.encode_texts(["a b", "c"]).shape == (2, 48)


def test_m3d_weights_of_another_architecture_are_refused(m3d_folder: Path) -> None:
    torch.save(tensors("plip"), m3d_folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"are not those of M3D-CLIP: \S+ is missing"):
        load_model(f"hub:m3d-clip/{m3d_folder}")
    (m3d_folder / "pytorch_model.bin").unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors' do"):
        load_model(f"hub:m3d-clip/{m3d_folder}")


def test_the_image_tower_of_hlip_equals_its_own_code(tmp_path: Path) -> None:
    """With the prefixes and the text side that its files have."""
    from voxtile.models import HlipImage

    own = tensors("hlip-chest-ct")
    state = {f"module.{key}": value for key, value in own.items()}
    text = {"module.text.proj.weight": torch.zeros(2, 2), "module.logit_scale": torch.tensor(1.0)}
    narrow: dict[str, Any] = {"width": 48, "depth": 3, "heads": 2, "embed_dim": 32}
    tower = HlipImage(pretrained=saved(tmp_path, {"state_dict": {**state, **text}}), **narrow).eval()
    preset = published_preset("hlip-chest-ct")
    both = torch.stack([preset(sample(scans()[name]), None) for name in ("long", "wide")])
    with torch.no_grad():
        vectors = tower(both).pooled
    assert (vectors - torch.tensor(NUMBERS["hlip-chest-ct"]["vectors"]["first"])).abs().max() < 1e-4
    assert tower.load_report is not None
    assert len(tower.load_report.used) == len(own)
    assert set(tower.load_report.unexpected) == {"text.proj.weight", "logit_scale"}
    with pytest.raises(CheckpointError, match=r"is missing"):
        HlipImage(pretrained=saved(tmp_path, tensors("conch")), **narrow)


def test_the_image_tower_of_merlin_equals_its_own_code(tmp_path: Path) -> None:
    from voxtile.models import MerlinImage

    pytest.importorskip("monai")
    own = tensors("merlin")
    norms = {key.replace("running_var", "num_batches_tracked") for key in own if key.endswith("running_var")}
    state = {**own, **dict.fromkeys(norms, torch.tensor(1)), "encode_text.linear_layer.bias": torch.zeros(2)}
    file = saved(tmp_path, state)
    tower = MerlinImage(pretrained=file, layers=(1, 1, 1, 1)).eval()
    with torch.no_grad():
        vector = tower(torch.from_numpy(cube())).pooled
    expected = torch.tensor(NUMBERS["merlin"]["vectors"]["first"])
    assert (unit(vector.tolist()) - unit(expected.tolist())).abs().max() < 1e-4
    assert vector.norm() == pytest.approx(expected.norm().item(), rel=1e-4)
    assert tower.load_report is not None
    assert set(tower.load_report.unexpected) == {
        "classifier.weight", "classifier.bias", "encode_text.linear_layer.bias"
    }  # fmt: skip
    with pytest.raises(CheckpointError, match=r"layer1\.1\.\S+ is missing"):
        MerlinImage(pretrained=file, layers=(2, 1, 1, 1))
