"""An assistant that reads its image under names and by a region head: stopped by command, it goes on to the bit.

So does what is tuned from it by preferences. The corpus is that of answers that point.
"""

import shutil

import pytest
import torch
import yaml
from tests.integration.test_assist_regions import config, corpus  # noqa: F401

from voxtile.cli.main import lightning_main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import JobWriter
from voxtile.training.checkpoint import read_checkpoint

pytestmark = pytest.mark.sweep(ci=True)  # five runs
PLACES = {"class_path": "voxtile.objectives.RegionHead", "init_args": {"phrases": ["nodule"]}}
ANSWERING = {
    "class_path": "voxtile.assist.Answering",
    "init_args": {
        "scratch": {"vocabulary": 300, "width": 16, "depth": 1, "heads": 2, "context": 400},
        "connector": {
            "kind": "mlp", "grid": [1, 1, 1], "pooled": 1, "hidden": 16, "dropout": 0.1,
            "regions": {"phrases": 1, "cells": 2},
            "named": {"names": {"nodule": 0, "here": None}, "rank": 2},
        },
        "emphasis": {"here": 2},
    },
}  # fmt: skip
PAIR = {"question": "Where is the nodule?", "chosen": "Here is the nodule.", "rejected": "A nodule."}


@pytest.fixture(scope="module")
def preferred(corpus):  # noqa: F811
    """The corpus with a pair of answers about each volume."""
    writer = JobWriter(corpus, "preferred")
    for uid in Corpus(corpus).table("samples", columns=["uid"])["uid"].to_pylist():
        writer.add_rows("preferences", [PAIR | {"preference_id": uid, "uids": [uid], "kind": "corrected"}])
    writer.publish()
    return corpus


def fit(folder, made, *options):
    """Train in a folder of its own by the command; the checkpoints of the run."""
    folder.mkdir(exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(made))
    run = ["fit", "-c", str(path), "--trainer.default_root_dir", str(folder)]
    assert lightning_main([*run, *options]) == 0
    return sorted((folder / "runs").rglob("last.ckpt"))[-1]


def stopped_and_resumed(folder, made, whole):
    """The run again as one that was stopped when it had half of its steps, and went on with `--ckpt_path last`."""
    last = folder / "runs/tiny/version_0/checkpoints/last.ckpt"
    last.parent.mkdir(parents=True)
    shutil.copy(whole.with_name("step-2.ckpt"), last)
    return fit(folder, made, "--ckpt_path", "last")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, preferred):
    """Checkpoints of a tower with a region head, an assistant on it and one tuned from that; of both also resumed."""
    folder = tmp_path_factory.mktemp("assist-named")
    tower = config(preferred, objectives={"places": PLACES})
    tower["trainer"]["max_steps"] = 2
    tower["data"]["preset"]["init_args"].pop("augment")  # what is kept in memory was seen without
    found = {"tower": fit(folder / "tower", tower)}
    for name, before, kind in (("assistant", "tower", "Answering"), ("tuned", "assistant", "Preference")):
        answering = ANSWERING | {"class_path": f"voxtile.assist.{kind}"}
        made = config(preferred, objectives={"answering": answering}, freeze_encoder=True, cache_locked=True)
        made["model"]["pretrained"] = str(found[before])
        made["data"]["preset"]["init_args"].pop("augment")
        made["data"] |= {"preferences": {"per_item": 1}} if name == "tuned" else {"dialogues": {"per_item": 2}}
        del made["data"]["regions"]
        found[name] = fit(folder / name, made)
        found[f"{name}-resumed"] = stopped_and_resumed(folder / f"{name}-resumed", made, found[name])
    return found


@pytest.mark.parametrize("name", ["assistant", "tuned"])
def test_a_run_that_was_stopped_goes_on_to_the_bit_and_readings_by_name_are_learned(trained, name):
    whole, resumed = (read_checkpoint(trained[run])["state_dict"] for run in (name, f"{name}-resumed"))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    middle = read_checkpoint(trained[name].with_name("step-2.ckpt"))["state_dict"]
    learned = [key for key in whole if key.startswith("objectives.answering.connector.named.")]
    assert len(learned) >= 6
    assert all(not torch.equal(whole[key], middle[key]) for key in learned)


def test_the_head_that_is_read_is_that_of_the_tower_and_stands_still_with_it(trained):
    found = {name: read_checkpoint(trained[name])["state_dict"] for name in ("tower", "assistant", "tuned")}
    of_tower = {key: part for key, part in found["tower"].items() if key.startswith("encoder.image.")}
    heads = [key for key in found["tower"] if key.startswith("objectives.places.heads.")]
    assert len(heads) == 2 * 2
    for name in ("assistant", "tuned"):
        assert all(torch.equal(found[name][key], part) for key, part in of_tower.items())
        for key in heads:
            own = key.replace("objectives.places.", "objectives.answering.connector.found.")
            assert torch.equal(found[name][own], found["tower"][key]), own
    for key, part in found["assistant"].items():  # what is compared with is the assistant as it was
        if key.startswith(own := "objectives.answering."):
            kept = found["tuned"][f"{own}reference.{key.removeprefix(own).replace('.', '|')}"]
            assert torch.equal(kept, part), key
