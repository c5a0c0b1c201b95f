"""The layout of AIR-SLT: one JSON of sentences, each with a picture and the outlines of what it means there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from voxtile.errors import InputError
from voxtile_datasets.recipes.entries import Box, Entry
from voxtile_remote_sensing.recipes.dataset import Pixels
from voxtile_remote_sensing.recipes.layouts.pixels import picture_pixels
from voxtile_remote_sensing.recipes.layouts.reading import first_existing, read_json

_FOLDERS = (".", "test_data", "SemanticLocalizationMetrics/test_data")
_KEYS = ("jpg_name", "caption", "points")

Outlines = Sequence[Sequence[Sequence[float]]]
"""Of one sentence: of each outline the vertices (x, y), in pixels."""


@dataclass(frozen=True)
class OutlinedSentences:
    """Sentences of large pictures, all of them test.

    Outlines go to `attributes` as they are, by sentence: what judges a map counts their vertices, repeated ones too.

    Attributes:
        annotation: list of {jpg_name, caption, points}.
        pictures: folder.
    """

    annotation: str = "annotations/anno.json"
    pictures: str = "imgs"

    def entries(self, root: Path) -> Iterator[Entry]:
        """Pictures by name, with all their sentences."""
        path = first_existing(root, [(Path(at) / self.annotation).as_posix() for at in _FOLDERS], "sentences")
        folder = path.parent.parent.relative_to(root)
        sentences: dict[str, dict[str, list[Any]]] = {}
        content = read_json(path)
        if not isinstance(content, list):
            raise InputError(f"'{path}' is no list of sentences; download it again")
        for number, item in enumerate(content):
            name, sentence, outlines = _sentence(item, number, path)
            sentences.setdefault(name, {}).setdefault(sentence, []).extend(outlines)
        for name, outlined in sorted(sentences.items()):
            yield Entry(
                key=Path(name).stem,
                files=((folder / self.pictures / name).as_posix(),),
                split="test",
                texts=tuple(outlined),
                attributes={"outlines": outlined},
            )

    def read(self, root: Path, entry: Entry) -> Pixels:
        """The picture, with a box round each outline.

        Raises:
            InputError: an outline lies beyond it.
        """
        pixels = picture_pixels((root / entry.files[0]).read_bytes())
        sizes = dict(zip(pixels.row["axes"], pixels.row["shape"], strict=True))
        boxes = []
        for sentence, outlines in entry.attributes["outlines"].items():
            for outline in outlines:
                y0, x0, y1, x1 = _around(outline, sizes["Y"], sizes["X"])
                if y1 <= y0 or x1 <= x0:
                    raise InputError(
                        f"an outline of '{sentence}' is outside '{entry.files[0]}' ({sizes['Y']} rows, {sizes['X']} "
                        "columns); take pictures and annotation of one release, at their full size"
                    )
                boxes.append(Box(sentence, (y0, x0, y1, x1)))
        return replace(pixels, boxes=tuple(boxes))


def _sentence(item: Any, number: int, path: Path) -> tuple[str, str, Outlines]:  # noqa: ANN401
    """Picture, sentence and outlines."""
    if not isinstance(item, Mapping) or any(key not in item for key in _KEYS):
        raise InputError(f"'{path}', sentence {number}: expected {', '.join(_KEYS)}; download it again")
    name, sentence, outlines = (item[key] for key in _KEYS)
    if not isinstance(name, str) or not isinstance(sentence, str) or not sentence.strip() or Path(name).name != name:
        raise InputError(f"'{path}', sentence {number}: no name of a picture, or no sentence; download it again")
    if not isinstance(outlines, list) or not outlines or not all(_is_outline(outline) for outline in outlines):
        raise InputError(
            f"'{path}', sentence {number}: expected outlines of three or more points (x, y) each; download it again"
        )
    return name, " ".join(sentence.split()), outlines


def _is_outline(outline: object) -> bool:
    return (
        isinstance(outline, list)
        and len(outline) >= 3
        and all(isinstance(point, list) and len(point) == 2 for point in outline)
        and all(isinstance(v, int | float) and isfinite(v) for point in outline for v in point)
    )


def _around(outline: Sequence[Sequence[float]], height: int, width: int) -> tuple[float, float, float, float]:
    """Min row, min column, max row, max column, within the picture."""
    columns, rows = np.clip(np.asarray(outline, np.float64).T, 0, [[width], [height]])
    return float(rows.min()), float(columns.min()), float(rows.max()), float(columns.max())
