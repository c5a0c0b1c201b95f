"""Any task asked in another language by a voice of the user's: names change, pictures and labels do not."""

import json

import numpy as np
import pytest
import torch
import yaml
from tests.core.evaluate.test_single_label import CLASSES, QUICK, ColourModel
from tests.core.evaluate.test_single_label import pictures as pictures_corpus  # noqa: F401 - a fixture

from voxtile.domain import resolve
from voxtile.evaluation.run import evaluate_model
from voxtile.evaluation.tasks.file import load_task

GERMAN = {"red": "rot", "green": "grün", "blue": "blau"}


class GermanModel(ColourModel):
    """Knows colours by their German names alone."""

    def encode_texts(self, texts):
        known = [[float(word in text.casefold()) for word in GERMAN.values()] for text in texts]
        return torch.tensor(known).add(1e-3)


def asked(folder, names, **more):
    """A task that says nothing of words, and a voice beside it that says them."""
    voice = {"kind": "zero-shot-singlelabel", "templates": ["{}", "Ein Bild: {}."],
             "classes": {name: [names[name], f"etwas, das {names[name]} ist"] for name in names}}  # fmt: skip
    (folder / "deutsch.yaml").write_text(yaml.safe_dump(voice, allow_unicode=True), "utf-8")
    task = {"name": "farben", "title": "Farben", "voice": "deutsch.yaml", "vocabulary": "x", "classes": list(names)}
    (folder / "task.yaml").write_text(yaml.safe_dump(task | more, allow_unicode=True), "utf-8")
    return str(folder / "task.yaml")


def figure(rows, kind="model"):
    return next(r.value for r in rows if (r.kind, r.metric, r.average) == (kind, "balanced_accuracy", "macro"))


def test_a_model_is_asked_in_the_words_of_the_voice_about_the_same_labels(pictures_corpus, tmp_path):  # noqa: F811
    german = evaluate_model(GermanModel(), "spec", pictures_corpus, [asked(tmp_path, GERMAN)], QUICK)
    (tmp_path / "en").mkdir()
    english = asked(tmp_path / "en", {name: name for name in CLASSES})
    same = evaluate_model(ColourModel(), "spec", pictures_corpus, [english], QUICK)
    assert figure(german.rows) == figure(same.rows) > 0.6, "a model that knows the language answers as well"
    deaf = evaluate_model(GermanModel(), "spec", pictures_corpus, [english], QUICK)
    assert figure(deaf.rows) == pytest.approx(1 / 3, abs=0.05), "and one that does not is at chance"
    first, second = german.results[0], same.results[0]
    assert first.units.names == second.units.names
    np.testing.assert_array_equal(first.labels, second.labels)


def test_classes_without_a_name_in_the_language_are_left_out(pictures_corpus, tmp_path):  # noqa: F811
    """As Babel-ImageNet does (Geigle et al. 2024): each language has the classes that it has words for."""
    some = {name: GERMAN[name] for name in ("red", "blue")}
    result = evaluate_model(GermanModel(), "spec", pictures_corpus, [asked(tmp_path, some)], QUICK).results[0]
    assert [item.name for item in result.task.classes] == ["red", "blue"]
    counted = (np.asarray(result.labels) >= 0).all(1).sum()
    whole = (np.asarray(evaluated_whole(pictures_corpus, tmp_path).labels) >= 0).all(1).sum()
    assert 0 < counted < whole, "pictures of green are not asked about"


def evaluated_whole(corpus, folder):
    (folder / "all").mkdir()
    return evaluate_model(GermanModel(), "spec", corpus, [asked(folder / "all", GERMAN)], QUICK).results[0]


@pytest.mark.parametrize(
    "name", ["medical/busi", "medical/ct-findings", "pathology/mhist", "remote_sensing/bigearthnet"]
)
def test_a_shipped_task_of_any_kind_can_be_asked_so(name, tmp_path):
    """Its own file with another voice: labels, split and classes stay, and no English word is left."""
    english = load_task(name)
    content = yaml.safe_load(resolve(name, kind="task").read_text("utf-8"))
    texts = {"present": "Es gibt {}.", "absent": "Es gibt kein {}."} if english.multilabel else "Bild: {}."
    voice = {"kind": english.kind, "phrased": [texts], "templates": ["{}"]}
    (tmp_path / "deutsch.yaml").write_text(yaml.safe_dump(voice, allow_unicode=True), "utf-8")
    classes = {
        c.name: {"concept": c.concept, "when": c.when, "phrases": [f"Wort{n}"]} for n, c in enumerate(english.classes)
    }
    kept = {key: content[key] for key in ("unit", "split", "where", "vocabulary", "facts_source") if key in content}
    task = {"name": "deutsch", "title": "Deutsch", "voice": "deutsch.yaml", **kept, "classes": classes}
    (tmp_path / "task.yaml").write_text(json.dumps(task), "utf-8")
    german = load_task(str(tmp_path / "task.yaml"))
    assert [(c.concept, c.when) for c in german.classes] == [(c.concept, c.when) for c in english.classes]
    assert german.kind == english.kind
    told = {text for c in german.classes for w in c.wordings for text in (w.present, w.absent) if text}
    assert all("Wort" in text for text in told)
