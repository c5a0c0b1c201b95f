"""A whole slide is asked about by its patches, all of them together, by a model that reads studies."""

import pytest
import torch
from small_assistants import write_assistant

from voxtile.api.inputs import array_sample
from voxtile.assist import Assistant, command, scans
from voxtile.cli.main import main
from voxtile.data import ImagePreset
from voxtile.types import Turn

SIDE = 128


def written(folder, **connector):
    preset = ImagePreset(size=(32, 32))
    turns = [(Turn("List the findings.", "Gland.", "report"), Turn("Is there a gland?", "Yes."))]
    path = folder / "model.ckpt"
    return str(
        write_assistant(path, preset.to_config(), torch.zeros(1, 3, 32, 32), turns, steps=0, connector=connector)
    )


@pytest.fixture
def shown(monkeypatch):
    """What the commands show the model, and what it replies."""
    seen, show, own = [], command._show, Assistant._shown
    monkeypatch.setattr(Assistant, "_shown", lambda self, image, names: seen.append(image) or own(self, image, names))
    monkeypatch.setattr(command, "_show", lambda reply, *more: seen.append(reply) or show(reply, *more))
    return seen


def test_all_patches_of_a_slide_are_read_together(tmp_path, slide_writer, slide_texture, shown, capsys, monkeypatch):
    levels = slide_texture(640, 512)
    slide = slide_writer.pyramid("a.tif", levels, mpp=0.5, photometric="rgb")
    model = written(tmp_path, kind="hierarchy", queries=4, each=2, pooled=2, hidden=32)
    ask = ["ask", str(slide), "Is there a gland?", "--model", model, "--longest", "6", "--least", "0"]
    assert main([*ask, "--patch-px", str(SIDE)]) == 0
    patches, reply = shown[:2]
    assistant = Assistant(model)
    cut = [
        assistant.preset(array_sample(levels[0][y : y + SIDE, x : x + SIDE], assistant.preset, {}), None)
        for y in range(0, 512, SIDE) for x in range(0, 640, SIDE)
    ]  # fmt: skip
    found = [sum(torch.equal(patch, one) for one in cut) for patch in patches]
    assert len(found) > 10
    assert set(found) == {1}  # each is one of the slide, as it stands there
    assert reply == assistant.ask(patches, "Is there a gland?", longest=6)
    assert f"({len(patches)} images of a study)" in capsys.readouterr().out
    monkeypatch.setattr(scans, "_MOST_PATCHES", 5)
    assert main([*ask, "--patch-px", str(SIDE)]) == 0
    assert len(shown[3]) == 5
    assert torch.equal(shown[3][1], patches[len(patches) // 5])
    assert f"5 of {len(patches)} patches of the slide are shown" in " ".join(capsys.readouterr().err.split())


def test_a_model_of_single_patches_says_what_to_train(tmp_path, slide_writer, slide_texture, capsys):
    slide = slide_writer.pyramid("a.tif", slide_texture(256, 256), mpp=0.5, photometric="rgb")
    model = written(tmp_path, grid=[2, 2], pooled=2, hidden=32)
    assert main(["report", str(slide), "--model", model]) != 0
    assert "is a whole slide, of which this model reads single patches" in " ".join(capsys.readouterr().err.split())
