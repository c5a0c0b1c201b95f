"""Local features of open_clip's models are open_clip's own, projected as the model projects; padding is no word."""

import json

import open_clip
import pytest
import timm
import torch
import torch.nn.functional as F
from tests.core.models.test_transformers_towers import save_tokenizer

from voxtile.errors import ConfigError
from voxtile.models.hub.openclip import OpenClipImage, OpenClipText
from voxtile.models.hub.transformers import HuggingFaceText
from voxtile.models.openclip_tokens import image_with_tokens

transformers = pytest.importorskip("transformers")

CLIP_TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
VIT = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8}
TIMM_VIT = {"timm_model_name": "vit_tiny_patch16_224", "timm_model_pretrained": False, "image_size": 224}
IMAGES = {
    "class token": VIT,
    "mean of patches": VIT | {"pool_type": "avg", "final_ln_after_pool": True},
    "timm, class token": TIMM_VIT | {"timm_pool": "token", "timm_proj": "linear"},
    "timm, convolution": {
        "timm_model_name": "resnet10t", "timm_model_pretrained": False, "image_size": 64,
        "timm_pool": "avg", "timm_proj": "linear",
    },
    "resnet": {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16},
}  # fmt: skip
TEXTS = ["a nodule!!", "no effusion is seen in the left lung", "x", "!;x"]  # whose "!" is token 0


def registered(folder, name, vision, text=CLIP_TEXT):
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(path)
    return name


@pytest.fixture(params=IMAGES)
def image(request, tmp_path):
    torch.manual_seed(0)
    name = registered(tmp_path, f"tokens-{request.param.replace(', ', '-').replace(' ', '-')}", IMAGES[request.param])
    tower = OpenClipImage(name=name).eval()
    size = IMAGES[request.param]["image_size"]
    return request.param, tower, torch.randn(2, 3, size, size)


def test_places_of_an_image_are_open_clips_own(image):
    kind, tower, images = image
    with torch.no_grad():
        plain, found = tower(images), tower(images, tokens=True)
        torch.testing.assert_close(found.pooled, plain.pooled, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found.pooled, tower.visual(images), rtol=1e-5, atol=1e-6)
        assert found.tokens.shape == (2, found.grid[0] * found.grid[1], 24)
        if kind in ("class token", "mean of patches"):
            assert found.grid == (4, 4)
            tower.visual.output_tokens = True
            _, patches = tower.visual(images)
            patches = tower.visual.ln_post(patches) if kind == "mean of patches" else patches
            torch.testing.assert_close(found.tokens, patches @ tower.visual.proj, rtol=1e-4, atol=1e-5)
        elif kind == "timm, class token":
            patches = tower.visual.trunk.forward_features(images)[:, 1:]
            torch.testing.assert_close(found.tokens, F.linear(patches, tower.visual.head.proj.weight))
        elif kind == "timm, convolution":  # the projection is linear, so that the mean of places is the embedding
            torch.testing.assert_close(found.tokens.mean(1), found.pooled, rtol=1e-4, atol=1e-5)
            alone = tower.visual.trunk.forward_features(images)[:, :, 0, 1] @ tower.visual.head.proj.weight.T
            torch.testing.assert_close(found.tokens[:, 1], alone, rtol=1e-4, atol=1e-5)
        else:
            assert found.grid == (2, 2)
            pool = tower.visual.attnpool
            v = tower.visual
            place = v.layer4(v.layer3(v.layer2(v.layer1(v.stem(images)))))[:, :, 1, 0]
            torch.testing.assert_close(found.tokens[:, 2], pool.c_proj(pool.v_proj(place)), rtol=1e-4, atol=1e-5)


def test_places_of_a_transformer_that_pools_by_attention(tmp_path):
    """SigLIP's kind: the places that the pooling looks at, after the tower's last norm, without a class token."""
    visual = OpenClipImage(name=registered(tmp_path, "tokens-map", IMAGES["timm, convolution"])).eval().visual
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2, "num_classes": 0}
    visual.trunk = timm.models.VisionTransformer(**shape, global_pool="map", class_token=False).eval()
    visual.head = torch.nn.Sequential()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        found = image_with_tokens(visual, images, "a SigLIP")
        torch.testing.assert_close(found.pooled, visual(images))
        seen = []
        hook = visual.trunk.attn_pool.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        visual(images)
        hook.remove()
    torch.testing.assert_close(found.tokens, seen[0])
    assert found.grid == (4, 4)


def test_a_model_that_pools_by_queries_is_refused(tmp_path):
    coca = VIT | {"attentional_pool": True, "attn_pooler_queries": 4, "attn_pooler_heads": 4}
    tower = OpenClipImage(name=registered(tmp_path, "tokens-coca", coca)).eval()
    assert tower(torch.randn(1, 3, 32, 32)).pooled.shape == (1, 24)
    with pytest.raises(ConfigError, match="gives no local features: it pools its patches by queries, as CoCa does"):
        tower(torch.randn(1, 3, 32, 32), tokens=True)


def test_words_are_open_clips_own_and_the_last_is_the_embedding(tmp_path):
    """CLIP reads a text at its end, so that the projected token there is the text's own vector."""
    torch.manual_seed(0)
    tower = OpenClipText(name=registered(tmp_path, "tokens-clip", VIT)).eval()
    tokens, _ = tower.tokenizer.encode(TEXTS)
    with torch.no_grad():
        found = tower(tokens)
        pooled, words = tower.text(tokens)
    torch.testing.assert_close(found.pooled, pooled)
    torch.testing.assert_close(found.tokens, words @ tower.text.text_projection)
    end = tokens.argmax(1)
    assert torch.equal(found.mask.sum(1) - 1, end)
    assert found.mask[0].all() == (end[0] == 15)
    torch.testing.assert_close(found.tokens[torch.arange(len(TEXTS)), end], found.pooled)
    assert tower(tokens, local=False).tokens is None


@pytest.mark.parametrize("padding", [0, 1, 3])
def test_words_of_a_hugging_face_text_inside_open_clip(tmp_path, padding):
    """BERT with padding of its own index: words are those of each text by itself."""
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.BertConfig(vocab_size=12, max_position_embeddings=20, pad_token_id=padding, **size)
    transformers.BertModel(config).save_pretrained(tmp_path)
    save_tokenizer(tmp_path, padding)
    text = {"hf_model_name": str(tmp_path), "hf_tokenizer_name": str(tmp_path), "context_length": 10}
    text |= {"hf_proj_type": "linear", "hf_pooler_type": "mean_pooler", "hf_model_pretrained": False}
    tower = OpenClipText(name=registered(tmp_path, f"tokens-bert-{padding}", VIT, text)).eval()
    said = ["a nodule", "no effusion of a scan", "scan"]
    tokens, cut = tower.tokenizer.encode(said)
    assert cut == 0
    assert tower.tokenizer.encode(["a " * 8])[1] == 0  # with its marks it fills the context
    assert tower.tokenizer.encode(["a " * 9])[1] == 1
    with torch.no_grad():
        found = tower(tokens)
        own = transformers.AutoTokenizer.from_pretrained(tmp_path)
        for row, one in enumerate(said):
            ids = own(one, return_tensors="pt")["input_ids"]
            words = tower.text.transformer(input_ids=ids).last_hidden_state
            assert int(found.mask[row].sum()) == ids.shape[1]
            torch.testing.assert_close(found.tokens[row, : ids.shape[1]], tower.text.proj(words)[0], atol=1e-5, rtol=0)
            torch.testing.assert_close(found.pooled[row], tower.text.proj(words.mean(1))[0], atol=1e-5, rtol=0)
    assert tower.tokenizer.decode(tokens[1].tolist()) == "no effusion of a scan"


def test_padding_that_is_also_the_end_of_a_text_stays_a_word(tmp_path):
    """OpenAI's CLIP pads with its own end of text, at which it is read: the end itself is no padding."""
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    text = {"vocab_size": 12, "max_position_embeddings": 12, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    vision = {"image_size": 32, "patch_size": 8, **size}
    config = transformers.CLIPConfig(text_config=text | size, vision_config=vision, projection_dim=8)
    model = transformers.CLIPModel(config).eval()
    model.save_pretrained(tmp_path)
    save_tokenizer(tmp_path, 3)  # a text starts with token 0 and ends with 1
    own = transformers.AutoTokenizer.from_pretrained(tmp_path)
    own.pad_token = own.sep_token
    own.save_pretrained(tmp_path)
    tower = HuggingFaceText(name=str(tmp_path), context=12, pooling="pooler").eval()
    said = ["a nodule", "no effusion of a scan of a nodule"]
    tokens, _ = tower.tokenizer.encode(said)
    theirs = own(said, padding=True, return_tensors="pt")
    with torch.no_grad():
        found = tower(tokens)
        expected = model.text_model(**theirs)
    torch.testing.assert_close(found.pooled, expected.pooler_output)
    assert torch.equal(found.mask, theirs["attention_mask"].bool())
    assert tower.tokenizer.decode(tokens[0].tolist()) == "a nodule"
    assert tower.tokenizer.size > int(tokens.max())
