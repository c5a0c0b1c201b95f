"""Pairs whose text side has a tokenizer of its own: CT-CLIP, HLIP, Merlin, COLIPRI and CONCH."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor, nn

from voxtile.console import note
from voxtile.data.presets.published.preset import published_preset
from voxtile.data.presets.published.table import PublishedModel
from voxtile.errors import CheckpointError
from voxtile.inference.encoder_model import EncoderModel
from voxtile.inference.published.weights import LEFT_OUT, refuse_unfit
from voxtile.models.dual import DualEncoder
from voxtile.models.hub import colipri, conch, ct_clip, merlin, report_texts
from voxtile.models.hub.weights import load_report, read_weights
from voxtile.models.image import hlip
from voxtile.models.tower import ImageTower, TextTower

_ENDINGS = (".pt", ".pth", ".bin", ".safetensors", ".ckpt")
_POOLER = r"text\.transformer\.pooler\..*|text\.backbone\.pooler\..*"


@dataclass(frozen=True)
class ReportPair:
    """How the two towers of a model are made, and what its file calls them.

    Attributes:
        image: makes the image tower.
        text: makes the text tower with a tokenizer from a folder or the hub.
        named: key of the file, without wrappers of training code, → `image.…`, `text.…` or `logit_scale`.
        left_out: pattern of such keys that are not used.
        scale: what cosines are multiplied by, of what the file holds.
    """

    image: Callable[[], ImageTower]
    text: Callable[[str], TextTower]
    named: Callable[[str], str]
    left_out: str = ""
    scale: Callable[[float], float] = math.exp


def _renamed(*rules: tuple[str, str]) -> Callable[[str], str]:
    """The first of the rules (beginning → new beginning) that fits; other keys stay as they are."""

    def named(key: str) -> str:
        return next((new + key.removeprefix(old) for old, new in rules if key.startswith(old)), key)

    return named


def _ct_clip_key(key: str) -> str:
    text = {
        "text_transformer.": "text.transformer.", "to_text_latent.": "text.projection.", "temperature": "logit_scale"
    }  # fmt: skip
    if key.startswith(("visual_transformer.", "to_visual_latent.")):
        return f"image.{ct_clip.own_key(key)}"
    return _renamed(*text.items())(key)


def _merlin_key(key: str) -> str:
    text = {"encode_text.text_encoder.": "text.transformer.", "encode_text.linear_layer.": "text.projection."}
    is_image = not key.startswith(("encode_text.", "logit_scale"))
    return f"image.{merlin.own_key(key)}" if is_image else _renamed(*text.items())(key)


PAIRS: Mapping[str, ReportPair] = MappingProxyType(
    {
        "ct-clip": ReportPair(
            lambda: ct_clip.CtClipImage(),
            lambda place: report_texts.BertText(folder=place, title="CT-CLIP"),
            _ct_clip_key,
            rf"image\.({ct_clip.NOT_READ})|to_(text|visual)_latent_extra\..*",
        ),
        "hlip": ReportPair(
            lambda: hlip.HlipImage(),
            lambda place: report_texts.BertText(folder=place, title="HLIP"),
            _renamed(
                ("visual.trunk.spatial_posemb", "image.trunk.position.table"),
                ("visual.head.proj.", "image.head."),
                ("visual.", "image."),
                ("text.proj.", "text.projection."),
            ),
        ),
        "merlin": ReportPair(
            lambda: merlin.MerlinImage(),
            lambda place: report_texts.MerlinText(folder=place),
            _merlin_key,
            r"image\.classifier\..*",
        ),
        "colipri": ReportPair(
            lambda: colipri.ColipriImage(),
            lambda place: colipri.ColipriText(folder=place),
            _renamed(("image_encoder.", "image."), ("text_encoder.", "text."), ("softmax_temperature", "logit_scale")),
            rf"image\.({colipri.NOT_READ})",
            colipri.logit_scale,
        ),
        "conch": ReportPair(
            lambda: conch.ConchTower(projected=True),
            lambda place: conch.ConchText(folder=place),
            _renamed(("visual.", "image."), ("text.", "text.transformer.")),
            r"image\.(attn_pool_caption|ln_caption)\..*|text_decoder\..*",
        ),
    }
)


def report_pair(
    model: PublishedModel, name: str, weights: Path, tokenizer_folder: Path, device: torch.device
) -> EncoderModel:
    """Both towers of a model with its file of weights.

    Args:
        model: of the table; its `tower` names the pair, and where on the hub its tokenizer is.
        name: how tables call it.
        weights: the file.
        tokenizer_folder: where its tokenizer may be; else that of the hub is taken.
        device: where it shall run.

    Raises:
        CheckpointError: the file cannot be read or is of another architecture, or there is no tokenizer.
    """
    pair = PAIRS[model.tower["pair"]]
    tokenizer = report_texts.tokenizer_place(tokenizer_folder, model.tower.get("tokenizer", str(tokenizer_folder)))
    image, text = pair.image(), pair.text(tokenizer)
    state = _named(read_weights(weights), pair)
    if isinstance(text, report_texts.BertText):
        words = state.get("text.transformer.embeddings.word_embeddings.weight")
        report_texts.resized_words(text.transformer, None if words is None else len(words))
    both = _Both(image, text)
    left_out = "|".join(part for part in (LEFT_OUT, _POOLER, pair.left_out) if part)
    refuse_unfit(both, state, str(weights), model.title, ignored=left_out, optional=_OF_BUFFERS)
    note(str(load_report(both, state, str(weights), ignored=left_out, optional=_OF_BUFFERS)))
    scale = pair.scale(float(both.logit_scale.detach()))
    text.pair_scale = scale
    encoder = DualEncoder(image=image, text=text, embed_dim=image.width, project=False, logit_scale="pretrained")
    return EncoderModel(name, encoder.to(device), published_preset(model.name))


_OF_BUFFERS = r".*(num_batches_tracked|position_ids|token_type_ids|\.rope\.\w+)"  # numbers that libraries keep or not


class _Both(nn.Module):
    def __init__(self, image: ImageTower, text: TextTower) -> None:
        super().__init__()
        self.image, self.text = image, text
        self.logit_scale = nn.Parameter(torch.zeros(()))


def _named(state: Mapping[str, Tensor], pair: ReportPair) -> dict[str, Tensor]:
    found = {pair.named(re.sub(r"^(module|_orig_mod)\.", "", key)): value for key, value in state.items()}
    table = found.get("image.trunk.position.table")
    if table is not None and table.ndim == 5:  # HLIP's positions by axes
        found["image.trunk.position.table"] = table.flatten(1, 3)
    if (scale := found.get("logit_scale")) is not None:
        found["logit_scale"] = scale.reshape(())
    return found


def weights_in(folder: Path, model: PublishedModel) -> Path:
    """The one file of weights in a folder.

    Raises:
        CheckpointError: there is none, or several.
    """
    found = sorted(path for path in folder.iterdir() if path.suffix in _ENDINGS)
    if len(found) != 1:
        many = f"{len(found)} files of weights ({', '.join(path.name for path in found[:3])})" if found else "no file"
        raise CheckpointError(
            f"the folder '{folder}' has {many} of {model.title}; name the file: hub:{model.name}/FOLDER/FILE"
        )
    return found[0]
