"""Samples in a notebook: volumes in NiiVue with their values and masks, pictures as pictures, elsewhere the text."""

import io
import sys
from contextlib import suppress
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from serve_corpus import HOUNSFIELD, PATCH, SCENE, VOLUME, write_served_corpus

import voxtile
from voxtile.corpus.source import StoredSample
from voxtile.errors import CorpusError
from voxtile.formats.pictures import notebook


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("notebook") / "corpus"
    write_served_corpus(root)
    return voxtile.open_corpus(root)


@pytest.fixture
def kernel(monkeypatch):
    """What a Jupyter kernel looks like from within."""
    shell = SimpleNamespace(kernel=object())
    with suppress(ImportError):
        import ipyniivue  # noqa: F401 - looks for the shell of a real kernel when it is imported
    if "IPython" not in sys.modules:
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace())
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: shell, raising=False)


def as_nifti(data):
    return nib.Nifti1Image.from_bytes(data)


def test_a_volume_is_a_viewer_with_its_values_and_masks(corpus, kernel):
    pytest.importorskip("ipyniivue", reason="the extra notebook is not installed")
    data, _ = corpus[VOLUME]._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/plain"] == repr(corpus[VOLUME])
    sample = corpus[VOLUME]
    volume, masks = notebook.niivue(corpus, sample.source, sample._regions).volumes
    assert np.array_equal(np.asarray(as_nifti(volume.data).dataobj).transpose(2, 1, 0), HOUNSFIELD)
    assert (volume.cal_min, volume.cal_max) == (-160.0, 240.0)
    assert np.argwhere(as_nifti(masks.data).get_fdata().transpose(2, 1, 0)).min(0).tolist() == [20, 10, 30]


@pytest.mark.parametrize("why", ["without the extra", "too large"])
def test_without_the_viewer_a_volume_is_its_middle_planes(corpus, kernel, monkeypatch, why):
    if why == "too large":
        monkeypatch.setattr(notebook, "_MOST_BYTES", 1000)
    else:
        monkeypatch.setattr(notebook, "find_spec", lambda module: None)
    data, _ = corpus[VOLUME]._repr_mimebundle_()
    shown = np.asarray(Image.open(io.BytesIO(data["image/png"]))).astype(float)
    soft_tissue = np.clip((HOUNSFIELD[20].astype(float) + 160) / 400, 0, 1) * 255
    assert np.abs(shown[:48, :56] - soft_tissue[::-1, ::-1]).max() < 1.01


def test_pictures_and_scenes_are_pictures(corpus, kernel):
    data, _ = corpus[PATCH]._repr_mimebundle_()
    assert (np.asarray(Image.open(io.BytesIO(data["image/png"]))) == (200, 120, 180)).all()
    data, _ = corpus[SCENE]._repr_mimebundle_()
    assert Image.open(io.BytesIO(data["image/png"])).size == (48, 32)


def test_elsewhere_and_where_it_cannot_be_read_there_is_the_text(corpus, monkeypatch, request):
    assert corpus[VOLUME]._repr_mimebundle_() == {"text/plain": repr(corpus[VOLUME])}
    request.getfixturevalue("kernel")

    def gone(self, part=None):
        raise CorpusError("it is gone")

    monkeypatch.setattr(StoredSample, "array", gone)
    assert corpus[VOLUME]._repr_mimebundle_() == {"text/plain": repr(corpus[VOLUME])}
