"""A checkpoint of an assistant on a tiny tower, which has learned by heart what to say of a few pictures."""

from pathlib import Path
from types import SimpleNamespace

import torch

from voxtile.training.checkpoint import AtomicCheckpointIO
from voxtile.training.module import ContrastiveModule
from voxtile.types import Encoded, Features, Turn


def write_assistant(
    path: Path, preset: dict, images: torch.Tensor, dialogues: list[tuple[Turn, ...]], *, steps: int = 120, **answering
) -> Path:
    """Write one.

    Args:
        path: of the file.
        preset: `class_path` and `init_args`.
        images: [S, C, *G] as the preset makes them.
        dialogues: one of each.
        steps: of learning them.
        answering: other arguments of the objective.
    """
    torch.manual_seed(0)
    tower = {"dimensions": images.ndim - 2, "channels": images.shape[1], "widths": [8], "blocks": [1], "width": 8}
    scratch = {"vocabulary": 400, "width": 32, "depth": 2, "heads": 2, "context": 320}
    objective = {
        "scratch": scratch,
        "connector": {"grid": [2] * (images.ndim - 2), "pooled": 2, "hidden": 32},
        **answering,
    }
    encoder = {
        "image": {"class_path": "voxtile.models.ConvTower", "init_args": tower},
        "text": {"class_path": "voxtile.models.TextBag", "init_args": {"vocabulary": 300, "width": 8}},
        "embed_dim": 8,
        "logit_bias": -1,
    }
    objectives = {
        "contrastive": {"class_path": "voxtile.objectives.Contrastive", "init_args": {"kind": "sigmoid"}},
        "answering": {"class_path": "voxtile.assist.Answering", "init_args": objective},
    }
    module = ContrastiveModule.from_config({"encoder": encoder, "objectives": objectives})
    module.encoder.text.tokenizer.train([turn.answer for dialogue in dialogues for turn in dialogue])
    module.setup_objectives(())
    module.preset_config = preset
    learns = module.objectives["answering"]
    turns = [turn for dialogue in dialogues for turn in dialogue]
    learns.take_state(learns.state_from(SimpleNamespace(training_turns=lambda: turns, training_texts=lambda: [])))
    _learn(module, learns, images, dialogues, steps)
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    AtomicCheckpointIO().save_checkpoint(content, path)
    return path


def _learn(module, learns, images, dialogues, steps):
    with torch.no_grad():
        _, encoded = module.encoder.eval().encode_samples(images, tokens=True)
    encoded = Encoded(encoded.pooled.detach(), encoded.tokens.detach(), encoded.grid)
    features = Features.of_pairs(
        torch.ones(len(images), 2), torch.ones(0, 2), image_encoded=encoded, text_item=torch.zeros(0).long(),
        texts=[], dialogues=[(dialogue,) for dialogue in dialogues],
    )  # fmt: skip
    optimizer = torch.optim.Adam(learns.parameters(), 1e-2)
    for _ in range(steps):
        losses = learns.rows(features)
        optimizer.zero_grad()
        (losses[:, 0].sum() / losses[:, 1].sum()).backward()
        optimizer.step()
