"""`voxtile export CHECKPOINT OUT --to open_clip|huggingface|onnx`: a trained model for other libraries, with proof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from voxtile.export.comparison import Comparison, Loss, compare, loss_of, refuse_beyond
from voxtile.export.folder import unfinished, write_findings, write_settings
from voxtile.export.huggingface import run_hugging_face, write_hugging_face
from voxtile.export.onnx import quantise, run_onnx, write_onnx
from voxtile.export.openclip import run_open_clip, write_open_clip
from voxtile.export.source import Embedded, Probes, Source, embed, read_probes, read_source
from voxtile.export.tokenizer import Standalone, standalone
from voxtile.inference.onnx_pair import INT8, require_onnx


def export_open_clip(
    checkpoint: Path, out: Path, *, corpus: Path, samples: int = 16, trust_package: tuple[str, ...] = ()
) -> None:
    """Write a model as a folder for open_clip.create_model_from_pretrained("local-dir:OUT").

    What open_clip makes of real samples, loaded from the folder by its own functions, is compared with the checkpoint;
    beyond 1e-4 nothing is written. The projections after open_clip's towers are multiplied into its own.

    Args:
        checkpoint: a .ckpt file that training wrote, with both towers of open_clip and RGB pictures.
        out: new folder.
        corpus: its first samples and texts are what is compared.
        samples: at most so many images and texts.
        trust_package: package of your own whose classes the checkpoint may name; repeat it for further ones.

    Raises:
        CheckpointError: the checkpoint cannot be loaded.
        ExportError: open_clip cannot express the model, or would answer otherwise.
        InputError: the corpus holds no texts.
    """
    given = _Given(checkpoint, out, corpus, samples, trust_package)
    _export(given, "open_clip", lambda s, f, _: write_open_clip(s, f), run_open_clip)


def export_hugging_face(
    checkpoint: Path, out: Path, *, corpus: Path, samples: int = 16, trust_package: tuple[str, ...] = ()
) -> None:
    """Write a model as a folder for transformers' AutoModel, AutoTokenizer and AutoImageProcessor.

    What transformers makes of real samples, loaded from the folder without any code of its own, is compared with the
    checkpoint; beyond 1e-4 nothing is written. The model is a CLIPModel; pictures of other than 1 or 3 channels have no
    image processor in transformers, and their preset is in voxtile.json.

    Args:
        checkpoint: a .ckpt file that training wrote, whose towers are open_clip's plain transformers.
        out: new folder.
        corpus: its first samples and texts are what is compared.
        samples: at most so many images and texts.
        trust_package: package of your own whose classes the checkpoint may name; repeat it for further ones.

    Raises:
        CheckpointError: the checkpoint cannot be loaded.
        ExportError: transformers cannot express the model, or would answer otherwise.
        InputError: the corpus holds no texts.
        MissingExtraError: transformers is not installed.
    """
    given = _Given(checkpoint, out, corpus, samples, trust_package)
    _export(given, "huggingface", lambda s, f, _: write_hugging_face(s, f), run_hugging_face)


def export_onnx(
    checkpoint: Path,
    out: Path,
    *,
    corpus: Path,
    samples: int = 16,
    int8: bool = False,
    trust_package: tuple[str, ...] = (),
) -> None:
    """Write a model as ONNX graphs, one a tower, for any tower: 2D, 3D, any number of channels.

    What onnxruntime makes of real samples is compared with the checkpoint; beyond 1e-4 nothing is written.

    Args:
        checkpoint: a .ckpt file that training wrote.
        out: new folder.
        corpus: its first samples and texts are what is compared.
        samples: at most so many images and texts.
        int8: also write graphs with 8-bit matrices, and state what that loses.
        trust_package: package of your own whose classes the checkpoint may name; repeat it for further ones.

    Raises:
        CheckpointError: the checkpoint cannot be loaded.
        ExportError: a tower has no ONNX form, or would answer otherwise.
        InputError: the corpus holds no texts.
        MissingExtraError: onnx is not installed.
    """
    require_onnx()
    _export(_Given(checkpoint, out, corpus, samples, trust_package), "onnx", write_onnx, None, int8=int8)


@dataclass(frozen=True)
class _Given:
    """What every form of export is told; see `export_onnx`."""

    checkpoint: Path
    out: Path
    corpus: Path
    samples: int
    trust_package: tuple[str, ...]


def _export(
    given: _Given,
    target: str,
    write: Callable[[Source, Path, Probes], None],
    run: Callable[[Path, Probes], Embedded] | None,
    *,
    int8: bool = False,
) -> None:
    source = read_source(given.checkpoint, given.trust_package)
    probes = read_probes(given.corpus, source.preset, given.samples)
    with unfinished(given.out) as folder:
        write(source, folder, probes)
        tokenizer = standalone(source.encoder.text.tokenizer, probes.texts) if target == "onnx" else None
        write_settings(source, given.checkpoint, target, folder, tokenizer)
        answers = run_onnx(folder, source, probes) if run is None else run(folder, probes)
        found = compare(embed(source, probes), answers)
        refuse_beyond(found, target)
        loss = _quantised(source, folder, probes, answers) if int8 else None
        write_findings(source, target, folder, found, loss)
    _say(given.out, found, loss, tokenizer)


def _quantised(source: Source, folder: Path, probes: Probes, full: Embedded) -> Loss:
    quantise(folder)
    return loss_of(full, run_onnx(folder, source, probes, INT8))


def _say(out: Path, found: Comparison, loss: Loss | None, tokenizer: Standalone | None) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"wrote '{out}'; largest difference from the checkpoint {found.largest:.1e} on {found.samples} images and "
        f"{found.texts} texts",
        markup=False,
    )
    if tokenizer is not None and tokenizer.why is not None:
        console.print(f"no tokenizer.json is written: {tokenizer.why}", markup=False)
    if loss is not None:
        console.print(
            f"8-bit graphs: lowest cosine with float32 {loss.image_cosine:.4f} (images) and {loss.text_cosine:.4f} "
            f"(texts); same nearest text for {loss.same_text:.1%} of the images",
            markup=False,
        )
