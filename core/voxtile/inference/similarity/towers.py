"""Vision transformers of open_clip, timm and transformers as `PatchTransformer`, and CLIP's ResNets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from voxtile.inference.similarity.attention import (
    Attention,
    AttentionPool,
    Block,
    Map,
    PatchTransformer,
    halves,
    of_torch,
    thirds,
)


def of_open_clip(visual: Any, project: Map) -> PatchTransformer | None:  # noqa: ANN401 - open_clip is imported late
    """The image part of an open_clip model; None where it is no transformer whose attention is known.

    Args:
        visual: `VisionTransformer` or `TimmModel` of open_clip.
        project: what the dual encoder does to the tower's output.
    """
    from open_clip.timm_model import TimmModel
    from open_clip.transformer import ResidualAttentionBlock, VisionTransformer

    if isinstance(visual, TimmModel):
        head: Map = visual.head
        return of_timm(visual.trunk, lambda x: project(head(x)), visual)
    if not isinstance(visual, VisionTransformer):
        return None
    blocks = list(visual.transformer.resblocks)
    if not all(type(block) is ResidualAttentionBlock for block in blocks):
        return None
    if visual.attn_pool is not None and (visual.attn_pool_contrastive is not None or visual.pool_type != "tok"):
        return None

    def finished(x: Tensor) -> Tensor:
        return project(visual.ln_post(x) @ visual.proj)

    return PatchTransformer(
        run=visual,
        blocks=[
            Block(block, block.ln_1, of_torch(block.attn), _residual(block.ls_1, block.ln_2, block.mlp, block.ls_2))
            for block in blocks
        ],
        prefix=1,
        grid=tuple(visual.grid_size),
        project=finished,
        last=nn.Identity() if visual.attn_pool is None else visual.attn_pool.ln_k,
        pool=None if visual.attn_pool is None else _coca_pool(visual.attn_pool),
    )


def of_timm(trunk: Any, project: Map, run: Map) -> PatchTransformer | None:  # noqa: ANN401
    """A vision transformer of timm; None where it is of another kind, such as one with rotary positions.

    Args:
        trunk: the model.
        project: what comes after it.
        run: the whole tower.
    """
    from timm.layers.attention import Attention as TimmAttention
    from timm.layers.attention_pool import AttentionPoolLatent
    from timm.models.vision_transformer import Block as TimmBlock
    from timm.models.vision_transformer import VisionTransformer

    if not isinstance(trunk, VisionTransformer):
        return None
    blocks: list[Any] = list(trunk.blocks)
    plain = all(type(b) is TimmBlock and type(b.attn) is TimmAttention and b.attn.gate is None for b in blocks)
    pool: Any = trunk.attn_pool
    prefix = int(trunk.num_prefix_tokens)
    if not plain or (pool is not None and (type(pool) is not AttentionPoolLatent or prefix)):
        return None

    def finished(x: Tensor) -> Tensor:
        return project(trunk.head(trunk.fc_norm(x)))

    def before_pool(x: Tensor) -> Tensor:
        return x if pool is None or pool.pos_embed is None else x + pool.pos_embed

    return PatchTransformer(
        run=run,
        blocks=[Block(b, b.norm1, _timm_attention(b.attn), _residual(b.ls1, b.norm2, b.mlp, b.ls2)) for b in blocks],
        prefix=prefix,
        grid=tuple(trunk.patch_embed.grid_size),
        project=(lambda x: finished(trunk.norm(x))) if pool is None else finished,
        last=lambda x: before_pool(trunk.norm(x)),
        pool=None if pool is None else _latent_pool(pool),
    )


def of_transformers(model: Any) -> PatchTransformer | None:  # noqa: ANN401 - transformers has no types
    """CLIP or SigLIP of transformers; None for models of another kind."""
    vision = getattr(model, "vision_model", None)
    kind = str(model.config.model_type)
    if kind not in ("clip", "siglip") or vision is None:
        return None
    side = int(vision.config.image_size) // int(vision.config.patch_size)
    blocks = [
        Block(
            layer, layer.layer_norm1, _projected(layer.self_attn), _residual(None, layer.layer_norm2, layer.mlp, None)
        )
        for layer in vision.encoder.layers
    ]
    after: Map = vision.post_layernorm
    if kind == "clip":
        return PatchTransformer(
            run=lambda images: vision(pixel_values=images).pooler_output,
            blocks=blocks,
            prefix=1,
            grid=(side, side),
            project=lambda x: model.visual_projection(after(x)),
        )
    if not vision.use_head:
        return None
    head = vision.head
    return PatchTransformer(
        run=lambda images: vision(pixel_values=images).pooler_output,
        blocks=blocks,
        prefix=0,
        grid=(side, side),
        project=nn.Identity(),
        last=after,
        pool=AttentionPool(head.probe, of_torch(head.attention), lambda x: x + head.mlp(head.layernorm(x))),
    )


def _residual(
    scale_1: nn.Module | None, norm: nn.Module, feed: nn.Module, scale_2: nn.Module | None
) -> Callable[[Tensor, Tensor], Tensor]:
    first, second = scale_1 or nn.Identity(), scale_2 or nn.Identity()

    def after(x: Tensor, mixed: Tensor) -> Tensor:
        x = x + first(mixed)
        return x + torch.as_tensor(second(feed(norm(x))))

    return after


def _timm_attention(attention: Any) -> Attention:  # noqa: ANN401
    def out(x: Tensor) -> Tensor:
        return torch.as_tensor(attention.proj(attention.norm(x)))

    return Attention(attention.num_heads, *thirds(attention.qkv), out, attention.q_norm, attention.k_norm)


def _latent_pool(pool: Any) -> AttentionPool:  # noqa: ANN401
    attention = Attention(pool.num_heads, pool.q, *halves(pool.kv), pool.proj, pool.q_norm, pool.k_norm)
    feed = pool.mlp
    return AttentionPool(pool.latent, attention, nn.Identity() if feed is None else lambda x: x + feed(pool.norm(x)))


def _coca_pool(pool: Any) -> AttentionPool:  # noqa: ANN401
    return AttentionPool(pool.ln_q(pool.query[:1]).detach()[None], of_torch(pool.attn))


def _projected(attention: Any) -> Attention:  # noqa: ANN401
    return Attention(attention.num_heads, attention.q_proj, attention.k_proj, attention.v_proj, attention.out_proj)
