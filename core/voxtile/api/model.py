"""`voxtile.load_model`: any pair of encoders, with its preprocessing, to use from Python.

Shape letters: S images, T texts, C channels, D embedding width, *G the model's grid, *H that of an image.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeAlias, Unpack, cast, runtime_checkable

import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from voxtile.api.corpus import Sample
from voxtile.api.grounding import Grounded, ground_array, ground_file
from voxtile.api.inputs import Given, as_sample, check_given, check_metas, file_corpus, images_of
from voxtile.api.wording import said_in_python
from voxtile.data.presets.base import Preset, SampleSource
from voxtile.data.presets.roles import StudyReader, not_a_study
from voxtile.errors import ConfigError
from voxtile.evaluation.inputs.texts import embed_texts, normalised
from voxtile.inference import load
from voxtile.inference.encoder_model import EncoderModel
from voxtile.inference.similarity.method import Method
from voxtile.models.flattening import Flattening
from voxtile.models.protocol import EvaluationModel
from voxtile.models.rgb_pictures import SlicePooledModel, SlicePreset, flattened_preset

Picture: TypeAlias = str | os.PathLike[str] | npt.NDArray[Any] | Image.Image | Sample
"""A file or folder, an array, a PIL picture, or a sample of a corpus."""

_AT_ONCE = 32  # images


@runtime_checkable
class _Tokenizes(Protocol):
    def encode(self, texts: Sequence[str]) -> tuple[Tensor, int]: ...


class Model:
    """A model of images and texts with its own preprocessing. Nothing is random, and no gradient is kept.

    Attributes:
        evaluation: the model as `voxtile.evaluate` wants it.
        spec: how it was named.
    """

    def __init__(self, evaluation: EvaluationModel, spec: str) -> None:
        self.evaluation = evaluation
        self.spec = spec

    def __repr__(self) -> str:
        return f"Model({self.spec!r}, {type(self.preset).__name__} {self.preset.channels}×{list(self.preset.grid)})"

    @property
    def name(self) -> str:
        """How tables call it."""
        return self.evaluation.name

    @property
    def preset(self) -> Preset:
        """Its preprocessing, for `OpenedCorpus.dataset`."""
        return self.evaluation.preset

    @property
    def logit_scale(self) -> float:
        """Multiplier of the cosine similarity (> 0)."""
        return self.evaluation.logit_scale

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Texts to the tokens that the text tower reads.

        Raises:
            ConfigError: the model keeps it to itself; `encode_text` takes texts of any model.
        """
        encoder = getattr(self.evaluation, "encoder", None)
        found = getattr(getattr(encoder, "text", None), "tokenizer", None)
        if not isinstance(found, _Tokenizes):
            raise ConfigError(f"the model '{self.name}' shows no tokenizer; give encode_text the texts themselves")
        return Tokenizer(found)

    def preprocess(self, image: Picture, **given: Unpack[Given]) -> Tensor:
        """Images as the model reads them.

        Args:
            image: a DICOM file or folder, NIfTI file, georeferenced raster, whole slide or picture; an array
                [Z, Y, X] of a volume (from the feet up, from the back forward, from the patient's left), [C, Y, X]
                of a tile, or [Y, X] or [Y, X, 3] uint8 of a picture; a PIL picture; or a sample of a corpus.
            given: what it does not say itself, see `voxtile.api.inputs.Given`.

        Returns:
            [S, C, *G] float32: one image of an array, a series or a picture, several of a slide (its patches of
            tissue) and of a scene that is larger than the model's tile. Volumes become [S, C, slices, Y, X] for a model
            of pictures.

        Raises:
            ConfigError: it is a tensor, which is what this gives.
            InputError: the file cannot be read.
            PresetError: something is missing that the model needs, such as the spacing of an array.
        """
        self._refuse_studies()
        if isinstance(image, Tensor):
            raise ConfigError("a tensor is taken as preprocess gives it: give it to encode_image, or an array here")
        is_file = isinstance(image, str | os.PathLike)
        check_given(given, is_file=is_file)
        with said_in_python():
            if is_file:
                return self._of_file(cast("str | os.PathLike[str]", image), given)
            return self._prepared([as_sample(image, self.preset, given)], Flattening())

    def _of_file(self, path: str | os.PathLike[str], given: Given) -> Tensor:
        bands = given.get("bands")
        how = Flattening() if bands is None else Flattening(bands=tuple(bands))
        with tempfile.TemporaryDirectory(prefix="voxtile-") as folder:
            corpus = file_corpus(path, self.preset, Path(folder), given, overlap=0.0)
            samples = [corpus.source(row) for row in images_of(corpus, path)]
            return self._prepared(samples, how)

    def _prepared(self, samples: Sequence[SampleSource], how: Flattening) -> Tensor:
        metas = [sample.meta for sample in samples]
        preset = flattened_preset(self.preset, metas, how)
        check_metas(preset, metas)
        return torch.stack([preset(sample, None) for sample in samples])

    def _refuse_studies(self) -> None:
        if isinstance(self.preset, StudyReader):
            raise not_a_study(self.preset.role_names)

    def encode_image(self, image: Tensor | Picture, **given: Unpack[Given]) -> Tensor:
        """Embeddings of images.

        Args:
            image: [S, C, *G] or [C, *G] from `preprocess`, or what `preprocess` takes.
            given: as for `preprocess`.

        Returns:
            [S, D] L2-normalised, on the CPU.

        Raises:
            ConfigError: a tensor is not of the model's shape.
        """
        images = image if isinstance(image, Tensor) else self.preprocess(image, **given)
        if isinstance(image, Tensor) and given:
            raise ConfigError(f"'{next(iter(given))}' goes with files and arrays; a tensor is taken as it is")
        grid, flat = self.preset.grid, len(self.preset.grid) == 2
        images = images[None] if images.ndim == len(grid) + 1 and images.shape[1:] == grid else images
        slices = flat and images.ndim == 5
        if (
            images.ndim != len(grid) + 2 + slices
            or images.shape[1] != self.preset.channels
            or (images.shape[2 + slices :] != grid)
        ):
            raise ConfigError(
                f"this model reads [S, {self.preset.channels}, {', '.join(map(str, grid))}], not "
                f"{list(images.shape)}; make it with preprocess"
            )
        model = self._of_slices(images.shape[2]) if slices else self.evaluation
        parts = [model.encode_images(part) for part in torch.split(images.float(), _AT_ONCE)]
        return torch.cat(parts) if parts else images.new_empty(0, 0)

    def _of_slices(self, count: int) -> EvaluationModel:
        return SlicePooledModel(self.evaluation, SlicePreset(cast(Any, self.preset), Flattening(slices=count)))

    def encode_text(self, text: str | Sequence[str] | Tensor) -> Tensor:
        """Embeddings of texts.

        Args:
            text: one text, several, or the tokens that `tokenizer` makes of them.

        Returns:
            [T, D] L2-normalised, on the CPU; T is 1 for one text.

        Raises:
            ConfigError: something is no text, or no tokens of this model.
        """
        if isinstance(text, Tensor):
            return self._of_tokens(text)
        return self.evaluation.encode_texts(_texts(text))

    @torch.no_grad()
    def _of_tokens(self, tokens: Tensor) -> Tensor:
        if not isinstance(self.evaluation, EncoderModel):
            raise ConfigError(f"the model '{self.name}' reads texts, not tokens; give encode_text the texts themselves")
        if tokens.ndim != 2 or tokens.is_floating_point() or (len(tokens) and int(tokens.min()) < 0):
            raise ConfigError(
                f"tokens are [T, L] whole numbers from 0, not {tokens.dtype} of shape {list(tokens.shape)}; make them "
                "with tokenizer"
            )
        encoder, device = self.evaluation.encoder, self.evaluation.device
        # Looked at before they go to a GPU, where an index that is out of range ends the process.
        tables = [part.num_embeddings for part in encoder.text.modules() if isinstance(part, nn.Embedding)]
        if tables and tokens.numel() and int(tokens.max()) >= max(tables):
            raise ConfigError(
                f"the token {int(tokens.max())} is beyond the vocabulary of '{self.name}', whose last one is "
                f"{max(tables) - 1}; make tokens with this model's tokenizer"
            )
        return encoder.encode_texts(tokens.to(device), local=False)[0].cpu()

    def classify(
        self, image: Tensor | Picture, classes: Mapping[str, str | Sequence[str]], **given: Unpack[Given]
    ) -> dict[str, float]:
        """Zero-shot classification of one image among classes that exclude each other.

        The embeddings of a class's prompts are averaged and normalised again, likewise those of several images (patches
        of a slide, tiles of a scene); then a softmax over the model's scale times the cosines (Radford et al. 2021,
        section 3.1.4). For one finding, name its absence too: {"effusion": …, "no effusion": …}.

        Args:
            image: as for `encode_image`; several images are of one thing.
            classes: one prompt or several, by class.
            given: as for `preprocess`.

        Returns:
            Probability by class; they sum to 1. Untested they are no more than an order, see docs/evaluation.md.

        Raises:
            ConfigError: fewer than two classes, one without a prompt, no image, or one whose embedding is not finite.
        """
        if not isinstance(classes, Mapping):
            raise ConfigError('classes says the prompts of each class: {"nodule": ["a nodule"], "none": "no nodule"}')
        if len(classes) < 2:
            raise ConfigError(
                "classes must be at least two, since one alone always has probability 1; add its opposite"
            )
        prompts = {name: _texts(() if said is None else said) for name, said in classes.items()}
        if empty := [name for name, said in prompts.items() if not said or not all(text.strip() for text in said)]:
            raise ConfigError(f"the class '{empty[0]}' has no prompt, or an empty one; give at least one text")
        vectors = self.encode_image(image, **given).double()
        if not len(vectors) or not bool(vectors.isfinite().all()):
            what = "there is no image" if not len(vectors) else "the image's embedding is not finite"
            raise ConfigError(f"{what}, so that it is of no class; look at what preprocess gives")
        seen = normalised(vectors.mean(0, keepdim=True).numpy())
        rows = [normalised(embed_texts(self.evaluation, said).mean(0, keepdims=True)) for said in prompts.values()]
        logits = torch.tensor([self.logit_scale * float((seen @ row.T)[0, 0]) for row in rows], dtype=torch.float64)
        return dict(zip(prompts, logits.softmax(0).tolist(), strict=True))

    def ground(
        self,
        image: Picture,
        phrase: str | Sequence[str],
        *,
        method: Method | str = "auto",
        overlap: float = 0.5,
        **given: Unpack[Given],
    ) -> list[Grounded]:
        """Where phrases are in an image, on its own grid; see docs/grounding.md for what is shown by which method.

        Args:
            image: as for `preprocess`.
            phrase: one or several.
            method: decoder for a model that was trained to ground, or a way to show similarity; auto takes the best.
            overlap: share that neighbouring windows, and patches of a slide, have in common.
            given: as for `preprocess`.

        Returns:
            One answer for each phrase in each image: a series, a tile of a scene; of a slide a single map.

        Raises:
            ConfigError: no phrase, a value out of range, or a model that cannot show phrases.
            InputError: the file cannot be read.
            PresetError: something is missing that the model needs.
        """
        phrases = list(dict.fromkeys(_texts(phrase)))
        if not phrases or not all(text.strip() for text in phrases):
            raise ConfigError("a phrase is empty, or there is none; name what to look for")
        if not 0 <= overlap < 1:
            raise ConfigError(f"overlap must be at least 0 and below 1, not {overlap}")
        is_file = isinstance(image, str | os.PathLike)
        check_given(given, is_file=is_file)
        with said_in_python():
            if is_file:
                path = cast("str | os.PathLike[str]", image)
                return ground_file(self.evaluation, path, phrases, method, overlap, given)
            self._refuse_studies()
            return ground_array(self.evaluation, image, phrases, method, overlap, given)


class Tokenizer:
    """Texts to tokens, as open_clip's tokenizers are called."""

    def __init__(self, encodes: _Tokenizes) -> None:
        self._encodes = encodes

    def __call__(self, texts: str | Sequence[str]) -> Tensor:
        """[T, L] int64, padded with 0; longer texts are cut at the context, or refused where the model says so."""
        return self._encodes.encode(_texts(texts))[0]


def _texts(given: object) -> list[str]:
    """One text or several, as a list.

    Raises:
        ConfigError: something is no text.
    """
    texts: list[Any] = [given] if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
    for text in texts:
        if not isinstance(text, str):
            raise ConfigError(f"{text!r:.80} is no text; give a text, or several")
    return texts


def load_model(spec: str | os.PathLike[str], *, trust_packages: Sequence[str] = ()) -> Model:
    """Load a model, on a GPU where there is one.

    Args:
        spec: a checkpoint; a folder of open_clip, of transformers (CLIP or SigLIP) or of an ONNX export;
            `open_clip:NAME[/PRETRAINED]`, `hf:ID`, `hub:NAME[/FILE]` (docs/models.md), or
            `class:package.module.Class[:ARGUMENT]`.
        trust_packages: packages of your own whose classes a checkpoint or export may name, such as ("mine",).

    Raises:
        CheckpointError: the checkpoint or folder cannot be loaded safely or does not fit.
        ConfigError: no such model, a folder of something else, or a trusted package that is not installed.
    """
    name = os.fspath(spec)
    return Model(load.load_model(name, trust_packages), name)
