"""A map of a corpus's footprints by split, as a picture for the page of `voxtile inspect`."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from voxtile.corpus.geoparquet import Ring, outlines
from voxtile.corpus.parts import part_dataset
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import SAMPLES
from voxtile.errors import CorpusError
from voxtile.stages.inspect.summary import SPLIT_ORDER

MOST_SHOWN = 20_000
_COLOURS = {"train": "#3b82f6", "val": "#a371f7", "test": "#2a9c4a"}  # legible on white and on black
_OTHER = "#7d8793"
_MARKERS = {"train": "o", "val": "s", "test": "^"}  # told apart without colour too
_DOT_BELOW = 1 / 250  # of the map's width: smaller footprints get a dot, or they could not be seen
_WIDTH_IN, _DPI = 8.6, 130


@dataclass(frozen=True)
class FootprintMap:
    """The picture.

    Attributes:
        data: `data:` URI of a PNG with a transparent ground: the footprints alone, from edge to edge.
        shown, total: footprints drawn and present.
        width, height: of the picture, in any unit.
        meridians, parallels: (place in percent from the left or the top, what is written there).
        splits: those that are drawn.
    """

    data: str
    shown: int
    total: int
    width: float
    height: float
    meridians: Sequence[tuple[float, str]]
    parallels: Sequence[tuple[float, str]]
    splits: Sequence[str]


def draw_map(corpus: Corpus, scheme: str = "default") -> FootprintMap | None:
    """Draw the footprints of a corpus; None where no sample has one.

    Args:
        corpus: one corpus or a union.
        scheme: split scheme that gives the colours.

    Raises:
        CorpusError: a footprint is damaged.
    """
    splits = corpus.splits(scheme)
    found: list[tuple[str, list[Ring]]] = []
    total = 0
    for subject, wkb in _places(corpus):
        total += 1
        try:
            found.append((splits.get(subject, "no split"), outlines(wkb)))
        except ValueError as error:
            raise CorpusError(f"a footprint is damaged ({error}); run 'voxtile verify' on the corpus") from error
    if not found:
        return None
    step = math.ceil(len(found) / MOST_SHOWN)
    shown = found[::step]
    groups: dict[str, list[Ring]] = {}
    for split, rings in shown:
        groups.setdefault(split, []).extend(rings)
    return _draw(groups, len(shown), total)


def _places(corpus: Corpus) -> Sequence[tuple[str, bytes]]:
    """(subject, WKB) of every different footprint of a subject: dates and resolutions of one place are drawn once."""
    places: dict[tuple[str, bytes], None] = {}
    for root in range(len(corpus.roots)):
        paths = corpus.parts("samples", root)
        if paths:
            table = part_dataset(paths, SAMPLES).to_table(
                columns=["subject", "geometry"], filter=pc.field("geometry").is_valid()
            )
            pairs = zip(table["subject"].to_pylist(), table["geometry"].to_pylist(), strict=True)
            places.update(dict.fromkeys(pairs))
    return list(places)


def _draw(groups: Mapping[str, Sequence[Ring]], shown: int, total: int) -> FootprintMap:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    points = np.array([point for rings in groups.values() for ring in rings for point in ring])
    x0, y0, x1, y1, aspect = _extent(points)
    height = _WIDTH_IN * (y1 - y0) * aspect / (x1 - x0)
    figure = Figure(figsize=(_WIDTH_IN, height), dpi=_DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    order = {name: i for i, name in enumerate(SPLIT_ORDER)}
    names = sorted(groups, key=lambda name: (order.get(name, len(order)), name))
    for split in names:
        colour, marker = _COLOURS.get(split, _OTHER), _MARKERS.get(split, "D")
        shapes = [np.array(ring) for ring in groups[split]]
        axes.add_collection(PolyCollection(shapes, facecolors=(colour, 0.45), edgecolors=colour, linewidths=0.8))
        small = [ring.mean(axis=0) for ring in shapes if np.ptp(ring[:, 0]) < _DOT_BELOW * (x1 - x0)]
        if small:
            xs, ys = np.array(small).T
            axes.plot(
                xs, ys, linestyle="none", marker=marker, markersize=6, markeredgewidth=0, color=colour, alpha=0.85
            )
    axes.set_xlim(x0, x1)
    axes.set_ylim(y0, y1)
    axes.set_axis_off()
    stream = io.BytesIO()
    figure.savefig(stream, format="png", transparent=True)
    ticks = MaxNLocator(nbins=4)
    return FootprintMap(
        data=f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}",
        shown=shown,
        total=total,
        width=_WIDTH_IN,
        height=height,
        meridians=_lines(ticks.tick_values(x0, x1), x0, x1, "E", "W"),
        parallels=_lines(ticks.tick_values(y0, y1), y1, y0, "N", "S"),
        splits=names,
    )


def _lines(values: Sequence[float], start: float, end: float, positive: str, negative: str) -> list[tuple[float, str]]:
    """Places of ticks as percent of the way from start to end, those too near an edge to be written left out."""
    places = [(100 * (value - start) / (end - start), _degrees(value, positive, negative)) for value in values]
    return [(place, text) for place, text in places if 4 <= place <= 96]


def _extent(points: npt.NDArray[np.float64]) -> tuple[float, float, float, float, float]:
    """Limits of the map with a margin, and how much longer a degree of latitude is than one of longitude."""
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    aspect = 1 / max(0.2, math.cos(math.radians((y0 + y1) / 2)))
    width, height = max(x1 - x0, 1e-6), max(y1 - y0, 1e-6)
    wanted = max(width, 1.4 * height * aspect), max(height, width / aspect / 3)  # neither a tower nor a ribbon
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    half_x, half_y = 0.53 * wanted[0], 0.53 * wanted[1]
    return max(-180.5, x - half_x), max(-91, y - half_y), min(180.5, x + half_x), min(91, y + half_y), aspect


def _degrees(value: float, positive: str, negative: str) -> str:
    text = f"{abs(value):.4f}".rstrip("0").rstrip(".")
    return f"{text}° {positive if value > 0 else negative}" if text != "0" else "0°"
