"""Phrases in whole studies: answers on the grid that a study's volumes share, brought back to one of its series.

Shape letters: P phrases, *G the model's grid, *H that of a series.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from voxtile.corpus.reader import Corpus
from voxtile.corpus.source import StoredSample
from voxtile.data.presets.base import Preset
from voxtile.data.presets.placement import affine_of, centre_of, grid_affine, place_on_grid
from voxtile.data.presets.roles import PRIOR, StudyReader, StudySource, pick_roles, stated_roles
from voxtile.data.presets.study import StudyPreset
from voxtile.errors import ConfigError

Answer = tuple[StoredSample, Tensor, Tensor]


def ground_studies(
    ground: Callable[[Tensor], tuple[Tensor, Tensor]],
    preset: Preset | StudyReader,
    corpus: Corpus,
    *,
    on: str | None = None,
    finish: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Iterator[Answer]:
    """Answers about every study of a corpus.

    Args:
        ground: [1, C, *G] to [1, P, *G] probabilities of voxels and [1, P] of a target.
        preset: of the model.
        corpus: where the series are.
        on: role of the series on whose voxels the answers are given; the first of the preset's that a study has.
        finish: what is done to the answers, with [*G] bool, True where the model saw something.

    Yields:
        The series, [P, *H] float32 and [P].

    Raises:
        ConfigError: the preset makes no volume of a study, or there is no such role.
        PresetError: the series are not what the model reads.
    """
    preset = volume_of_study(preset)
    roles = [role for role in preset.role_names if not role.startswith(PRIOR)]
    if on is not None and on not in roles:
        raise ConfigError(f"--on {on} is no role that the model reads; it reads {', '.join(roles)}")
    stated = stated_roles(corpus)
    studies: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in corpus.table("samples", with_root=True).to_pylist():
        studies[row["study"] or row["uid"]][row["uid"]] = {**row, "roles": stated.get(row["uid"], [])}
    preset.check([row for study in studies.values() for row in study.values()])
    for name, study in sorted(studies.items()):
        picked = dict(zip(preset.role_names, pick_roles(preset.role_names, study), strict=True))
        wanted = on or next(role for role in roles if picked[role])
        if (uid := picked[wanted]) is None:
            raise ConfigError(f"study {name} has no series with the role '{wanted}'; choose another with --on")
        yield ground_study(ground, preset, corpus, study, uid, finish=finish)


def ground_study(
    ground: Callable[[Tensor], tuple[Tensor, Tensor]],
    preset: StudyPreset,
    corpus: Corpus,
    study: Mapping[str, Mapping[str, Any]],
    on: str,
    *,
    finish: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Answer:
    """Answers about one study, on the voxels of one of its series, whether the model reads that one or not.

    Args:
        ground: as of `ground_studies`.
        preset: of the model.
        corpus: where the series are.
        study: rows of its samples by uid, each with its `roles`.
        on: uid of the series on whose voxels the answers are given.
        finish: as of `ground_studies`.

    Raises:
        PresetError: the series are not what the model reads, or the one of the answers has no place in the patient.
    """
    picked = pick_roles(preset.role_names, study)
    sources = {uid: corpus.source(study[uid]) for uid in picked if uid is not None}
    image = preset.read_study(StudySource(tuple(sources.get(uid or "") for uid in picked)), None)
    masks, there = ground(image[None])
    answer = masks[0] if finish is None else finish(masks[0], torch.ones(masks.shape[2:], dtype=torch.bool))
    grid = grid_affine(preset.shape, preset.spacing, centre_of(next(sources[uid].meta for uid in picked if uid)))
    target = corpus.source(study[on])
    shape, affine = target.meta["shape"], affine_of(target.meta)
    back = [place_on_grid(one.float(), grid, shape, affine, 0.0) for one in answer]
    return target, torch.stack(back), there[0]


def volume_of_study(preset: Preset | StudyReader) -> StudyPreset:
    """A preset that makes one volume of a study, whose answers can be brought back to a series.

    Raises:
        ConfigError: it makes none.
    """
    if not isinstance(preset, StudyPreset):
        raise ConfigError(
            f"answers of the preset {type(preset).__name__} cannot be brought back to a series; ground with a model "
            "whose preset is StudyPreset"
        )
    return preset
