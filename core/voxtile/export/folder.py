"""The folder of an export: settings and model card beside the weights, in place only when all of it is proven."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import voxtile
from voxtile.corpus.drafts import draft_folder
from voxtile.errors import ExportError, cause_of
from voxtile.evaluation.provenance import file_hash
from voxtile.export.comparison import LIMIT, Comparison, Loss
from voxtile.export.source import Source
from voxtile.export.tokenizer import Standalone
from voxtile.inference.onnx_pair import CARD, FORMAT, SETTINGS, TOKENIZER
from voxtile.models.hub.openclip import OpenClipTokenizer

_LOADING = {
    "open_clip": """import open_clip

model, preprocess = open_clip.create_model_from_pretrained("local-dir:FOLDER")
tokenizer = open_clip.get_tokenizer("local-dir:FOLDER")""",
    "huggingface": """from transformers import AutoModel, AutoTokenizer

model = AutoModel.from_pretrained("FOLDER")
tokenizer = AutoTokenizer.from_pretrained("FOLDER")""",
    "onnx": """import onnxruntime

image = onnxruntime.InferenceSession("FOLDER/image.onnx")  # images [S, C, ...] float32, as the preset makes them
text = onnxruntime.InferenceSession("FOLDER/text.onnx")  # tokens [T, L] int64
embeddings = image.run(["embeddings"], {"images": images})[0]  # unit length: cosines are products""",
}
_LIBRARY = {"open_clip": "open_clip", "huggingface": "transformers", "onnx": "onnx"}


@contextmanager
def unfinished(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its name when nothing went wrong, and is removed otherwise.

    Raises:
        ExportError: `out` exists and is not an empty folder, or is none any more when all is made.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ExportError(f"'{out}' exists and is not an empty folder; name another, or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    with draft_folder(out) as temporary:
        yield temporary
        try:
            if out.exists():
                out.rmdir()
            temporary.rename(out)
        except OSError as error:
            raise ExportError(
                f"'{out}' was filled by another command while this one made its export, or cannot be written "
                f"({cause_of(error)}); run this one again with another folder"
            ) from error


def write_settings(
    source: Source, checkpoint: Path, target: str, folder: Path, tokenizer: Standalone | None = None
) -> None:
    """Write what the target's own files have no place for: preset, scale, facts, tokenizer, where it comes from.

    Args:
        source: what is exported.
        checkpoint: its file.
        target: `open_clip`, `huggingface` or `onnx`.
        folder: of the export.
        tokenizer: as a file, where the target has none of its own.
    """
    if tokenizer is not None and tokenizer.state is not None:
        (folder / TOKENIZER).write_text(tokenizer.state, encoding="utf-8")
    content = {
        "format": FORMAT,
        "target": target,
        "voxtile": voxtile.__version__,
        "source": {"file": checkpoint.name, "sha256": file_hash(checkpoint)},
        "preset": source.preset.to_config(),
        "channels": source.preset.channels,
        "grid": list(source.preset.grid),
        "embed_dim": source.encoder.embed_dim,
        "logit_scale": source.encoder.logit_scale.item(),
        "logit_bias": source.bias,
        "facts": list(source.head.fact_names) if source.head is not None else [],
        "tokenizer": _tokenizer(source.encoder.text.tokenizer, tokenizer),
    }
    (folder / SETTINGS).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_findings(source: Source, target: str, folder: Path, found: Comparison, loss: Loss | None) -> None:
    """Add to the settings how near the export is to its source, and write the model card."""
    settings = json.loads((folder / SETTINGS).read_text("utf-8"))
    settings["compared"] = {**found.to_json(), "limit": LIMIT}
    if loss is not None:
        settings["int8"] = loss.to_json()
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    (folder / CARD).write_text(_card(source, target, settings, found, loss), encoding="utf-8")


def _tokenizer(tokenizer: object, made: Standalone | None) -> dict[str, Any]:
    if made is not None:
        return made.about | ({"file": TOKENIZER} if made.state is not None else {})
    name = "clip" if isinstance(tokenizer, OpenClipTokenizer) and tokenizer.is_clip else type(tokenizer).__name__
    return {"kind": name, "context": getattr(tokenizer, "context", None)}


def _texts(tokenizer: Mapping[str, Any]) -> list[str]:
    """The card's words on how a text becomes tokens."""
    if "file" not in tokenizer:
        return [
            "",
            f"There is no `{TOKENIZER}` in this folder: {tokenizer['why']}. Make `tokens` with {tokenizer['kind']}.",
        ]
    notes = [
        f"texts are cut at {tokenizer['context']} tokens",
        f"padded with 0 on the {tokenizer['padding_side']} to "
        + ("the longest" if tokenizer["padded_to"] == "longest" else f"{tokenizer['padded_to']} tokens"),
        "upper and lower case are the same" if tokenizer["lowercase"] else "upper and lower case differ",
    ]
    if tokenizer["cleaning"]:
        notes.append(
            f"texts are cleaned as open_clip's `{tokenizer['cleaning']}` does, but HTML entities and wrongly decoded "
            "characters stay, which `ftfy.fix_text` and `html.unescape` mend"
        )
    if tokenizer["longest_text"]:
        notes.append(f"give it the first {tokenizer['longest_text']} characters of a text")
    return [
        "",
        "Texts become tokens with the library tokenizers alone, in the graph's own numbers:",
        "",
        "```python",
        "import numpy",
        "import tokenizers",
        "",
        f'tokenizer = tokenizers.Tokenizer.from_file("FOLDER/{TOKENIZER}")  # cuts and pads by itself',
        "tokens = numpy.array([encoding.ids for encoding in tokenizer.encode_batch(texts)], numpy.int64)",
        "```",
        "",
        f"In that file {'; '.join(notes)}.",
    ]


def _card(source: Source, target: str, settings: dict[str, Any], found: Comparison, loss: Loss | None) -> str:
    encoder = source.encoder
    grid = " × ".join(map(str, settings["grid"]))
    weights = sum(p.numel() for p in encoder.parameters()) / 1e6
    lines = [
        "---",
        f"library_name: {_LIBRARY[target]}",
        "pipeline_tag: zero-shot-image-classification",
        "tags: [voxtile, image-text]",
        "---",
        f"# {source.name}",
        "",
        f"An image-text model that voxtile {settings['voxtile']} trained, written for {target}.",
        "",
        "| | |",
        "|---|---|",
        f"| image tower | {type(encoder.image).__name__}, {settings['channels']} channels of {grid} |",
        f"| text tower | {type(encoder.text).__name__} |",
        f"| embeddings | {settings['embed_dim']} numbers, unit length |",
        f"| parameters | {weights:.1f} million |",
        f"| logit scale | {settings['logit_scale']:.4f} |",
        *([f"| logit bias | {source.bias:.4f} |"] if source.bias is not None else []),
        *([f"| fact head | {', '.join(settings['facts'])} |"] if settings["facts"] and target == "onnx" else []),
        f"| checkpoint | {settings['source']['file']}, sha256 {settings['source']['sha256']} |",
        "",
        "## Loading it",
        "",
        "```python",
        _LOADING[target],
        "```",
        *(_texts(settings["tokenizer"]) if target == "onnx" else ()),
        "",
        "## Preprocessing",
        "",
        "Images must be made as in training; `voxtile.data.preset_from_config` takes this:",
        "",
        "```json",
        json.dumps(settings["preset"], indent=2),
        "```",
        "",
        *_nearness(found, loss),
        "",
        "## Limits",
        "",
        "This card states how the model was written, not how good it is: evaluate it on data of your own with "
        "`voxtile evaluate`. It is no medical device.",
    ]
    return "\n".join(lines) + "\n"


def _nearness(found: Comparison, loss: Loss | None) -> list[str]:
    lines = [
        "## How near it is to its source",
        "",
        f"Compared with the checkpoint in float32 on {found.samples} real images and {found.texts} real texts: largest "
        f"difference of a number of an image embedding {found.image:.1e}, of a text embedding {found.text:.1e}"
        + (f", of a fact's probability {found.facts:.1e}" if found.facts is not None else "")
        + f"; {LIMIT:g} is allowed.",
    ]
    if loss is not None:
        lines += [
            "",
            "The 8-bit graphs (`*.int8.onnx`: matrices and embedding tables in 8 bits, convolutions as they were) "
            f"against float32 on the same: lowest cosine of an image embedding {loss.image_cosine:.4f}, of a text "
            f"embedding {loss.text_cosine:.4f}; mean change of a similarity {loss.similarity:.4f}; the most similar "
            f"text stays the same for {loss.same_text:.1%} of the images.",
        ]
    return lines
