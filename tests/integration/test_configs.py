"""Every training config that ships runs: fit, test and, once for each kind of item, validate and predict."""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from voxtile.cli.main import lightning_main
from voxtile.domain import discover
from voxtile.training.checkpoint import read_checkpoint
from voxtile.training.config_bases import read_config

CONFIGS = {
    f"{domain.name}/{name}": path for domain in discover()[0].values() for name, path in domain.configs().items()
}


@pytest.fixture(scope="session")
def ct_data() -> list[str]:
    """The CT config makes its own corpus from the phantom."""
    convert = {
        "reports": "{out}/reports.csv",
        "split_fractions": "0.5,0.25,0.25",
        "engine": "inline",
        "deidentify": False,
    }
    facts = {"reports": {"engine": "inline"}, "labels": {"labels": "{out}/labels.csv", "engine": "inline"}}
    phantom = {"name": "ct", "n": 12, "options": {"workers": 1}, "converter_options": convert, "facts": facts}
    phantom |= {"captions": None, "instruct": None}  # not those of the config
    return ["--data.phantom", json.dumps(phantom), "--data.batch_size", "2"]


@pytest.fixture(scope="session")
def ct_report_data(ct_data) -> list[str]:
    """The same with captions of single facts, and questions."""
    phantom = json.loads(ct_data[1])
    caption = {"facts_source": "reports", "kind": "fact", "absent": 99, "engine": "inline"}
    asked = {"facts_source": "reports", "kinds": "presence,side", "engine": "inline"}
    return [ct_data[0], json.dumps(phantom | {"captions": caption, "instruct": asked}), *ct_data[2:]]


@pytest.fixture(scope="session")
def ct_prior_data(ct_report_data) -> list[str]:
    """Pairs of examinations, with questions of what has changed."""
    phantom = json.loads(ct_report_data[1])
    phantom |= {"n": 16, "options": {"workers": 1, "follow_up": True, "segmentations": 0}}
    phantom["instruct"] |= {"kinds": "comparison,presence"}
    return [ct_report_data[0], json.dumps(phantom), *ct_report_data[2:]]


@pytest.fixture(scope="session")
def ct_grounding_data() -> list[str]:
    return ct_segmented_data("medical/ct-grounding")


@pytest.fixture(scope="session")
def ct_structured_data(ct_report_data) -> list[str]:
    """The same with structured reports, too."""
    phantom = json.loads(ct_report_data[1])
    plain = phantom["captions"] | {"words": "plain", "caption_kind": "structured"}
    return [ct_report_data[0], json.dumps(phantom | {"captions": [phantom["captions"], plain]}), *ct_report_data[2:]]


def ct_segmented_data(name: str) -> list[str]:
    """The same with segmentations, as the config makes it."""
    phantom = read_config(CONFIGS[name])["data"]["phantom"]
    phantom |= {"n": 6, "options": {"workers": 1}}
    phantom["converter_options"] |= {"split_fractions": "0.4,0.3,0.3", "engine": "inline"}
    if "captions" in phantom:
        phantom["captions"]["engine"] = "inline"
    phantom["facts"] = {"reports": {"engine": "inline"}, "labels": {"labels": "{out}/labels.csv", "engine": "inline"}}
    return ["--data.phantom", json.dumps(phantom), "--data.batch_size", "2"]


@pytest.fixture(scope="session")
def ct_grounded_report_data(ct_grounding_data) -> list[str]:
    """The same with questions that point and mark."""
    phantom = json.loads(ct_grounding_data[1])
    caption = {"facts_source": "reports", "kind": "fact", "absent": 99, "engine": "inline"}
    asked = {"facts_source": "reports", "engine": "inline"}
    phantom |= {"captions": caption, "instruct": asked}
    return [ct_grounding_data[0], json.dumps(phantom), *ct_grounding_data[2:]]


def scenes_data(name: str, size: str, config: str | None = None) -> list[str]:
    """A few scenes of a remote-sensing phantom, split so that every split has some."""
    convert = {
        "size": size,
        "resolution": "10" if name == "sentinel2" else "native",
        "block": "24km",
        "split_fractions": "0.4,0.3,0.3",
        "licence": "CC0-1.0 (synthetic phantom)",
        "engine": "inline",
    }
    facts = read_config(CONFIGS[f"remote_sensing/{config or name}"])["data"]["phantom"]["facts"]
    facts = {source: options | {"engine": "inline"} for source, options in facts.items()}
    phantom = {"name": name, "n": 8, "options": {"workers": 1}, "converter_options": convert, "facts": facts}
    phantom |= {"captions": None, "instruct": None}  # not those of the config
    return ["--data.phantom", json.dumps(phantom), "--data.batch_size", "4"]


def photographs_data() -> list[str]:
    """Tiles of the aerial phantom, whose facts take the place of labels; weights at random."""
    tower = read_config(CONFIGS["remote_sensing/photographs"])["model"]["encoder"]["image"]
    tower["init_args"]["pretrained"] = None
    name, few, *batch = scenes_data("aerial", "96m")
    phantom = read_config(CONFIGS["remote_sensing/aerial"])["data"]["phantom"] | json.loads(few)
    return [name, json.dumps(phantom), *batch, "--model.encoder.image", json.dumps(tower)]


def slides_data(name: str, n: int, *options: str) -> list[str]:
    """A few slides of the H&E phantom, as the config makes them, without processes of their own."""
    phantom = read_config(CONFIGS[name])["data"]["phantom"]
    phantom |= {"n": n, "options": {"workers": 1}}
    phantom["converter_options"]["split_fractions"] = "0.4,0.3,0.3"
    asked = [phantom["instruct"]] if "instruct" in phantom else []
    for steps in (phantom["converter_options"], *phantom.get("captions", ()), *phantom["facts"].values(), *asked):
        steps["engine"] = "inline"
    return ["--data.phantom", json.dumps(phantom), "--data.batch_size", "2", *options]


def studies_data(name: str) -> list[str]:
    """A few studies of a phantom of several series, as the config makes them, without processes of their own."""
    phantom = read_config(CONFIGS[name])["data"]["phantom"]
    phantom |= {"n": 8, "options": {"workers": 1}}
    phantom["converter_options"]["split_fractions"] = "0.5,0.25,0.25"
    for options in (phantom["converter_options"], phantom.get("captions", {}), *phantom["facts"].values()):
        options["engine"] = "inline"
    return ["--data.phantom", json.dumps(phantom), "--data.batch_size", "2"]


def films_data(name: str) -> list[str]:
    """A few radiographs of the phantom, as the config makes them, without processes of their own."""
    phantom = read_config(CONFIGS[name])["data"]["phantom"] | {"n": 10, "options": {"workers": 1}}
    phantom["converter_options"]["split_fractions"] = "0.5,0.25,0.25"
    steps = (phantom["converter_options"], *phantom["captions"], phantom["instruct"], *phantom["facts"].values())
    for options in steps:
        options["engine"] = "inline"
    return ["--data.phantom", json.dumps(phantom), "--data.batch_size", "4"]


def chat_data() -> list[str]:
    """A few scenes with lists and questions from their map."""
    name, few, *batch = scenes_data("aerial", "96m", "chat")
    made = read_config(CONFIGS["remote_sensing/chat"])["data"]["phantom"]
    made = {step: made[step] | {"engine": "inline"} for step in ("captions", "instruct")}
    return [name, json.dumps(json.loads(few) | made), *batch]


def mixture_data(corpus: Path) -> list[str]:
    """One corpus as every source of the config's mixture."""
    mixture = read_config(CONFIGS["medical/unified"])["data"]["mixture"]
    for source in mixture["sources"].values():
        source["corpus"] = str(corpus)
    return ["--data.mixture", json.dumps(mixture | {"group": 16}), "--data.batch_size", "16", "--data.num_workers", "0"]


@pytest.fixture
def data(request, tmp_path, monkeypatch, xray_corpus):
    monkeypatch.setenv("VOXTILE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return {
        "medical/cxr": ["--data.corpus", str(xray_corpus), "--data.num_workers", "0"],
        "medical/cxr-images": ["--data.corpus", str(xray_corpus), "--data.num_workers", "0"],
        "medical/ct": request.getfixturevalue("ct_data"),
        "medical/ct-report": request.getfixturevalue("ct_structured_data"),
        "medical/ct-prior": request.getfixturevalue("ct_prior_data"),
        "medical/ct-grounded-report": request.getfixturevalue("ct_grounded_report_data"),
        "medical/ct-grounding": request.getfixturevalue("ct_grounding_data"),
        "medical/cxr-films": films_data("medical/cxr-films"),
        "medical/cxr-report": films_data("medical/cxr-report"),
        "medical/ct-regions": ct_segmented_data("medical/ct-regions"),
        "medical/ct-regions-report": request.getfixturevalue("ct_structured_data"),
        "medical/mr": studies_data("medical/mr"),
        "medical/unified": mixture_data(xray_corpus),
        "medical/petct": studies_data("medical/petct"),
        "medical/petct-grounding": studies_data("medical/petct-grounding"),
        "pathology/he": slides_data("pathology/he", 5, "--data.max_images_per_batch", "12"),
        "pathology/he-report": slides_data("pathology/he-report", 3),
        "pathology/he-grounding": slides_data("pathology/he-grounding", 4),
        "remote_sensing/sentinel2": scenes_data("sentinel2", "600m"),
        "remote_sensing/aerial": scenes_data("aerial", "96m"),
        "remote_sensing/aerial-grounding": scenes_data("aerial", "96m", "aerial-grounding"),
        "remote_sensing/chat": chat_data(),
        "remote_sensing/photographs": photographs_data(),
        "remote_sensing/sar": scenes_data("sar", "600m"),
    }


def test_all_configs_of_the_checkout_are_offered():
    files = Path(__file__).parents[2].glob("domains/*/*.yaml")
    assert {path.resolve() for path in files} == {path.resolve() for path in CONFIGS.values()}


def said(command, figure, options, capsys):
    """The figure that a command printed, which must be a number."""
    capsys.readouterr()
    assert lightning_main([command, *options]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if f" {figure} " in line]
    assert math.isfinite(float(line.replace("│", " ").split()[1]))


# `validate` and `predict` read what `fit` and `test` have read: here once for each kind of item.
ALL_COMMANDS = ("medical/ct", "medical/cxr", "pathology/he", "remote_sensing/sentinel2")
IN_SUITE = ("medical/ct", "medical/unified", "remote_sensing/sar")  # test_training_commands.py has medical/cxr
ALONE = [name for name in CONFIGS if not name.endswith("-dpo")]  # those go on from an assistant, as in test_assist.py
CASES = [name if name in IN_SUITE else pytest.param(name, marks=pytest.mark.sweep(ci=True)) for name in ALONE]
WHOLE = [pytest.param(f"{name} whole", marks=pytest.mark.sweep) for name in ALONE]


def test_each_config_has_a_small_corpus(data):
    assert set(data) == set(ALONE)
    assert set(IN_SUITE) <= set(ALONE)


@pytest.mark.parametrize("name", [*CASES, *WHOLE])
def test_config_runs(name, data, capsys):
    name, _, whole = name.partition(" ")
    assert name in data, f"add a small corpus for {name} to this test"
    options = ["-c", name, *data[name], "--trainer.accelerator", "cpu", "--trainer.enable_model_summary", "false"]
    quick = [*options, "--trainer.fast_dev_run", "true", "--ckpt_path", "last"]
    assert lightning_main(["fit", *options, "--trainer.max_steps", "1", "--trainer.limit_val_batches", "1"]) == 0
    (checkpoint,) = Path("runs").rglob("last.ckpt")
    assert read_checkpoint(checkpoint)["global_step"] == 1
    said("test", "test/loss", quick, capsys)
    if not whole and name not in ALL_COMMANDS:
        return
    said("validate", "val/loss", quick, capsys)
    assert lightning_main(["predict", *options, "--trainer.limit_predict_batches", "1", "--ckpt_path", "last"]) == 0
    (table,) = Path("runs").rglob("embeddings.parquet")
    vectors = np.array(pq.read_table(table)["image"].to_pylist())
    assert len(vectors)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-2)


def test_fast_dev_run_leaves_nothing_behind(xray_corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = ["--data.corpus", str(xray_corpus), "--data.num_workers", "0"]
    assert lightning_main(["fit", "-c", "medical/cxr", *data, "--trainer.fast_dev_run", "true"]) == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", CONFIGS)
def test_config_names_its_run_and_evaluates(name):
    config = read_config(CONFIGS[name])
    assert config["name"] == name.partition("/")[2]
    assert config["evaluate"]["tasks"]
    assert config["data"]["corpus"] is None, "a config must not name anyone's folder"
