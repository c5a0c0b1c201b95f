"""An exported assistant writes the same words without voxtile: by onnxruntime, transformers and peft alone."""

import json

import numpy as np
import pytest
import torch
from small_assistants import write_assistant
from tests.core.assist.test_answering import folder as language_folder

pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("peft", reason="the extra assist is not installed")
import peft
from transformers import AutoModelForCausalLM, AutoTokenizer

from voxtile.assist import Assistant
from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.data import ImagePreset
from voxtile.types import Turn

folder = language_folder
PRESET = ImagePreset(size=(32, 32), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.25))
SAID = ["A nodule of 8 mm on the left.", "No effusion.", "A mass. No effusion."]


@pytest.fixture(scope="module")
def shown(pictures):
    corpus = Corpus(pictures)
    uids = sorted(corpus.table("samples")["uid"].to_pylist())[: len(SAID)]
    return torch.stack([PRESET(corpus.source(corpus.row(uid)), None) for uid in uids])


def exported(tmp_path, pictures, shown, **answering):
    """The folder, its settings, and the checkpoint."""
    dialogues = [(Turn("List the findings.", text, "report"),) for text in SAID]
    checkpoint = write_assistant(tmp_path / "last.ckpt", PRESET.to_config(), shown, dialogues, steps=60, **answering)
    out = tmp_path / "out"
    assert main(["export", str(checkpoint), str(out), "--to", "assistant", "--corpus", str(pictures)]) == 0
    return out, json.loads((out / "voxtile-assistant.json").read_text()), Assistant(str(checkpoint))


def read(out, settings, shown, model, tokenizer):
    """[S, L, W] what the language model reads of images and the question of a report, made by other libraries."""
    import onnxruntime

    session = onnxruntime.InferenceSession(out / "image_tokens.onnx")
    image = torch.from_numpy(session.run(None, {"images": shown.numpy()})[0])
    question = settings["template"]["question"].format(question=settings["report_question"])
    tokens = torch.tensor([tokenizer(question, add_special_tokens=False)["input_ids"]]).expand(len(shown), -1)
    return torch.cat([image, model.get_input_embeddings()(tokens)], 1)


def test_a_model_from_scratch_writes_its_reports_by_transformers_alone(tmp_path, pictures, shown):
    out, settings, assistant = exported(tmp_path, pictures, shown)
    model = AutoModelForCausalLM.from_pretrained(out / "language")
    tokenizer = AutoTokenizer.from_pretrained(out / "language")
    embeddings = read(out, settings, shown, model, tokenizer)
    for row, image in zip(embeddings, shown, strict=True):
        tokens = model.generate(
            inputs_embeds=row[None], do_sample=False, max_new_tokens=60, eos_token_id=settings["end"]
        )
        own = assistant.report(image, longest=60)
        assert tokenizer.decode(tokens[0], skip_special_tokens=True).strip() == own.text
    assert len({assistant.report(image, longest=60).text for image in shown}) > 1
    card = (out / "README.md").read_text()
    assert "not a medical device" in card
    assert str(tmp_path) not in card + json.dumps(settings)


def test_additions_are_loaded_by_peft_onto_the_model_that_they_were_trained_on(tmp_path, pictures, shown, folder):
    out, settings, assistant = exported(
        tmp_path, pictures, shown, scratch=None, language=str(folder), tuning={"mode": "lora", "rank": 4}
    )
    assert str(tmp_path) not in (out / "adapter" / "adapter_config.json").read_text() + json.dumps(settings)
    plain = AutoModelForCausalLM.from_pretrained(folder).eval()
    tuned = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), out / "adapter").eval()
    embeddings = read(out, settings, shown, plain, AutoTokenizer.from_pretrained(folder))
    answering = assistant.answering
    with torch.no_grad():
        own = answering.language.logits(answering.language.states(embeddings))
        theirs, without = tuned(inputs_embeds=embeddings).logits, plain(inputs_embeds=embeddings).logits
    np.testing.assert_allclose(theirs.numpy(), own.numpy(), atol=1e-5)
    assert float((without - own).abs().max()) > 1e-2, "the additions say something"
    assert settings["written_tokens"] == answering.writable.tolist()


def test_what_does_not_write_is_refused(tmp_path, pictures, save, picture_preset, bag, capsys):
    sizes = {"dimensions": 2, "channels": 3, "widths": [8], "blocks": [1], "width": 8}
    tower = save({"class_path": "voxtile.models.ConvTower", "init_args": sizes}, bag, picture_preset)
    assert main(["export", str(tower), str(tmp_path / "out"), "--to", "assistant", "--corpus", str(pictures)]) == 2
    assert "does not write" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()
