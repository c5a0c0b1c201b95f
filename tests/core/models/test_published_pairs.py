"""Both towers of CT-CLIP, COLIPRI, CONCH, HLIP and Merlin: files of their layout, against vectors of their own code.

`benchmarks/published_pairs.py` wrote the vectors, in an environment of its own; HLIP's text side is open_clip's.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.support.published_inputs import REPORTS, TEXTS, WORDS, cube, filled, pictures, sample, scans, volume

from voxtile.data.presets.published.preset import published_preset
from voxtile.errors import CheckpointError, ConfigError
from voxtile.inference.load import load_model
from voxtile.inference.published import report_pairs
from voxtile.inference.published.report_pairs import PAIRS, ReportPair
from voxtile.models.hub import colipri, conch, ct_clip, merlin, report_texts
from voxtile.models.image import hlip

DATA = Path(__file__).parents[1] / "data"
NUMBERS = json.loads((DATA / "published_pairs.json").read_text("utf-8"))
IMAGES = json.loads((DATA / "published_numbers.json").read_text("utf-8"))
BERT: dict[str, Any] = {
    "hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 96, "vocab_size": 320,
}  # fmt: skip
LONGFORMER = {**BERT, "attention_window": 4, "max_position_embeddings": 66}
HLIP: dict[str, Any] = {"width": 48, "depth": 3, "heads": 2, "embed_dim": 32}
NARROW: Mapping[str, tuple[Callable[[], Any], Callable[[str], Any]]] = {
    "ct-clip": (
        lambda: ct_clip.CtClipImage(
            size=(30, 40, 40), patch=(10, 20, 20), width=64, depth=2, heads=2, head_width=16, codes=32, embed_dim=32
        ),
        lambda place: report_texts.BertText(folder=place, options=BERT, embed_dim=32),
    ),
    "colipri": (
        lambda: colipri.ColipriImage(size=(16, 24, 32), width=48, depth=2, heads=2, embed_dim=48, pool_heads=2),
        lambda place: colipri.ColipriText(folder=place, options=BERT, pool_heads=2),
    ),
    "merlin": (
        lambda: merlin.MerlinImage(layers=(1, 1, 1, 1)),
        lambda place: report_texts.MerlinText(folder=place, options=LONGFORMER),
    ),
    "conch": (
        lambda: conch.ConchTower(projected=True, width=64, depth=2, heads=2, embed_dim=32),
        lambda place: conch.ConchText(folder=place, vocabulary=320, width=64, depth=2, heads=2, embed_dim=32),
    ),
    "hlip": (
        lambda: hlip.HlipImage(**HLIP),
        lambda place: report_texts.BertText(folder=place, options=BERT, embed_dim=32),
    ),
}
MODELS = {"ct-clip": "ct-clip", "colipri": "colipri", "merlin": "merlin", "conch": "conch", "hlip": "hlip-chest-ct"}


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The five pairs with one or two narrow blocks."""
    pytest.importorskip("monai")
    made = {
        name: ReportPair(image, text, PAIRS[name].named, PAIRS[name].left_out, PAIRS[name].scale)
        for name, (image, text) in NARROW.items()
    }
    monkeypatch.setattr(report_pairs, "PAIRS", made)


def layout(name: str) -> dict[str, list[int]]:
    """Keys and shapes of a file: of images from `published_numbers.json`, of texts from `published_pairs.json`."""
    if name == "hlip":
        images = {key: shape for key, shape in IMAGES["hlip-chest-ct"]["vectors"]["layout"].items()}
        return {**images, **hlip_texts()[0], "logit_scale": []}
    if name in ("merlin", "conch"):
        images = {k: s for k, s in IMAGES[name]["vectors"]["layout"].items() if not k.startswith("text.")}
        return {**images, **NUMBERS[name]["layout"], "logit_scale": []}
    return dict(NUMBERS[name]["layout"])


def weights(name: str) -> dict[str, torch.Tensor]:
    made = {key: torch.from_numpy(value) for key, value in filled(layout(name)).items()}
    return made | ({"softmax_temperature": torch.tensor(4)} if name == "colipri" else {})  # a whole number there


def hlip_texts() -> tuple[dict[str, list[int]], torch.Tensor]:
    """open_clip's text tower with a BERT, as HLIP's configuration names it: its layout and its vectors of two texts."""
    from open_clip.hf_model import HFTextEncoder
    from transformers import BertConfig

    tower = HFTextEncoder(
        "bert", 32, config=BertConfig(**BERT), pooler_type="cls_last_hidden_state_pooler", proj_type="linear",
        pretrained=False,
    ).eval()  # fmt: skip
    shapes = {
        f"text.{key}": list(value.shape) for key, value in tower.state_dict().items() if value.is_floating_point()
    }
    made = {key.removeprefix("text."): torch.from_numpy(value) for key, value in filled(shapes).items()}
    tower.load_state_dict(made, strict=False)
    with torch.no_grad():
        return shapes, tower(torch.tensor(WORDS))


def folder(tmp_path: Path, name: str, state: Mapping[str, torch.Tensor] | None = None) -> Path:
    """A folder as a user makes it: the file of weights, and the tokenizer's files beside it."""
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", *(f"[unused{n}]" for n in range(1, 100)), "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefgh"]
    if name == "conch":
        byte_pairs(tmp_path / conch.TOKENIZER)
    else:
        (tmp_path / "vocab.txt").write_text("\n".join(words), "utf-8")
        transformers.BertTokenizer(vocab=str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    torch.save(weights(name) if state is None else dict(state), tmp_path / "weights.pt")
    return tmp_path


def byte_pairs(path: Path) -> None:
    """A tokenizer of single letters, with CONCH's marks."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    marks = ["<pad>", "<start_of_text>", "<end_of_text>"]
    letters = {word: number for number, word in enumerate([*marks, *"abcdefghijklmnopqrstuvwxyz"])}
    made = Tokenizer(models.WordLevel(letters, unk_token="<pad>"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.post_processor = processors.TemplateProcessing(
        single="<start_of_text> $A <end_of_text>", special_tokens=[("<start_of_text>", 1), ("<end_of_text>", 2)]
    )
    made.save(str(path))


def opened(tmp_path: Path, name: str) -> Any:
    return load_model(f"hub:{MODELS[name]}/{folder(tmp_path, name)}")


def unit(rows: Any) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.as_tensor(rows), dim=1)


def texts_of(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return unit(model.encoder.text(torch.tensor(WORDS), local=False).pooled)


@pytest.mark.parametrize("name", ["ct-clip", "colipri", "merlin", "conch"])
def test_vectors_of_texts_equal_the_models_own_code(name: str, tmp_path: Path) -> None:
    model = opened(tmp_path, name)
    assert (texts_of(model) - unit(NUMBERS[name]["text"])).abs().max() < 1e-4


def test_vectors_of_hlips_texts_equal_open_clips(tmp_path: Path) -> None:
    expected = hlip_texts()[1]
    assert (texts_of(opened(tmp_path, "hlip")) - unit(expected)).abs().max() < 1e-4


def test_vectors_of_images_of_ct_clip_equal_its_own_code(tmp_path: Path) -> None:
    both = torch.from_numpy(volume(30, 40, 40)).repeat(2, 1, 1, 1, 1)
    both[1] = both[1].flip(1)
    made = opened(tmp_path, "ct-clip").encode_images(both)
    assert (made - torch.tensor(NUMBERS["ct-clip"]["image"])).abs().max() < 1e-4
    assert (made[0] - made[1]).abs().max() > 1e-2, "the order of slices counts"


def test_vectors_of_images_of_colipri_equal_its_own_code(tmp_path: Path) -> None:
    model = opened(tmp_path, "colipri")
    scan = torch.from_numpy(volume(16, 24, 32))
    assert (model.encode_images(scan) - torch.tensor(NUMBERS["colipri"]["image"])).abs().max() < 1e-4
    with torch.no_grad():
        seen = model.encoder.image(scan, tokens=True)
    dense = seen.tokens[0].view(*seen.grid, -1)[1, 2, 3]
    assert (dense - torch.tensor(NUMBERS["colipri"]["dense"]).squeeze()).abs().max() < 1e-4
    assert model.logit_scale == pytest.approx(0.25, rel=1e-4)


@pytest.mark.parametrize("name", ["merlin", "conch", "hlip"])
def test_the_image_side_of_a_pair_is_that_of_images_alone(name: str, tmp_path: Path) -> None:
    """Whose vectors `test_published_models.py` holds to the models' own code."""
    model, expected = opened(tmp_path, name), IMAGES[MODELS[name]]["vectors"]["first"]
    given = {
        "merlin": lambda: torch.from_numpy(cube()),
        "conch": lambda: torch.stack([model.preset(sample(pictures()[n]), None) for n in ("wide", "grey")]),
        "hlip": lambda: torch.stack([model.preset(sample(scans()[n]), None) for n in ("long", "wide")]),
    }[name]()
    assert (model.encode_images(given) - unit(expected)).abs().max() < 1e-4
    assert model.preset.to_config() == published_preset(MODELS[name]).to_config()


@pytest.mark.parametrize("name", MODELS)
def test_every_key_is_used_or_left_out_by_name(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = opened(tmp_path, name)
    told = " ".join(capsys.readouterr().err.split())
    used = int(told.split(" weights used")[0].rpartition(" ")[2])
    left = int(told.split(" left out")[0].rpartition(" ")[2]) if " left out" in told else 0
    assert used + left == len(weights(name))
    assert used > 20
    missing = told.partition(" missing (")[2].partition(")")[0]
    assert all("num_batches_tracked" in key or key.startswith("and ") for key in missing.split(", ") if key)
    assert model.encode_texts(["a b", "c"]).shape[1] == model.encoder.text.width


@pytest.mark.parametrize("name", MODELS)
def test_weights_of_another_architecture_are_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    other = next(model for model in MODELS if model != name)
    place = folder(tmp_path, name, weights(other))
    with pytest.raises(CheckpointError, match=r"are not those of .* is missing, .* more keys; give the file") as error:
        load_model(f"hub:{MODELS[name]}/{place}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", MODELS)
def test_a_layer_of_another_width_is_refused_with_both_shapes(name: str, tmp_path: Path) -> None:
    state = weights(name)
    key = next(key for key, value in state.items() if value.ndim == 2 and min(value.shape) > 8 and "embed" not in key)
    state[key] = torch.zeros(7, 5)
    with pytest.raises(CheckpointError, match=r"is \(7, 5\) and not \(\d+, \d+\)"):
        load_model(f"hub:{MODELS[name]}/{folder(tmp_path, name, state)}")


def test_a_folder_without_a_tokenizer_or_with_two_files_says_what_to_do(tmp_path: Path) -> None:
    torch.save(weights("conch"), tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=f"has no {conch.TOKENIZER}.*copy it from"):
        load_model(f"hub:conch/{tmp_path}")
    torch.save({}, tmp_path / "more.bin")
    with pytest.raises(CheckpointError, match=r"has 2 files of weights \(more.bin, weights.pt\)"):
        load_model(f"hub:conch/{tmp_path}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match="has no file of CONCH"):
        load_model(f"hub:conch/{tmp_path / 'empty'}")


def test_a_file_is_opened_with_the_tokenizer_beside_it(tmp_path: Path) -> None:
    place = folder(tmp_path, "ct-clip")
    whole, by_file = load_model(f"hub:ct-clip/{place}"), load_model(f"hub:ct-clip/{place / 'weights.pt'}")
    assert torch.equal(whole.encode_texts(TEXTS), by_file.encode_texts(TEXTS))
    assert by_file.name == "hub:ct-clip/weights.pt"


def test_wrappers_of_training_code_are_taken_off(tmp_path: Path) -> None:
    plain = opened(tmp_path, "hlip").encode_texts(["a b"])
    wrapped = {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in weights("hlip").items()}}
    torch.save(wrapped, tmp_path / "weights.pt")
    assert torch.equal(load_model(f"hub:hlip-chest-ct/{tmp_path}").encode_texts(["a b"]), plain)


def test_a_table_of_more_words_is_taken(tmp_path: Path) -> None:
    """CT-CLIP's code makes the table as long as the tokenizer."""
    state, key = weights("ct-clip"), "text_transformer.embeddings.word_embeddings.weight"
    state[key] = torch.cat([state[key], torch.ones(3, 48)])
    model = load_model(f"hub:ct-clip/{folder(tmp_path, 'ct-clip', state)}")
    assert (texts_of(model) - unit(NUMBERS["ct-clip"]["text"])).abs().max() < 1e-4


def test_merlin_is_given_texts_as_it_was_trained() -> None:
    made = [" ".join(report_texts._WORDS.findall(text.lower())) for text in REPORTS]
    assert made == NUMBERS["merlin"]["texts"]


def test_the_last_token_of_conch_has_its_place_whatever_the_texts_are(tmp_path: Path) -> None:
    model = opened(tmp_path, "conch")
    alone, beside = model.encode_texts(["abc"]), model.encode_texts(["abc", "a" * 60])
    assert (alone[0] - beside[0]).abs().max() < 1e-5
    assert model.encoder.text.tokenizer.encode(["abc", "a" * 200])[1] == 1
    with pytest.raises(ConfigError, match="single tokens"):
        model.encoder.text(torch.tensor(WORDS))


def test_images_alone_need_no_tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from voxtile.stages.embed.extractor import load_extractor

    torch.save(weights("ct-clip"), tmp_path / "weights.pt")
    image = NARROW["ct-clip"][0]
    options = {"size": (30, 40, 40), "patch": (10, 20, 20), "width": 64, "depth": 2, "heads": 2, "head_width": 16}
    monkeypatch.setattr(
        "voxtile.models.CtClipImage",
        lambda pretrained: ct_clip.CtClipImage(pretrained=pretrained, **options, codes=32, embed_dim=32),  # type: ignore[arg-type]
    )
    extractor = load_extractor(f"hub:ct-clip/{tmp_path / 'weights.pt'}")
    vectors = extractor.encode(torch.from_numpy(volume(30, 40, 40)))
    assert (unit(vectors) - torch.tensor(NUMBERS["ct-clip"]["image"][:1])).abs().max() < 1e-4
    assert image().width == 32


def test_vectors_of_a_batch_are_those_of_its_images() -> None:
    """The convolution along slabs reads tokens in an order of its own, which must not mix images."""
    tower = NARROW["ct-clip"][0]().eval()
    both = torch.from_numpy(np.concatenate([volume(30, 40, 40), volume(30, 40, 40)[:, :, ::-1].copy()]))
    with torch.no_grad():
        assert (tower(both).pooled - torch.cat([tower(x[None]).pooled for x in both])).abs().max() < 1e-5
