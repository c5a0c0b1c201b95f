"""A study of several series is read together by a model with a hierarchy: as in training, and by the commands."""

from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest
import torch
import torch.nn.functional as F
from picture_sets import radiograph
from small_assistants import write_assistant

from voxtile.assist import Assistant, command
from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows
from voxtile.data import ImagePreset
from voxtile.errors import ConfigError
from voxtile.training.step.encoding import OnePass
from voxtile.types import Batch, Turn

CR = "1.2.840.10008.5.1.4.1.1.1"
REPORT = "List the findings."
HIERARCHY = {"kind": "hierarchy", "queries": 4, "each": 2, "pooled": 2, "hidden": 32}


def preset():
    return ImagePreset(size=(24, 24), channels=1, mean=(0.5,), std=(0.25,), window="percentile", modalities=("CR",))


def written(folder, **connector):
    turns = [(Turn(REPORT, "There is a mass.", "report"), Turn("Is there a mass?", "Yes."))]
    path = folder / "model.ckpt"
    return write_assistant(path, preset().to_config(), torch.zeros(1, 1, 24, 24), turns, steps=0, connector=connector)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return written(tmp_path_factory.mktemp("hierarchy"), **HIERARCHY)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two films of one study, each a series, and one of another."""
    folder = tmp_path_factory.mktemp("study")
    for name, bright, of in (("a", np.s_[:12], 1), ("b", np.s_[:, :12], 1), ("c", np.s_[12:], 2)):
        path = folder / f"{name}.dcm"
        radiograph(path, kind=CR)
        data = pydicom.dcmread(path)
        pixels = np.zeros((24, 24), "<u2")
        pixels[bright] = 4000
        data.PixelData, data.PatientID, data.StudyInstanceUID = pixels.tobytes(), "p", f"1.2.3.{of}"
        data.save_as(path)
    return folder


def random_images(count):
    return torch.randn(count, 1, 24, 24, generator=torch.Generator().manual_seed(count))


@torch.no_grad()
def test_a_study_is_read_as_in_training_and_the_order_of_its_images_means_nothing(model):
    assistant = Assistant(str(model))
    speaker, objective = assistant._speaker, assistant.answering
    images, own = random_images(5), torch.zeros(2, dtype=torch.int64)
    told = ((Turn(REPORT, "There is a mass.", "report"),),)
    batch = Batch(
        images=images, image_item=torch.tensor([0, 1, 0, 0, 1]), texts=[], text_item=own[:0], study=own, subject=own,
        text_hash=own[:0], facts=torch.empty(2, 0, dtype=torch.int8), fact_names=(), uids=["s", "t"], draws=own,
        tokens=torch.zeros(0, 1, dtype=torch.int64), dialogues=[told, told],
    )  # fmt: skip
    features = OnePass(assistant.encoder, {"it": objective}, SimpleNamespace()).features(batch, 0, None)
    prompt = objective.question_tokens(REPORT)
    answer = [*objective.words.encode(" There is a mass."), objective.words.end]
    read = objective.language.embedded(torch.tensor([[*prompt, *answer]]))
    for item, places in ((0, [0, 2, 3]), (1, [1, 4])):
        asked, vector, _ = speaker.shown_study(images[places])
        states = objective.language.states(torch.cat([asked, read], 1))
        logits = objective.logits(states[0, -len(answer) - 1 : -1])
        losses = F.cross_entropy(logits, torch.tensor(answer), reduction="none")
        torch.testing.assert_close(features.rows[objective][item], torch.tensor([losses.sum().item(), len(answer)]))
        torch.testing.assert_close(vector[0], features.image[item])
        torch.testing.assert_close(speaker.shown_study(images[places[::-1]])[0], asked)
    alone = speaker.shown(images[:1], ())[0]
    torch.testing.assert_close(speaker.shown_study(images[:1])[0], alone)
    assert not torch.allclose(speaker.shown_study(images[[0, 2]])[0], alone)


def test_the_commands_read_each_study_of_a_folder_together(model, study, capsys, monkeypatch):
    seen, replies = [], []
    shown, show = Assistant._shown, command._show
    monkeypatch.setattr(Assistant, "_shown", lambda self, image, names: seen.append(image) or shown(self, image, names))
    monkeypatch.setattr(command, "_show", lambda reply, *more: replies.append(reply) or show(reply, *more))
    given = ["--model", str(model), "--longest", "6"]
    assert main(["report", str(study), *given]) == 0
    said = capsys.readouterr().out
    assert [len(one) if one.ndim == 4 else 1 for one in seen] == [2, 1]
    assert (said.count("report of"), said.count("(2 images of a study)")) == (2, 1)
    films = seen[0]
    assert not torch.allclose(films[0], films[1])
    assistant = Assistant(str(model))
    assert replies[0] == assistant.report(films, longest=6)
    assert replies[0] != assistant.report(films[0], longest=6)
    assert main(["ask", str(study), "Is there a mass?", *given, "--least", "0"]) == 0
    assert replies[2] == assistant.ask(films, "Is there a mass?", longest=6)
    capsys.readouterr()
    box = ["--box", "1,1,4,4"]
    for words, sentence in (
        (["report", str(study), "--to", "dicom-sr", "--out", "r.dcm"], "goes with a single image, and the 2 images of"),
        (["ask", str(study), "What?", *box], "a marked region goes with a single image, and the 2 images"),
        (["report", str(study), "--prior", str(study)], "was not trained with prior examinations"),
    ):
        assert main([*words, "--model", str(model)]) != 0
        assert sentence in " ".join(capsys.readouterr().err.split())


def test_drafts_of_a_split_are_of_whole_studies(model, study, tmp_path, capsys, monkeypatch):
    root, out, given = tmp_path / "corpus", tmp_path / "drafts.parquet", [str(model), "--longest", "6", "--out"]
    assert main(["convert", "dicom", str(study), str(root), "--engine", "inline", "--split-fractions", "0,0,1"]) == 0
    corpus, assistant = Corpus(root), Assistant(str(model))
    films = {}
    for row in sorted(corpus.table("samples", with_root=True).to_pylist(), key=lambda row: row["uid"]):
        films.setdefault(row["study"], {})[row["uid"]] = assistant.preset(corpus.source(row), None)
    seen = {next(iter(own)): torch.stack(list(own.values())) for own in films.values()}
    assert sorted(map(len, seen.values())) == [1, 2]
    shown = {uid: own if len(own) > 1 else own[0] for uid, own in seen.items()}
    read, show = [], Assistant._shown
    monkeypatch.setattr(Assistant, "_shown", lambda self, image, names: read.append(image) or show(self, image, names))
    assert main(["draft", str(root), *given, str(out)]) == 0
    assert "2 reports of 2 studies" in " ".join(capsys.readouterr().err.split())
    assert len(read) == 2
    expected = {uid: assistant.report(own, longest=6).text for uid, own in shown.items()}
    drafts = pq.read_table(out).to_pylist()
    for row, image in zip(drafts, read, strict=False):
        assert torch.equal(image, shown[row["uid"]])
    assert {row["uid"]: row["text"] for row in drafts} == expected

    (both,) = (own for own in films.values() if len(own) == 2)
    asked = [
        {"dialogue_id": uid, "turn": turn, "role": role, "text": "Is there a mass?", "uids": [uid], "answer": "yes",
         "kind": "presence"}
        for uid in both for turn, role in enumerate(("user", "assistant"))
    ]  # fmt: skip
    append_rows(root, "dialogues", "asked", asked)
    assert main(["draft", str(root), *given, str(out), "--questions", "true"]) == 0
    reply = assistant.ask(shown[min(both)], "Is there a mass?", longest=6)
    answers = pq.read_table(out).to_pylist()
    assert {(row["dialogue_id"], row["text"]) for row in answers} == {(uid, reply.text) for uid in both}


def test_a_model_of_single_images_reads_no_study(tmp_path):
    assistant = Assistant(str(written(tmp_path, grid=[2, 2], pooled=2, hidden=32)))
    with pytest.raises(ConfigError, match=r"reads one image at a time; give one, or train a connector of the kind"):
        assistant.report(random_images(2))
    assert not assistant.reads_studies
