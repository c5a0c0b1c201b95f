"""No file from elsewhere runs code: every loader is given every trick, and a canary sings if anything ran."""

import contextlib
import io
import json
import re
import shutil
import sys
import time

import nibabel
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.presets.load import preset_from_config
from voxtile.errors import CheckpointError, ConfigError, PresetError, VoxtileError
from voxtile.export.source import read_source
from voxtile.inference.captioner import Captioner
from voxtile.inference.load import load_model
from voxtile.inference.onnx_pair import OnnxPair
from voxtile.stages.embed.extractor import load_extractor
from voxtile.training.module import ContrastiveModule

PRESET = {
    "class_path": "voxtile.data.ImagePreset",
    "init_args": {"size": [8, 8], "channels": 1, "mean": [0.5], "std": [0.5]},
}
TASK = {
    "name": "any", "title": "any", "kind": "zero-shot-singlelabel", "unit": "sample", "split": "test",
    "templates": ["{}"], "classes": {"a": {"concept": "a", "prompts": ["a"]}, "b": {"concept": "b", "prompts": ["b"]}},
}  # fmt: skip
CANARY = '''
from pathlib import Path

import torch

Path(FOLDER, "imported").touch()


class Evil(torch.nn.Module):
    def __init__(self, *args, **kwargs):
        super().__init__()
        Path(FOLDER, "made").touch()

    @classmethod
    def encode_images(cls):
        """So that it looks like a model."""

    encode_texts = encode_images


def call(*args, **kwargs):
    Path(FOLDER, "called").touch()
'''


class Canary:
    """A module and a script that leave a file when they run."""

    def __init__(self, folder):
        self.folder, self.songs = folder, folder / "songs"
        self.songs.mkdir()
        (folder / "canary_module.py").write_text(CANARY.replace("FOLDER", repr(str(self.songs))))
        self.script = folder / "script.sh"
        self.script.write_text(f"#!/bin/sh\ntouch {self.songs}/script\n")
        self.script.chmod(0o755)
        self.yaml = folder / "evil.yaml"
        self.yaml.write_text(json.dumps({"class_path": "canary_module.Evil"}))

    def sang(self):
        return sorted(path.name for path in self.songs.iterdir())


@pytest.fixture(scope="module")
def bird(tmp_path_factory):
    """Silent to the end, also where a process that was started needs a moment."""
    found = Canary(tmp_path_factory.mktemp("canary"))
    sys.path.insert(0, str(found.folder))
    yield found
    time.sleep(0.3)
    sys.path.remove(str(found.folder))
    assert not found.sang()


@pytest.fixture
def canary(bird):
    """Silent at first, whatever the test before let it sing."""
    sys.modules.pop("canary_module", None)
    for song in bird.songs.iterdir():
        song.unlink()
    return bird


# What a file can write where a class belongs; SCRIPT and FILE are the canary's.
WORKERS = "voxtile.engine.worker_process"
EVIL, POPEN, CUSTOM = "canary_module.Evil", "subprocess.Popen", "voxtile.inference.custom.custom_model"
SPECIFICATIONS = {
    "foreign class": {"class_path": EVIL, "init_args": {}},
    "foreign function": {"class_path": "canary_module.call", "init_args": {}},
    "process": {"class_path": POPEN, "init_args": {"args": ["SCRIPT"]}},
    "our factory": {"class_path": CUSTOM, "init_args": {"spec": f"{POPEN}:SCRIPT", "device": "cpu"}},
    "our factory, a class": {"class_path": CUSTOM, "init_args": {"spec": EVIL, "device": "cpu"}},
    "our loader": {"class_path": "voxtile.inference.load.load_model", "init_args": {"spec": f"class:{EVIL}"}},
    "our captioner": {"class_path": "voxtile.inference.captioner.Captioner", "init_args": {"spec": f"class:{EVIL}"}},
    "our command": {"class_path": "voxtile.domain.Command", "init_args": {"target": "canary_module:call", "help": ""}},
    "through our module": {
        "class_path": "voxtile.engine.worker_process.subprocess.Popen",
        "init_args": {"args": ["SCRIPT"]},
    },
    "import by ours": {"class_path": "voxtile.domain.importlib.import_module", "init_args": {"name": "canary_module"}},
    "no arguments": {"class_path": EVIL},
    "arguments in a list": {"class_path": POPEN, "init_args": ["SCRIPT"]},
    "further arguments": {"class_path": POPEN, "dict_kwargs": {"args": ["SCRIPT"]}},
    "path in a list": {"class_path": [EVIL]},
    "path in a mapping": {"class_path": {"class_path": EVIL}},
    "text": EVIL,
    "text, process": POPEN,
    "text of YAML": json.dumps({"class_path": EVIL}),
    "text of a file": "FILE",
    "list": [{"class_path": EVIL}],
    "list of text": [EVIL],
}
REFUSED = r"was not (run|made|read|called)|stands where|cannot be (built|made)|cannot make|no preset|no description"
NO_PRESET = rf"{REFUSED}|is no training config|is no BasePreset|cannot be imported"


def aimed(value, canary):
    """With the canary's own paths."""
    return json.loads(json.dumps(value).replace("SCRIPT", str(canary.script)).replace("FILE", str(canary.yaml)))


# The places of a model's config where a class belongs, and some where none does.
CONV = {
    "class_path": "voxtile.models.ConvTower",
    "init_args": {"dimensions": 2, "widths": [8], "blocks": [1], "width": 8},
}
BAG = {"class_path": "voxtile.models.TextBag", "init_args": {"vocabulary": 300, "width": 8}}
PLACES = {
    "encoder": lambda x: {"encoder": x},
    "image tower": lambda x: {"encoder": {"image": x, "text": BAG}},
    "text tower": lambda x: {"encoder": {"image": CONV, "text": x}},
    "study tower": lambda x: {"encoder": {"image": CONV, "text": BAG, "study": x}},
    "dates of a study tower": lambda x: {"encoder": {"image": CONV, "text": BAG, "study": {
        "class_path": "voxtile.models.StudyTransformer", "init_args": {"dates": x}}}},
    "tuning": lambda x: {"encoder": {"image": CONV, "text": BAG, "image_tuning": x}},
    "encoder with its class": lambda x: {"encoder": {"class_path": "voxtile.models.DualEncoder",
                                                     "init_args": {"image": x, "text": BAG}}},
    "objectives": lambda x: {"objectives": x},
    "an objective": lambda x: {"objectives": {"contrastive": x}},
    "an objective's objective": lambda x: {"objectives": {"a": {
        "class_path": "voxtile.objectives.OfSamples", "init_args": {"objective": x}}}},
    "an objective's views": lambda x: {"objectives": {"a": {
        "class_path": "voxtile.objectives.SelfDistillation", "init_args": {"views": x}}}},
    "handed on to a base": lambda x: {"objectives": {"a": {
        "class_path": "voxtile.objectives.MaskedSelfDistillation",
        "init_args": {"views": x}}}},
    "optimizer": lambda x: {"optimizer": x},
    "schedule": lambda x: {"schedule": x},
    "weights": lambda x: {"weights": x},
    "a weight": lambda x: {"weights": {"contrastive": x}},
    "options of a tower": lambda x: {"encoder": {"text": BAG, "image": {
        "class_path": "voxtile.models.MonaiTower", "init_args": {"name": "resnet18", "options": x}}}},
    "an option of a tower": lambda x: {"encoder": {"text": BAG, "image": {
        "class_path": "voxtile.models.MonaiTower", "init_args": {"name": "resnet18", "options": {"act": x}}}}},
    "batch": lambda x: {"batch": x},
    "settings within settings": lambda x: {"encoder.image": x},
    "a class within settings": lambda x: {"encoder": {"image": CONV, "text": BAG, "image.class_path": x}},
    "settings of an objective": lambda x: {"objectives": {"a": {
        "class_path": "voxtile.objectives.OfSamples", "init_args": {"objective.class_path": x}}}},
}  # fmt: skip
GOOD = {
    "encoder": {"image": CONV, "text": BAG, "embed_dim": 8},
    "objectives": {
        "contrastive": {"class_path": "voxtile.objectives.Contrastive"},
        "caption": {"class_path": "voxtile.objectives.Captioning", "init_args": {"depth": 1}},
    },
}


@pytest.fixture(scope="module")
def good():
    """Content of a checkpoint that every loader takes, and of an ONNX folder's settings."""
    torch.manual_seed(1)
    module = ContrastiveModule.from_config(GOOD)
    module.encoder.text.tokenizer.train(["no effusion", "an effusion", "a nodule"])
    module.setup_objectives(())
    module.preset_config = PRESET
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    return content


@pytest.fixture(scope="module")
def corpus(good, tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job-0")
    for n in range(4):
        stream = io.BytesIO()
        Image.fromarray(np.full((8, 8), 60 * n, np.uint8)).save(stream, "PNG")
        row = {"uid": sample_uid(str(n)), "subject": f"s{n}", "kind": "image", "modality": "RGB"}
        writer.add(Sample(row, stream.getvalue()))
        writer.add_rows("captions", [{"caption_id": f"c{n}", "uid": row["uid"], "text": "a nodule", "kind": "raw"}])
        facts = [{"uid": row["uid"], "concept": "ab"[n % 2], "polarity": "present", "source": "labels"}]
        writer.add_rows("facts", facts)
        writer.add_rows("splits", [{"scheme": "default", "subject": f"s{n}", "split": "test"}])
    writer.publish()
    command("embed", root, written(good, root.parent))
    return root


def written(content, folder, **changes):
    path = folder / "model.ckpt"
    torch.save({**content, **changes}, path)
    return path


def command(*words):
    """Run the command in this process; what it refuses is raised as it is said."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        status = main([*map(str, words)])
    if status:
        raise VoxtileError(said.getvalue())


@pytest.mark.parametrize("place", PLACES)
def test_nothing_that_a_checkpoint_describes_is_made_but_what_is_listed(place, good, canary, tmp_path):
    for name, trick in SPECIFICATIONS.items():
        model = {**GOOD, **PLACES[place](aimed(trick, canary))}
        path = written(good, tmp_path, voxtile_model=model, state_dict={})  # which would not be read
        with pytest.raises(CheckpointError, match=REFUSED):
            ContrastiveModule.load_from_checkpoint(path)
        assert not canary.sang(), name


@pytest.mark.parametrize(
    "around",
    [
        lambda x: x,
        lambda x: {**PRESET, "init_args": x},
        lambda x: {**PRESET, "init_args": {"augment": x}},
        lambda x: {"class_path": "voxtile.data.StudyPreset",
                   "init_args": {"roles": {"ct": x}, "shape": [2, 2, 2], "spacing": [1, 1, 1]}},
        lambda x: {"class_path": "voxtile.data.PictureStudyPreset",
                   "init_args": {"roles": ["ct"], "picture": x}},
        lambda x: {"class_path": "voxtile_pathology.stain.preset.HistologyPreset", "init_args": {"stain": x}},
    ],
    ids=["itself", "arguments", "augment", "a role", "picture", "a plugin's"],
)  # fmt: skip
def test_no_preset_that_a_file_describes_is_anything_else(around, canary):
    for name, trick in SPECIFICATIONS.items():
        with pytest.raises((PresetError, ConfigError)):
            preset_from_config(around(aimed(trick, canary)))
        assert not canary.sang(), name


# Loaders of a checkpoint. Each is given a good one first, so that what refuses the others is what they name.
def evaluated(path, corpus, folder):
    task = folder / "task.yaml"
    task.write_text(yaml.safe_dump(TASK))
    command("evaluate", path, task, "--corpus", corpus, "--out", folder / "report")


def grounded(path, corpus, folder):
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), folder / "scan.nii.gz")
    command("ground", path, folder / "scan.nii.gz", "a nodule", "--out", folder / "shown")


OF_CHECKPOINTS = {
    "module_from_checkpoint": lambda path, corpus, folder: ContrastiveModule.load_from_checkpoint(path),
    "load_from_checkpoint": lambda path, corpus, folder: ContrastiveModule.load_from_checkpoint(path),
    "load_model": lambda path, corpus, folder: load_model(str(path)),
    "load_extractor": lambda path, corpus, folder: load_extractor(str(path)),
    "export's source": lambda path, corpus, folder: read_source(path),
    "captioner": lambda path, corpus, folder: Captioner(str(path)),
    "evaluate": evaluated,
    "embed": lambda path, corpus, folder: command("embed", corpus, path),
    "export": lambda path, corpus, folder: command("export", path, folder / "out", "--to", "onnx", "--corpus", corpus),
    "ground": grounded,
    "caption": lambda path, corpus, folder: command(
        "caption", corpus, "--provider", "checkpoint", "--model", path, "--limit", "1"
    ),
    "score": lambda path, corpus, folder: command("score", corpus, "--from", "clip", "--model", path),
}  # fmt: skip


QUICK = ("our factory", "process", "text of YAML", "list of text")  # further ones in the sweep


def tricks(names, canary):
    for name in names:
        trick = aimed(SPECIFICATIONS[name], canary)
        yield {"voxtile_preset": trick}
        yield from ({"voxtile_model": {**GOOD, **PLACES[place](trick)}} for place in ("an objective", "objectives"))


def not_refused(load, names, good, corpus, canary, folder):
    """The tricks that a loader takes, runs, or refuses for another reason than what they are."""
    found = []
    for change in tricks(names, canary):
        path = written(good, folder, **change)
        try:
            load_with_preset(load, path, corpus, folder, change)
        except VoxtileError as error:
            found += [] if re.search(REFUSED, str(error)) else [(change, str(error))]
        else:
            found.append((change, "taken"))
        found += [(change, "run")] if canary.sang() else []
    return found


def load_with_preset(load, path, corpus, folder, change):
    """A module keeps the description of its preset until somebody asks for it."""
    load(path, corpus, folder)
    preset_from_config(change["voxtile_preset"])


@pytest.mark.cases(4)
@pytest.mark.parametrize("loader", OF_CHECKPOINTS)
def test_every_loader_of_checkpoints_refuses_what_is_not_listed(loader, good, corpus, canary, tmp_path):
    assert not_refused(OF_CHECKPOINTS[loader], QUICK, good, corpus, canary, tmp_path) == []


@pytest.mark.parametrize("loader", sorted(set(OF_CHECKPOINTS) - {"export", "ground", "score", "evaluate", "caption"}))
def test_the_same_loaders_take_a_checkpoint_of_listed_classes(loader, good, corpus, tmp_path):
    OF_CHECKPOINTS[loader](written(good, tmp_path), shutil.copytree(corpus, tmp_path / "corpus"), tmp_path)


@pytest.mark.sweep
@pytest.mark.parametrize("loader", OF_CHECKPOINTS)
def test_every_loader_refuses_every_trick(loader, good, corpus, canary, tmp_path):
    assert not_refused(OF_CHECKPOINTS[loader], SPECIFICATIONS, good, corpus, canary, tmp_path) == []


@pytest.mark.parametrize(
    "words", [["plan", "FILE"], ["materialize", "CORPUS", "OUT", "--preset", "FILE"]], ids=lambda words: words[0]
)
def test_a_preset_file_runs_nothing(words, corpus, canary, tmp_path):
    path = tmp_path / "config.yaml"
    places = {"FILE": path, "CORPUS": corpus, "OUT": tmp_path / "out"}
    for name, trick in SPECIFICATIONS.items():
        if words[0] == "plan" and "canary_module" in str(trick):
            continue  # a config of the user's own may import the user's own package
        preset = aimed(trick, canary)
        for content in (preset, {"data": {"preset": preset}, "model": GOOD}):
            path.write_text(yaml.safe_dump(content))
            with pytest.raises(VoxtileError, match=NO_PRESET):
                command(*(places.get(word, word) for word in words))
            assert not canary.sang(), name


@pytest.mark.parametrize(
    "load",
    [lambda folder, *_: OnnxPair(folder), lambda folder, *_: load_model(str(folder)), evaluated],
    ids=["OnnxPair", "load_model", "evaluate"],
)
def test_an_export_runs_nothing(load, canary, corpus, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for part in ("image", "text"):
        (folder / f"{part}.onnx").write_bytes(b"")
    settings = {"format": 1, "logit_scale": 1.0, "facts": [], "tokenizer": {"kind": "clip", "context": 8}}
    for name, trick in SPECIFICATIONS.items():
        (folder / "voxtile.json").write_text(json.dumps({**settings, "preset": aimed(trick, canary)}))
        with pytest.raises(VoxtileError, match=REFUSED):
            load(folder, corpus, tmp_path)
        assert not canary.sang(), name


@pytest.mark.parametrize(
    "said", ["subprocess.Popen:SCRIPT", "subprocess.run:SCRIPT", "os.system:SCRIPT", "shutil.rmtree:SCRIPT"]
)
def test_a_class_of_ones_own_that_is_no_model_is_not_called(said, canary, corpus, tmp_path):
    with pytest.raises(VoxtileError, match=r"was not called|is no class"):
        evaluated(f"class:{aimed(said, canary)}", corpus, tmp_path)
    assert not canary.sang()


@pytest.mark.parametrize("teacher", ["class:canary_module.Evil", "class:canary-module.Evil:x"])
def test_a_teacher_of_ones_own_class_is_not_taken_from_a_checkpoint(teacher, good, canary, tmp_path):
    distilled = {"class_path": "voxtile.objectives.Distillation",
                 "init_args": {"corpus": "x", "teacher": teacher}}  # fmt: skip
    path = written(good, tmp_path, voxtile_model={**GOOD, "objectives": {"a": distilled}})
    with pytest.raises(CheckpointError, match=re.escape(f"'{teacher}' stands where plain settings belong")):
        ContrastiveModule.load_from_checkpoint(path)
