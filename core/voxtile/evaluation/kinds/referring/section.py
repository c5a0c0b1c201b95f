"""What the page shows of a task of referring expressions: a line a group or measure, and pictures with boxes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from voxtile.corpus.shards.codecs import decode_picture
from voxtile.data.presets.tile import band_names
from voxtile.evaluation.figures.rows import Row, ScoreKind
from voxtile.evaluation.kinds.grounding.run import BLIND
from voxtile.evaluation.kinds.referring.run import ReferringResult, ShownBox
from voxtile.evaluation.report.lines import Line, LinesSection
from voxtile.evaluation.report.pictures import copied
from voxtile.evaluation.report.section import Source
from voxtile.grounding.boxes import Box

_LABELS = {
    "model": ("The model", "the box of what it shows for the expression"),
    "trivial": ("Text-blind", "the box of the mean of what it shows for all expressions of the picture"),
    "shuffled": ("Another expression", "the box of what it shows for an expression that means another object"),
}
_INDICATORS = {
    "rsu": "Salient area in the regions (Rsu, higher is better)",
    "ras": "Shift of attention from the regions' middles (Ras, lower is better)",
    "rda": "Attention of one centre a region (Rda, higher is better)",
}
_SEMANTIC = (
    "A map is the mean similarity of windows of several sizes, stretched to 0 to 1 and judged on the picture's own "
    "pixels, as semantic localisation is (Yuan et al., 2022): Rmi is 0.4 Rsu + 0.35 (1 - Ras) + 0.25 Rda."
)
_PREDICTED, _TARGET = (42, 120, 214), (255, 176, 0)  # told apart by brightness too
_COLOURS = ("red", "green", "blue")
_LARGE = 320  # pixels of a picture's longer side


@dataclass(frozen=True)
class BoxPicture:
    """A picture with the true and the predicted box, as a data URI."""

    uid: str
    phrase: str
    overlap: float
    uri: str


@dataclass(frozen=True, kw_only=True)
class ReferringSection(LinesSection):
    """Everything that the template needs of one task of referring expressions."""

    result: ReferringResult
    pictures: list[BoxPicture]
    template: str = "referring.html.j2"


def referring_section(result: ReferringResult) -> ReferringSection:
    """Gather what the page shows of a task of referring expressions."""
    headline, precision = result.headline_metric, f"pr@{result.task.overlap:g}"
    lines = [Line(f"All {result.expressions} expressions", _rows(result, headline, None))]
    lines += [Line(name.capitalize(), _rows(result, headline, name)) for name in result.task.groups]
    others = {f"rotated_{precision}": "Rotated boxes", "box_iou": "Mean overlap", "pointing": "Peak in the box"}
    reading, table = (
        (
            f"A box is right when it overlaps the true one by at least {result.task.overlap:g} (intersection over "
            f"union). It is that of the best part of the mask from a probability of {result.cut:g} on, which the "
            "validation split chose."
        ),
        ("Which boxes are right", f"Expressions whose box is right ({precision})"),
    )
    if result.task.union:
        others = {"cnr": "Contrast to noise", precision: "Box is right, of expressions with one"} | others
        table = ("How maps lie on the boxes", "Mean overlap of maps with all boxes (map_iou)")
        reading += (
            " An expression with several boxes means all of them, and its map is judged by their pixels: the mean "
            "overlap from 0.1, 0.2, 0.3, 0.4 and 0.5 on. Published figures cut maps of cosines there, and these are "
            "probabilities."
        )
    if result.task.windows:
        reading, others = _SEMANTIC, dict(_INDICATORS)
        table = ("How maps lie on the regions", "Mean indicator of semantic localisation (Rmi)")
    lines += [Line(title, _rows(result, metric, None)) for metric, title in others.items()]
    kinds: tuple[tuple[ScoreKind, str], ...] = (
        ("model", result.models[0]), ("trivial", BLIND), ("shuffled", result.models[0])
    )  # fmt: skip
    return ReferringSection(
        result=result,
        sources=[Source(kind, model, kind, *_LABELS[kind]) for kind, model in kinds],
        headline_title=table[1],
        tables=[(table[0], lines)],
        reading=reading,
        difference=next(iter(result.differences), None),
        pictures=[_picture(result, shown) for shown in result.shown],
    )


def boxed(picture: npt.NDArray[np.float32], predicted: Box | None, target: Box) -> npt.NDArray[np.uint8]:
    """[C, Y, X] with both boxes, in pixels of the picture, to [Y, X, 3]."""
    channels = picture[:3] if len(picture) >= 3 else picture[:1].repeat(3, 0)
    low, high = channels.min(), channels.max()
    grey = np.moveaxis((channels - low) * (255 / max(float(high - low), 1e-6)), 0, -1).astype(np.uint8)
    factor = max(1, _LARGE // max(grey.shape[:2]))
    image = Image.fromarray(grey).resize((grey.shape[1] * factor, grey.shape[0] * factor), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(image)
    for box, colour in ((target, _TARGET), (predicted, _PREDICTED)):
        if box is not None:
            y0, x0, y1, x1 = (edge * factor for edge in box.edges)
            draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=colour, width=2)
    return np.asarray(image)


def _rows(result: ReferringResult, metric: str, name: str | None) -> dict[str, Row | None]:
    found = {r.kind: r for r in result.rows if r.metric == metric and r.class_name == name}
    return {kind: found.get(kind) for kind in ("model", "trivial", "shuffled")}


def _picture(result: ReferringResult, shown: ShownBox) -> BoxPicture:
    return BoxPicture(shown.uid, shown.phrase, shown.overlap, copied(partial(_pixels, result, shown)))


def _pixels(result: ReferringResult, shown: ShownBox) -> npt.NDArray[np.uint8]:
    """The picture as it is stored, whose pixels the boxes are in."""
    source = result.images.source(shown.uid)
    if source.meta.get("codec") in ("jpg", "png"):
        values = np.atleast_3d(decode_picture(source.encoded())).transpose(2, 0, 1)
    else:
        values = np.moveaxis(np.atleast_3d(source.array()), source.meta["axes"].find("C"), 0)
    names = band_names(source.meta)
    if set(_COLOURS) <= set(names):  # in the order that people see, whatever the file's is
        values = values[[names.index(colour) for colour in _COLOURS]]
    return boxed(values.astype(np.float32), shown.predicted, shown.target)
