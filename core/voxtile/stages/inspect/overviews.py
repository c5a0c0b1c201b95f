"""Overviews on the HTML page: the picture of a whole slide or scene, its masks, and which parts became samples."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import OVERVIEW
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.errors import StopRunError, VoxtileError
from voxtile.stages.inspect.previews import picture_problem

SHOWN = 6
_EDGE_PX = 560  # longest side of each picture
_QUALITY = 85
# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), told apart by colour-blind readers too.
_COLOURS = ((0, 158, 115), (230, 159, 0), (0, 114, 178), (213, 94, 0), (204, 121, 167), (86, 180, 233))
_SAMPLE_COLOUR = (20, 24, 32)
_Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Legend:
    """One mask: what it shows, its colour (CSS), and its share of the picture."""

    phrase: str
    colour: str
    share: float


@dataclass(frozen=True)
class Overview:
    """One slide or scene.

    Attributes:
        title: its source, shortened.
        subtitle: size, scale, split.
        plain, marked: `data:` URIs without and with masks and samples.
        legend: the masks.
        samples: number of samples that were cut from it.
        counts: what the converter counted, by name.
        problem: why there is no picture.
    """

    title: str
    subtitle: str
    plain: str | None
    marked: str | None
    legend: Sequence[Legend]
    samples: int
    counts: Mapping[str, int]
    problem: str | None = None


def make_overviews(corpus: Corpus) -> tuple[list[Overview], int]:
    """The first overviews that carry masks, at random but repeatable, and how many there are in all."""
    connection = corpus.connection()
    try:
        query = f"FROM samples WHERE kind = '{OVERVIEW}' AND uid IN (SELECT uid FROM regions)"
        total = connection.execute(f"SELECT count(*) {query}").fetchone() or (0,)
        uids = [
            uid for (uid,) in connection.execute(f"SELECT uid {query} ORDER BY md5(uid) LIMIT ?", [SHOWN]).fetchall()
        ]
        boxes = {
            uid: connection.execute(
                f"""SELECT s.level0_box::DOUBLE[] FROM samples s JOIN samples o
                ON s.source = o.source AND s.corpus = o.corpus
                WHERE o.uid = ? AND s.kind <> '{OVERVIEW}' AND s.level0_box IS NOT NULL""",
                [uid],
            ).fetchall()
            for uid in uids
        }
        regions = {
            uid: _rows(connection.execute("SELECT * FROM regions WHERE uid = ? ORDER BY phrase", [uid])) for uid in uids
        }
        splits = dict(
            connection.execute(
                """SELECT uid, min(split) FROM samples JOIN splits USING (subject)
                WHERE scheme = 'default' AND uid IN (SELECT unnest(?::VARCHAR[])) GROUP BY uid""",
                [uids],
            ).fetchall()
        )
    finally:
        connection.close()
    found = [
        _overview(corpus, corpus.row(uid), regions[uid], [tuple(b) for (b,) in boxes[uid]], splits.get(uid))
        for uid in uids
    ]
    return found, int(total[0])


def _rows(result: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - a DuckDB result
    names = [column[0] for column in result.description]
    return [dict(zip(names, values, strict=True)) for values in result.fetchall()]


def _overview(
    corpus: Corpus,
    row: Mapping[str, Any],
    regions: Sequence[Mapping[str, Any]],
    boxes: Sequence[_Box],
    split: str | None,
) -> Overview:
    counts = json.loads(row["attributes"] or "{}").get("counts") or {}
    problem = plain = marked = None
    legend: list[Legend] = []
    try:
        picture = Image.fromarray(decode_picture(corpus.source(row).encoded())).convert("RGB")
        found = [(str(r["phrase"] or "region"), mask) for r in regions if (mask := corpus.mask(r)) is not None]
        masks = sorted(found, key=lambda pair: -np.count_nonzero(pair[1]))
        scale = min(1.0, _EDGE_PX / max(picture.size)) if max(picture.size) > _EDGE_PX else 1.0
        shown = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
        plain = _data_uri(shown)
        marked = _data_uri(_marked(shown, [mask for _, mask in masks], _on_picture(boxes, row, shown.size)))
        legend = [
            Legend(
                phrase, "rgb({},{},{})".format(*_COLOURS[i % len(_COLOURS)]), float(np.count_nonzero(mask) / mask.size)
            )
            for i, (phrase, mask) in enumerate(masks)
        ]
    except StopRunError:
        raise
    except (VoxtileError, OSError, ValueError) as error:
        problem = picture_problem(row, error)
    return Overview(
        title=str(row["source"])[:16],
        subtitle=" · ".join(part for part in (_size_text(row), split) if part),
        plain=plain,
        marked=marked,
        legend=legend,
        samples=len(boxes),
        counts={name: n for name, n in sorted(counts.items(), key=lambda entry: -entry[1]) if n},
        problem=problem,
    )


def _size_text(row: Mapping[str, Any]) -> str:
    """Size in millimetres where the scale is known, else in pixels."""
    height, width = row["shape"][:2]
    if row["mpp"]:
        return f"{width * row['mpp'][0] / 1000:.1f} × {height * row['mpp'][1] / 1000:.1f} mm"
    return f"{width} × {height} px"


def _on_picture(boxes: Sequence[_Box], row: Mapping[str, Any], size: tuple[int, int]) -> list[_Box]:
    """Boxes from level-0 pixels to pixels of a picture of `size`."""
    if not row["level0_box"]:
        return []
    x0, y0, x1, y1 = row["level0_box"]
    fx, fy = size[0] / (x1 - x0), size[1] / (y1 - y0)
    return [((a - x0) * fx, (b - y0) * fy, (c - x0) * fx, (d - y0) * fy) for a, b, c, d in boxes]


def _marked(picture: Image.Image, masks: Sequence[npt.NDArray[Any]], boxes: Sequence[_Box]) -> Image.Image:
    """Outlines of masks, what is outside the largest one dimmed, and a frame round each sample."""
    pixels = np.asarray(picture).copy()
    scaled = [_resized(mask, picture.size) for mask in masks]
    if scaled:
        pixels[~scaled[0]] = (pixels[~scaled[0]].astype(np.uint16) * 2 + 255) // 3
    canvas = Image.fromarray(pixels)
    pen = ImageDraw.Draw(canvas, "RGBA")
    for x0, y0, x1, y1 in boxes:
        pen.rectangle(
            (x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), fill=(*_SAMPLE_COLOUR, 26), outline=(*_SAMPLE_COLOUR, 150)
        )
    pixels = np.array(canvas)
    for index, mask in enumerate(scaled):
        edge = mask & ~ndimage.binary_erosion(mask, border_value=0)
        pixels[ndimage.binary_dilation(edge)] = _COLOURS[index % len(_COLOURS)]
    return Image.fromarray(pixels)


def _resized(mask: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    grey = Image.fromarray((mask > 0).astype(np.uint8) * 255)
    return np.asarray(grey.resize(size, Image.Resampling.BOX)) >= 128


def _data_uri(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
