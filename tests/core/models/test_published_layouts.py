"""Weight files in the layouts of QuiltNet, RemoteCLIP, GeoRSCLIP and SkyCLIP, against open_clip's own reading of them.

Each file is what the model's code saves of an open_clip `CLIP`; the layers are few and narrow, and filled at random.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from open_clip import factory
from tests.core.evaluate.test_single_label import CLASSES
from tests.core.evaluate.test_single_label import pictures as pictures_corpus  # noqa: F401 - a fixture
from tests.support.published_inputs import TEXTS, filled, pictures, sample

from voxtile.cli.main import main
from voxtile.data.presets.published.preset import published_preset
from voxtile.data.presets.published.table import published_models
from voxtile.errors import CheckpointError
from voxtile.inference.load import load_model
from voxtile.inference.published.weights import from_open_clip

State = dict[str, torch.Tensor]
QUILTNET = "open_clip_pytorch_model.bin"


@dataclass(frozen=True)
class Layout:
    """How a project saves its model.

    Attributes:
        file: its name.
        quick_gelu: whether its code opens it with QuickGELU.
        saved: what `torch.save` is given.
    """

    file: str
    quick_gelu: bool
    saved: Callable[[State], Any]


def bare(state: State) -> Any:
    """A state_dict: QuiltNet's files of the hub, RemoteCLIP's and GeoRSCLIP's, whose code loads them as they are."""
    return state


def by_training(state: State) -> Any:
    """SkyScript's customized_train_and_test.py, on several cards."""
    wrapped = {f"module.{key}": value for key, value in state.items()}
    moments = {0: {"step": torch.tensor(9.0), "exp_avg": torch.zeros(3), "exp_avg_sq": torch.zeros(3)}}
    optimizer = {"state": moments, "param_groups": [{"lr": 1e-5, "betas": (0.9, 0.98), "params": [0]}]}
    scaler = {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000}
    return {"epoch": 20, "name": "SkyCLIP", "state_dict": wrapped, "optimizer": optimizer, "scaler": scaler}


LAYOUTS: Mapping[str, Layout] = {
    "quiltnet-b-32": Layout(QUILTNET, False, bare),
    "quiltnet-b-16": Layout(QUILTNET, False, bare),
    "remoteclip-rn50": Layout("RemoteCLIP-RN50.pt", True, bare),
    "remoteclip-vit-b-32": Layout("RemoteCLIP-ViT-B-32.pt", True, bare),
    "remoteclip-vit-l-14": Layout("RemoteCLIP-ViT-L-14.pt", True, bare),
    "georsclip-vit-b-32": Layout("RS5M_ViT-B-32.pt", True, bare),
    "georsclip-vit-h-14": Layout("RS5M_ViT-H-14.pt", False, bare),
    "skyclip-vit-l-14": Layout("epoch_20.pt", True, by_training),
    "skyclip-vit-b-32": Layout("epoch_20.pt", False, by_training),
}
# Layers of the ResNet, or the patch and blocks of each ViT, as their papers have them.
PARTS = {"RN50": None, "B-32": (32, 12), "B-16": (16, 12), "L-14": (14, 24), "H-14": (14, 32)}


def architecture(model: str) -> str:
    return str(published_models()[model].tower["architecture"])


def whole(model: str) -> dict[str, Any]:
    """What open_clip knows of the architecture, by its name without the activation."""
    return dict(open_clip.get_model_config(architecture(model).removesuffix("-quickgelu")))


def narrowed(model: str) -> dict[str, Any]:
    config = whole(model)
    image = dict(config["vision_cfg"])
    if isinstance(image["layers"], list):
        image |= {"layers": [1, 1, 1, 1], "width": 64}
    else:
        image |= {"layers": 2, "width": 64, "head_width": 32}
    text = {**config["text_cfg"], "width": 64, "heads": 2, "layers": 2}
    return {"embed_dim": 64, "vision_cfg": image, "text_cfg": text}


def own(model: str) -> torch.nn.Module:
    """The model as its code makes it, with open_clip."""
    made: torch.nn.Module = open_clip.CLIP(**narrowed(model), quick_gelu=LAYOUTS[model].quick_gelu).eval()
    shapes = {key: list(value.shape) for key, value in made.state_dict().items() if value.is_floating_point()}
    made.load_state_dict({key: torch.from_numpy(value) for key, value in filled(shapes).items()}, strict=False)
    return made


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The architectures with few narrow layers, under the names of the table."""
    for model in LAYOUTS:
        name = architecture(model)
        activation = {"quick_gelu": True} if name.endswith("-quickgelu") else {}
        monkeypatch.setitem(factory._MODEL_CONFIGS, name, {**narrowed(model), **activation})


def written(model: str, folder: Path, state: State | None = None) -> Path:
    layout = LAYOUTS[model]
    torch.save(layout.saved(own(model).state_dict() if state is None else state), folder / layout.file)
    return folder / layout.file


@pytest.mark.parametrize("model", LAYOUTS)
def test_the_architecture_of_the_table_is_that_of_the_model(model: str) -> None:
    size = next(part for end, part in PARTS.items() if architecture(model).removesuffix("-quickgelu").endswith(end))
    image = whole(model)["vision_cfg"]
    assert image["layers"] == [3, 4, 6, 3] if size is None else size == (image["patch_size"], image["layers"])
    assert architecture(model).endswith("-quickgelu") == LAYOUTS[model].quick_gelu


@pytest.mark.parametrize("model", LAYOUTS)
def test_every_key_of_the_whole_model_has_its_place(model: str) -> None:
    """In full size, without values: the keys of the file are those of the towers that voxtile opens, shape by shape."""
    with torch.device("meta"):
        file, towers = open_clip.CLIP(**whole(model)), open_clip.CustomTextCLIP(**whole(model))
    taken = {key: tuple(value.shape) for key, value in from_open_clip(file.state_dict()).items()}
    assert taken == {key: tuple(value.shape) for key, value in towers.state_dict().items()}


@pytest.mark.cases(3)
@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("model", LAYOUTS)
def test_vectors_equal_those_of_open_clip(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = load_model(f"hub:{model}/{written(model, tmp_path)}")
    keys = len(own(model).state_dict())
    assert f"{keys} weights used" in " ".join(capsys.readouterr().err.split())  # each, and none left out
    preset = published_preset(model)
    images = torch.stack([preset(sample(pictures()[name]), None) for name in ("wide", "grey")])
    peer: Any = own(model)
    with torch.no_grad():
        image = peer.encode_image(images, normalize=True)
        text = peer.encode_text(open_clip.get_tokenizer("ViT-B-32")(list(TEXTS)), normalize=True)
    assert (opened.encode_images(images) - image).abs().max() < 1e-4
    assert (opened.encode_texts(TEXTS) - text).abs().max() < 1e-4
    assert opened.logit_scale == pytest.approx(float(peer.logit_scale.detach().exp()), rel=1e-4)


@pytest.mark.usefixtures("narrow")
def test_half_precision_is_read_as_it_is(tmp_path: Path) -> None:
    """As OpenAI's own weights are saved, from which GeoRSCLIP began."""
    half = {key: value.half() for key, value in own("georsclip-vit-b-32").state_dict().items()}
    opened = load_model(f"hub:georsclip-vit-b-32/{written('georsclip-vit-b-32', tmp_path, half)}")
    peer: Any = own("georsclip-vit-b-32")
    peer.load_state_dict({key: value.float() for key, value in half.items()})
    with torch.no_grad():
        text = peer.encode_text(open_clip.get_tokenizer("ViT-B-32")(list(TEXTS)), normalize=True)
    assert (opened.encode_texts(TEXTS) - text).abs().max() < 1e-4


OTHERS = [
    ("remoteclip-rn50", "remoteclip-vit-b-32", "visual."),  # a ViT under a ResNet's name
    ("remoteclip-vit-b-32", "remoteclip-rn50", "visual."),
    ("quiltnet-b-32", "quiltnet-b-16", "visual.positional_embedding is (197, 64) and not (50, 64)"),
    ("skyclip-vit-l-14", "skyclip-vit-b-32", "visual.positional_embedding is (50, 64) and not (257, 64)"),
]


@pytest.mark.cases(2)
@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(("model", "other", "said"), OTHERS)
def test_weights_of_another_architecture_are_refused_by_the_command(
    model: str,
    other: str,
    said: str,
    pictures_corpus: Any,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / LAYOUTS[model].file
    torch.save(LAYOUTS[other].saved(own(other).state_dict()), file)
    prompts = "".join(f"  {name}: {{prompts: [{name}]}}\n" for name in CLASSES)
    (tmp_path / "task.yaml").write_text(f"kind: zero-shot-singlelabel\nclasses:\n{prompts}", "utf-8")
    options = ["--corpus", str(pictures_corpus.roots[0]), "--out", str(tmp_path / "out")]
    assert main(["evaluate", f"hub:{model}/{file}", str(tmp_path / "task.yaml"), *options]) != 0
    told = " ".join(capsys.readouterr().err.split())
    assert f"are not those of {published_models()[model].title} ({architecture(model)}): " in told
    assert said in told
    assert "Traceback" not in told
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.usefixtures("narrow")
def test_one_key_too_few_or_too_many_is_named(tmp_path: Path) -> None:
    state = own("skyclip-vit-b-32").state_dict()
    lost = state.pop("transformer.resblocks.1.mlp.c_fc.bias")
    with pytest.raises(CheckpointError, match=r"text\.transformer\.resblocks\.1\.mlp\.c_fc\.bias is missing"):
        load_model(f"hub:skyclip-vit-b-32/{written('skyclip-vit-b-32', tmp_path, state)}")
    more = {**own("skyclip-vit-b-32").state_dict(), "transformer.resblocks.2.mlp.c_fc.bias": lost}
    with pytest.raises(CheckpointError, match=r"text\.transformer\.resblocks\.2\.mlp\.c_fc\.bias is unknown"):
        load_model(f"hub:skyclip-vit-b-32/{written('skyclip-vit-b-32', tmp_path, more)}")
