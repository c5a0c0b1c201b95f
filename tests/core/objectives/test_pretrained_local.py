"""Local objectives on pretrained towers of open_clip and Hugging Face: trained from a config, and by formula."""

import json
from pathlib import Path

import open_clip
import pytest
import torch
import torch.nn.functional as F
import yaml
from tests.core.models.test_transformers_towers import save_tokenizer
from tests.core.objectives.test_local_wiring import HOME, config, write_corpus

from voxtile.cli.lightning import main
from voxtile.errors import ConfigError
from voxtile.models.hub.openclip import OpenClipImage, OpenClipText
from voxtile.models.hub.transformers import HuggingFaceText
from voxtile.objectives.generative.captioning import Captioning
from voxtile.objectives.local.token_wise import TokenWise
from voxtile.training.checkpoint import read_checkpoint
from voxtile.training.module import ContrastiveModule
from voxtile.types import Batch, Features

transformers = pytest.importorskip("transformers")

NAME = "voxtile-tiny-local"
LOCAL = {
    "tokens": ("token_wise.TokenWise", {"positives": ["text"]}),
    "words": ("local_alignment.LocalAlignment", {}),
    "captions": ("captioning.Captioning", {"width": 16, "heads": 2, "depth": 1, "queries": 4}),
    "matching": ("image_text_matching.ImageTextMatching", {"width": 16, "heads": 2, "depth": 1}),
    "concepts": ("concept_patch.ConceptPatch", {}),
    "attributes": ("region_attribute.RegionAttribute", {"warmup": 0, "hidden": 8}),
    "masked": ("masked_image.MaskedImage", {"patch": 8}),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The weights of a tiny CLIP that open_clip knows by name."""
    folder = tmp_path_factory.mktemp("openclip")
    content = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    (folder / f"{NAME}.json").write_text(json.dumps(content))
    open_clip.add_model_config(folder / f"{NAME}.json")
    torch.manual_seed(0)
    torch.save(open_clip.create_model(NAME).state_dict(), folder / "weights.pt")
    return folder / "weights.pt"


@pytest.fixture(params=["open_clip", "hugging face"])
def text(request, weights, tmp_path):
    if request.param == "open_clip":
        return f"open_clip:{NAME}/{weights}"
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    made = transformers.RobertaConfig(vocab_size=12, max_position_embeddings=34, pad_token_id=1, **size)
    transformers.RobertaModel(made).save_pretrained(tmp_path / "roberta")
    save_tokenizer(tmp_path / "roberta", 1)
    init = {"name": str(tmp_path / "roberta"), "context": 32}
    return {"class_path": "voxtile.models.HuggingFaceText", "init_args": init}


@pytest.mark.cases(1)
@pytest.mark.filterwarnings("ignore:.*num_workers.*", "ignore:.*does not have many workers.*")
def test_all_are_trained_on_pretrained_towers(weights, text, tmp_path, monkeypatch):
    write_corpus(tmp_path / "corpus")
    content = config(tmp_path / "corpus")
    content["model"]["encoder"] |= {"image": f"open_clip:{NAME}/{weights}", "text": text}
    content["model"]["objectives"] = {
        name: {"class_path": f"{HOME}.{path}", "init_args": arguments} for name, (path, arguments) in LOCAL.items()
    }
    preset = content["data"]["preset"]["init_args"]
    preset |= {"channels": 3, "mean": [0.5] * 3, "std": [0.25] * 3}
    content["trainer"]["max_steps"] = 2
    content.pop("checkpoint")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(tmp_path)
    main(["fit", "-c", "config.yaml"])
    (last,) = Path().rglob("last.ckpt")
    state = read_checkpoint(last)["state_dict"]
    assert all(value.isfinite().all() for value in state.values() if value.is_floating_point())
    first = torch.load(weights, weights_only=True)
    moved = [key for key in first if key.startswith("visual.")
             and not torch.equal(first[key], state[f"encoder.image.{key}"])]  # fmt: skip
    assert {"visual.conv1.weight", "visual.proj"} <= set(moved)
    again = ContrastiveModule.load_from_checkpoint(str(last))  # and the checkpoint is whole
    said = again.objectives["captions"].generate(
        again.encoder.image.eval()(torch.zeros(1, 3, 16, 16), tokens=True), longest=6
    )
    assert isinstance(said[0], str)


def test_token_wise_on_open_clip_is_the_formula_on_open_clips_own_tokens(weights):
    torch.manual_seed(1)
    texts = ["a nodule", "no effusion is seen", "x"]
    image, text = (tower(name=NAME, pretrained=str(weights)).eval() for tower in (OpenClipImage, OpenClipText))
    peer = open_clip.create_model(NAME, pretrained=str(weights), output_dict=True, force_custom_text=True).eval()
    peer.visual.output_tokens = peer.text.output_tokens = True
    term = TokenWise()
    term.setup(image_width=image.width, text_width=text.width, embed_dim=12, fact_names=())
    images, ids = torch.randn(3, 3, 16, 16), open_clip.get_tokenizer(NAME)(texts)
    batch = Batch(
        images=images, image_item=torch.arange(3), texts=texts, text_item=torch.arange(3), study=torch.arange(3),
        subject=torch.arange(3), text_hash=torch.arange(3), facts=torch.zeros(3, 0, dtype=torch.int8), fact_names=(),
        uids=["a", "b", "c"], draws=torch.arange(3),
    )  # fmt: skip
    with torch.no_grad():
        seen, said = image(images, tokens=True), text(text.tokenizer.encode(texts)[0])
        loss = term(Features(seen.pooled, said.pooled, torch.tensor(7.0), None, seen, said, batch))
        x = F.normalize(peer.visual(images)[1] @ peer.visual.proj @ term.image_projection.weight.T, dim=2)
        y = F.normalize(peer.text(ids)[1] @ peer.text.text_projection @ term.text_projection.weight.T, dim=2)
        to_text, to_image = torch.zeros(3, 3), torch.zeros(3, 3)
        for i in range(3):
            for j in range(3):
                z = x[i] @ y[j, : int(ids[j].argmax()) + 1].T
                to_text[i, j], to_image[i, j] = z.max(1).values.mean(), z.max(0).values.mean()
        same = torch.arange(3)
        expected = 0.5 * (F.cross_entropy(7 * to_text, same) + F.cross_entropy(7 * to_image.T, same))
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


def test_texts_without_tokens_or_marks_are_refused_by_name(weights, tmp_path):
    """SigLIP's texts have no start, so that nothing can be written in their vocabulary."""
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    transformers.BertModel(transformers.BertConfig(vocab_size=12, **size)).save_pretrained(tmp_path)
    save_tokenizer(tmp_path, 0)
    own = transformers.AutoTokenizer.from_pretrained(tmp_path)
    own.backend_tokenizer.post_processor = transformers.AutoTokenizer.from_pretrained(
        tmp_path
    ).backend_tokenizer.post_processor.__class__(single="$A [SEP]", special_tokens=[("[SEP]", 2)])
    own.save_pretrained(tmp_path)
    image = OpenClipImage(name=NAME, pretrained=str(weights))
    with pytest.raises(ConfigError, match="marks where a text starts and ends; an empty text has 1 tokens here"):
        Captioning(width=16, heads=2).setup_towers(image, HuggingFaceText(name=str(tmp_path), context=16))
    encoded = image(torch.zeros(1, 3, 16, 16))
    term = TokenWise()
    term.setup(image_width=24, text_width=16, embed_dim=8, fact_names=())
    with pytest.raises(ConfigError, match="needs tokens, which the image tower does not give"):
        term(Features(encoded.pooled, encoded.pooled, torch.tensor(1.0), None, encoded, encoded, None))
