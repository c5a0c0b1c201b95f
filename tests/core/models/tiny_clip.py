"""A CLIP of transformers that is small enough to be made for a test."""

from pathlib import Path

import pytest
import torch


def tiny_clip(target: Path) -> Path:
    """Write one with random weights, its processor and its tokenizer, and return the folder."""
    transformers = pytest.importorskip("transformers")
    from tests.core.models.test_huggingface import tokenizer

    text = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "pad_token_id": 0}
    text |= {"intermediate_size": 32, "max_position_embeddings": 12, "eos_token_id": 2}
    vision = {"image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 1}
    vision |= {"num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    transformers.CLIPModel(config).save_pretrained(target)
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor.save_pretrained(target)
    tokenizer().save_pretrained(target)
    return target
