"""Slides and large pictures as Deep Zoom, for the pages and for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict

from voxtile.formats.pictures.encode import jpeg, png
from voxtile.serve.deep_zoom.pyramid import TILE
from voxtile.serve.deep_zoom.slides import What, ZoomedPicture
from voxtile.serve.explored import Explored
from voxtile.serve.model_maps.slide_phrase import PatchCosines, cosines_picture, patch_cosines
from voxtile.serve.routes import Served
from voxtile.stages.inspect.regions import COLOURS

router = APIRouter(prefix="/samples/{uid}", tags=["deep zoom"])
_MOST_OUTLINES = 400
_MOST_NEAREST = 12


class Zoomed(BaseModel):
    """A large picture: the slide of a patch, or a flat sample by itself.

    `origin` says whether it is the slide's file, its patches laid in their places, or the sample; `box` is the sample's
    place in it (x0, y0, x1, y1 in its pixels).
    """

    width: int
    height: int
    tile: int
    top: int
    origin: str
    note: str
    box: list[float]
    patches: int


class Outline(BaseModel):
    """A patch or a region of one, in pixels of the picture."""

    uid: str
    phrase: str | None
    colour: str | None
    box: list[float]


class AskedOfSlide(BaseModel):
    """What to look for on a slide."""

    model_config = ConfigDict(extra="forbid")
    phrase: str


class NearPatch(BaseModel):
    """A patch and the cosine of it and the phrase."""

    uid: str
    cosine: float


class SlideAnswer(BaseModel):
    """How near patches are: of the slide's lowest and highest cosine, the nearest patches, and those without a vector.

    `making` says whether vectors are being made, so that it is worth asking again.
    """

    low: float | None
    high: float | None
    nearest: list[NearPatch]
    patches: int
    missing: int
    making: bool


@router.post("/slide/phrase")
def slide_phrase(served: Served, uid: str, asked: AskedOfSlide) -> SlideAnswer:
    """Where on its slide a phrase is, patch by patch; the picture of it is asked for afterwards."""
    slide, found = _cosines(served, uid, asked.phrase)
    making = served.meaning.making if served.meaning is not None else None
    nearest = [
        NearPatch(uid=str(slide.patches[found.places[n]]["uid"]), cosine=float(found.cosines[n]))
        for n in found.nearest_first[:_MOST_NEAREST]
    ]
    some = len(found.cosines) > 0
    return SlideAnswer(
        low=float(found.cosines.min()) if some else None,
        high=float(found.cosines.max()) if some else None,
        nearest=nearest,
        patches=len(slide.patches),
        missing=found.missing,
        making=bool(making is not None and making.is_running),
    )


@router.get("/slide/phrase/picture")
def slide_phrase_picture(served: Served, uid: str, phrase: str) -> Response:
    """The cosines of its patches over the whole slide, as PNG; see-through where there is none."""
    slide, found = _cosines(served, uid, phrase)
    return Response(
        png(cosines_picture(slide.patches, found, slide.pyramid.size, slide.scale)), media_type="image/png"
    )  # not kept: vectors may come


@router.get("/{what}.json")
def zoomed(served: Served, uid: str, what: What) -> Zoomed:
    """Size and origin of the picture."""
    found = _picture(served, uid, what)
    (width, height), box = found.pyramid.size, served.row(uid).get("level0_box")
    own = [edge / found.scale for edge in box] if what == "slide" and box else [0.0, 0.0, width, height]
    return Zoomed(
        width=width, height=height, tile=TILE, top=found.pyramid.top, origin=found.origin, note=found.note, box=own,
        patches=len(found.patches),
    )  # fmt: skip


@router.get("/{what}.dzi")
def description(served: Served, uid: str, what: What) -> Response:
    """The picture's Deep Zoom description; its tiles lie beside it in `slide_files` or `picture_files`."""
    return Response(_picture(served, uid, what).pyramid.dzi, media_type="application/xml")


@router.get("/{what}_files/{level}/{column}_{line}.jpeg")
def tile(served: Served, uid: str, what: What, level: int, column: int, line: int) -> Response:
    """A tile of Deep Zoom as JPEG."""
    found = served.zoomed.tile(what, uid, lambda: served.row(uid), level, column, line)
    return Response(jpeg(found), media_type="image/jpeg")


@router.get("/slide/outlines")
def outlines(served: Served, uid: str) -> list[Outline]:
    """Boxes of the slide's patches and of the regions drawn in them; at most 400 of each."""
    found = _picture(served, uid, "slide")
    patches = {str(row["uid"]): row for row in found.patches[:_MOST_OUTLINES]}
    shown = [Outline(uid=one, phrase=None, colour=None, box=_placed(row, None, found)) for one, row in patches.items()]
    rows = served.tables.rows(
        "SELECT uid, phrase, box FROM regions WHERE uid IN (SELECT unnest(?::VARCHAR[])) AND len(box) = 4 "
        f"AND phrase IS NOT NULL ORDER BY ALL LIMIT {_MOST_OUTLINES}",
        list(patches),
    )  # fmt: skip
    phrases = sorted({str(row["phrase"]) for row in rows})
    for row in rows:
        colour = "#{:02x}{:02x}{:02x}".format(*COLOURS[phrases.index(str(row["phrase"])) % len(COLOURS)])
        place = _placed(patches[row["uid"]], row["box"], found)
        shown.append(Outline(uid=row["uid"], phrase=str(row["phrase"]), colour=colour, box=place))
    return shown


def _picture(served: Explored, uid: str, what: What) -> ZoomedPicture:
    return served.zoomed.of(what, uid, lambda: served.row(uid))


def _cosines(served: Explored, uid: str, phrase: str) -> tuple[ZoomedPicture, PatchCosines]:
    slide = _picture(served, uid, "slide")
    numbers = served.index.numbers(pa.array([str(row["uid"]) for row in slide.patches], pa.string()))
    return slide, patch_cosines(served.meaning, numbers, phrase)


def _placed(row: Mapping[str, Any], region: list[float] | None, found: ZoomedPicture) -> list[float]:
    """A patch, or a region of it in array order (y0, x0, y1, x1), in pixels of the picture: x0, y0, x1, y1."""
    x0, y0, x1, y1 = (float(edge) for edge in row["level0_box"])
    if region is None:
        return [edge / found.scale for edge in (x0, y0, x1, y1)]
    rows, columns = row["shape"][:2]
    across, down = (x1 - x0) / columns, (y1 - y0) / rows
    top, left, bottom, right = region
    box = (x0 + left * across, y0 + top * down, x0 + right * across, y0 + bottom * down)
    return [edge / found.scale for edge in box]
