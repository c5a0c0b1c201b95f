"""A model as ONNX: a graph a tower, with normalised embeddings; any tower, 2D, 3D and of any number of channels."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from voxtile.console import logging_level
from voxtile.errors import ExportError
from voxtile.export.source import Embedded, Probes, Source
from voxtile.inference.onnx_pair import EMBEDDINGS, FACTS, IMAGE, INT8, TEXT, require_onnx, session
from voxtile.models.dual import DualEncoder

if TYPE_CHECKING:
    from voxtile.objectives.facts.head import FactHead

_QUANTISED = ["MatMul", "Gemm", "Gather"]
"""Operators whose weights become 8 bits; the library's integer convolutions are 2D only, and slow on processors."""


class _ImageGraph(nn.Module):
    """[S, C, *G] to normalised embeddings, and the fact head's probabilities where there is one."""

    def __init__(self, encoder: DualEncoder, head: FactHead | None) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        embeddings, encoded = self.encoder.encode_samples(images)
        return (embeddings,) if self.head is None else (embeddings, self.head.logits(encoded.pooled).sigmoid())


class _TextGraph(nn.Module):
    """[T, L] tokens to normalised embeddings."""

    def __init__(self, encoder: DualEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, tokens: Tensor) -> Tensor:
        return self.encoder.encode_texts(tokens, local=False)[0]


def write_onnx(source: Source, folder: Path, probes: Probes) -> None:
    """Write image.onnx and text.onnx, opset 18; batch size and text length are free.

    Raises:
        ExportError: a tower does something that ONNX has no operator for.
        MissingExtraError: onnx is not installed.
    """
    require_onnx()
    count = torch.export.Dim("count", min=1)  # a tower that fixes it is refused
    free = torch.export.Dim.AUTO  # texts: with the limits that a tower itself sets
    # Examples of two: an axis of one would be taken as fixed.
    images = torch.cat([probes.images, probes.images])[:2]
    tokens, _ = source.encoder.text.tokenizer.encode((*probes.texts, *probes.texts)[:2])
    outputs = [EMBEDDINGS] if source.head is None else [EMBEDDINGS, FACTS]
    kinds = {name: f"the tower {type(source.encoder.get_submodule(name)).__name__}" for name in (IMAGE, TEXT)}
    graph = _ImageGraph(source.encoder, source.head)
    write_graph(graph, images, "images", outputs, {0: count}, folder / f"{IMAGE}.onnx", kinds[IMAGE])
    axes = {0: count} if _fixed_length(source) else {0: count, 1: free}
    write_graph(_TextGraph(source.encoder), tokens, "tokens", [EMBEDDINGS], axes, folder / f"{TEXT}.onnx", kinds[TEXT])


def quantise(folder: Path) -> None:
    """Beside each graph one whose matrices are 8-bit, their inputs scaled as they come (dynamic quantisation).

    Raises:
        MissingExtraError: onnxruntime is not installed.
    """
    require_onnx()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        for name in (IMAGE, TEXT):
            quantize_dynamic(
                folder / f"{name}.onnx",
                folder / f"{name}{INT8}.onnx",
                op_types_to_quantize=_QUANTISED,
                weight_type=QuantType.QInt8,
                per_channel=True,
                reduce_range=True,  # 7 bits: without VNNI a processor adds products of 8 bits in 16, which overflows
            )


def run_onnx(folder: Path, source: Source, probes: Probes, suffix: str = "") -> Embedded:
    """What onnxruntime makes of the probes.

    Args:
        folder: of the export.
        source: gives the tokens, and the scale, which is no part of the graphs.
        probes: samples and texts.
        suffix: `INT8` for the quantised graphs.
    """
    image, text = (session(folder / f"{name}{suffix}.onnx") for name in (IMAGE, TEXT))
    tokens, _ = source.encoder.text.tokenizer.encode(probes.texts)
    outputs = [torch.from_numpy(value) for value in image.run(None, {"images": probes.images.numpy()})]
    texts = torch.from_numpy(text.run(None, {"tokens": tokens.numpy()})[0])
    scale = json.loads((folder / "voxtile.json").read_text("utf-8"))["logit_scale"]
    return Embedded(outputs[0], texts, float(scale), outputs[1] if len(outputs) > 1 else None)


def write_graph(
    module: nn.Module, example: Tensor, name: str, outputs: list[str], axes: Mapping[int, Any], path: Path, kind: str
) -> None:
    """Write a module of one input as an ONNX graph, opset 18.

    Args:
        module: in evaluation mode.
        example: of its input.
        name: of the input.
        outputs: their names.
        axes: of the input that are free.
        path: of the graph.
        kind: what it is, for messages.

    Raises:
        ExportError: it does something that ONNX has no operator for.
    """
    try:
        with _quiet(), torch.no_grad():
            graph = torch.export.export(module.eval(), (example,), dynamic_shapes=(dict(axes),))
            graph = graph.run_decompositions({**torch.export.default_decompositions(), **_MEANS_OVER_CELLS})
            program = torch.onnx.export(
                graph, dynamo=True, input_names=[name], output_names=outputs, opset_version=18, verbose=False
            )
            cast(Any, program).save(str(path))
    except Exception as error:  # torch.export and onnxscript raise many types
        reason = " ".join(str(error).split())[:300]
        raise ExportError(f"{kind} cannot be written as ONNX: {reason}") from error


def _means_over_cells(images: Tensor, cells: Sequence[int]) -> Tensor:
    """What adaptive average pooling computes, which ONNX has for whole multiples only: [S, C, *G] to [S, C, *cells].

    Cell i of n along an axis of m is the mean of ⌊i·m/n⌋ to ⌈(i+1)·m/n⌉.
    """
    for axis, count in enumerate(cells, start=images.ndim - len(cells)):
        size = images.shape[axis]
        edges = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
        images = torch.cat([images.narrow(axis, a, b - a).mean(axis, keepdim=True) for a, b in edges], axis)
    return images


_MEANS_OVER_CELLS = {
    torch.ops.aten._adaptive_avg_pool2d.default: _means_over_cells,
    torch.ops.aten._adaptive_avg_pool3d.default: _means_over_cells,
}


def _fixed_length(source: Source) -> bool:
    """Whether the tokenizer pads every text to the same length."""
    lengths = {source.encoder.text.tokenizer.encode([text])[0].shape[1] for text in ("a", "a b c d e f g h i j")}
    return len(lengths) == 1


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's running commentary."""
    with logging_level(logging.ERROR), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
