"""A real slide, and whole studies, through `voxtile.load_model` and `OpenedCorpus.dataset`."""

import numpy as np
import pytest
import torch

import voxtile
from voxtile.errors import ConfigError, InputError, PresetError

SVS = "pathology/svs_cmu1_small_region/CMU-1-Small-Region.svs"


@pytest.fixture(scope="module")
def model(open_clip_folder):
    return voxtile.load_model(open_clip_folder)


@pytest.mark.sweep
def test_a_slide_is_its_patches_of_tissue_and_one_map(model, test_data, tmp_path):
    path = test_data / SVS
    done = voxtile.convert("wsi", path, tmp_path / "corpus", workers=1, coords_only=True, deidentify=False)
    patches = list(done.open())
    assert all(patch.image.dtype == np.uint8 for patch in patches)
    images = model.preprocess(path)
    assert images.shape[1:] == (3, 32, 32)
    stored = torch.stack([model.preset(patch.source, None) for patch in patches])
    found = {tuple(image.flatten().tolist()) for image in images}
    assert len(found & {tuple(image.flatten().tolist()) for image in stored}) == len(stored)
    [tumour] = model.ground(path, "tumour")
    x0, y0, x1, y1 = tumour.geometry.level0_box
    assert 0 <= x0 < x1 <= 2220 + 256
    assert 0 <= y0 < y1 <= 2967 + 256
    assert tumour.geometry.mpp == pytest.approx((0.499, 0.499))
    assert tumour.probability.shape == tumour.geometry.shape
    assert tumour.probability.max() > 0


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.nii.gz", b"text", "'{path}' cannot be read: the name says NIfTI, but the content is something else"),
        ("a.nii", b"", "'{path}' cannot be read: the file is empty"),
        ("a.tif", b"", "'{path}' cannot be read: "),
    ],
)
def test_a_damaged_file_is_said_to_be_one_and_not_to_be_in_a_ledger_that_is_gone(
    ct_checkpoint, tmp_path, name, content, said
):
    path = tmp_path / name
    path.write_bytes(content)
    model = voxtile.load_model(ct_checkpoint)
    for call in (model.preprocess, lambda path: model.ground(path, "a nodule")):
        with pytest.raises(InputError) as caught:
            call(path)
        assert str(caught.value).startswith(said.format(path=path))
        assert "ledger" not in str(caught.value)


def test_options_of_other_kinds_of_files_are_refused_in_words_of_python(model, test_data):
    with pytest.raises(ConfigError, match="modality goes with NIfTI files and arrays"):
        model.preprocess(test_data / SVS, modality="CT")
    with pytest.raises(ConfigError, match="bands goes with arrays, or with rasters"):
        model.preprocess(test_data / SVS, bands=("a", "b", "c"))


def test_a_model_of_studies_says_that_it_reads_no_single_image(ct_corpus, model):
    preset = {
        "class_path": "voxtile.data.StudyPreset",
        "init_args": {
            "roles": {"ct": {"windows": [[-1000.0, 1000.0]]}},
            "shape": [4, 8, 8],
            "spacing": [4.0, 4.0, 4.0],
        },
    }
    corpus = voxtile.open_corpus(ct_corpus)
    studies = corpus.dataset(preset=preset)
    assert len(studies) == 6
    assert studies[0]["image"].shape == (1, 4, 8, 8)
    assert len(studies[0]["texts"]) == 2

    class OfStudies:
        name, logit_scale, fact_names, preset = "studies", 1.0, (), studies.preset

    from voxtile.api.model import Model

    with pytest.raises(PresetError, match="ct"):
        Model(OfStudies(), "studies").preprocess(next(iter(corpus)))
