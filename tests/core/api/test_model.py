"""`voxtile.load_model` against open_clip and transformers themselves, and against the presets."""

import json
import re
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from tests.core.api.conftest import volumes

import voxtile
from voxtile.errors import CheckpointError, ConfigError, InputError, PresetError

COMPATIBILITY = Path(__file__).parents[2] / "compatibility"
CLASSES = {"nodule": ["a nodule", "nodule"], "effusion": "an effusion", "neither": "nothing"}


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    pixels = np.random.default_rng(0).integers(0, 255, (40, 52, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    Image.fromarray(pixels).save(path)
    return pixels, path


@pytest.fixture(scope="module")
def ct(ct_checkpoint):
    return voxtile.load_model(ct_checkpoint)


def test_an_open_clip_folder_answers_as_open_clip_itself(open_clip_folder, photograph):
    pixels, path = photograph
    model = voxtile.load_model(open_clip_folder)
    theirs, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{open_clip_folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{open_clip_folder}")
    tokens = tokenizer(["a nodule", "an effusion"])
    with torch.no_grad():
        seen = theirs.encode_image(preprocess(Image.fromarray(pixels))[None], normalize=True)
        read = theirs.encode_text(tokens, normalize=True)
    for image in (path, pixels, Image.fromarray(pixels), model.preprocess(path), model.preprocess(str(path))[0]):
        torch.testing.assert_close(model.encode_image(image), seen, rtol=1e-4, atol=1e-5)
    assert torch.equal(model.tokenizer(["a nodule", "an effusion"]), tokens)
    torch.testing.assert_close(model.encode_text(["a nodule", "an effusion"]), read, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.encode_text(tokens), read, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.encode_text("a nodule"), read[:1], rtol=1e-4, atol=1e-5)


def test_a_hugging_face_folder_answers_as_transformers_itself(hugging_face_folder, photograph):
    import transformers

    model = voxtile.load_model(hugging_face_folder)
    theirs = transformers.CLIPModel.from_pretrained(hugging_face_folder)
    processor = transformers.CLIPImageProcessor.from_pretrained(hugging_face_folder)
    pixels = processor(images=Image.fromarray(photograph[0]), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        seen = theirs.visual_projection(theirs.vision_model(pixels).pooler_output)
    expected = torch.nn.functional.normalize(seen, dim=1)
    torch.testing.assert_close(model.encode_image(pixels), expected, rtol=1e-4, atol=1e-5)
    level = 1 / 255 / 0.26  # one of 256 grey levels, by the processor's smallest standard deviation
    torch.testing.assert_close(model.preprocess(photograph[1]), pixels, rtol=0, atol=1.01 * level)
    with pytest.raises(ConfigError, match="give encode_text the texts themselves"):
        model.tokenizer  # noqa: B018


def test_classification_is_a_softmax_over_mean_prompts(open_clip_folder, photograph):
    model = voxtile.load_model(open_clip_folder)
    image = model.encode_image(photograph[1]).double()
    means = [model.encode_text(p).double().mean(0) for p in (["a nodule", "nodule"], "an effusion", "nothing")]
    logits = torch.stack([model.logit_scale * image[0] @ (m / m.norm()) for m in means])
    found = model.classify(photograph[0], CLASSES)
    assert list(found) == list(CLASSES)
    assert list(found.values()) == pytest.approx(logits.softmax(0).tolist(), abs=1e-5)


def test_an_array_a_sample_and_a_nifti_file_of_the_same_scan_are_the_same(ct, ct_corpus, tmp_path):
    nibabel = pytest.importorskip("nibabel")
    values = list(volumes())[3]
    path = tmp_path / "scan.nii"
    image = nibabel.Nifti1Image(values.transpose(2, 1, 0), np.diag([1.5, 2.0, 3.0, 1.0]))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
    sample = next(s for s in voxtile.open_corpus(ct_corpus) if s.meta["subject"] == "s3")
    expected = ct.preset(sample.source, None)[None]
    for tensor in (
        ct.preprocess(values, spacing_mm=(3.0, 2.0, 1.5), units="HU"),
        ct.preprocess(sample.image, spacing_mm=sample.geometry.spacing_mm, units=sample.units),
        ct.preprocess(sample),
        ct.preprocess(path),
    ):
        torch.testing.assert_close(tensor, expected)
    assert expected.std() > 0
    coarse = ct.preprocess(values, spacing_mm=(6.0, 4.0, 3.0), units="HU")
    assert not torch.allclose(coarse, expected)


def test_grounding_an_array_is_that_of_the_file_on_its_own_grid(ct, ct_corpus, tmp_path):
    values = list(volumes())[3]
    sample = next(s for s in voxtile.open_corpus(ct_corpus) if s.meta["subject"] == "s3")
    of_array = ct.ground(values, ["a nodule", "an effusion"], spacing_mm=(3.0, 2.0, 1.5), units="HU")
    of_sample = ct.ground(sample, ["a nodule", "an effusion"])
    assert [found.phrase for found in of_array] == ["a nodule", "an effusion"]
    for one, other in zip(of_array, of_sample, strict=True):
        assert one.probability.shape == values.shape
        assert one.geometry.spacing_mm == (3.0, 2.0, 1.5)
        np.testing.assert_array_equal(one.probability, other.probability)
        assert 0 <= one.presence <= 1
        assert one.mask(0.5, 0.0).sum() == (one.probability >= 0.5).sum()
        assert not one.mask(0.5, 1.0).any()


def test_a_model_of_pictures_reads_slices_of_a_volume_and_bands_of_a_tile(open_clip_folder, ct_corpus, tile_corpus):
    model = voxtile.load_model(open_clip_folder)
    [tile] = voxtile.open_corpus(tile_corpus)
    torch.testing.assert_close(
        model.preprocess(np.nan_to_num(tile.image), bands=tile.channels, units="reflectance"), model.preprocess(tile)
    )
    scan = next(iter(voxtile.open_corpus(ct_corpus)))
    images = model.preprocess(scan)
    assert images.shape == (1, 3, 16, 32, 32)
    each = torch.cat([model.encode_image(images[:, :, k]) for k in range(16)]).mean(0, keepdim=True)
    expected = torch.nn.functional.normalize(each, dim=1)
    torch.testing.assert_close(model.encode_image(images), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(model.preprocess(scan.image, units="hu"), images), "units are known in any letter case"
    with pytest.raises(PresetError, match=r"units of CT are HU, or a\.u\. where they are not, and not 'hounsfield'"):
        model.preprocess(scan.image, units="hounsfield", modality="CT")  # it would be spread by its range
    assert model.preprocess(scan.image, units="a.u.", modality="CT").shape == images.shape
    with pytest.raises(PresetError, match=r"name three of them with bands$"):
        model.preprocess(np.zeros((2, 8, 8)), bands=["nir", "swir16"], units="reflectance")


ZEROS = np.zeros((6, 12, 10), np.int16)
MM = (3.0, 2.0, 1.5)


@pytest.mark.parametrize(
    ("image", "given", "error", "said"),
    [
        (ZEROS, {"units": "HU"}, PresetError, "needs the spacing in mm, which an array does not say; give spacing_mm"),
        (ZEROS, {"spacing_mm": MM}, PresetError, "reads values in HU, which an array does not say; give units='HU'"),
        (ZEROS, {"spacing_mm": MM, "units": "a.u."}, PresetError, "needs units HU, but this is a volume"),
        (ZEROS, {"spacing_mm": MM, "units": "HU", "modality": "MR"}, PresetError, "needs modality CT, but this is"),
        (ZEROS, {"spacing_mm": (3.0, 0.0, 1.0), "units": "HU"}, PresetError, "3 sizes in mm above 0"),
        (ZEROS, {"spacing_mm": (3.0, 1.0), "units": "HU"}, PresetError, "3 sizes in mm above 0"),
        (ZEROS, {"spacing_mm": 2.0, "units": "HU"}, PresetError, "3 sizes in mm above 0 (z, y, x), not 2.0"),
        (ZEROS, {"spacing_mm": "abc", "units": "HU"}, PresetError, "3 sizes in mm above 0 (z, y, x), not 'abc'"),
        (ZEROS, {"spacing_mm": (3.0, None, 1.0), "units": "HU"}, PresetError, "3 sizes in mm above 0"),
        (ZEROS, {"spacing_mm": (1e-9, 1.0, 1.0), "units": "HU"}, PresetError, "says 1e-09 mm, but this model reads"),
        ([[1, 2], [3]], {"spacing_mm": MM, "units": "HU"}, PresetError, "not lists of different lengths"),
        (ZEROS, {"spacing": MM}, ConfigError, "'spacing' says nothing of an image; there are spacing_mm"),
        (ZEROS, {"spacing_mm": MM, "units": "HU", "mpp": 0.5}, ConfigError, "mpp goes with slides"),
        (ZEROS + np.nan, {"spacing_mm": MM, "units": "HU"}, PresetError, "not finite"),
        (np.zeros((2, 2, 2, 2)), {}, PresetError, "with 2 or 3 axes"),
        (np.array(["a"]), {}, PresetError, "an array of numbers"),
        ("nothing.nii", {}, InputError, "'nothing.nii' does not exist"),
        ("nothing.nii", {"spacing_mm": MM}, ConfigError, "spacing_mm goes with arrays"),
        (torch.zeros(1, 8, 8, 8), {}, ConfigError, "a tensor is taken as preprocess gives it"),
        (["a.nii", "b.nii"], {}, PresetError, "one image is taken at a time, not a list of 2; join several with"),
    ],
)
def test_an_image_that_does_not_say_enough_is_refused_by_the_argument_that_is_missing(ct, image, given, error, said):
    with pytest.raises(error) as caught:
        ct.preprocess(image, **given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


PICTURE = np.random.default_rng(1).integers(0, 255, (20, 30, 3), dtype=np.uint8)
MEANT = "may be a picture or a volume: a picture is [y, x] or [y, x, 3] of uint8; of a volume"


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (PICTURE / 255, f"an array of float64 and shape [20, 30, 3] {MEANT}"),
        (np.moveaxis(PICTURE, 2, 0), f"an array of uint8 and shape [3, 20, 30] {MEANT}"),
        (np.concatenate([PICTURE, PICTURE[..., :1]], axis=2), f"an array of uint8 and shape [20, 30, 4] {MEANT}"),
        (np.full((20, 30), np.nan), "the image holds values that are not finite"),
    ],
)
def test_an_array_is_never_taken_for_slices_of_a_volume_unsaid(open_clip_folder, image, said):
    model = voxtile.load_model(open_clip_folder)
    with pytest.raises(PresetError, match=re.escape(said)):
        model.preprocess(image)
    assert model.preprocess(np.zeros((5, 20, 30), np.int16), units="HU").shape == (1, 3, 16, 32, 32)


def test_a_grey_picture_of_more_than_8_bits_is_spread_over_its_own_range(open_clip_folder):
    model = voxtile.load_model(open_clip_folder)
    grey = np.linspace(20000, 40000, 32 * 32).reshape(32, 32).astype(np.uint16)
    seen = model.preprocess(grey)
    assert seen.unique().numel() > 500
    torch.testing.assert_close(seen, model.preprocess(Image.fromarray(grey)))
    torch.testing.assert_close(seen, model.preprocess(grey / 65535), atol=1e-3, rtol=0)


def test_a_tile_as_an_array_is_grounded_as_it_is_encoded():
    model = voxtile.load_model(COMPATIBILITY / "remote_sensing" / "last.ckpt")
    tile = next(iter(voxtile.open_corpus(COMPATIBILITY / "remote_sensing" / "corpus")))
    [of_sample], [of_array] = (
        model.ground(tile, "a field"),
        model.ground(np.nan_to_num(tile.image), "a field", bands=tile.channels, units="reflectance"),
    )
    assert of_array.probability.shape == tile.image.shape[1:]
    np.testing.assert_allclose(of_array.probability, of_sample.probability, atol=1e-3)


@pytest.mark.parametrize("bands", ["B02", ["B02"]])
def test_what_is_said_of_a_tile_is_checked(bands):
    model = voxtile.load_model(COMPATIBILITY / "remote_sensing" / "last.ckpt")
    with pytest.raises((ConfigError, PresetError), match=r"bands (is a list of names|names 1 channels)"):
        model.preprocess(np.zeros((3, 8, 8)), bands=bands, units="reflectance")
    for size in (0, -10.0, float("nan"), "10"):
        with pytest.raises(ConfigError, match="gsd_m is metres a pixel, a number above 0"):
            model.preprocess(np.zeros((3, 8, 8)), bands=["B02", "B03", "B04"], units="reflectance", gsd_m=size)


def test_tensors_classes_and_phrases_that_do_not_fit_are_refused(ct):
    with pytest.raises(ConfigError, match=r"reads \[S, 1, 8, 8, 8\], not \[2, 1, 8, 8, 9\]"):
        ct.encode_image(torch.zeros(2, 1, 8, 8, 9))
    with pytest.raises(ConfigError, match="at least two"):
        ct.classify(torch.zeros(1, 8, 8, 8), {"nodule": "a nodule"})
    with pytest.raises(ConfigError, match="'effusion' has no prompt"):
        ct.classify(torch.zeros(1, 8, 8, 8), {"nodule": "a nodule", "effusion": []})
    with pytest.raises(ConfigError, match="a phrase is empty"):
        ct.ground(ZEROS, "", units="HU", spacing_mm=MM)
    with pytest.raises(PresetError, match="give spacing_mm"):
        ct.ground(ZEROS, "a nodule", units="HU")
    assert ct.encode_image(torch.zeros(1, 8, 8, 8)).shape == (1, 8)
    with pytest.raises(ConfigError, match="classes says the prompts of each class"):
        ct.classify(torch.zeros(1, 8, 8, 8), ["nodule", "none"])
    with pytest.raises(ConfigError, match="there is no image, so that it is of no class"):
        ct.classify(torch.zeros(0, 1, 8, 8, 8), CLASSES)
    with pytest.raises(ConfigError, match="embedding is not finite, so that it is of no class"):
        ct.classify(torch.full((1, 8, 8, 8), torch.nan), CLASSES)
    for call in (ct.encode_text, ct.tokenizer, lambda texts: ct.ground(ZEROS, texts, units="HU", spacing_mm=MM)):
        for texts in (None, 3, ["a nodule", 3]):
            with pytest.raises(ConfigError, match=r"(None|3) is no text; give a text, or several"):
                call(texts)
    for tokens in (torch.zeros(1, 4), torch.zeros(4, dtype=torch.int64), torch.full((1, 4), -1)):
        with pytest.raises(ConfigError, match=r"tokens are \[T, L\] whole numbers from 0"):
            ct.encode_text(tokens)
    last = ct.evaluation.encoder.text.embedding.num_embeddings - 1
    assert len(ct.encode_text(torch.tensor([[last, 0]]))) == 1
    with pytest.raises(ConfigError, match=rf"the token {last + 1} is beyond the vocabulary .* last one is {last};"):
        ct.encode_text(torch.tensor([[1, 2], [last + 1, 0]]))


def _corpus(folder):
    (folder / "corpus.json").write_text('{"format": "voxtile-corpus", "schema": "2.0"}')


def _bert(folder):
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]}))


def _broken(folder):
    (folder / "config.json").write_text("{")


def _open_clip_without_weights(folder):
    vision = {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8}
    text = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    config = {"model_cfg": {"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))


def _broken_open_clip(folder):
    (folder / "open_clip_config.json").write_text("{}")


@pytest.mark.parametrize(
    "make", [lambda folder: None, _corpus, _bert, _broken, _broken_open_clip, _open_clip_without_weights]
)
def test_a_folder_of_something_else_is_one_sentence(tmp_path, make):
    make(tmp_path)
    with pytest.raises((ConfigError, CheckpointError)) as caught:
        voxtile.load_model(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value) or tmp_path.name in str(caught.value)


def test_a_file_that_is_no_checkpoint_or_does_not_exist_is_one_sentence(tmp_path):
    (tmp_path / "a.ckpt").write_text("hello")
    for path, said in ((tmp_path / "a.ckpt", "a.ckpt"), (tmp_path / "b.ckpt", "does not exist")):
        with pytest.raises(CheckpointError, match=said):
            voxtile.load_model(path)
