"""Local features of open_clip's models, in the space of its embeddings: each goes through the model's own projection.

Shape letters: S images, T texts, N places of an image, L tokens of a text, W features, D the width of the embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.types import Encoded

Map = Callable[[Tensor], Tensor]


def image_with_tokens(visual: Any, images: Tensor, name: str) -> Encoded:  # noqa: ANN401 - open_clip is imported late
    """Embedding and local features of images.

    Args:
        visual: image part of an open_clip model.
        images: [S, C, Y, X].
        name: of the model, for messages.

    Returns:
        `pooled` [S, D] as the model itself gives it, `tokens` [S, N, D] of the patches of a transformer (without its
        class token) or the places of a last map, and their `grid`.

    Raises:
        ConfigError: the model pools by queries (CoCa), drops patches, or is of a kind that is not known.
    """
    reader = _READERS.get(type(visual).__name__)
    if reader is None or not type(visual).__module__.startswith("open_clip."):
        raise _without(name, f"a {type(visual).__name__} of open_clip is of no known kind")
    encoded: Encoded = reader(visual, images, name)
    assert encoded.tokens is not None
    assert encoded.grid is not None
    wanted = (len(images), encoded.grid[0] * encoded.grid[1], encoded.pooled.shape[1])
    if encoded.tokens.shape != wanted:
        raise _without(name, f"its features are {tuple(encoded.tokens.shape)} and not {wanted}")
    return encoded


def text_with_tokens(part: Any, pooled: Tensor, words: Tensor, tokens: Tensor) -> Encoded:  # noqa: ANN401
    """What an open_clip text part gave, its words projected as the text is.

    Args:
        part: `TextTransformer` or `HFTextEncoder`, with `output_tokens` set.
        pooled: [T, D].
        words: [T, L or L − 1, W]; of a model that pools its first token without that.
        tokens: [T, L], 0 being padding.
    """
    real = tokens.ne(0).flip(1).cummax(1).values.flip(1)  # up to the last one: in CLIP's vocabulary 0 is a "!"
    if hasattr(part, "proj"):
        projected: Tensor = part.proj(words)
    else:
        words = words if part.cls_emb is None else part.ln_final(words)
        projected = _times(words, part.text_projection)
    return Encoded(pooled, projected, None, real[:, real.shape[1] - words.shape[1] :])


def resnet_values(visual: nn.Module) -> Map | None:
    """[S, W, *g] last feature map of a CLIP ResNet to [S, N, D] by the values of its attention pool.

    As in MaskCLIP's code, without the positions that the pool adds. None for other models.
    """
    from open_clip.modified_resnet import ModifiedResNet

    if not isinstance(visual, ModifiedResNet):
        return None
    pool: Any = visual.attnpool
    return lambda features: torch.as_tensor(pool.c_proj(pool.v_proj(features.flatten(2).transpose(1, 2))))


def _of_transformer(visual: Any, images: Tensor, name: str) -> Encoded:  # noqa: ANN401
    if visual.attn_pool is not None:
        raise _without(name, "it pools its patches by queries, as CoCa does")
    found = visual.forward_intermediates(images, indices=1, output_fmt="NLC")
    tokens = _times(visual.ln_post(found["image_intermediates"][0]), visual.proj)
    grid = tuple(n // p for n, p in zip(images.shape[2:], visual.patch_size, strict=True))
    return Encoded(found["image_features"], tokens, grid)


def _of_timm(visual: Any, images: Tensor, name: str) -> Encoded:  # noqa: ANN401
    trunk, head = visual.trunk, visual.head
    if "pool" in head._modules:
        raise _without(name, "it pools its last map by an attention of open_clip's own")
    features: Tensor = trunk.forward_features(images)
    pooled = head(trunk.forward_head(features))
    if features.ndim == 3:
        if not hasattr(trunk, "fc_norm"):
            raise _without(name, f"the tokens of a {type(trunk).__name__} of timm have no projection of their own")
        tokens = head(trunk.head(trunk.fc_norm(features[:, int(getattr(trunk, "num_prefix_tokens", 0)) :])))
        return Encoded(pooled, tokens, tuple(trunk.patch_embed.grid_size))
    last = getattr(trunk, "output_fmt", "NCHW") == "NHWC"
    maps = features if last else features.permute(0, 2, 3, 1)
    places = maps.flatten(0, 2)  # each as a map of one place, which is its own mean
    places = places[:, None, None] if last else places[:, :, None, None]
    tokens = head(trunk.forward_head(places)).view(len(images), -1, pooled.shape[1])
    return Encoded(pooled, tokens, tuple(maps.shape[1:3]))


def _of_resnet(visual: Any, images: Tensor, name: str) -> Encoded:  # noqa: ANN401
    features = visual.layer4(visual.layer3(visual.layer2(visual.layer1(visual.stem(images)))))
    values = resnet_values(visual)
    assert values is not None
    return Encoded(visual.attnpool(features), values(features), tuple(features.shape[2:]))


_READERS: Mapping[str, Callable[[Any, Tensor, str], Encoded]] = MappingProxyType(
    {"VisionTransformer": _of_transformer, "TimmModel": _of_timm, "ModifiedResNet": _of_resnet}
)


def _times(x: Tensor, projection: Tensor | nn.Module | None) -> Tensor:
    """Projected by a matrix or a module, where there is one."""
    if projection is None:
        return x
    return torch.as_tensor(projection(x)) if isinstance(projection, nn.Module) else x @ projection


def _without(name: str, reason: str) -> ConfigError:
    return ConfigError(
        f"open_clip's '{name}' gives no local features: {reason}; take another model for objectives that need tokens, "
        "such as ViT-B-32, or a tower such as ViTTower or TimmTower"
    )
