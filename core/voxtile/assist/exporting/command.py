"""`voxtile export CHECKPOINT OUT --to assistant`: an assistant for other libraries, with proof."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import voxtile
from voxtile.assist.assistant import Assistant
from voxtile.assist.exporting.image_graph import GRAPH, write_image_graph
from voxtile.assist.exporting.language_folder import write_language
from voxtile.assist.sequences import TEMPLATE, answered, asked
from voxtile.assist.speaking.replies import WARNING
from voxtile.console import note
from voxtile.errors import ExportError
from voxtile.evaluation.provenance import file_hash
from voxtile.export.folder import unfinished
from voxtile.export.source import read_probes

SETTINGS = "voxtile-assistant.json"
_CARD = "README.md"


def export_assistant(
    checkpoint: Path, out: Path, *, corpus: Path, samples: int = 4, trust_package: tuple[str, ...] = ()
) -> None:
    """Write an assistant as an ONNX graph and a language model of transformers, or additions to one for peft.

    The graph leads from pixels to what the language model reads before a question; what onnxruntime makes of real
    samples is compared with the checkpoint, and where it differs nothing is written. There is no GGUF: llama.cpp's
    files of projectors (mmproj) are for the image encoders that it has code for, and a voxtile tower is none of them.

    Args:
        checkpoint: a .ckpt file that was trained with the Answering objective.
        out: new folder.
        corpus: its first samples are what is compared.
        samples: at most so many.
        trust_package: package of your own whose classes the checkpoint may name; repeat it for further ones.

    Raises:
        CheckpointError: the checkpoint cannot be loaded.
        ConfigError: it does not write.
        ExportError: the tower or the connector has no ONNX form, or would answer otherwise.
        InputError: the corpus holds no samples or no texts.
        MissingExtraError: onnx or peft is not installed.
    """
    assistant = Assistant(str(checkpoint), trust_package)
    encoder, answering = assistant.encoder.float().cpu().eval(), assistant.answering.float().cpu().eval()
    if answering.connector is not None and answering.connector.readings:
        raise ExportError(
            "what this assistant reads under names (connector.named) is added to words while they are written, which "
            "no other library does; export one whose connector has none"
        )
    images: Tensor = read_probes(corpus, assistant.preset, samples).images
    with unfinished(out) as folder:
        difference = write_image_graph(encoder, answering, images, folder)
        written = write_language(answering, folder)
        settings = _settings(assistant, checkpoint, difference)
        (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
        (folder / _CARD).write_text(_card(checkpoint.name, settings, written), "utf-8")
    note(f"wrote '{out}'; image tokens of {len(images)} samples differ by {difference:.1e} of the largest at most")


def _settings(assistant: Assistant, checkpoint: Path, difference: float) -> dict[str, Any]:
    answering = assistant.answering
    written = answering.writable
    return {
        "voxtile": voxtile.__version__,
        "source": {"file": checkpoint.name, "sha256": file_hash(checkpoint)},
        "preset": assistant.preset.to_config(),
        "template": {"version": TEMPLATE, "question": asked("{question}"), "answer": answered("{answer}")},
        "later_questions_begin_with": "\n",
        "language": {"name": Path(answering.language.name).name, "sha256": answering.language.sha256},
        "context": answering.language.context,
        "end": answering.words.end,
        "written_tokens": None if written is None else torch.as_tensor(written).tolist(),
        "report_question": answering.findings_question,
        "answers_questions": answering.answers_questions,
        "compared": {"largest_difference": difference},
        "warning": WARNING,
    }


def _card(name: str, settings: dict[str, Any], written: str) -> str:
    only = "" if settings["written_tokens"] is None else " Only `written_tokens` may be written: mask the others out."
    source, question = settings["source"]["sha256"][:12], settings["template"]["question"]
    difference = settings["compared"]
    return f"""# An assistant of voxtile

{settings["warning"]}

Made of `{name}` (sha256 {source}…).

- `{GRAPH}`: `images` [S, C, …] float32, as the preset of `{SETTINGS}` makes them, to `tokens` [S, K, W]:
  the image as the language model reads it, with the words round it. Largest difference from the checkpoint:
  {difference["largest_difference"]:.1e} of the largest number.
- {written}.
- `{SETTINGS}`: preset, the words round questions and answers, the token that ends an answer, and the
  hash of the language model.

Embed the tokens of `{question!r}` with the language model, put them after the image's, and let it
write until token {settings["end"]}.{only}
"""
