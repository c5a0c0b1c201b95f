"""`voxtile.convert` and `voxtile.evaluate` give as objects what the commands write and print."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from tests.core.evaluate.test_models_from_anywhere import TASK
from tests.core.evaluate.test_single_label import pictures  # noqa: F401 - a fixture

import voxtile
import voxtile.models.protocol
from voxtile.cli.main import main
from voxtile.domain import Command, Domain
from voxtile.engine.run import RunOptions
from voxtile.errors import ConfigError, InputError, RunFailedError


@pytest.fixture
def folder(tmp_path):
    """Three pictures, one of which is torn."""
    (tmp_path / "in").mkdir()
    for n in range(3):
        pixels = np.random.default_rng(n).integers(0, 255, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{n}.png")
    torn = tmp_path / "in" / "2.png"
    torn.write_bytes(torn.read_bytes()[:60])
    return tmp_path / "in"


def test_a_conversion_is_an_object_and_prints_nothing(folder, tmp_path, capsys):
    done = voxtile.convert("image", folder, tmp_path / "corpus", workers=1, check=False)
    assert capsys.readouterr().out == ""
    assert (done.summary.used, done.summary.failed, done.summary.samples) == (2, 1, 2)
    assert done.summary.reasons["failed"] == {"decode-error": 1}
    assert sorted(done.ledger["status"].to_pylist())[-2:] == ["used", "used"]
    assert len(done.to_pandas()) == 3
    assert len(done.open()) == 2
    assert "inputs" in done.said
    again = voxtile.convert("image", str(folder), str(tmp_path / "corpus"), workers=1, check=False)
    assert again.summary.earlier == 3
    assert again.summary.counts() == done.summary.counts()


def test_a_conversion_with_failures_is_an_error_and_keeps_what_worked(folder, tmp_path):
    with pytest.raises(RunFailedError, match="1 of 3 inputs failed"):
        voxtile.convert("image", folder, tmp_path / "corpus", workers=1)
    assert len(voxtile.open_corpus(tmp_path / "corpus")) == 2


@dataclass(frozen=True)
class OwnOptions(RunOptions):
    """What several converters of a plugin share."""

    block: int = 0


def converter_of_ones_own(source: Path, corpus: Path, **options: Annotated[Any, OwnOptions]) -> None:
    """Takes the options of `OwnOptions`, and those of a run."""
    (corpus.parent / "given").write_text(f"{source.name} {OwnOptions(**options).block} {options['workers']}")


@pytest.mark.parametrize(
    ("kind", "option", "value"),
    [
        ("dicom", "find_text", True),  # it kept ultrasound as it was
        ("dicom", "find_text", "Blank"),
        ("dicom", "suv", "lbmm"),
        ("dicom", "tilted", "Shear"),
        ("nifti", "no_affine", "assumed"),
        ("wsi", "mpp", "nativ"),
        ("geotiff", "calibration", "sigma"),
        ("image", "class_folders", True),
    ],
)
def test_a_value_that_an_option_does_not_know_is_refused_before_anything_is_written(tmp_path, kind, option, value):
    (tmp_path / "in").mkdir()
    with pytest.raises(
        ConfigError, match=f"the option '{option}' of the converter '{kind}' is '.*' or .*, not {value!r}"
    ):
        voxtile.convert(kind, tmp_path / "in", tmp_path / "corpus", **{option: value})
    assert not (tmp_path / "corpus").exists()


def test_an_option_of_a_number_or_a_word_takes_both(folder, tmp_path):
    for mpp in (0.5, 1, "native"):
        with pytest.raises(InputError):  # pictures are no slides
            voxtile.convert("wsi", tmp_path / "nothing", tmp_path / "corpus", mpp=mpp)


def test_options_that_the_converters_of_a_plugin_share_are_taken(tmp_path, monkeypatch):
    own = Command(f"{__name__}:converter_of_ones_own", "stacks")
    plugin = Domain("em", "stacks", converters={"stack": own})
    monkeypatch.setattr("voxtile.api.conversion.discover", lambda: ({"em": plugin}, ()))
    monkeypatch.setattr(Command, "load", lambda self: converter_of_ones_own)
    voxtile.convert("stack", "in", tmp_path / "corpus", block=8, workers=1)
    assert (tmp_path / "given").read_text() == "in 8 1"
    with pytest.raises(ConfigError, match="'block' of the converter 'stack' is a whole number, not 'eight'"):
        voxtile.convert("stack", "in", tmp_path / "corpus", block="eight")
    with pytest.raises(ConfigError, match="has no option 'blok'; did you mean 'block'"):
        voxtile.convert("stack", "in", tmp_path / "corpus", blok=8)


@pytest.mark.parametrize(
    ("kind", "source", "options", "error", "said"),
    [
        ("dicm", "in", {}, ConfigError, "there is no converter 'dicm'; there are: dicom"),
        ("image", "in", {"wrokers": 2}, ConfigError, "has no option 'wrokers'; did you mean 'workers'"),
        ("image", "nothing", {}, InputError, "nothing"),
        ("image", "in", {"workers": -1}, ConfigError, "'workers' must be 0"),
        (
            "image",
            "in",
            {"workers": "two"},
            ConfigError,
            "'workers' of the converter 'image' is a whole number, not 't",
        ),
        ("dicom", "in", {"split_fractions": (0.5, 0.5)}, ConfigError, "of the converter 'dicom' is a text, not (0.5,"),
    ],
)
def test_a_conversion_that_cannot_be_is_one_sentence(folder, tmp_path, kind, source, options, error, said):
    with pytest.raises(error) as caught:
        voxtile.convert(kind, tmp_path / source, tmp_path / "corpus", **options)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_evaluation_has_the_figures_of_the_command_to_the_last_digit(
    pictures,  # noqa: F811
    open_clip_folder,
    tmp_path,
    capsys,
):
    (tmp_path / "task.yaml").write_text(TASK)
    task, corpus = str(tmp_path / "task.yaml"), str(pictures.roots[0])
    out = ["--corpus", corpus, "--out", str(tmp_path / "out"), "--bootstrap", "100"]
    assert main(["evaluate", str(open_clip_folder), task, *out]) == 0
    capsys.readouterr()
    model = voxtile.load_model(open_clip_folder)
    found = voxtile.evaluate(model, task, corpus=voxtile.open_corpus(corpus), bootstrap=100)
    assert capsys.readouterr().out == ""
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert found.table.to_pylist() == rows
    assert isinstance(found.table, pa.Table)
    frame = found.to_pandas()
    assert frame.columns.tolist() == list(rows[0])
    assert set(frame["kind"]) == {"model", "trivial", "shuffled"}
    assert "AUROC" in found.summary
    assert found.save(tmp_path / "saved").is_file()
    saved = json.loads((tmp_path / "saved" / "results.json").read_text())
    assert saved["rows"] == rows


@pytest.mark.parametrize(
    ("task", "options", "said"),
    [
        ("medical/ct-findngs", {}, "did you mean 'medical/ct-findings'?"),
        ([], {}, "no task was named"),
        ("task.yaml", {"split": "tset"}, "split must be one of test, val, train, not 'tset'"),
        ("task.yaml", {"corpus": None}, "corpus is a folder, or what voxtile.open_corpus gives, not None"),
        ("task.yaml", {"bootstrap": 3}, "bootstrap must be at least 100"),
        ("task.yaml", {"compat": ["ctclip"]}, "did you mean 'ct-clip'?"),
        ("task.yaml", {"compat": "ct-clip"}, "compat is a list of names, such as ['ct-clip']"),
    ],
)
def test_an_evaluation_that_cannot_be_is_one_sentence_in_words_of_python(tmp_path, monkeypatch, task, options, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "task.yaml").write_text(TASK)
    with pytest.raises(ConfigError) as caught:
        voxtile.evaluate("open_clip:RN50", task, **{"corpus": "corpus", **options})
    assert said in str(caught.value)
    assert "--" not in str(caught.value)
