"""Checkpoints of tiny towers with random weights, which read pictures or volumes, and words."""

from pathlib import Path

import torch

from voxtile.training.checkpoint import AtomicCheckpointIO
from voxtile.training.module import ContrastiveModule


def write_checkpoint(
    path: Path,
    preset: dict,
    *,
    dimensions: int,
    channels: int,
    texts: list[str],
    images: torch.Tensor | None = None,
) -> Path:
    """Write one.

    Args:
        path: of the file.
        preset: `class_path` and `init_args`.
        dimensions: of its images, 2 or 3.
        channels: of its images.
        texts: that its tokenizer is trained on.
        images: [S, C, *G] one a text, which the model learns by heart; left out, its weights are random.
    """
    torch.manual_seed(0)
    tower = {"dimensions": dimensions, "channels": channels, "widths": [8], "blocks": [1], "width": 8}
    image = {"class_path": "voxtile.models.ConvTower", "init_args": tower}
    text = {"class_path": "voxtile.models.TextBag", "init_args": {"vocabulary": 300, "width": 8}}
    objectives = {"contrastive": {"class_path": "voxtile.objectives.Contrastive"}}
    encoder = {"image": image, "text": text, "embed_dim": 8}
    module = ContrastiveModule.from_config({"encoder": encoder, "objectives": objectives})
    module.encoder.text.tokenizer.train(texts)
    module.setup_objectives(())
    if images is not None:
        _learn(module.encoder, images, texts)
    module.preset_config = preset
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    AtomicCheckpointIO().save_checkpoint(content, path)
    return path


def _learn(encoder: torch.nn.Module, images: torch.Tensor, texts: list[str]) -> None:
    """Until each image is nearest to its own text, and each text to its own image."""
    tokens, _ = encoder.text.tokenizer.encode(texts)
    wanted = torch.arange(len(texts))
    optimizer = torch.optim.AdamW(encoder.parameters(), 1e-2)
    for _ in range(300):
        scores = encoder.encode_samples(images)[0] @ encoder.encode_texts(tokens, local=False)[0].T
        if (scores.argmax(0) == wanted).all() and (scores.argmax(1) == wanted).all() and _apart(scores) > 0.1:
            return
        losses = [torch.nn.functional.cross_entropy(10 * part, wanted) for part in (scores, scores.T)]
        optimizer.zero_grad()
        sum(losses).backward()
        optimizer.step()
    raise AssertionError("the images were not learned by heart")


def _apart(scores: torch.Tensor) -> float:
    """How far the right one is before the next, of the text for which it is least."""
    others = scores.detach().clone().fill_diagonal_(-1.0).amax(0)
    return float((scores.detach().diagonal() - others).min())
