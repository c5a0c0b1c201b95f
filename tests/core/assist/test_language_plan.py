"""The language model in a plan, held against one of transformers: its weights, what it keeps and what it computes."""

import json

import pytest
import torch
from torch.nn.functional import cross_entropy

from voxtile.assist.answering import Answering
from voxtile.assist.answering.vision_language import unfreeze
from voxtile.assist.language import Language, load_language
from voxtile.assist.planning.language_sizes import PUBLISHED, LanguageSizes, sizes_of
from voxtile.assist.planning.language_step import AROUND, LanguageStep, tokens_shown
from voxtile.assist.scratch import ScratchLanguage
from voxtile.cli.main import main
from voxtile.errors import ConfigError
from voxtile.models.tuning import Tuning
from voxtile.objectives.base import Objective
from voxtile.objectives.planned import PlannedBatch
from voxtile.training.callbacks.telemetry import operation_counter

SMALL = {
    "vocab_size": 500, "hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 3, "num_attention_heads": 8,
    "num_key_value_heads": 2, "tie_word_embeddings": False,
}  # fmt: skip
ITEMS, SHOWN, ROWS, LONG, TOLD = 2, 40, 6, 96, 60
LORA = Tuning(mode="lora", rank=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("language")
    (folder / "config.json").write_text(json.dumps(SMALL))
    return folder


@pytest.fixture(scope="module")
def model():
    transformers = pytest.importorskip("transformers")
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SMALL))
    model.requires_grad_(False)
    whole = sum(parameter.numel() for parameter in model.parameters())
    unfreeze(model, LORA)
    return model, whole


def loss_of(model):
    """Dialogues about images that are read once, as `Answering` goes through them."""
    language = Language(model, None, "small", None, 4096)
    past = language.past()
    language.states(torch.randn(ITEMS, SHOWN, 128, requires_grad=True), past)
    past.take(torch.arange(ROWS) % ITEMS)
    read = torch.randn(ROWS, LONG, 128)
    states = language.states(read, past, torch.ones(ROWS, SHOWN + LONG, dtype=torch.int64))
    logits = language.logits(states[:, -TOLD:]).flatten(0, 1)
    return cross_entropy(logits, torch.zeros(len(logits), dtype=torch.int64))


def test_weights_are_those_of_the_model(model, folder):
    made, whole = model
    sizes = sizes_of(str(folder), None)
    assert sizes.parameters == whole
    assert sizes.low_rank(4) == sum(p.numel() for p in made.parameters() if p.requires_grad)
    scratch = ScratchLanguage(vocabulary=300, width=16, depth=2, heads=2, context=32)
    assert sizes_of(None, scratch).parameters == sum(p.numel() for p in scratch.make().model.parameters())
    # As their makers count them.
    assert {name: PUBLISHED[name].parameters for name in ("llama-3.1-8b", "llama-3.2-3b", "llama-3.2-1b")} == {
        "llama-3.1-8b": 8_030_261_248, "llama-3.2-3b": 3_212_749_824, "llama-3.2-1b": 1_235_814_400,
    }  # fmt: skip


def test_what_is_kept_and_computed_is_what_a_step_keeps_and_computes(model, folder):
    made, _ = model
    own = {parameter.untyped_storage().data_ptr() for parameter in made.parameters()}
    kept = {}

    def keep(saved):
        if (place := saved.untyped_storage().data_ptr()) not in own:
            kept[place] = saved  # held, so that no other tensor gets its place
        return saved

    with operation_counter() as counter:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
            loss = loss_of(made)
        loss.backward()
    step = LanguageStep(sizes_of(str(folder), None), LORA, 4, False, ITEMS, ROWS, SHOWN, LONG, TOLD, 500)
    assert step.operations == pytest.approx(counter.get_total_flops(), rel=0.1)
    assert step.activations == pytest.approx(sum(s.untyped_storage().nbytes() for s in kept.values()), rel=0.15)


def work_of(items, dialogues, **settings):
    batch = PlannedBatch(items, 1, dialogues, 36, 64, True)
    return Answering(language="llama-3.2-1b", **settings).planned(batch)


def test_an_image_is_read_once_whatever_is_asked_about_it():
    one, two, four = (work_of(2, dialogues, dtype="bfloat16") for dialogues in (0, 1, 3))
    assert four.operations - two.operations == pytest.approx(2 * (two.operations - one.operations), rel=1e-6)
    assert 2 * one.operations > two.operations  # the image is not counted again
    assert work_of(4, 1, dtype="bfloat16").activations == 2 * two.activations


def test_what_stands_still_takes_the_bytes_that_it_is_kept_in():
    half, full = work_of(2, 1, dtype="bfloat16"), work_of(2, 1)
    assert half.half_weights == PUBLISHED["llama-3.2-1b"].parameters
    assert full.half_weights == 0
    assert half.parameters - half.half_weights == half.trained  # low-rank additions and the connector
    assert full.activations - half.activations == 2 * PUBLISHED["llama-3.2-1b"].parameters  # copies in 16 bits
    assert tokens_shown("mlp", (), 32, 4, 36) == 40 == tokens_shown("resampler", (), 36, 4, 9)
    assert tokens_shown("mlp", (2, 3), 32, 0, 36) == 6
    assert f"reads {36 + 4} tokens an image" in half.said
    assert AROUND > 0


def test_the_command_counts_it_and_an_unknown_one_is_refused(capsys, monkeypatch):
    for config in ("ct-prior", "ct-grounded-report", "ct-report"):  # names with maps alone, none, and names with both
        assert main(["plan", f"medical/{config}", "--gpu", "l4"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Counted: towers and objectives (answering)" in said
    assert "billion parameters reads" in said
    with pytest.raises(ConfigError, match="does not know how large the language model 'nowhere' is"):
        sizes_of("nowhere", None)
    with pytest.raises(ConfigError, match="only the sizes are known, for voxtile plan; give the folder"):
        load_language("llama-3.1-8b", torch.float32)
    monkeypatch.setattr(Answering, "planned", Objective.planned)
    assert main(["plan", "medical/ct-report", "--gpu", "l4"]) == 2
    assert "the work of the objective 'answering' goes by the corpus's own texts" in " ".join(
        capsys.readouterr().err.split()
    )


def test_sizes_that_a_config_does_not_say_are_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    with pytest.raises(ConfigError, match="does not say how large the language model is"):
        sizes_of(str(tmp_path), None)
    assert LanguageSizes(8, 1, 2, 1, 4, 16, 10, True).linear[1] == (8, 4)
