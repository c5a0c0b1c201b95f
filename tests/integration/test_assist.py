"""An assistant from a config to its words: trained on a tower that stands still, resumed, asked by the commands."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image

from voxtile.assist import Assistant
from voxtile.assist.batching.dialogue import dialogue_tokens
from voxtile.assist.speaking.replies import CANNOT_BE_TOLD, WARNING
from voxtile.assist.writing import write
from voxtile.cli.main import lightning_main, main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import JobWriter
from voxtile.errors import ConfigError
from voxtile.stages.ground.sources import own_corpus
from voxtile.training.checkpoint import read_checkpoint
from voxtile.training.config_bases import read_config
from voxtile.types import Turn

CONFIG = Path(__file__).with_name("tiny.yaml")
ANSWERING = {
    "class_path": "voxtile.assist.Answering",
    "init_args": {
        "scratch": {"vocabulary": 300, "width": 16, "depth": 1, "heads": 2, "context": 160},
        "connector": {"pooled": 2, "hidden": 16, "dropout": 0.1},
    },
}


def tower_config(corpus):
    config = yaml.safe_load(CONFIG.read_text())
    config["data"]["corpus"] = str(corpus)
    del config["data"]["preset"]["init_args"]["augment"]  # what is kept in memory was seen without
    config["model"]["encoder"]["logit_bias"] = -1
    config["model"]["objectives"]["contrastive"]["init_args"]["kind"] = "sigmoid"
    config["trainer"] |= {"max_epochs": -1, "max_steps": 2, "limit_val_batches": 0, "callbacks": []}
    return config


def assist_config(corpus, tower, *, images=2):
    config = tower_config(corpus)
    config["model"] |= {"objectives": {"answering": ANSWERING}, "weights": {}, "freeze_encoder": True}
    config["model"] |= {"pretrained": str(tower), "cache_locked": True}
    config["data"]["dialogues"] = {"per_item": 1, "max_images": images}
    config["trainer"]["max_steps"] = 4
    config["checkpoint"] = {"every_n_train_steps": 2, "keep": True}
    return config


def fit(folder, config, *options):
    folder.mkdir(exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return lightning_main(["fit", "-c", str(path), *options])


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, xray_corpus):
    """The X-rays with a question of two turns about each."""
    root = tmp_path_factory.mktemp("asked") / "corpus"
    shutil.copytree(xray_corpus, root)
    writer = JobWriter(root, "dialogues")
    uids = Corpus(root).table("samples", columns=["uid"])["uid"].to_pylist()
    for before, uid in zip([*uids[-1:], *uids[:-1]], uids, strict=True):
        said = [("user", "What has changed?"), ("assistant", "It is new.")]
        about = {"dialogue_id": f"two-{uid}", "uids": [before, uid], "kind": "comparison"}
        rows = [about | {"turn": turn, "role": role, "text": text} for turn, (role, text) in enumerate(said)]
        writer.add_rows("dialogues", rows)
    for uid in uids:
        said = [("user", "Is there pneumonia?"), ("assistant", "No."), ("user", "Where?"), ("assistant", "Nowhere.")]
        about = {"dialogue_id": uid, "uids": [uid], "kind": "presence"}
        rows = [about | {"turn": turn, "role": role, "text": text} for turn, (role, text) in enumerate(said)]
        writer.add_rows("dialogues", rows)
        pair = {"question": "List the findings.", "chosen": "No pneumonia.", "rejected": "Pneumonia."}
        writer.add_rows("preferences", [pair | {"preference_id": uid, "uids": [uid], "kind": "corrected"}])
    writer.publish()
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory, corpus):
    """Checkpoints of a tower, of an assistant on it and one of single images from memory, and of both resumed."""
    folder = tmp_path_factory.mktemp("assist")
    with pytest.MonkeyPatch.context() as patch:
        found = {}
        for name in ("tower", "whole", "resumed", "alone", "alone-resumed"):
            (folder / name).mkdir()
            patch.chdir(folder / name)
            images = 1 if "alone" in name else 2
            config = tower_config(corpus) if name == "tower" else assist_config(corpus, found["tower"], images=images)
            first = folder / ("alone" if "alone" in name else "whole")
            middle = ["--ckpt_path", *map(str, first.rglob("step-2.ckpt"))] if "resumed" in name else []
            assert fit(folder / name, config, *middle) == 0
            (found[name],) = (folder / name).rglob("last.ckpt")
    return found


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "chest.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (28, 28)).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize("name", ["whole", "alone"])
def test_a_resumed_run_is_the_undisturbed_one_and_the_tower_stands_still(trained, name):
    again = "resumed" if name == "whole" else "alone-resumed"
    tower, whole, resumed = (read_checkpoint(trained[run])["state_dict"] for run in ("tower", name, again))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    kept = {name for name in whole if name.startswith("encoder.")}
    assert kept == {name for name in tower if name.startswith("encoder.")}
    assert all(torch.equal(whole[name], tower[name]) for name in kept)
    (first,) = trained[name].parent.glob("step-2.ckpt")
    before = read_checkpoint(first)["state_dict"]
    learned = [name for name in whole if name.startswith("objectives.answering.")]
    assert learned
    assert all(not torch.equal(whole[name], before[name]) for name in learned)


def test_tuning_by_preferences_begins_with_the_assistant_and_resumes_to_the_bit(
    trained, corpus, picture, tmp_path, monkeypatch, capsys
):
    config = assist_config(corpus, trained["whole"])
    config["model"]["objectives"]["answering"] = {**ANSWERING, "class_path": "voxtile.assist.Preference"}
    config["data"] |= {"dialogues": None, "preferences": {"per_item": 1}}
    found = {}
    for name in ("whole", "resumed"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        middle = [] if name != "resumed" else ["--ckpt_path", *map(str, (tmp_path / "whole").rglob("step-2.ckpt"))]
        assert fit(tmp_path / name, config, *middle) == 0
        (found[name],) = (tmp_path / name).rglob("last.ckpt")
    whole, resumed = (read_checkpoint(path)["state_dict"] for path in found.values())
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    start = read_checkpoint(trained["whole"])["state_dict"]
    own = "objectives.answering."
    learned = [name.removeprefix(own) for name in start if name.startswith(own)]
    assert learned
    for name in learned:  # what it is compared with is the assistant as it was
        assert torch.equal(whole[f"{own}reference.{name.replace('.', '|')}"], start[own + name])
    assert not all(torch.equal(whole[own + name], start[own + name]) for name in learned)
    assert main(["report", str(picture), "--model", str(found["whole"]), "--longest", "8"]) == 0
    assert "confidence " in capsys.readouterr().out
    config["model"]["pretrained"] = str(trained["tower"])
    assert fit(tmp_path / "none", config) == 2
    assert "has no objective that answers, and Preference tunes one" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("config", ["ct-report", "ct-regions-report"])
def test_the_config_of_tuning_describes_the_assistant_that_the_other_config_trains(config):
    folder = Path(__file__).parents[2] / "domains" / "medical"
    found = [read_config(folder / f"{name}.yaml")["model"]["objectives"] for name in (config, f"{config}-dpo")]
    assistant, tuned = (terms["answering"]["init_args"] for terms in found)
    assert {"beta", "nll"} <= tuned.keys()
    assert {name: value for name, value in tuned.items() if name not in ("beta", "nll", "shared")} == assistant
    assert found[0].keys() == found[1].keys()


def test_towers_that_stand_still_as_they_were_drawn_are_said_to(trained, corpus, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    config = assist_config(corpus, trained["tower"])
    config["trainer"]["max_steps"] = 1
    with caplog.at_level("INFO"):
        assert fit(tmp_path / "named", config) == 0
        assert "model.freeze_encoder without" not in caplog.text
        del config["model"]["pretrained"]
        assert fit(tmp_path / "drawn", config) == 0
    assert "model.freeze_encoder without model.pretrained" in caplog.text


def test_reports_answers_and_talks_by_the_commands(trained, picture, capsys, monkeypatch):
    model = str(trained["whole"])
    said = []
    for _ in range(2):
        assert main(["report", str(picture), "--model", model, "--longest", "12"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]  # nothing is drawn
    assert "confidence " in said[0]
    assert "cut at 12 tokens; raise --longest" in said[0] or "support" in said[0]
    assert WARNING in said[0]
    ask = ["ask", str(picture), "Is there pneumonia?", "--model", model, "--longest", "6"]
    assert main([*ask, "--least", "1"]) == 0
    assert CANNOT_BE_TOLD in capsys.readouterr().out
    assert main([*ask, "--least", "0"]) == 0
    assert CANNOT_BE_TOLD not in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("Is there pneumonia?\nЕсть ли выпот?\nWhere?\n\nnever read\n"))
    assert main(["chat", str(picture), "--model", model, "--longest", "4", "--least", "0"]) == 0
    told = capsys.readouterr().out
    assert told.count("confidence ") == 2
    assert "is in another language (CYRILLIC)" in told  # and the dialogue goes on


def test_a_chat_says_where_an_answer_contradicts_an_earlier_one(trained, picture, monkeypatch, capsys):
    answers = []

    def written(*args, **options):
        return [replace(answer, text=answers.pop(0)) for answer in write(*args, **options)]

    monkeypatch.setattr("voxtile.assist.speaking.talk.write", written)
    answers[:] = ["No pneumonia.", "Yes.", "It is on the left."]
    monkeypatch.setattr("sys.stdin", io.StringIO("List the findings.\nIs there pneumonia?\nWhere?\n"))
    model = str(trained["whole"])
    assert main(["chat", str(picture), "--model", model, "--longest", "4", "--least", "0"]) == 0
    (said,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert "pneumonia" in said
    assert "“No pneumonia.”" in said


def test_a_prior_and_several_pictures_are_shown_by_name(trained, picture, tmp_path, capsys):
    """What is answered of two is what the two give in their order."""
    model, other = str(trained["whole"]), tmp_path / "other.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (28, 28)).astype(np.uint8)).save(other)
    ask = ["ask", str(other), str(picture), "What has changed?", "--model", model, "--longest", "6", "--least", "0"]
    assert main(ask) == 0
    told = capsys.readouterr()
    assert "(Image 1; Image 2)" in told.out
    assert "are taken for one patient's" in " ".join(told.err.split())
    assert main(["report", str(picture), "--prior", str(other), "--model", model, "--longest", "6"]) == 0
    assert "(Image 1; Image 2)" in capsys.readouterr().out
    assistant = Assistant(model)
    corpora = [own_corpus("picture", path, tmp_path / path.stem, assistant.preset, None) for path in (other, picture)]
    images = [assistant.preset(one.source(one.table("samples").to_pylist()[0]), None) for one in corpora]
    shown, names = torch.stack(images), ("Image 1", "Image 2")
    reply = assistant.ask(shown, "What has changed?", longest=6, names=names)
    assert f"confidence {reply.confidence:.2f}" in told.out
    assert assistant.ask(shown.flip(0), "What has changed?", longest=6, names=names).confidence != reply.confidence
    with pytest.raises(ConfigError, match="was not trained on several images at a time"):
        Assistant(str(trained["alone"])).ask(shown, "What has changed?", names=names)


def test_later_questions_are_answered_in_the_light_of_earlier_ones(trained):
    assistant = Assistant(str(trained["whole"]))
    image = torch.zeros(1, 28, 28)
    talk = assistant.talk(image, longest=4)
    talk.ask("Is there pneumonia?")
    before = list(talk._said)
    talk.ask("Where?")
    assert talk._said[: len(before)] == before
    assert len(talk._said) > len(before)
    assistant._answering.answers_questions = False  # as of one that was trained on reports
    with pytest.raises(ConfigError, match="trained on reports and captions alone and answers no questions"):
        assistant.ask(image, "Where?")


def test_a_model_of_single_questions_answers_each_by_itself(
    trained, xray_corpus, picture, tmp_path, monkeypatch, capsys
):
    corpus = tmp_path / "corpus"
    shutil.copytree(xray_corpus, corpus)
    writer = JobWriter(corpus, "dialogues")
    for uid in Corpus(corpus).table("samples", columns=["uid"])["uid"].to_pylist():
        for kind, question, answer in (("presence", "Is there pneumonia?", "No."), ("side", "Where?", "Nowhere.")):
            about = {"dialogue_id": f"{kind}-{uid}", "uids": [uid], "kind": kind}
            said = [("user", question), ("assistant", answer)]
            writer.add_rows("dialogues", [about | {"turn": n, "role": r, "text": t} for n, (r, t) in enumerate(said)])
    writer.publish()
    monkeypatch.chdir(tmp_path)
    assert fit(tmp_path / "run", assist_config(corpus, trained["tower"], images=1)) == 0
    (model,) = tmp_path.rglob("last.ckpt")
    assistant, image = Assistant(str(model)), torch.zeros(1, 28, 28)
    talk = assistant.talk(image, longest=4)
    talk.ask("Is there pneumonia?")
    assert talk.ask("Where?").confidence == assistant.ask(image, "Where?", longest=4).confidence
    before = [Turn("Is there pneumonia?", "No.")]
    assert dialogue_tokens(assistant.answering, before, "Where?") == dialogue_tokens(assistant.answering, [], "Where?")
    monkeypatch.setattr("sys.stdin", io.StringIO("Where?\n"))
    assert main(["chat", str(picture), "--model", str(model), "--longest", "4"]) == 0
    assert "each is answered by itself" in capsys.readouterr().out
    talks = Assistant(str(trained["whole"])).answering  # it learned dialogues of two questions
    assert dialogue_tokens(talks, before, "Where?") != dialogue_tokens(talks, [], "Where?")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["ask", "{picture}", " ", "--model", "{whole}"], "the question is empty"),
        (["ask", "{picture}", "Gibt es auf der linken Seite einen Erguss?", "--model", "{whole}"],
         "the question is in another language (de) than this model was trained on; ask as it was asked"),
        (["ask", "{picture}", "why " * 300, "--model", "{whole}"], "the language model 'of its own' reads 160"),
        (["ask", "{picture}", "Why?", "--model", "{whole}", "--least", "2"], "must lie within 0 and 1"),
        (["report", "{picture}", "--model", "{tower}"], "does not write; give a checkpoint that was trained with"),
        (["report", "{picture}", "--model", "{alone}", "--prior", "{picture}"], "not trained with prior examinations"),
        (["ask", "{picture}", "{picture}", "Why?", "--model", "{alone}"], "not trained on several images at a time"),
        (["ask", "{picture}", "{picture}", "why " * 300, "--model", "{whole}"], "of its own' reads 160"),
        (["ask", "{picture}", "nowhere.png", "Why?", "--model", "{whole}"], "'nowhere.png' does not exist"),
        (["report", "nowhere.png", "--model", "{whole}"], "'nowhere.png' does not exist"),
        (["report", "{picture}", "--model", "nowhere.ckpt"], "nowhere.ckpt"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_said_in_one_sentence(trained, picture, words, sentence, capsys):
    named = {name: str(path) for name, path in trained.items()} | {"picture": str(picture)}
    assert main([word.format(**named) for word in words]) == 2
    said = capsys.readouterr().err
    assert sentence in " ".join(said.split())
    assert "Traceback" not in said


def test_towers_of_another_config_and_images_of_another_preset_are_refused(trained, corpus, tmp_path, capsys):
    other = assist_config(corpus, trained["tower"])
    other["model"]["encoder"]["image"]["init_args"]["width"] = 48
    assert fit(tmp_path, other) == 2
    assert "has other towers than model.encoder describes" in " ".join(capsys.readouterr().err.split())
    other = assist_config(corpus, trained["tower"])
    other["data"]["preset"]["init_args"]["mean"] = [0.4]
    assert fit(tmp_path, other) == 2
    assert "is of other images than data.preset makes" in " ".join(capsys.readouterr().err.split())


def test_drafts_of_a_split_are_what_a_task_evaluates(trained, corpus, tmp_path, capsys, monkeypatch):
    model = str(trained["whole"])
    root = tmp_path / "corpus"
    shutil.copytree(corpus, root)
    uids = Corpus(root).table("samples", columns=["uid"])["uid"].to_pylist()
    writer = JobWriter(root, "questions")
    for uid in uids:
        about = {"dialogue_id": f"q-{uid}", "uids": [uid], "kind": "presence"}
        said = ({"role": "user", "text": "Is there pneumonia?"}, {"role": "assistant", "text": "No.", "answer": "no"})
        writer.add_rows("dialogues", [about | {"turn": turn, **row} for turn, row in enumerate(said)])
    for before, uid in zip([*uids[-1:], *uids[:-1]], uids, strict=True):
        about = {"dialogue_id": f"c-{uid}", "uids": [before, uid], "kind": "comparison"}
        said = ({"role": "user", "text": "What is new?"}, {"role": "assistant", "text": "Nothing.", "answer": "new"})
        writer.add_rows("dialogues", [about | {"turn": turn, **row} for turn, row in enumerate(said)])
    writer.publish()
    read: dict[str, list[torch.Tensor]] = {}  # what the language model reads of the images of each run
    reports = Assistant.reports

    def noted(self, images, *given, **named):
        read.setdefault(name, []).append(self.seen(images)[0])
        return reports(self, images, *given, **named)

    talked = []  # what is shown of several images, with their names
    talk = Assistant.talk

    def begun(self, images, **given):
        talked.append((images, given.get("names", ())))
        return talk(self, images, **given)

    monkeypatch.setattr(Assistant, "reports", noted)
    monkeypatch.setattr(Assistant, "talk", begun)
    files = {}
    for name, words in (
        ("drafts", ()),
        ("blind", ("--blind", "true")),
        ("other", ("--shuffled", "true")),
        ("answers", ("--questions", "true")),
    ):
        files[name] = tmp_path / f"{name}.parquet"
        given = ["draft", str(root), model, "--out", str(files[name]), "--limit", "12", "--longest", "8", *words]
        assert main(given) == 0
    told = {name: pq.read_table(path).to_pylist() for name, path in files.items()}
    splits, subjects = (
        Corpus(root).splits(),
        {r["uid"]: r["subject"] for r in Corpus(root).table("samples").to_pylist()},
    )
    assert len(told["drafts"]) == min(12, sum(splits[subject] == "test" for subject in subjects.values()))
    assert {splits[subjects[row["uid"]]] for row in told["drafts"]} == {"test"}
    assert [row["uid"] for row in told["other"]] == [row["uid"] for row in told["drafts"]]
    seen = {run: torch.cat(batches) for run, batches in read.items()}
    assert torch.equal(seen["blind"], seen["blind"][:1].expand_as(seen["blind"]))  # the same, whatever the image
    assert not torch.equal(seen["drafts"], seen["drafts"][:1].expand_as(seen["drafts"]))
    assert not torch.equal(seen["drafts"], seen["other"])
    drafted = [row["uid"] for row in told["drafts"]]
    assert {row["dialogue_id"] for row in told["answers"]} == {f"{kind}-{uid}" for uid in drafted for kind in "qc"}
    pairs, store, preset = [one for one in talked if one[1]], Corpus(root), Assistant(model).preset
    assert len(pairs) == len(drafted)
    earlier = dict(zip(uids, [*uids[-1:], *uids[:-1]], strict=True))
    for uid, (images, names) in zip(drafted, pairs, strict=True):
        assert names == ("Image 1", "Image 2")
        assert images.equal(torch.stack([preset(store.source(store.row(one)), None) for one in (earlier[uid], uid)]))
    assistant = Assistant(model)
    image = assistant.preset(Corpus(root).source(Corpus(root).row(told["drafts"][0]["uid"])), None)
    assert told["drafts"][0]["text"] == assistant.report(image, longest=8).text
    first = next(row for row in told["answers"] if row["dialogue_id"].startswith("q-"))
    assert first["text"] == assistant.ask(
        assistant.preset(Corpus(root).source(Corpus(root).row(first["dialogue_id"][2:])), None),
        "Is there pneumonia?", longest=8,
    ).text  # fmt: skip
    assert main(["draft", str(root), model, "--out", str(tmp_path / "d.txt")]) == 2
    assert "give a name that ends in .parquet" in " ".join(capsys.readouterr().err.split())
