"""What the model sees: where a phrase is in a sample, scores of one's own classes, and files of what is shown."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from voxtile.corpus.schema import ROLE
from voxtile.data.regions.masks import NODATA
from voxtile.errors import ConfigError
from voxtile.formats.pictures import planes
from voxtile.formats.pictures.encode import png
from voxtile.formats.pictures.nifti_stream import map_stream
from voxtile.formats.pictures.overlay import laid_over, map_colours, mask_colours
from voxtile.serve.explored import Explored
from voxtile.serve.model_maps import class_scores as scoring
from voxtile.serve.model_maps.phrase_map import STEPS, PhraseMap, PhraseMaps
from voxtile.serve.model_maps.saved import Form, SavedFile, forms_of, saved
from voxtile.serve.routes import Served
from voxtile.serve.routes.laid_over import LaidOver
from voxtile.stages.ground.files import Found

router = APIRouter(tags=["model"])
_MOST_CLASSES, _MOST_PROMPTS = 200, 20


class ShownBy(BaseModel):
    """The model that answers phrases and classes.

    Attributes of the answer: `methods` are ways in which it shows phrases, the first by itself; `trained_by` says
    whether its probabilities are among classes (softmax) or of each class alone (sigmoid).
    """

    name: str
    methods: list[str]
    trained_by: scoring.Kind


class AskedPhrase(BaseModel):
    """A phrase, and how it shall be shown."""

    model_config = ConfigDict(extra="forbid")
    phrase: str
    method: str = "auto"


class Believed(BaseModel):
    """How far the model believes that the phrase has a target at all, and as which files its mask can be saved.

    By similarity the presence is half of one plus the cosine of image and phrase, and the map a share of its range
    over the image: it says where rather than whether.
    """

    presence: float
    method: str
    forms: list[Form]


class AskedClasses(BaseModel):
    """Classes, each with the texts that stand for it, and what logits are divided by."""

    model_config = ConfigDict(extra="forbid")
    classes: dict[Annotated[str, Field(max_length=2000)], list[str]] = Field(max_length=_MOST_CLASSES)
    temperature: float = 1.0


class Scored(BaseModel):
    """The classes in their order."""

    trained_by: scoring.Kind
    scores: list[scoring.ClassScore]


class Wanted(BaseModel):
    """What is to be shown of a phrase: its map, or its mask at a threshold where a target is believed to be there."""

    phrase: str
    method: str = "auto"
    threshold: float | None = None
    presence: float = 0.5


def _wanted(
    phrase: Annotated[str, Query()],
    method: Annotated[str, Query(max_length=40)] = "auto",
    threshold: Annotated[float | None, Query(gt=0, lt=1)] = None,
    presence: Annotated[float, Query(ge=0, le=1)] = 0.5,
) -> Wanted:
    return Wanted(phrase=phrase, method=method, threshold=threshold, presence=presence)


Shown = Annotated[Wanted, Depends(_wanted)]


@router.get("/model")
def model(served: Served) -> ShownBy | None:
    """The model; null where the server has none that reads texts."""
    if served.maps is None:
        return None
    maps = served.maps
    kind = scoring.trained_by(maps.model)
    return ShownBy(name=maps.model.name, methods=list(maps.methods), trained_by=kind)


@router.post("/samples/{uid}/phrase")
def phrase(served: Served, uid: str, asked: AskedPhrase) -> Believed:
    """Compute the map of a phrase; pictures and files of it are asked for afterwards."""
    row, found = _map(served, uid, asked.phrase, asked.method)
    return Believed(presence=found.presence, method=found.method, forms=list(forms_of(row)))


@router.get("/samples/{uid}/phrase/picture")
def picture(served: Served, uid: str, wanted: Shown) -> Response:
    """The map, or the mask at a threshold, of a flat sample on its own grid as PNG; see-through elsewhere."""
    row, found = _map(served, uid, wanted.phrase, wanted.method)
    if planes.is_volume(row):
        raise ConfigError("this sample is a volume; ask for its planes")
    return Response(png(_colours(found, found.levels, wanted)), media_type="image/png")


@router.get("/samples/{uid}/phrase/planes/{name}/{index}")
def plane(
    served: Served,
    uid: str,
    name: planes.PlaneName,
    index: int,
    wanted: Shown,
    over: LaidOver,
    window: Annotated[int, Query(ge=0, le=20)] = 0,
) -> Response:
    """A plane of a volume as PNG, with the map or the mask of a phrase over it, and another volume under that."""
    row, found = _map(served, uid, wanted.phrase, wanted.method)
    with served.source(row) as source:
        pixels = planes.plane(source, name, index, planes.window_of(source, window))
    pixels = over.laid(served, row, pixels, name, index)
    levels = planes.hung(found.levels, name, index)
    return Response(png(laid_over(pixels, _colours(found, levels, wanted))), media_type="image/png")


@router.get("/samples/{uid}/phrase/map.nii")
def nifti_map(served: Served, uid: str, wanted: Shown) -> StreamingResponse:
    """The map of a phrase, 0 to 1, on the grid of a volume as NIfTI-1."""
    row, found = _map(served, uid, wanted.phrase, wanted.method)
    length, pieces = map_stream(row, found.levels, STEPS)
    headers = {"Content-Length": str(length)}
    return StreamingResponse(pieces, media_type="application/octet-stream", headers=headers)


@router.get("/samples/{uid}/phrase/saved")
def save(served: Served, uid: str, wanted: Shown, to: Form) -> Response:
    """The mask of a phrase as a file of its field; a NIfTI comes with the names of its masks, as an archive."""
    row, found = _map(served, uid, wanted.phrase, wanted.method)
    mask = found.mask(0.5 if wanted.threshold is None else wanted.threshold, wanted.presence)
    maps = _maps(served)
    with maps.turns.taken(), served.source(row) as source:
        return _download(saved(served.corpus, [Found(source, found.phrase, found.presence, mask)], to, maps.model.name))


@router.get("/samples/{uid}/regions/saved")
def save_regions(served: Served, uid: str, to: Form) -> Response:
    """The masks of the sample's regions as a file of its field."""
    row = served.row(uid)
    rows = served.tables.rows("SELECT DISTINCT * FROM regions WHERE uid = ? ORDER BY ALL", uid)
    with served.source(row) as source:
        masks = [(region, served.corpus.mask(region)) for region in rows]
        found = [
            Found(source, str(region["phrase"] or region["region_id"]), 1.0, np.asarray(mask, np.bool_))
            for region, mask in masks if mask is not None
        ]  # fmt: skip
        if not found:
            raise ConfigError("this sample has no region with a mask; there is nothing to save")
        return _download(saved(served.corpus, found, to))


@router.post("/samples/{uid}/classes")
def classes(served: Served, uid: str, asked: AskedClasses) -> Scored:
    """Scores of one's own classes: among them by softmax, or of each alone where the model was trained by sigmoid."""
    if not math.isfinite(asked.temperature) or not 1e-3 <= asked.temperature <= 1e3:
        raise ConfigError("the temperature must be from 0.001 to 1,000")
    if any(len(said) > _MOST_PROMPTS for said in asked.classes.values()):
        raise ConfigError(f"a class has more than {_MOST_PROMPTS} texts; give fewer")
    maps, row = _maps(served), served.row(uid)
    with maps.turns.taken(), served.source(row) as source:
        found = scoring.class_scores(maps.model, source, asked.classes, asked.temperature)
    return Scored(trained_by=scoring.trained_by(maps.model), scores=found)


def _maps(served: Explored) -> PhraseMaps:
    if served.maps is None:
        raise ConfigError("no model of images and texts is served; name one: voxtile serve CORPUS --model CHECKPOINT")
    return served.maps


def _map(served: Explored, uid: str, said: str, method: str) -> tuple[dict[str, Any], PhraseMap]:
    maps, row = _maps(served), served.row(uid)
    if (held := maps.held(uid, said, method)) is not None:
        return row, held
    empty = served.tables.rows(
        "SELECT DISTINCT * FROM regions WHERE uid = ? AND phrase IS NULL AND region_id LIKE ?", uid, f"%{NODATA}"
    )
    with served.source(row) as source:
        return row, maps.of(served.corpus, source, empty, said, method, lambda: _study(served, row))


def _study(served: Explored, row: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Rows of the samples of a study by uid, with the roles that facts state of them."""
    uids = [str(row["uid"])]
    if row["study"] is not None:
        query = "SELECT uid FROM samples WHERE subject = ? AND study = ? AND kind = 'volume' ORDER BY uid"
        uids = [str(one["uid"]) for one in served.tables.rows(query, row["subject"], row["study"])]
    found = {uid: {**served.row(uid), "roles": []} for uid in uids}
    numbers = [served.number(uid) for uid in uids]
    for fact in served.tables.of_samples("facts", numbers, "uid, concept, polarity, attributes"):
        role = json.loads(fact["attributes"] or "{}").get("role") if fact["concept"] == ROLE else None
        if role and fact["polarity"] == "present":
            found[fact["uid"]]["roles"].append(role)
    return found


def _colours(found: PhraseMap, levels: np.ndarray[Any, np.dtype[np.uint8]], wanted: Wanted) -> Any:  # noqa: ANN401
    """[Y, X, 4] of levels [Y, X] of a map."""
    if wanted.threshold is None:
        return map_colours(levels, STEPS)
    return mask_colours(PhraseMap(found.phrase, found.method, found.presence, levels).mask(
        wanted.threshold, wanted.presence
    ))  # fmt: skip


def _download(file: SavedFile) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{file.name}"'}
    return Response(file.content, media_type=file.media_type, headers=headers)
