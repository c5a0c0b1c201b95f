"""An ONNX export as evaluation wants a model: what 8 bits cost is then a matter of `voxtile compare`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
import torch
from torch import Tensor

from voxtile.bounded_text import load_json
from voxtile.data.presets.base import Preset
from voxtile.data.presets.load import preset_from_config
from voxtile.errors import CheckpointError, ConfigError, ExportError, MissingExtraError
from voxtile.models.tokenizer import CHARACTERS_A_TOKEN, refuse_undecoded
from voxtile.written_by import newer, refuse_newer

IMAGE, TEXT = "image", "text"


INT8 = ".int8"


EMBEDDINGS, FACTS = "embeddings", "facts"


def session(path: Path) -> Any:  # noqa: ANN401 - onnxruntime has no types
    """A graph, ready to run on the CPU.

    Raises:
        ExportError: onnxruntime does not load it.
        MissingExtraError: onnxruntime is not installed.
    """
    require_onnx()
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many types
        raise ExportError(f"onnxruntime does not load '{path.name}': {' '.join(str(error).split())[:300]}") from error


def require_onnx() -> None:
    """Raise MissingExtraError without the libraries."""
    for package in ("onnx", "onnxruntime", "onnxscript"):
        try:
            __import__(package)
        except ImportError as error:
            raise MissingExtraError(package, "onnx") from error


SETTINGS, TOKENIZER, CARD = "voxtile.json", "tokenizer.json", "README.md"


FORMAT = 1


_LEAST = 1e-7  # of a probability, before its logit


class OnnxPair:
    """A pair of graphs with their preprocessing, run by onnxruntime on the CPU.

    Args:
        folder: of the export.
        int8: run the 8-bit graphs.
        trusted: top-level packages whose presets it may name beside those that are listed.

    Raises:
        CheckpointError: the folder's settings cannot be read, or are of a newer version.
        ExportError: onnxruntime does not load a graph, or there is no such graph.
        MissingExtraError: onnxruntime is not installed.
    """

    def __init__(self, folder: Path, *, int8: bool = False, trusted: Collection[str] = ()) -> None:
        settings = _settings(folder)
        suffix = INT8 if int8 else ""
        self.name = f"{folder.name}{suffix}"
        self.preset: Preset = preset_from_config(settings["preset"], trusted=trusted)
        self.logit_scale: float = settings["logit_scale"]
        self.fact_names: tuple[str, ...] = settings["facts"]
        self._image, self._text = (session(folder / f"{part}{suffix}.onnx") for part in (IMAGE, TEXT))
        self._encode = _encoder(folder, settings["tokenizer"])

    def encode_images(self, images: Tensor) -> Tensor:
        """[S, C, *G] float32 to [S, D] normalised embeddings."""
        return torch.from_numpy(self._image.run(["embeddings"], {"images": images.numpy()})[0])

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """T texts to [T, D] normalised embeddings; texts beyond the context are cut."""
        return torch.from_numpy(self._text.run(None, {"tokens": self._encode(texts)})[0])

    def fact_logits(self, images: Tensor) -> Tensor:
        """[S, C, *G] to [S, F] logits of the fact head.

        Raises:
            ConfigError: the model has none.
        """
        return self.encode_images_with_facts(images)[1]

    def encode_images_with_facts(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """[S, C, *G] to [S, D] normalised embeddings and [S, F] logits, the graph run once.

        Raises:
            ConfigError: the model has no fact head.
        """
        if not self.fact_names:
            raise ConfigError(f"model '{self.name}' has no fact head; train it with the FactHead objective")
        embeddings, facts = self._image.run(["embeddings", "facts"], {"images": images.numpy()})
        return torch.from_numpy(embeddings), torch.from_numpy(facts).clamp(_LEAST, 1 - _LEAST).logit()


def is_onnx(folder: Path) -> bool:
    """Whether a folder is an ONNX export."""
    return (folder / SETTINGS).is_file() and (folder / f"{IMAGE}.onnx").is_file()


def _settings(folder: Path) -> dict[str, Any]:
    try:
        settings: dict[str, Any] = load_json((folder / SETTINGS).read_text("utf-8"))
        version = int(settings["format"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise CheckpointError(f"'{folder / SETTINGS}' cannot be read ({error}); export the model again") from None
    what, written = f"export '{folder}'", settings.get("voxtile")
    if version > FORMAT:
        raise CheckpointError(newer(what, written, f" in format {version}"))
    refuse_newer(written, what, CheckpointError)
    try:
        _check_form(settings)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else f"{error!s:.200}"
        raise CheckpointError(f"'{folder / SETTINGS}' is damaged ({why}); export the model again") from None
    return settings


def _check_form(settings: dict[str, Any]) -> None:
    """Hold the settings to what is read of them; numbers and names get their types."""
    settings["logit_scale"], settings["facts"] = float(settings["logit_scale"]), tuple(map(str, settings["facts"]))
    tokenizer = settings["tokenizer"]
    if tokenizer["kind"] == "clip":
        tokenizer["context"] = int(tokenizer["context"])
    if "preset" not in settings:
        raise KeyError("preset")


def _encoder(folder: Path, settings: dict[str, Any]) -> Any:  # noqa: ANN401 - a function of texts
    """Texts to [T, L] int64 tokens."""
    if settings["kind"] == "clip":
        import open_clip

        tokenizer = open_clip.SimpleTokenizer(context_length=settings["context"])
        return lambda texts: tokenizer(list(texts)).numpy()
    if settings["kind"] != "tokenizers":
        raise ConfigError(
            f"the export '{folder}' has a tokenizer of kind '{settings['kind']}', which is not in the folder; run its "
            "graphs with onnxruntime and tokens of your own, or evaluate the checkpoint"
        )
    try:
        own = tokenizers.Tokenizer.from_str((folder / TOKENIZER).read_text("utf-8"))
        if own.padding is None:  # of an older export; a file that says how it pads is taken at its word
            own.enable_padding(pad_id=int(settings["padding"]))
    except Exception as error:  # the library raises bare Exception
        raise CheckpointError(
            f"'{folder / TOKENIZER}' cannot be read ({error!s:.200}); export the model again"
        ) from None
    older = (own.truncation or {}).get("max_length", 10**6) * CHARACTERS_A_TOKEN
    limit: int | None = settings.get("longest_text", older)

    def encode(texts: Sequence[str]) -> Any:  # noqa: ANN401 - an array
        refuse_undecoded(texts)
        return np.array([e.ids for e in own.encode_batch([text[:limit] for text in texts])], np.int64)

    return encode
