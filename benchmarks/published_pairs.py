"""Vectors that the code of CT-CLIP, COLIPRI, CONCH and Merlin makes, narrow and filled at random, for the tests.

The code is not part of this repository. With an environment and sources as in published_models.py, and beside them

    peers/bin/pip install vector-quantize-pytorch==1.1.2 timm==1.0.15 dynamic-network-architectures==0.4.4 \
        beartype nltk
    peers/bin/python benchmarks/published_pairs.py sources tests/core/data/published_pairs.json

timm's later rotary places are of two axes alone, and COLIPRI's code needs three. CT-CLIP's code asks for a card by
name; that word alone is changed, to the processor.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

_HERE = Path(__file__).parent


def _module(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


INPUTS = _module("published_inputs", _HERE.parent / "tests" / "support" / "published_inputs.py")
NARROW_BERT: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 96,
    "vocab_size": 320,
}


def fill(model: torch.nn.Module) -> dict[str, list[int]]:
    """Fill a model and return its layout."""
    shapes = {key: list(value.shape) for key, value in model.state_dict().items() if value.is_floating_point()}
    model.load_state_dict({k: torch.from_numpy(v) for k, v in INPUTS.filled(shapes).items()}, strict=False)
    return shapes


def under(name: str, model: torch.nn.Module) -> torch.nn.Module:
    """A model whose keys begin with a name, as in the file."""
    whole = torch.nn.Module()
    whole.add_module(name, model)
    return whole


def kept(shapes: dict[str, list[int]], **arrays: Any) -> dict[str, Any]:
    """What the tests need of a model."""
    return {"layout": shapes, **{name: np.asarray(value.detach()).round(6).tolist() for name, value in arrays.items()}}


def words() -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and their mask."""
    tokens = torch.tensor(INPUTS.WORDS)
    return tokens, (tokens != 0).long()


def on_the_processor(name: str, path: Path) -> Any:
    """A module of CT-CLIP, which then asks for no card."""
    module = types.ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    source = path.read_text("utf-8").replace("torch.device('cuda')", "torch.device('cpu')")
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module


def ct_clip(sources: Path) -> dict[str, Any]:
    """CT-CLIP with slabs of 10 slices, a plane of 2 × 2 patches and 32 codes."""
    import transformers

    root = sources / "CT-CLIP" / "transformer_maskgit" / "transformer_maskgit"
    package = types.ModuleType("transformer_maskgit")
    package.__path__ = [str(root)]
    sys.modules["transformer_maskgit"] = package
    on_the_processor("transformer_maskgit.attention", root / "attention.py")
    vit = on_the_processor("transformer_maskgit.ctvit", root / "ctvit.py")
    sys.path.insert(0, str(sources / "CT-CLIP" / "CT_CLIP"))
    tokenizer: Any = transformers.BertTokenizer
    tokenizer.from_pretrained = lambda *given, **more: None
    package = types.ModuleType("ct_clip")
    package.__path__ = [str(sources / "CT-CLIP" / "CT_CLIP" / "ct_clip")]
    sys.modules["ct_clip"] = package
    from ct_clip.ct_clip import CTCLIP

    image = vit.CTViT(
        dim=64, codebook_size=32, image_size=40, patch_size=20, temporal_patch_size=10, spatial_depth=2,
        temporal_depth=2, dim_head=16, heads=2,
    )  # fmt: skip
    text = transformers.BertModel(transformers.BertConfig(**NARROW_BERT))
    model = CTCLIP(
        image_encoder=image, text_encoder=text, dim_image=2 * 2 * 64, dim_text=48, dim_latent=32, use_mlm=False,
        extra_latent_projection=False, downsample_image_embeds=False, use_all_token_embeds=False,
    ).eval()  # fmt: skip
    shapes = fill(model)
    tokens, mask = words()
    given = types.SimpleNamespace(input_ids=tokens, attention_mask=mask)
    scans = torch.from_numpy(INPUTS.volume(30, 40, 40)).repeat(2, 1, 1, 1, 1)
    scans[1] = scans[1].flip(1)
    with torch.no_grad():
        texts, images, _ = model(given, scans, device=torch.device("cpu"), return_latents=True)
    return kept(shapes, image=images, text=texts)


def colipri(sources: Path) -> dict[str, Any]:
    """COLIPRI with two blocks of 48 on a grid of three different sides."""
    from colipri.model.image import ImageEncoder
    from colipri.model.multimodal import Model
    from colipri.model.text import TextEncoder
    from colipri.pooling import AttentionPool1D
    from dynamic_network_architectures.architectures.primus import Primus
    from transformers import BertConfig, BertModel

    backbone = Primus(
        input_channels=1, num_classes=1, eva_depth=2, eva_numheads=2, embed_dim=48, patch_embed_size=(8, 8, 8),
        input_shape=(16, 24, 32), use_rot_pos_emb=True, use_abs_pos_embed=False, drop_path_rate=0.2, init_values=0.1,
        scale_attn_inner=True, num_register_tokens=0,
    )  # fmt: skip
    image = ImageEncoder(backbone, torch.nn.Conv3d(48, 48, 1), AttentionPool1D(48, 2))
    bert = BertModel(BertConfig(**NARROW_BERT))
    bert.pooler = None
    model = Model(image, TextEncoder(bert, AttentionPool1D(48, 2))).eval()
    shapes = fill(model)
    tokens, mask = words()
    scan = torch.from_numpy(INPUTS.volume(16, 24, 32))
    with torch.no_grad():
        pooled = model.encode_image(scan, pool=True, project=True, normalize=True)
        dense = model.encode_image(scan, pool=False, project=True)
        return kept(shapes, image=pooled, dense=dense[0, :, 1, 2, 3], text=model.encode_text(tokens, mask))


def conch(sources: Path) -> dict[str, Any]:
    """CONCH's text tower with two blocks of 64, of its own length."""
    folder = sources / "CONCH" / "conch" / "open_clip_custom"
    package = types.ModuleType("open_clip_custom")
    package.__path__ = [str(folder)]
    sys.modules["open_clip_custom"] = package
    own = _module("open_clip_custom.transformer", folder / "transformer.py")
    model = own.TextTransformer(
        context_length=128, vocab_size=320, width=64, heads=2, layers=2, output_dim=32, embed_cls=True,
        output_tokens=True,
    ).eval()  # fmt: skip
    shapes = fill(under("text", model))
    tokens, _ = words()
    with torch.no_grad():
        pooled, _ = model(torch.nn.functional.pad(tokens, (0, 127 - tokens.shape[1])))
    return kept(shapes, text=pooled)


def merlin(sources: Path) -> dict[str, Any]:
    """Merlin's text side with one block of a narrow Longformer, and what it makes of texts first."""
    from transformers import LongformerConfig, LongformerModel

    path = Path(importlib.util.find_spec("merlin").origin).parent / "models" / "build.py"  # type: ignore[union-attr, arg-type]
    published = _module("published_models", _HERE / "published_models.py")
    from nltk.tokenize import wordpunct_tokenize

    given = {"nn": torch.nn, "wordpunct_tokenize": wordpunct_tokenize, "AutoModel": None, "AutoTokenizer": None}
    code = published.defined_in(path, {"TextEncoder", "sanitize_report"}, given)
    encoder = code["TextEncoder"].__new__(code["TextEncoder"])
    torch.nn.Module.__init__(encoder)
    options = {**NARROW_BERT, "attention_window": 4, "max_position_embeddings": 66, "type_vocab_size": 1}
    encoder.text_encoder = LongformerModel(LongformerConfig(**options, pad_token_id=1))
    encoder.linear_layer = torch.nn.Linear(48, 512)
    shapes = fill(under("encode_text", encoder.eval()))
    own = torch.tensor(INPUTS.WORDS)
    own = torch.where(own == 0, 1, own)  # its padding
    encoder.tokenizer = lambda texts, **more: {"input_ids": own, "attention_mask": (own != 1).long()}
    with torch.no_grad():
        vectors = encoder(list(INPUTS.REPORTS))
    found = kept(shapes, text=vectors)
    return found | {"texts": [code["sanitize_report"](text) for text in INPUTS.REPORTS]}


def main() -> None:
    """Write the vectors of all of them."""
    sources, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    found = {}
    for make in (ct_clip, colipri, conch, merlin):
        found[make.__name__.replace("_", "-")] = make(sources)
        print(make.__name__, len(found[make.__name__.replace("_", "-")]["layout"]), "keys", flush=True)
    rows = [f'"{name}": {json.dumps(row)}' for name, row in found.items()]
    out.write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main()
