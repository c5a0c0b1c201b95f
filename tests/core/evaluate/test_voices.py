"""A task that names a voice is the task with everything written out; what a voice cannot give is refused."""

import pytest
import yaml

from voxtile.cli.main import main
from voxtile.errors import ConfigError
from voxtile.evaluation.tasks.file import load_task, parse_task, read_task

VOICE = {
    "about": "Each field of the {organ} is asked.",
    "kind": "zero-shot-singlelabel",
    "split": "val",
    "averaging": {"templates": "scores"},
    "templates": ["{}", "Histology of the {organ}: {}"],
    "concepts": "words",
    "classes": {"clear_cells": ["clear cells"], "fat": {"title": "Fat cells", "prompts": ["fat", "adipocytes"]}},
}
NAMED = {"name": "slides.yaml", "organ": "colon"}
TASK = {"voice": NAMED, "about": "Of two kinds.", "classes": ["clear_cells", "fat"]}
WHOLE = {
    "about": "Each field of the colon is asked. Of two kinds.",
    "kind": "zero-shot-singlelabel",
    "split": "val",
    "averaging": {"templates": "scores"},
    "templates": ["{}", "Histology of the colon: {}"],
    "classes": {
        "clear_cells": {"concept": "clear cells", "prompts": ["clear cells"]},
        "fat": {"title": "Fat cells", "concept": "fat", "prompts": ["fat", "adipocytes"]},
    },
}


@pytest.fixture
def load(tmp_path):
    """Writes a task and its voice, and reads the task."""

    def loaded(task, voice=VOICE):
        (tmp_path / "slides.yaml").write_text(voice if isinstance(voice, str) else yaml.safe_dump(voice))
        (tmp_path / "task.yaml").write_text(yaml.safe_dump(task, sort_keys=False))
        return load_task(str(tmp_path / "task.yaml"))

    return loaded


def test_a_task_with_a_voice_is_the_task_written_out(load, tmp_path):
    assert load(TASK) == parse_task(WHOLE, where="here", name="task")
    assert read_task(tmp_path / "task.yaml") == WHOLE
    assert load(WHOLE) == parse_task(WHOLE, where="here", name="task"), "and one that names none is as it was"


def test_what_the_task_says_wins(load):
    own = {"split": "test", "templates": ["Only {}"], "classes": {"fat": ["lipid"], "clear_cells": {"concept": "cc"}}}
    task = load(
        {**TASK, "voice": "slides.yaml", **own, "about": ""} | {"voice": {"name": "slides.yaml", "organ": "colon"}}
    )
    assert (task.split, task.templates) == ("test", ("Only {}",))
    fat, clear = task.classes
    assert (fat.title, [w.present for w in fat.wordings]) == ("Fat cells", ["lipid"])
    assert (clear.concept, [w.present for w in clear.wordings]) == ("cc", ["clear cells"])


def test_pairs_of_the_task_take_the_place_of_the_voices_prompts(load):
    pairs = [{"present": "Fat.", "absent": "No fat."}]
    voice = {"kind": "zero-shot-multilabel", "classes": {"fat": {"title": "Fat cells", "prompts": ["fat"]}}}
    (fat,) = load({"voice": "slides.yaml", "classes": {"fat": {"concept": "fat", "wordings": pairs}}}, voice).classes
    assert (fat.title, [(w.present, w.absent) for w in fat.wordings]) == ("Fat cells", [("Fat.", "No fat.")])


def test_a_slot_is_filled_by_words_alone(load):
    with pytest.raises(ConfigError, match="needs 'organ'"):
        load({**TASK, "voice": {**NAMED, "organ": 3}})


def test_a_slot_of_what_the_task_says_itself_needs_no_word(load):
    voice = {key: value for key, value in VOICE.items() if key != "about"}
    task = load({"voice": "slides.yaml", "templates": ["Only {}"], "classes": ["clear_cells", "fat"]}, voice)
    assert task.templates == ("Only {}",)


def test_phrases_become_prompts_or_pairs(load):
    pairs = [{"present": "There is {}.", "absent": "No {}."}, {"present": "Seen: {1}.", "absent": "Unseen: {1}."}]
    voice = {"kind": "zero-shot-multilabel", "phrased": pairs, "classes": {"mass": {"title": "A mass"}}}
    classes = {"mass": ["a mass", "a lump"], "cyst": [{"present": "Cyst.", "absent": "None."}]}
    mass, cyst = load({"voice": "slides.yaml", "classes": classes}, voice).classes
    assert [(w.present, w.absent) for w in mass.wordings] == [
        ("There is a mass.", "No a mass."),
        ("Seen: a lump.", "Unseen: a lump."),
    ]
    assert mass.title == "A mass"
    assert [(w.present, w.absent) for w in cyst.wordings] == [("Cyst.", "None.")]
    voice = {"kind": "zero-shot-singlelabel", "phrased": ["{}", "Show the {0}."]}
    first, second = load(
        {"voice": "slides.yaml", "classes": {"left_lung": None, "heart": "heart muscle"}}, voice
    ).classes
    assert [w.present for w in first.wordings] == ["left lung", "Show the left lung."]
    assert [w.present for w in second.wordings] == ["heart muscle", "Show the heart muscle."]


@pytest.mark.parametrize(
    ("task", "voice", "said"),
    [
        ({"voice": "pathology/histologie"}, {}, "at voice: no voice named 'pathology/histologie'; did you mean 'path"),
        ({"voice": "gone.yaml"}, {}, "at voice: voice file 'gone.yaml' does not exist"),
        ({"voice": 3}, {}, "at voice: expected the name of a voice"),
        ({"voice": "slides.yaml"}, {}, "'slides.yaml' needs 'organ': voice: {name: slides.yaml, organ: …}"),
        ({"voice": {**NAMED, "orgam": "x"}}, {}, "has nothing to fill with 'orgam'; did you mean 'organ'?"),
        (
            {"classes": ["clear_cell", "fat"]},
            {},
            "at classes.clear_cell: the voice 'slides.yaml' has no such class; did",
        ),
        ({"classes": ["fat", "fat"]}, {}, "at classes: expected names of classes, each once"),
        ({"classes": {"fat": 3}}, {}, "at classes.fat: expected texts or a mapping, found 3"),
        ({}, {"title": "x"}, "slides.yaml': 'title' belongs into the tasks that name this voice"),
        ({}, {"phrased": "Show {}"}, "slides.yaml', at phrased: expected a list of texts"),
        ({}, {"phrased": [{"present": "x"}]}, "at phrased: expected a list of texts"),
        ({}, {"concepts": "word"}, "slides.yaml', at concepts: 'word' is not a choice"),
        ({}, {"classes": ["fat"]}, "slides.yaml', at classes: expected a mapping of names to prompts"),
        ({"classes": {"a": "one"}}, {"phrased": ["{1}"]}, "at classes.a: the voice 'slides.yaml' needs 2 phrases of a"),
        ({}, {"tmplates": []}, "unknown key 'tmplates'; did you mean 'templates'?"),
    ],
)
def test_what_a_voice_cannot_give_is_one_sentence(load, capsys, tmp_path, task, voice, said):
    with pytest.raises(ConfigError) as refused:
        load({**TASK, **task}, {**VOICE, **voice})
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert main(["evaluate", "none.ckpt", str(tmp_path / "task.yaml"), "--corpus", "none", "--out", "out"]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize(("text", "said"), [("- 1\n", "voice '"), ("a: 1\na: 2\n", "key 'a' is given twice")])
def test_a_voice_is_a_mapping_with_each_key_once(load, text, said):
    with pytest.raises(ConfigError, match=said):
        load(TASK, text)
