"""The images that the assistant is asked about, from files as they are."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from voxtile.console import note
from voxtile.corpus.acquisition_time import moment
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.corpus.schema import OVERVIEW
from voxtile.data.dialogues import image_names
from voxtile.data.presets.base import Preset
from voxtile.data.presets.roles import PRIOR, StudyReader, StudySource, pick_roles, stated_roles
from voxtile.errors import ConfigError, InputError
from voxtile.stages.ground.sources import OF_PICTURES, SlidePatches, kind_of, own_corpus, read_as

_MOST_PATCHES = 512  # of a slide that are shown
Shown = TypeVar("Shown")
_CUT = SlidePatches(mpp=0.5, patch_px=256, assume_mpp=None, overlap=0.0)


@dataclass(frozen=True)
class Prompt:
    """What is shown before a question.

    Attributes:
        name: of the image that is asked about, the last one.
        corpus: that holds it.
        images: [N, C, *G] float32.
        names: of the N images where each is shown by itself; none of a single one, or of those of one study.
    """

    name: str
    corpus: Corpus
    images: Tensor
    names: tuple[str, ...] = ()

    @property
    def is_study(self) -> bool:
        """Whether the images are read together as one study."""
        return len(self.images) > 1 and not self.names


def prompts_of(
    paths: Sequence[Path],
    preset: Preset,
    folder: Path,
    *,
    prior: Path | None = None,
    modality: str | None = None,
    several: bool = False,
    studies: bool = False,
    patches: SlidePatches = _CUT,
) -> Iterator[Prompt]:
    """Images as the model reads them: of one scan or study each by itself, of several all in one prompt.

    Args:
        paths: scans or studies, as `voxtile ground` takes them.
        preset: of the model.
        folder: for what is converted meanwhile.
        prior: the same of an earlier examination of the same patient, which is shown before each image.
        modality: of NIfTI files, which do not say.
        several: whether the model was trained on several images at a time.
        studies: whether it reads all images of a study together; it reads slides, too.
        patches: how a slide is cut.

    Raises:
        InputError: a file cannot be read, holds nothing that the model reads, is of another patient than the others, or
            the prior is later than what it is compared with.
        PresetError: an image is not what the model was trained on, as one of another modality.
        ConfigError: the model reads no priors, several images or slides.
    """
    roles = preset.role_names if isinstance(preset, StudyReader) else ()
    if prior is not None and not several and not any(role.startswith(PRIOR) for role in roles):
        raise ConfigError("this model was not trained with prior examinations; leave --prior out")
    if len(paths) > 1 and (not several or roles):
        raise ConfigError("this model was not trained on several images at a time; give one scan")
    cut = patches if studies else None
    found = [_converted(path, preset, folder / f"scan{n or ''}", modality, cut) for n, path in enumerate(paths)]
    earlier = None if prior is None else _converted(prior, preset, folder / "prior", modality, None)
    for other, path in [*zip(found[1:], paths[1:], strict=True), *([(earlier, prior)] if earlier and prior else [])]:
        _require_same_subject(found[0], other, paths[0], path)
    if isinstance(preset, StudyReader):
        yield from (Prompt(name, found[0], image[None]) for name, image in _studies(preset, found[0], earlier))
        return
    shown = [[(part, row) for row in _rows(part)] for part in found]
    before = [] if earlier is None else [_largest([(earlier, r) for r in earlier.table("samples").to_pylist()])]
    preset.check([row for _, row in (*before, *(one for own in shown for one in own))])
    if len(paths) > 1:
        yield _together(preset, _by_date([_largest(own) for own in shown]))
        return
    if studies and not before:
        yield from _whole_studies(preset, shown[0])
        return
    for one in shown[0]:
        if before and prior is not None:
            _require_earlier(before[0][1], one[1], prior, paths[0])
        yield _together(preset, [*before, one])


def _together(preset: Preset, shown: Sequence[tuple[Corpus, Row]]) -> Prompt:
    """Images of one prompt, the last of which is asked about."""
    images = torch.stack([preset(corpus.source(row), None) for corpus, row in shown])
    names = image_names([row["datetime"] for _, row in shown]) if len(shown) > 1 else ()
    corpus, row = shown[-1]
    return Prompt(row["uid"][:12], corpus, images, names)


def _whole_studies(preset: Preset, shown: Sequence[tuple[Corpus, Row]]) -> Iterator[Prompt]:
    """All images of each study together; one that belongs to no study is by itself."""
    by_study: dict[str, list[tuple[Corpus, Row]]] = defaultdict(list)
    for corpus, row in shown:
        by_study[row["study"] or row["uid"]].append((corpus, row))
    for name, own in sorted(by_study.items()):
        kept = evenly_spread(own) if own[0][1]["kind"] == "patch" else own
        if len(kept) < len(own):
            note(f"{len(kept)} of {len(own):,} patches of the slide are shown, evenly spread; --mpp 1 makes fewer")
        own = list(kept)
        if len(own) == 1:
            yield _together(preset, own)
        else:
            images = torch.stack([preset(corpus.source(row), None) for corpus, row in own])
            yield Prompt(name[:12], own[0][0], images)


def evenly_spread(patches: Sequence[Shown]) -> Sequence[Shown]:
    """Of the patches of a slide so many as are shown together."""
    count, most = len(patches), _MOST_PATCHES
    return patches if count <= most else [patches[place * count // most] for place in range(most)]


def _largest(shown: Sequence[tuple[Corpus, Row]]) -> tuple[Corpus, Row]:
    """Of several images of an examination the one with most voxels, and of those the first by uid."""
    return min(shown, key=lambda one: (-math.prod(one[1]["shape"] or (0,)), one[1]["uid"]))


def _by_date(shown: Sequence[tuple[Corpus, Row]]) -> list[tuple[Corpus, Row]]:
    """The earliest first; as they were given where any has no date."""
    dates = {row["uid"]: moment(row["datetime"]) for _, row in shown}
    return list(shown) if None in dates.values() else sorted(shown, key=lambda one: dates[one[1]["uid"]] or 0)


def _require_earlier(prior: Row, row: Row, prior_path: Path, path: Path) -> None:
    then, now = moment(prior["datetime"]), moment(row["datetime"])
    if then is not None and now is not None and then > now:
        raise InputError(
            f"the prior '{prior_path}' is of {prior['datetime'][:10]}, later than '{path}' of {row['datetime'][:10]}; "
            "exchange the two"
        )


def _converted(path: Path, preset: Preset, folder: Path, modality: str | None, patches: SlidePatches | None) -> Corpus:
    kind = read_as(kind_of(path), path, preset)
    if kind == "wsi" and patches is None:
        raise ConfigError(
            f"'{path}' is a whole slide, of which this model reads single patches; give one as a picture, or train a "
            "connector of the kind hierarchy with data.unit: study"
        )
    corpus = own_corpus(kind, path, folder, preset, patches or _CUT, modality)
    if kind == "wsi" and not _rows(corpus):
        raise InputError(f"'{path}' has no patch of tissue; try another --mpp, or look at: voxtile convert wsi --help")
    return corpus


def _rows(corpus: Corpus) -> list[Row]:
    """Of the images of a corpus; of a slide its patches."""
    return [row for row in corpus.table("samples", with_root=True).to_pylist() if row["kind"] != OVERVIEW]


def _require_same_subject(corpus: Corpus, earlier: Corpus, path: Path, prior: Path) -> None:
    own, other = (set(part.table("samples", columns=["subject"])["subject"].to_pylist()) for part in (corpus, earlier))
    if not own or own != other:
        raise InputError(f"'{prior}' is not of the patient of '{path}'; give examinations of one patient")
    if own == {OF_PICTURES}:
        note(f"pictures do not say whose they are; '{path}' and '{prior}' are taken for one patient's")


def _studies(preset: Any, corpus: Corpus, earlier: Corpus | None) -> Iterator[tuple[str, Tensor]]:  # noqa: ANN401
    def by_study(part: Corpus) -> dict[str, dict[str, Any]]:
        stated = stated_roles(part)
        found: dict[str, dict[str, Any]] = defaultdict(dict)
        for row in part.table("samples", with_root=True).to_pylist():
            found[row["study"] or row["uid"]][row["uid"]] = {**row, "roles": stated.get(row["uid"], [])}
        return found

    studies = by_study(corpus)
    before = {} if earlier is None else {uid: row for rows in by_study(earlier).values() for uid, row in rows.items()}
    preset.check([row for rows in (*studies.values(), before) for row in rows.values()])
    for name, rows in sorted(studies.items()):
        picked = pick_roles(preset.role_names, rows, before)
        sources = [
            None if uid is None else (corpus.source(rows[uid]) if uid in rows else _of_prior(earlier, before[uid]))
            for uid in picked
        ]
        yield name[:12], preset.read_study(StudySource(tuple(sources)), None)


def _of_prior(earlier: Corpus | None, row: Any) -> Any:  # noqa: ANN401
    assert earlier is not None
    return earlier.source(row)
