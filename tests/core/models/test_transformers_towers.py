"""Towers of transformers give transformers' own numbers, whatever its padding is, and come back without weights."""

import pytest
import torch

from voxtile.errors import CheckpointError, ConfigError
from voxtile.models import ConvTower
from voxtile.models.dual import DualEncoder
from voxtile.models.hub.transformers import HuggingFaceImage, HuggingFaceText
from voxtile.models.tower import ImageTower, TextTower, resolve_tower
from voxtile.models.tuning import Tuning, blocks
from voxtile.training.rebuild import without_weights

transformers = pytest.importorskip("transformers")

WORDS = ("a", "scan", "of", "nodule", "effusion", "no")
TEXTS = ["a nodule", "no effusion", "a scan of a nodule of effusion", "effusion"]
SIZE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def save_tokenizer(folder, padding):
    """Words with the marks of BERT; padding is token 0, or another."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    marks = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    marks.insert(padding, marks.pop(0))
    vocabulary = {word: place for place, word in enumerate((*marks, *WORDS))}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(mark, vocabulary[mark]) for mark in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)


@pytest.fixture(params=["bert", "roberta", "modernbert"])
def folder(request, tmp_path):
    torch.manual_seed(0)
    padding = {"bert": 0, "roberta": 1, "modernbert": 3}[request.param]
    common = {"vocab_size": 12, "max_position_embeddings": 34, "pad_token_id": padding, **SIZE}
    if request.param == "bert":
        model = transformers.BertModel(transformers.BertConfig(**common))
    elif request.param == "roberta":
        model = transformers.RobertaModel(transformers.RobertaConfig(**common))
    else:
        ends = {"cls_token_id": 0, "sep_token_id": 1, "bos_token_id": 0, "eos_token_id": 1}
        model = transformers.ModernBertModel(transformers.ModernBertConfig(**common, **ends))
    model.save_pretrained(tmp_path)
    save_tokenizer(tmp_path, padding)
    return tmp_path


def test_texts_are_encoded_as_each_by_itself(folder):
    tower = HuggingFaceText(name=str(folder), context=32).eval()
    theirs = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokens, cut = tower.tokenizer.encode(TEXTS)
    assert cut == 0
    assert (tokens == 0).any()
    with torch.no_grad():
        encoded = tower(tokens)
        for row, text in enumerate(TEXTS):
            ids = tokenizer(text, return_tensors="pt")["input_ids"]
            wanted = theirs(input_ids=ids).last_hidden_state[0]
            assert encoded.mask[row].sum() == len(wanted)
            assert torch.allclose(encoded.tokens[row, : len(wanted)], wanted, atol=1e-5)
            assert torch.allclose(encoded.pooled[row], wanted[0], atol=1e-5)
    tower.pooling = "mean"
    assert torch.allclose(tower(tokens).pooled[0], encoded.tokens[0, : int(encoded.mask[0].sum())].mean(0), atol=1e-5)
    assert len(blocks(tower)) == 2
    assert tower.load_report.used


@pytest.mark.parametrize("folder", ["bert"], indirect=True)
@pytest.mark.parametrize(("mode", "drops"), [("full", True), ("frozen", False)])
def test_it_trains_with_its_dropout_and_is_still_where_it_is_frozen(folder, mode, drops):
    """transformers gives models in evaluation mode, and a trainer leaves modes as they are."""
    text = HuggingFaceText(name=str(folder), context=32)
    model = DualEncoder(image=ConvTower(dimensions=2), text=text, embed_dim=8, text_tuning=Tuning(mode=mode))
    tokens, _ = text.tokenizer.encode(TEXTS)
    again = [model.text(tokens).pooled for _ in range(2)]
    assert torch.equal(*again) is not drops


def test_long_texts_are_cut_or_refused(folder):
    long = " ".join(["nodule"] * 40)
    tokens, cut = HuggingFaceText(name=str(folder), context=32).tokenizer.encode([*TEXTS, long])
    assert (tokens.shape[1], cut) == (32, 1)
    with pytest.raises(ConfigError, match="longer than the context of 32"):
        HuggingFaceText(name=str(folder), context=32, beyond="refuse").tokenizer.encode([long])
    with pytest.raises(ConfigError, match=r"has positions for 3. tokens, not for a context of 256"):
        HuggingFaceText(name=str(folder))


@pytest.fixture
def siglip(tmp_path):
    torch.manual_seed(0)
    text = {"vocab_size": 12, "max_position_embeddings": 10, **SIZE}
    vision = {"image_size": 32, "patch_size": 8, **SIZE}
    model = transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=vision)).eval()
    model.save_pretrained(tmp_path)
    save_tokenizer(tmp_path, 1)
    return tmp_path, model


def test_both_sides_of_siglip(siglip):
    folder, model = siglip
    text = HuggingFaceText(name=str(folder), context=10, pooling="pooler").eval()
    tokens, _ = text.tokenizer.encode(TEXTS)
    ids = transformers.AutoTokenizer.from_pretrained(folder)(
        TEXTS, padding="max_length", max_length=10, return_tensors="pt"
    )
    images = torch.randn(2, 3, 32, 32)
    image = HuggingFaceImage(name=str(folder)).eval()
    with torch.no_grad():
        wanted = model.text_model(input_ids=ids["input_ids"]).pooler_output
        assert torch.allclose(text(tokens).pooled, wanted, atol=1e-5)
        seen, encoded = model.vision_model(pixel_values=images), image(images, tokens=True)
    assert torch.allclose(encoded.pooled, seen.pooler_output, atol=1e-5)
    assert torch.allclose(encoded.tokens, seen.last_hidden_state, atol=1e-5)
    assert encoded.grid == (4, 4)


def test_images_of_other_sizes_where_positions_may_be_interpolated(tmp_path):
    torch.manual_seed(0)
    config = transformers.Dinov2Config(image_size=32, patch_size=8, mlp_ratio=2, **{k: SIZE[k] for k in list(SIZE)[:3]})
    transformers.Dinov2Model(config).save_pretrained(tmp_path)
    encoded = HuggingFaceImage(name=str(tmp_path)).eval()(torch.randn(1, 3, 48, 32), tokens=True)
    assert encoded.grid == (6, 4)
    assert encoded.tokens.shape == (1, 24, 16)


def test_names_make_towers_and_checkpoints_bring_the_weights(siglip):
    folder, model = siglip
    assert isinstance(resolve_tower(f"hf:{folder}", ImageTower), HuggingFaceImage)
    config = {"name": str(folder), "pretrained": True, "context": 10}
    again = HuggingFaceText(**without_weights(config))
    state = again.model.state_dict()
    assert any(not torch.equal(value, state[key]) for key, value in model.text_model.state_dict().items())
    assert again.load_report is None
    assert without_weights("hf:org/name") == "hf:org/name"
    with pytest.raises(CheckpointError, match="there is no folder"):
        HuggingFaceText(name=str(folder / "none"))
    assert issubclass(HuggingFaceText, TextTower)
