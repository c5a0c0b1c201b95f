"""Weights of published pairs in the keys of open_clip's towers, every key accounted for."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from voxtile.errors import CheckpointError
from voxtile.models.hub.weights import LoadReport, bare_key, load_report, read_weights

_SHOWN = 3
# Of an open_clip file the keys of the text tower that have no prefix of their own there.
_BARE_TEXT = re.compile(r"(positional_embedding|token_embedding\.|transformer\.|ln_final\.|text_projection)")
LEFT_OUT = r"(.*\.)?(position_ids|attn_mask|input_resolution|context_length|vocab_size)"
"""What training code and older libraries put beside weights: numbers that the architecture knows."""

_BLOCK = r"(text|vision)_model\.encoder\.layers\.(\d+)\."
_QUERY_KEY_VALUE = re.compile(_BLOCK + r"self_attn\.([qkv])_proj\.(weight|bias)")
# transformers' CLIP to open_clip's, in order; the first that fits is taken.
_RENAMED = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (_BLOCK + r"self_attn\.out_proj\.(.*)", r"\1.transformer.resblocks.\2.attn.out_proj.\3"),
        (_BLOCK + r"layer_norm([12])\.(.*)", r"\1.transformer.resblocks.\2.ln_\3.\4"),
        (_BLOCK + r"mlp\.fc1\.(.*)", r"\1.transformer.resblocks.\2.mlp.c_fc.\3"),
        (_BLOCK + r"mlp\.fc2\.(.*)", r"\1.transformer.resblocks.\2.mlp.c_proj.\3"),
        (r"text_model\.embeddings\.token_embedding\.weight", "text.token_embedding.weight"),
        (r"(text|vision)_model\.embeddings\.position_embedding\.weight", r"\1.positional_embedding"),
        (r"text_model\.final_layer_norm\.(.*)", r"text.ln_final.\1"),
        (r"vision_model\.embeddings\.class_embedding", "vision.class_embedding"),
        (r"vision_model\.embeddings\.patch_embedding\.weight", "vision.conv1.weight"),
        (r"vision_model\.pre_layrnorm\.(.*)", r"vision.ln_pre.\1"),  # their spelling
        (r"vision_model\.post_layernorm\.(.*)", r"vision.ln_post.\1"),
        (r"visual_projection\.weight", "vision.proj"),
        (r"text_projection\.weight", "text.text_projection"),
    )
)
_TURNED = ("vision.proj", "text.text_projection")  # a matrix there, a linear layer here


class Pair(nn.Module):
    """Both towers of an open_clip model under the names of its files.

    Args:
        visual: the image part.
        text: the text part.
    """

    def __init__(self, visual: nn.Module, text: nn.Module) -> None:
        super().__init__()
        self.visual, self.text = visual, text
        self.logit_scale = nn.Parameter(torch.zeros(()))


def from_transformers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of transformers' `CLIPModel` in open_clip's names; keys that are none of its stay as they are."""
    made: dict[str, Tensor] = {}
    joined: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        if found := _QUERY_KEY_VALUE.fullmatch(key):
            tower, block, part, kind = found.groups()
            joined.setdefault(f"{tower}.transformer.resblocks.{block}.attn.in_proj_{kind}", {})[part] = value
            continue
        name = next((pattern.sub(new, key) for pattern, new in _RENAMED if pattern.fullmatch(key)), key)
        made[name] = value.T if name in _TURNED else value
    for name, parts in joined.items():
        if set(parts) == set("qkv"):
            made[name] = torch.cat([parts[part] for part in "qkv"])
    return {re.sub(r"^vision\.", "visual.", name): value for name, value in made.items()}


def from_open_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of an open_clip or OpenAI file with the text tower under `text.`, without training code's prefixes."""
    bare = {re.sub(r"^(module|_orig_mod|model)\.", "", key): value for key, value in state.items()}
    return {f"text.{key}" if _BARE_TEXT.match(key) else key: value for key, value in bare.items()}


def load_pair(pair: Pair, path: str, *, layout: str, title: str) -> LoadReport:
    """Load a file into both towers.

    Args:
        pair: its weights are replaced.
        path: of the file.
        layout: `open_clip` or `transformers`.
        title: how the model is called, for messages.

    Raises:
        CheckpointError: it cannot be read, or does not fit; the message names the first keys at fault.
    """
    content = read_weights(path)
    state = from_transformers(content) if layout == "transformers" else from_open_clip(content)
    refuse_unfit(pair, state, path, title)
    return load_report(pair, state, path, ignored=LEFT_OUT)


def refuse_unfit(
    model: nn.Module,
    state: Mapping[str, Tensor],
    path: str,
    title: str,
    *,
    optional: str = "",
    ignored: str = LEFT_OUT,
) -> None:
    """Refuse weights of another architecture in one sentence.

    Raises:
        CheckpointError: names the first keys that do not fit.
    """
    own = model.state_dict()
    given = {bare_key(key, own): value for key, value in state.items()}
    wrong = [f"{key} is missing" for key in own if key not in given and not re.fullmatch(optional, key)]
    wrong += [
        f"{key} is {tuple(given[key].shape)} and not {tuple(value.shape)}"
        for key, value in own.items()
        if key in given and given[key].shape != value.shape
    ]
    wrong += [f"{key} is unknown to it" for key in given if key not in own and not re.fullmatch(ignored, key)]
    if wrong:
        more = f", and {len(wrong) - _SHOWN} more keys" if len(wrong) > _SHOWN else ""
        raise CheckpointError(
            f"the weights '{path}' are not those of {title}: {', '.join(wrong[:_SHOWN])}{more}; give the file that "
            "docs/models.md names, or the model that this file is of"
        )
