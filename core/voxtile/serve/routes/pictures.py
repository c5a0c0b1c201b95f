"""Pictures of samples: thumbnails, planes of volumes, volumes and labels as NIfTI, flat pictures, masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from voxtile.errors import CorpusError, VoxtileError
from voxtile.formats.pictures import planes
from voxtile.formats.pictures.band_pictures import band_picture, band_pictures
from voxtile.formats.pictures.encode import png
from voxtile.formats.pictures.nifti_stream import label_stream, volume_stream
from voxtile.formats.pictures.picture import grid_of, mask_picture, thumbnail, whole_picture
from voxtile.formats.pictures.values import size_along
from voxtile.serve.explored import Explored
from voxtile.serve.model_maps.saved import Form, forms_of
from voxtile.serve.routes import Served
from voxtile.serve.routes.laid_over import LaidOver
from voxtile.stages.inspect.regions import COLOURS

router = APIRouter(prefix="/samples/{uid}", tags=["pictures"])
_NIFTI = "application/octet-stream"


class Stack(BaseModel):
    """Planes in one direction."""

    name: str
    count: int
    width_mm: float
    height_mm: float


class ShownWindow(BaseModel):
    """What is black and what is white."""

    name: str
    low: float
    high: float


class Shown(BaseModel):
    """How a sample can be shown: a volume by its planes, anything else as a picture; and how masks of it are saved."""

    stacks: list[Stack]
    windows: list[ShownWindow]
    width: int | None
    height: int | None
    bands: list[str]
    forms: list[Form]


@router.get("/shown")
def shown(served: Served, uid: str) -> Shown:
    """By which planes and windows, or by which bands, a sample can be shown."""
    row = served.row(uid)
    forms = list(forms_of(row))
    if planes.is_volume(row):
        with served.source(row) as source:
            windows = [ShownWindow(**asdict(window)) for window in planes.volume_windows(source)]
        stacks = [Stack(**asdict(stack)) for stack in planes.plane_stacks(row)]
        return Shown(stacks=stacks, windows=windows, width=None, height=None, bands=[], forms=forms)
    width, height = (size_along(row, "X"), size_along(row, "Y")) if row.get("shape") else (None, None)
    names = [picture.name for picture in band_pictures(row)]
    return Shown(stacks=[], windows=[], width=width, height=height, bands=names, forms=forms)


@router.get("/thumbnail")
def small(served: Served, uid: str) -> Response:
    """A small JPEG."""
    row = served.row(uid)
    with served.source(row) as source:
        try:
            return Response(thumbnail(source), media_type="image/jpeg")
        except (VoxtileError, OSError, ValueError) as error:
            raise CorpusError(f"the sample {uid} has no picture") from error


@router.get("/planes/{name}/{index}")
def plane(
    served: Served,
    uid: str,
    name: planes.PlaneName,
    index: int,
    window: Annotated[int, Query(ge=0, le=20)] = 0,
    channel: Annotated[int, Query(ge=0)] = 0,
    *,
    over: LaidOver,
    regions: bool = False,
) -> Response:
    """One plane as PNG, as radiologists hang it, with masks of regions and another volume over it where asked for."""
    row = served.row(uid)
    with served.source(row) as source:
        pixels = planes.plane(source, name, index, planes.window_of(source, window), channel)
    if regions:
        rows, colours = _regions(served, uid)
        pixels = planes.tinted(pixels, served.corpus, row, rows, colours, name, index)
    pixels = over.laid(served, row, pixels, name, index)
    return Response(png(pixels), media_type="image/png")


@router.get("/volume.nii")
def volume(served: Served, uid: str) -> StreamingResponse:
    """The whole volume as NIfTI-1, its stored values with scale and offset."""
    row = served.row(uid)
    with served.source(row) as source:
        length, pieces = volume_stream(source)
    return _streamed(length, _within(served, row, pieces))


@router.get("/regions.nii")
def labels(served: Served, uid: str) -> StreamingResponse:
    """The masks of the regions as labels 1, 2, … in the order of the sample's regions."""
    return _streamed(*label_stream(served.corpus, served.row(uid), _regions(served, uid)[0]))


@router.get("/picture")
def picture(served: Served, uid: str, bands: Annotated[str | None, Query(max_length=200)] = None) -> Response:
    """A flat sample whole; a scene by a combination of its bands, see-through where it has no value."""
    row = served.row(uid)
    with served.source(row) as source:
        data, kind = whole_picture(source, band_picture(row, bands))
    return Response(data, media_type=kind)


@router.get("/regions/{region}/mask")
def mask(served: Served, uid: str, region: str) -> Response:
    """The mask of one region of a flat sample as PNG, see-through elsewhere."""
    row = served.row(uid)
    rows, colours = _regions(served, uid)
    for found, colour in zip(rows, colours, strict=True):
        if found["region_id"] == region and not planes.is_volume(row):
            values = served.corpus.mask(found)
            if values is not None and np.ndim(values) == 2:
                pixels = mask_picture(values, grid_of(row), colour)
                return Response(png(pixels), media_type="image/png")
    raise HTTPException(404)


def _regions(served: Explored, uid: str) -> tuple[list[dict[str, Any]], list[tuple[int, int, int]]]:
    """Regions with the colours that `known` gives them."""
    rows = served.tables.rows("SELECT DISTINCT * FROM regions WHERE uid = ? ORDER BY ALL", uid)
    return rows, [COLOURS[place % len(COLOURS)] for place in range(len(rows))]


def _within(served: Explored, row: dict[str, Any], pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces, read where references may lead to the folders that the user named."""
    while True:
        with served.source(row):
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece


def _streamed(length: int, pieces: Iterator[bytes]) -> StreamingResponse:
    headers = {"Content-Length": str(length)}
    return StreamingResponse(pieces, media_type=_NIFTI, headers=headers)
