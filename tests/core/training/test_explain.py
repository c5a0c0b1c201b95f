"""What the parser says of a mistake, as one sentence that names the key, the value and what it may be."""

import sys

import pytest

from voxtile.cli.explain import explain, explain_not_made
from voxtile.cli.lightning import CONFIGURED
from voxtile.objectives.base import Objective

UNION = """Parser key "{outer}":
  Does not validate against any of the Union subtypes
  Errors:
    - {inner}
    - Expected a <class 'str'>
  Given value type: <class 'dict'>
  Given value: {{'class_path': 'A', 'init_args': {{'x': 1}}}}"""


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (
            "Parser key \"kind\":\n  Expected a typing.Literal['softmax', 'sigmoid']. Got value: sigmod",
            "'kind' cannot be sigmod; it must be one of softmax, sigmoid",
        ),
        (
            UNION.format(outer="image", inner="'beyond' cannot be refuze; it must be one of cut, refuse"),
            "image: 'beyond' cannot be refuze; it must be one of cut, refuse",
        ),
        (
            UNION.format(outer="model.encoder", inner="image: 'depth' cannot be deep; it must be int"),
            "model.encoder: image: 'depth' cannot be deep; it must be int",
        ),
        (
            UNION.format(outer="image", inner="there is no option 'dept'; did you mean 'depth'?; --help lists all"),
            "there is no option 'dept'; did you mean 'depth'?; --help lists all",
        ),
        ("Option 'pretrained' is not accepted", "there is no option 'pretrained' in this place"),
        (
            "Parser key \"curriculum\":\n  invalid literal for int() with base 10: 'one'",
            "'curriculum' cannot be 'one'; it must be int",
        ),
        (
            "Parser key \"model.batch\":\n  Expected a <class 'collections.abc.Mapping'>. Got value: 16",
            "'model.batch' cannot be 16; it must be a mapping",
        ),
        (
            'Parser key "model.objectives":\n  Import path voxtile.models.ViTTower does not correspond to a '
            "subclass of Objective",
            "model.objectives: class_path 'voxtile.models.ViTTower' is no Objective; name one that is",
        ),
        ("argument --model.optimizer: expected one argument", "e.g. --model.optimizer=-1"),
        ("Unexpected config: ", "the config is empty; name a config"),
        ("the following arguments are required: fit.model.encoder", "model.encoder are not given; name a config"),
        ('expected "subcommand" to be one of {fit,test}, but it was not provided.', "give one of fit, test, and name"),
    ],
)
def test_messages_of_the_parser_become_one_sentence(message, sentence):
    assert sentence in explain(message, (), CONFIGURED)


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("voxtile.objectives.contrastve.Contrastive", "voxtile.objectives.Contrastive"),
        ("voxtile.objectives.local.token_wise.TokenWize", "voxtile.objectives.TokenWise"),
        ("Contrastive", "voxtile.objectives.Contrastive"),
        ("Contrastiv", "voxtile.objectives.Contrastive"),
        ("voxtile.objectives.Distilation", "voxtile.objectives.Distillation"),
    ],
)
def test_a_class_that_does_not_exist_is_told_from_all_there_are(path, meant):
    said = f"Parser key \"model.objectives\":\n  Problem with given class_path '{path}':\n    - No module"
    assert explain(said, (), (Objective,)) == f"there is no class '{path}'; did you mean '{meant}'?"


def test_a_module_that_needs_another_is_not_said_to_be_missing(tmp_path, monkeypatch):
    (tmp_path / "mine_alone.py").write_text("import not_there_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    said = explain("Problem with given class_path 'mine_alone.Term':", (), (Objective,))
    assert (
        said == "class_path 'mine_alone.Term' cannot be imported (No module named 'not_there_at_all'); "
        "install what it needs"
    )
    assert "mine_alone" not in sys.modules


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (
            "Requirement 'wandb>=0.12.10' not met. HINT: Try running `pip install -U 'wandb>=0.12.10'`",
            "class_path 'a.Logger' needs another package; install it with: pip install 'wandb>=0.12.10'",
        ),
        (
            "No module named 'board'",
            "class_path 'a.Logger' cannot be made (No module named 'board'); install what it needs, or change its "
            "init_args",
        ),
    ],
)
def test_an_object_that_cannot_be_made_is_named_with_what_it_lacks(reason, sentence):
    inner = f"Problem with given class_path 'a.Logger':\n      {reason}"
    assert explain_not_made(UNION.format(outer="trainer.logger", inner=inner)) == sentence
    assert explain_not_made("Expected a <class 'bool'>") is None
