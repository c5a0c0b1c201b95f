"""The images that the assistant is asked about, from files as they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from voxtile.corpus.reader import Corpus
from voxtile.data.presets.base import Preset
from voxtile.data.presets.roles import PRIOR, StudyReader, StudySource, pick_roles, stated_roles
from voxtile.errors import ConfigError, InputError
from voxtile.stages.ground.sources import SlidePatches, kind_of, own_corpus, read_as

_NO_SLIDES = SlidePatches(mpp=0.5, patch_px=256, assume_mpp=None, overlap=0.0)


def images_of(
    path: Path, preset: Preset, folder: Path, *, prior: Path | None = None, modality: str | None = None
) -> Iterator[tuple[str, Tensor]]:
    """Images as the model reads them, with a name each.

    Args:
        path: a scan or a study, as `voxtile ground` takes it.
        preset: of the model.
        folder: for what is converted meanwhile.
        prior: the same of an earlier examination of the same patient.
        modality: of a NIfTI file, which does not say.

    Raises:
        InputError: a file cannot be read, holds nothing that the model reads, or the prior is of somebody else.
        PresetError: an image is not what the model was trained on, as one of another modality.
        ConfigError: the model reads no priors, or whole slides are asked for.
    """
    roles = preset.role_names if isinstance(preset, StudyReader) else ()
    if prior is not None and not any(role.startswith(PRIOR) for role in roles):
        raise ConfigError("this model was not trained with prior examinations; leave --prior out")
    corpus = _converted(path, preset, folder / "scan", modality)
    earlier = None if prior is None else _converted(prior, preset, folder / "prior", modality)
    if earlier is not None and prior is not None:
        _require_same_subject(corpus, earlier, path, prior)
    if isinstance(preset, StudyReader):
        yield from _studies(preset, corpus, earlier)
        return
    rows = corpus.table("samples", with_root=True).to_pylist()
    preset.check(rows)
    for row in rows:
        yield row["uid"][:12], preset(corpus.source(row), None)


def _converted(path: Path, preset: Preset, folder: Path, modality: str | None) -> Corpus:
    kind = read_as(kind_of(path), path, preset)
    if kind == "wsi":
        raise ConfigError(
            f"'{path}' is a whole slide, which the assistant does not read yet; give a patch as a picture"
        )
    return own_corpus(kind, path, folder, preset, _NO_SLIDES, modality)


def _require_same_subject(corpus: Corpus, earlier: Corpus, path: Path, prior: Path) -> None:
    own, other = (set(part.table("samples", columns=["subject"])["subject"].to_pylist()) for part in (corpus, earlier))
    if not own or own != other:
        raise InputError(f"the prior '{prior}' is not of the patient of '{path}'; give an examination of the same one")


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
