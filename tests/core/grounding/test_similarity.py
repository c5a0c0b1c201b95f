"""Maps by similarity equal their definitions: hand-written forwards, closed forms, planted objects."""

import json

import numpy as np
import open_clip
import pytest
import timm
import torch
import torch.nn.functional as F
import transformers
from torch import nn

from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.volume import VolumePreset
from voxtile.errors import ConfigError, InputError
from voxtile.inference.huggingface_pair import HuggingFacePair
from voxtile.inference.load import EncoderModel, load_model
from voxtile.inference.similarity.gradcam import gradcam_maps
from voxtile.inference.similarity.legrad import legrad_maps
from voxtile.inference.similarity.maskclip import patch_embeddings
from voxtile.inference.similarity.model import SimilarityModel
from voxtile.inference.similarity.proposals import components, proposal_scores
from voxtile.inference.similarity.towers import of_open_clip, of_timm, of_transformers
from voxtile.models.dual import DualEncoder
from voxtile.models.image.conv import ConvTower
from voxtile.models.image.wavelet import WaveletTower
from voxtile.models.openclip_tokens import resnet_values
from voxtile.models.text import TextBag
from voxtile.models.tower import ImageTower, TextTower
from voxtile.objectives.local.concept_patch import ConceptPatch
from voxtile.objectives.local.grounding import Grounding
from voxtile.objectives.local.local_alignment import LocalAlignment
from voxtile.objectives.local.region_attribute import RegionAttribute
from voxtile.objectives.local.region_contrast import RegionContrast
from voxtile.objectives.local.token_wise import TokenWise
from voxtile.types import Encoded


def same(x):
    return x


def open_clip_vit(**extra):
    torch.manual_seed(0)
    made = open_clip.transformer.VisionTransformer(
        image_size=32, patch_size=8, width=32, layers=3, heads=4, mlp_ratio=2.0, output_dim=12, **extra
    )
    return made.eval()


def timm_vit(pool):
    torch.manual_seed(0)
    options = {"class_token": pool == "token", "no_embed_class": True} if pool != "token" else {}
    made = timm.models.VisionTransformer(
        img_size=32, patch_size=8, embed_dim=32, depth=3, num_heads=4, num_classes=12, global_pool=pool, **options
    )
    return made.eval()


def huggingface(kind):
    torch.manual_seed(0)
    text = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"intermediate_size": 32, "max_position_embeddings": 12}
    vision = {"image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 3}
    vision |= {"num_attention_heads": 2, "intermediate_size": 32}
    if kind == "clip":
        config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)
        return transformers.CLIPModel(config).eval()
    return transformers.SiglipModel(transformers.SiglipConfig(text_config=text, vision_config=vision)).eval()


def images_of(size=32, count=2, channels=3):
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(1))


def own_embedding(model, images):
    if hasattr(model, "get_image_features"):
        found = model.get_image_features(pixel_values=images)
        return found if isinstance(found, torch.Tensor) else found.pooler_output
    return model(images)


TRANSFORMERS = {
    "open_clip": lambda: of_with(open_clip_vit(), of_open_clip),
    "open_clip, layer scale": lambda: of_with(open_clip_vit(ls_init_value=0.3), of_open_clip),
    "coca": lambda: of_with(
        open_clip_vit(attentional_pool=True, attn_pooler_queries=5, attn_pooler_heads=4), of_open_clip
    ),
    "timm, token": lambda: of_with(timm_vit("token"), lambda m, p: of_timm(m, p, m)),
    "timm, mean": lambda: of_with(timm_vit("avg"), lambda m, p: of_timm(m, p, m)),
    "timm, map": lambda: of_with(timm_vit("map"), lambda m, p: of_timm(m, p, m)),
    "transformers, clip": lambda: of_with(huggingface("clip"), lambda m, _: of_transformers(m)),
    "transformers, siglip": lambda: of_with(huggingface("siglip"), lambda m, _: of_transformers(m)),
}


def of_with(model, view):
    return model, view(model, same)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_tower_taken_apart_gives_its_own_embedding(name):
    """Attention, residuals, norms and pooling are read from each library as the library itself runs them."""
    model, tower = TRANSFORMERS[name]()
    images = images_of()
    with torch.no_grad():
        *inputs, out = tower.inputs(images, 2)
        for block, x, after in zip(tower.blocks[-2:], inputs, [*inputs[1:], out], strict=True):
            torch.testing.assert_close(block.by_weights(x)[1], after, rtol=1e-4, atol=1e-5)
        if tower.pool is not None:
            seen = tower.last(out)
            query = tower.pool.query.expand(len(images), -1, -1)
            weights = tower.pool.attention.weights(query, seen)
            pooled = tower.project(tower.pool.after(tower.pool.attention.mixed(weights, seen)))[:, 0]
        elif name == "timm, mean":
            pooled = F.linear(model.fc_norm(model.norm(out).mean(1)), model.head.weight, model.head.bias)
        else:
            pooled = tower.project(out)[:, 0]
        torch.testing.assert_close(pooled, own_embedding(model, images), rtol=1e-4, atol=1e-5)


def test_patches_of_an_open_clip_transformer_equal_a_plain_forward():
    visual, images = open_clip_vit(), images_of()
    with torch.no_grad():
        x = visual.conv1(images).flatten(2).transpose(1, 2)
        x = torch.cat([visual.class_embedding.expand(2, 1, -1), x], 1) + visual.positional_embedding
        x = visual.ln_pre(x)
        *early, last = visual.transformer.resblocks
        for block in early:
            x = block(x)
        _, _, weight = last.attn.in_proj_weight.chunk(3)
        _, _, bias = last.attn.in_proj_bias.chunk(3)
        x = x + last.attn.out_proj(last.ln_1(x) @ weight.T + bias)
        x = x + last.mlp(last.ln_2(x))
        expected = (visual.ln_post(x) @ visual.proj)[:, 1:]
        found = patch_embeddings(of_open_clip(visual, same), images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert found.shape == (2, 16, 12)


def test_patches_of_a_pooling_by_attention_equal_a_plain_forward():
    model, images = huggingface("siglip"), images_of()
    head = model.vision_model.head
    with torch.no_grad():
        x = model.vision_model(pixel_values=images).last_hidden_state
        _, _, weight = head.attention.in_proj_weight.chunk(3)
        x = head.attention.out_proj(x @ weight.T + head.attention.in_proj_bias.chunk(3)[2])
        expected = x + head.mlp(head.layernorm(x))
        found = patch_embeddings(of_transformers(model), images)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_patches_of_a_clip_resnet_add_up_where_its_attention_is_even():
    """With no query, every place weighs the same, and the pooled vector is the mean of the places' values."""
    torch.manual_seed(0)
    visual = open_clip.modified_resnet.ModifiedResNet([1, 1, 1, 1], output_dim=12, heads=4, image_size=64, width=8)
    visual.eval()
    pool = visual.attnpool
    for parameter in (pool.q_proj.weight, pool.q_proj.bias, pool.positional_embedding):
        nn.init.zeros_(parameter)
    with torch.no_grad():
        features = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(images_of(64))))))
        values = resnet_values(visual)(features)
        torch.testing.assert_close(values.mean(1), visual(images_of(64)), rtol=1e-4, atol=1e-5)
    assert resnet_values(nn.Identity()) is None


def explicit_attention(block, x):
    """What LeGrad differentiates by, written out for one block of open_clip."""
    q, k, v = F.linear(block.ln_1(x), block.attn.in_proj_weight, block.attn.in_proj_bias).chunk(3, 2)
    q, k, v = (part.unflatten(2, (4, -1)).transpose(1, 2) for part in (q, k, v))
    attention = (q @ k.transpose(2, 3) / q.shape[3] ** 0.5).softmax(3)
    mixed = block.attn.out_proj((attention @ v).transpose(1, 2).flatten(2))
    x = x + mixed
    return attention, x + block.mlp(block.ln_2(x))


def test_legrad_equals_its_definition():
    visual, images = open_clip_vit(), images_of()
    phrases = F.normalize(torch.randn(3, 12, generator=torch.Generator().manual_seed(2)), dim=1)
    x = visual._embeds(images)
    kept = []
    for block in visual.transformer.resblocks:
        attention, x = explicit_attention(block, x)
        kept.append((attention, x))
    expected = torch.zeros(2, 3, 4, 4)
    for attention, tokens in kept[-2:]:
        embedding = F.normalize(visual.ln_post(tokens.mean(1)) @ visual.proj, dim=1)
        for p in range(3):
            [slope] = torch.autograd.grad((embedding @ phrases[p]).sum(), attention, retain_graph=True)
            expected[:, p] += slope.clamp(min=0).mean(1).mean(1)[:, 1:].view(2, 4, 4)
    found = legrad_maps(of_open_clip(visual, same), images, phrases)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)
    assert found.amax() > 0
    torch.testing.assert_close(
        legrad_maps(of_open_clip(visual, same), images, phrases[1:2]), expected[:, 1:2], rtol=1e-4, atol=1e-7
    )


def test_legrad_of_a_pooling_reads_the_pooling_attention():
    """With one head, ∂s/∂A_n is the slope by what is gathered, along the value of place n."""
    model, images = huggingface("siglip"), images_of(count=1)
    model.vision_model.head.attention.num_heads = 1
    phrase = F.normalize(torch.randn(1, 16, generator=torch.Generator().manual_seed(3)), dim=1)
    head = model.vision_model.head
    seen = model.vision_model(pixel_values=images).last_hidden_state.detach()
    gathered = head.attention(head.probe, seen, seen)[0].detach().requires_grad_()
    out = F.normalize((gathered + head.mlp(head.layernorm(gathered)))[:, 0], dim=1)
    [slope] = torch.autograd.grad((out @ phrase.T).sum(), gathered)
    _, _, weight = head.attention.in_proj_weight.chunk(3)
    values = (seen @ weight.T + head.attention.in_proj_bias.chunk(3)[2]) @ head.attention.out_proj.weight.T
    expected = (values @ slope[0, 0]).clamp(min=0).view(1, 1, 4, 4)
    found = legrad_maps(of_transformers(model), images, phrase, layers=1)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("grid", [(6, 8), (4, 6, 5)])
def test_gradcam_of_a_linear_network_is_its_class_activation_map(grid):
    generator = torch.Generator().manual_seed(4)
    features = torch.randn(2, 5, *grid, generator=generator).requires_grad_()
    weight = torch.randn(3, 5, generator=generator)
    scores = features.flatten(2).mean(2) @ weight.T
    found = gradcam_maps([features], scores, grid)
    expected = torch.einsum("pk,sk...->sp...", weight, features.detach()).clamp(min=0)
    torch.testing.assert_close(found, expected)
    twice = gradcam_maps([features, features], features.flatten(2).mean(2) @ weight.T, [2 * n for n in grid])
    assert twice.shape == (2, 3, *(2 * n for n in grid))


class Words:
    """Each word has its number; five at most."""

    ready, names = True, ("", "red", "green", "the", "square")

    def encode(self, texts):
        rows = [[self.names.index(word) for word in text.split()] for text in texts]
        return torch.tensor([(row + [0] * 5)[:5] for row in rows]), sum(len(row) > 5 for row in rows)


class Colours(TextTower):
    """`red` is the first axis, `green` the second."""

    width = 2

    def __init__(self):
        super().__init__()
        self.tokenizer = Words()

    def forward(self, tokens):
        return Encoded(torch.stack([(tokens == 1).any(1), (tokens == 2).any(1)], 1).float())


class Counting(ImageTower):
    """How much red and how much green there is: the map of a colour is its channel."""

    width, channels = 2, 2

    def __init__(self, dimensions):
        super().__init__()
        self.dimensions = dimensions
        self.colours = nn.Identity()

    def forward(self, images, tokens=False):
        return Encoded(self.colours(images).flatten(2).mean(2))


def planted(dimensions):
    grid = (16, 20, 24)[:dimensions]
    image = torch.full((2, *grid), 0.01)
    red, green = (slice(2, 6),) * dimensions, (slice(9, 14),) * dimensions
    image[(0, *red)], image[(1, *green)] = 1.0, 1.0
    return image, red, green


def counting_model(dimensions):
    encoder = DualEncoder(image=Counting(dimensions), text=Colours(), embed_dim=2, project=False)
    preset = ImagePreset(size=(16, 20)) if dimensions == 2 else VolumePreset(shape=(16, 20, 24))
    return EncoderModel("counting", encoder, preset)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_planted_object_is_shown_where_it_is(dimensions):
    model = SimilarityModel(counting_model(dimensions))
    image, red, green = planted(dimensions)
    assert model.method == "gradcam"
    with torch.inference_mode():
        maps, presence = model.ground(image[None], ["the red square", "green"])
    for place, where in enumerate((red, green)):
        truth = torch.zeros(image.shape[1:], dtype=torch.bool)
        truth[where] = True
        torch.testing.assert_close(model.scaled(maps[0])[place] > 0.5, truth)
    assert presence.shape == (1, 2)
    assert ((presence > 0.5) & (presence <= 1)).all()
    shared = model.shared_out(maps[0])
    assert not ((shared[0] > 0.1) & (shared[1] > 0.1)).any(), "a place has one phrase"
    assert shared[0][red].amin() == shared[1][green].amin() == 1.0
    assert not any(parameter.requires_grad for parameter in model._side.module.parameters())


def test_maps_are_scaled_over_what_was_seen():
    model = SimilarityModel(counting_model(2))
    maps = torch.tensor([[[0.2, 0.3], [0.25, 0.0]], [[0.2, 0.2], [0.2, 0.0]]])
    seen = torch.tensor([[True, True], [True, False]])
    found = model.scaled(maps, seen)
    torch.testing.assert_close(found[0], torch.tensor([[0.0, 1.0], [0.5, 0.0]]))
    assert not found[1].any(), "a flat map shows nothing"


def trained(objective, tower=None, facts=()):
    torch.manual_seed(5)
    image = tower or WaveletTower(dimensions=3, channels=1, widths=[8, 12], blocks=[1, 1], width=16)
    encoder = DualEncoder(image=image, text=TextBag(vocabulary=300, width=10), embed_dim=6)
    encoder.text.tokenizer.train(["pleural effusion", "nodule in the lung"])
    objective.setup_towers(encoder.image, encoder.text)
    objective.setup(image_width=16, text_width=10, embed_dim=6, fact_names=facts)
    preset = VolumePreset(shape=(8, 12, 16))
    return EncoderModel("trained", encoder, preset, objectives=[objective]), torch.randn(2, 1, 8, 12, 16)


def test_what_was_trained_for_regions_is_read_where_it_was_trained():
    objective = RegionContrast(level=1)
    model, images = trained(objective)
    maps, _ = SimilarityModel(model).ground(images, ["pleural effusion", "nodule"])
    level = model.encoder.image(images, tokens=True).levels[1]
    vectors = F.normalize(torch.einsum("swzyx,dw->sdzyx", level, objective.project.weight), dim=1)
    texts = model.encode_texts(["pleural effusion", "nodule"])
    expected = torch.einsum("sdzyx,pd->spzyx", vectors, texts)
    expected = F.interpolate(expected, size=(8, 12, 16), mode="trilinear", align_corners=False)
    torch.testing.assert_close(maps, expected.detach(), rtol=1e-4, atol=1e-5)
    assert SimilarityModel(model).method == "regions"


def test_what_was_trained_by_words_is_the_mean_over_the_words():
    objective = TokenWise()
    model, images = trained(objective)
    shown = SimilarityModel(model)
    assert shown.method == "tokens"
    maps, _ = shown.ground(images, ["pleural effusion"])
    tokens = model.encoder.image(images, tokens=True)
    places = F.normalize(tokens.tokens @ objective.image_projection.weight.T, dim=2)
    said = model.encoder.text(model.encoder.text.tokenizer.encode(["pleural effusion"])[0])
    words = F.normalize(said.tokens[0][said.mask[0]] @ objective.text_projection.weight.T, dim=1)
    expected = (places @ words.T).mean(2).view(2, 1, *tokens.grid)
    expected = F.interpolate(expected, size=(8, 12, 16), mode="trilinear", align_corners=False)
    torch.testing.assert_close(maps, expected.detach(), rtol=1e-4, atol=1e-5)


def places_of(model, images, weight):
    """[S, N, D] projected, normalised places, and their grid."""
    tokens = model.encoder.image(images, tokens=True)
    return F.normalize(tokens.tokens @ weight.T, dim=2), tokens


def as_map(cosines, grid):
    """[S, N, P] to maps of the image's size."""
    laid = cosines.transpose(1, 2).reshape(len(cosines), -1, *grid)
    return F.interpolate(laid, size=(8, 12, 16), mode="trilinear", align_corners=False).detach()


def test_whole_texts_that_looked_at_places_are_read_so():
    objective = LocalAlignment(queries="sentences")
    model, images = trained(objective)
    assert SimilarityModel(model).method == "tokens"
    maps, _ = SimilarityModel(model).ground(images, ["pleural effusion", "nodule"])
    places, tokens = places_of(model, images, objective.image_projection.weight)
    texts = model.encode_texts(["pleural effusion", "nodule"])
    torch.testing.assert_close(maps, as_map(places @ texts.T, tokens.grid), rtol=1e-4, atol=1e-5)


def test_concepts_are_shown_where_patches_are_like_their_phrase():
    """⟨x_in, u_c⟩ as the objective itself has it; any phrase may be asked, for the text tower gives its vector."""
    objective = ConceptPatch()
    model, images = trained(objective, facts=("pleural_effusion", "nodule"))
    shown = SimilarityModel(model)
    assert shown.method == "concepts"
    maps, _ = shown.ground(images, ["pleural effusion", "a cloud"])
    places, tokens = places_of(model, images, objective.image_projection.weight)
    texts = model.encode_texts(["pleural effusion", "a cloud"])
    torch.testing.assert_close(maps, as_map(places @ texts.T, tokens.grid), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shared", [False, True])
def test_attributes_are_shown_by_their_own_head(shared):
    """q_ina: the head of the attribute that is asked, by its name or its phrase, or the one that all share."""
    objective = RegionAttribute(hidden=6, shared=shared, phrases={"nodule": "a small node"})
    model, images = trained(objective, facts=("pleural_effusion", "nodule"))
    assert SimilarityModel(model).method == "gradcam"  # since it does not know every phrase, it must be asked for
    shown = SimilarityModel(model, "attributes")
    asked = ["A small  node", "pleural effusion"] if not shared else ["a small node", "a cloud"]
    maps, _ = shown.ground(images, asked)
    tokens = model.encoder.image(images, tokens=True)
    cosines = []
    for head, phrase in ((1, "a small node"), (0, "pleural effusion" if not shared else "a cloud")):
        text = model.encoder.text(model.encoder.text.tokenizer.encode([phrase])[0]).pooled[0]
        seen = objective.heads[0 if shared else head](tokens.tokens)
        cosines.append(F.cosine_similarity(seen, text.expand_as(seen), dim=2))
    torch.testing.assert_close(maps, as_map(torch.stack(cosines, 2), tokens.grid), rtol=1e-4, atol=1e-5)
    if not shared:
        with pytest.raises(ConfigError, match="none of what RegionAttribute learned: pleural effusion, a small node"):
            shown.ground(images, ["a cloud"])


@pytest.mark.parametrize("method", ["concepts", "attributes", "tokens", "regions"])
def test_a_method_that_was_not_trained_is_refused(method):
    model, _ = trained(LocalAlignment() if method != "tokens" else ConceptPatch(), facts=("nodule",))
    with pytest.raises(ConfigError, match=f"has nothing for the method '{method}' to read; it can be shown with"):
        SimilarityModel(model, method)


@pytest.mark.parametrize(
    "tower",
    [
        ConvTower(dimensions=3, channels=1, widths=[4, 8], blocks=[1, 1], width=16),
        WaveletTower(dimensions=3, channels=1, widths=[8, 12], blocks=[1, 1], width=16),
    ],
    ids=["conv", "wavelet"],
)
def test_our_towers_are_shown_by_their_gradients_even_when_frozen(tower):
    model, images = trained(RegionContrast(level=0) if tower.level_widths else TokenWise(), tower)
    for parameter in model.encoder.parameters():
        parameter.requires_grad_(False)
    maps, _ = SimilarityModel(model, "gradcam").ground(images, ["nodule", "pleural effusion"])
    assert maps.shape == (2, 2, 8, 12, 16)
    assert (maps >= 0).all()
    assert maps.amax() > 0
    assert not any(parameter.requires_grad for parameter in model.encoder.parameters())


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A tiny model of open_clip with random weights."""
    folder = tmp_path_factory.mktemp("openclip")
    config = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    (folder / "voxtile-similarity.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "voxtile-similarity.json")
    return load_model("open_clip:voxtile-similarity")


def test_connected_parts_become_boxes_and_the_best_proposal_is_neither_the_largest_nor_the_smallest():
    heat = np.zeros((12, 16), np.float32)
    heat[2:5, 3:8], heat[8:11, 10:12], heat[0, 15] = 0.6, 0.9, 0.7
    first, second, third = components(heat, 0.5)
    assert (first.box, second.box, third.box) == ((8, 10, 11, 12), (0, 15, 1, 16), (2, 3, 5, 8))
    assert [len(components(heat, 0.5, least=least)) for least in (2, 7, 100)] == [2, 1, 0]
    whole, one = np.ones_like(heat, bool), np.zeros_like(heat, bool)
    one[9, 10] = True
    proposals = [whole, first.mask, one]
    for alpha, best in ((0.0, 0), (0.5, 1)):
        scores = proposal_scores(heat, proposals, alpha=alpha)
        expected = [heat[mask].sum() / mask.sum() ** alpha for mask in proposals]
        np.testing.assert_allclose(scores, expected, rtol=1e-5)
        assert int(scores.argmax()) == best
    with pytest.raises(InputError, match="resample it"):
        proposal_scores(heat, [whole[:4]])
    with pytest.raises(InputError, match="no voxel inside the image"):
        proposal_scores(heat, [np.zeros_like(whole)])


def test_an_open_clip_model_by_name_is_shown_in_three_ways(clip):
    images = images_of()
    texts = clip.encode_texts(["a cat", "a dog"])
    assert SimilarityModel(clip).method == "maskclip"
    maps, presence = SimilarityModel(clip).ground(images, ["a cat", "a dog"])
    with torch.no_grad():
        patches = patch_embeddings(of_open_clip(clip.encoder.image.visual, same), images)
    cosines = (F.normalize(patches, dim=2) @ texts.T).transpose(1, 2).reshape(2, 2, 4, 4)
    expected = F.interpolate(cosines, size=(32, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(presence, (1 + clip.encode_images(images) @ texts.T) / 2, rtol=1e-4, atol=1e-5)
    for method in ("gradcam", "legrad"):
        assert SimilarityModel(clip, method).ground(images, ["a cat", "a dog"])[0].shape == (2, 2, 32, 32)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_model_of_transformers_is_shown_too(kind):
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "[EOS]": 2, "nodule": 3}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]", eos_token="[EOS]", model_max_length=12
    )
    module = huggingface(kind)
    model = HuggingFacePair(kind, module, tokenizer, ImagePreset(size=(32, 32)), torch.device("cpu"))
    images, text = images_of(), model.encode_texts(["nodule"])
    maps, _ = SimilarityModel(model).ground(images, ["nodule"])
    with torch.no_grad():
        patches = F.normalize(patch_embeddings(of_transformers(module), images), dim=2)
    expected = (patches @ text.T).transpose(1, 2).reshape(2, 1, 4, 4)
    expected = F.interpolate(expected, size=(32, 32), mode="bilinear", align_corners=False)
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-5)
    for method in ("gradcam", "legrad"):
        found, presence = SimilarityModel(model, method).ground(images, ["nodule"])
        assert found.amax() > 0
        torch.testing.assert_close(presence, (1 + model.encode_images(images) @ text.T) / 2, rtol=1e-4, atol=1e-5)
    with pytest.raises(ConfigError, match="more words than the model reads"):
        SimilarityModel(model).ground(images, ["nodule " * 13])


class Other(ImageTower):
    """A transformer with rotary positions, or one whose channels come last."""

    width, channels, dimensions = 8, 3, 2

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images, tokens=False):
        return Encoded(self.model(images)[:, :8])


@pytest.mark.parametrize(
    "model",
    [
        timm.models.eva.Eva(img_size=32, patch_size=16, embed_dim=16, depth=1, num_heads=2, num_classes=8),
        timm.models.SwinTransformer(
            img_size=32, patch_size=4, embed_dim=8, depths=(1,), num_heads=(2,), window_size=4, num_classes=8
        ),
    ],
    ids=["eva", "swin"],
)
def test_a_tower_that_cannot_be_laid_out_is_refused_instead_of_shown_wrongly(model):
    class Eight(Colours):
        width = 8

        def forward(self, tokens):
            return Encoded(F.pad(super().forward(tokens).pooled, (0, 6)))

    encoder = DualEncoder(image=Other(model), text=Eight(), embed_dim=8, project=False)
    shown = SimilarityModel(EncoderModel("other", encoder, ImagePreset(size=(32, 32))))
    with pytest.raises(ConfigError, match="no feature map that similarity could be laid out on"):
        shown.ground(images_of(), ["red"])


def test_a_decoder_refuses_what_it_cannot_hear():
    model, images = trained(Grounding(width=8, fine_width=8, heads=2))
    grounding = EncoderModel("decoder", model.encoder, model.preset, grounding=model.objectives[0])
    assert grounding.ground(images, ["pleural effusion"])[0].shape == (2, 1, 8, 12, 16)
    with pytest.raises(ConfigError, match="phrase to ground is empty"):
        grounding.ground(images, ["pleural effusion", ""])
    with pytest.raises(ConfigError, match="the phrase 'nodule in the lung nodule in the lung no…' has more words"):
        grounding.ground(images, ["nodule in the lung " * 40])


class Nameless:
    name = "nameless"


def test_what_cannot_be_shown_is_said_in_a_sentence(clip):
    with pytest.raises(ConfigError, match="can be shown with gradcam"):
        SimilarityModel(counting_model(2), "maskclip")
    with pytest.raises(ConfigError, match="'saliency' is no method"):
        SimilarityModel(counting_model(2), "saliency")
    with pytest.raises(ConfigError, match="phrase to ground is empty"):
        SimilarityModel(clip).ground(images_of(), ["a cat", "  "])
    with pytest.raises(ConfigError, match="more words than the model reads"):
        SimilarityModel(clip).ground(images_of(), ["a very long phrase " * 40])
    with pytest.raises(ConfigError, match="more words than the model reads"):
        SimilarityModel(counting_model(2)).ground(images_of(channels=2), ["the red " * 3])
    with pytest.raises(ConfigError, match="cannot encode phrases"):
        SimilarityModel(Nameless())
