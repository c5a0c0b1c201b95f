"""Models of strangers: checkpoints, weights, tokenizers, exports, folders of other libraries."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import cache

import safetensors.torch
import torch
from target import Target, as_text, file_of, texts

from voxtile.errors import ExportError
from voxtile.inference.huggingface_pair import _refuse_own_code
from voxtile.inference.onnx_pair import OnnxPair, session
from voxtile.models.hub.safe_loading import load_tensors
from voxtile.models.tokenizer import SubwordTokenizer
from voxtile.training.checkpoint import read_checkpoint
from voxtile.training.foreign_model import check_model
from voxtile.training.module import ContrastiveModule


def _checkpoint(data: bytes) -> None:
    content = read_checkpoint(file_of(data, "models/a.ckpt"))
    check_model(content.get("voxtile_model"), ContrastiveModule, "a.ckpt")


def _described(data: bytes) -> None:
    check_model(json.loads(data), ContrastiveModule, "a.ckpt")


def _tokenizer(data: bytes) -> None:
    found = SubwordTokenizer(context=8)
    found.from_json(as_text(data))
    found.encode(["a nodule"])


def _export(data: bytes) -> None:
    folder = file_of(data, "export/voxtile.json").parent
    for part in ("image", "text"):
        if not (folder / f"{part}.onnx").is_file():
            (folder / f"{part}.onnx").write_bytes(_graph())
            (folder / "tokenizer.json").write_bytes(_tokenizers()[0])
    OnnxPair(folder)


def _hub(data: bytes) -> None:
    _refuse_own_code(file_of(data, "hub/config.json").parent)


_TOWER = {
    "class_path": "voxtile.models.ConvTower",
    "init_args": {"dimensions": 2, "widths": [8], "blocks": [1], "width": 8},
}
_MODEL = {
    "encoder": {"image": _TOWER, "text": {"class_path": "voxtile.models.TextBag", "init_args": {"vocabulary": 300}}},
    "objectives": {"contrastive": {"class_path": "voxtile.objectives.Contrastive", "init_args": {"kind": "sigmoid"}}},
    "weights": {"contrastive": 1.0}, "optimizer": {"lr": 1e-3}, "batch": {"global": 8, "micro": 4},
}  # fmt: skip
_SETTINGS = {
    "format": 1, "logit_scale": 1.0, "facts": [], "tokenizer": {"kind": "tokenizers", "padding": 0},
    "preset": {"class_path": "voxtile.data.ImagePreset",
               "init_args": {"size": [8, 8], "channels": 1, "mean": [0.5], "std": [0.5]}},
}  # fmt: skip


def _checkpoints() -> Iterator[bytes]:
    content = {"voxtile_format": 1, "voxtile_model": _MODEL, "state_dict": {"a": torch.zeros(3)}}
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        stream = io.BytesIO()
        torch.save(content, stream, **options)
        yield stream.getvalue()


@cache
def _tokenizers() -> list[bytes]:
    own = SubwordTokenizer(vocabulary=270, context=8)
    own.train(["a nodule", "no nodule of the lung"])
    return [str(own.to_json()).encode()]


TARGETS = (
    Target("checkpoint", _checkpoint, _checkpoints),
    Target("model in a checkpoint", _described, texts(json.dumps(_MODEL)), (ValueError, RecursionError)),
    Target(
        "safetensors",
        lambda data: load_tensors(file_of(data, "models/a.safetensors"), "weights", "fetch them again"),
        lambda: [safetensors.torch.save({"a": torch.zeros(3), "b": torch.ones(2, 2)})],
    ),
    Target("tokenizer", _tokenizer, _tokenizers),
    Target("settings of an export", _export, texts(json.dumps(_SETTINGS))),
    Target("ONNX graph", lambda data: session(file_of(data, "models/a.onnx")), lambda: [_graph()], (ExportError,)),
    Target(
        "config of a hub's model", _hub, texts('{"model_type": "clip"}', '{"auto_map": {"AutoModel": "own.Model"}}')
    ),
)


def _graph() -> bytes:
    """Y = x + x, as ONNX."""
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", value[:1], value[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())
