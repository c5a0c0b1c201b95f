"""From pixels to what the language model reads before a question, as an ONNX graph: tower, connector, words round it.

Shape letters: S images, C channels, *G the grid of an image, K image tokens, W width of the language model.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from voxtile.assist.answering import Answering
from voxtile.assist.sequences import BEFORE_IMAGE
from voxtile.errors import ConfigError, ExportError
from voxtile.export.onnx import write_graph
from voxtile.inference.onnx_pair import require_onnx, session
from voxtile.models.dual import DualEncoder

GRAPH = "image_tokens.onnx"
_LIMIT = 1e-4  # of the largest number of the tokens


class _ImageTokens(nn.Module):
    """[S, C, *G] to [S, K, W]."""

    def __init__(self, encoder: DualEncoder, answering: Answering, example: Tensor) -> None:
        super().__init__()
        if answering.connector is None:
            raise ConfigError("Answering was not set up; load a checkpoint or train the model first")
        self.encoder, self.connector, self.blind = encoder, answering.connector, answering.blind
        words = answering.words
        before = (words.start is not None) + len(words.encode(BEFORE_IMAGE))
        with torch.no_grad():
            _, encoded = encoder.encode_samples(example, tokens=True)
            whole, count = answering.image(encoded)[:1], self.connector(encoded).shape[1]
        self.register_buffer("before", whole[:, :before].clone())
        self.register_buffer("after", whole[:, before + count :].clone())

    def forward(self, images: Tensor) -> Tensor:
        _, encoded = self.encoder.encode_samples(images, tokens=True)
        tokens = self.connector(encoded)
        if self.blind:
            tokens = 0.0 * tokens
        count = tokens.shape[0]
        before, after = (part.expand(count, -1, -1) for part in (self.get_buffer("before"), self.get_buffer("after")))
        return torch.cat([before, tokens.to(before.dtype), after], 1)


def write_image_graph(encoder: DualEncoder, answering: Answering, images: Tensor, folder: Path) -> float:
    """Write the graph, and compare what onnxruntime makes of images with the checkpoint.

    Args:
        encoder: in evaluation mode, on the CPU.
        answering: likewise.
        images: [S, C, *G] of real samples.
        folder: where to.

    Returns:
        the largest difference, as a share of the largest number.

    Raises:
        ExportError: the tower or the connector has no ONNX form, or would answer otherwise.
        MissingExtraError: onnx is not installed.
    """
    require_onnx()
    module = _ImageTokens(encoder, answering, images[:1]).eval()
    example = torch.cat([images, images])[:2]
    count = torch.export.Dim("count", min=1)
    what = f"{type(encoder.image).__name__} with its connector"
    write_graph(module, example, "images", ["tokens"], {0: count}, folder / GRAPH, what)
    with torch.no_grad():
        own = answering.image(encoder.encode_samples(images, tokens=True)[1])
    made = torch.from_numpy(session(folder / GRAPH).run(None, {"images": images.numpy()})[0])
    difference = float((made - own).abs().max() / own.abs().max())
    if not difference <= _LIMIT:
        raise ExportError(f"the graph of {what} differs by {difference:.1e} from the checkpoint; nothing was written")
    return difference
