"""Layouts of visual-grounding datasets: expressions with boxes, from VOC-like XML, `.pth` lists, VRSBench's JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from defusedxml.ElementTree import ParseError, parse

from voxtile.errors import InputError
from voxtile_datasets.recipes.download import tell_missing
from voxtile_datasets.recipes.entries import Box, Entry
from voxtile_remote_sensing.recipes.dataset import Pixels
from voxtile_remote_sensing.recipes.layouts.pixels import picture_pixels
from voxtile_remote_sensing.recipes.layouts.reading import first_existing, read_json, read_lines

_STRICTEST = ("test", "val", "train")
_VRS_SIDE = 512.0  # pixels; all pictures of VRSBench are square


@dataclass(frozen=True)
class VocExpressions:
    """DIOR-RSVG: one XML a picture, with a description beside each box; splits list the numbers of expressions.

    The official split is by expression, and one picture may have expressions in several. A picture goes to the
    strictest of them (test, then val), so that no test picture is trained on; the expression's own split stays in the
    region's source.

    Attributes:
        annotations, pictures: folders.
        splits: folders of train.txt, val.txt and test.txt; the first that has them.
    """

    annotations: str = "Annotations"
    pictures: str = "JPEGImages"
    splits: tuple[str, ...] = (".", "DIOR_RSVG")

    def entries(self, root: Path) -> Iterator[Entry]:
        """Pictures by name."""
        folder = first_existing(root, (self.annotations,), "annotations")
        split_of = self._splits(root)
        number = 0
        for path in sorted(folder.glob("*.xml")):
            boxes, splits = [], set()
            try:
                tree = parse(path)
            except (ParseError, ValueError) as error:
                raise InputError(f"'{path}' is not readable XML ({error}); download it again") from error
            for found in tree.findall("object"):
                split = split_of.get(number, "")
                number += 1
                splits.add(split)
                boxes.append(_voc_box(found, split, path))
            name = tree.findtext("filename") or f"{path.stem}.jpg"
            strictest = next((s for s in _STRICTEST if s in splits), None)
            yield Entry(path.stem, (f"{self.pictures}/{name}",), strictest, boxes=tuple(boxes))

    def read(self, root: Path, entry: Entry) -> Pixels:
        """The picture."""
        return picture_pixels((root / entry.files[0]).read_bytes())

    def _splits(self, root: Path) -> dict[int, str]:
        lists = [f"{split}.txt" for split in ("train", "val", "test")]
        for folder in self.splits:
            there = [(root / folder / name).is_file() for name in lists]
            if any(there) and not all(there):
                lacking = lists[there.index(False)]
                raise InputError(
                    f"'{root}' has no '{Path(folder, lacking).as_posix()}' beside the other splits; download it"
                )
            if all(there):
                return {
                    int(line): split
                    for split in ("train", "val", "test")
                    for line in read_lines(root / folder / f"{split}.txt")
                }
        tell_missing(root, [f"{self.splits[-1]}/{name}" for name in lists], "DIOR-RSVG")
        return {}


@dataclass(frozen=True)
class PthExpressions:
    """RSVG (GeoVG): lists of (picture, box, expression) saved by torch; nothing but plain values is loaded from them.

    Attributes:
        tables: split → file.
        pictures: folder.
    """

    tables: tuple[tuple[str, str], ...] = (
        ("train", "rsvg_train.pth"), ("val", "rsvg_val.pth"), ("test", "rsvg_test.pth")
    )  # fmt: skip
    pictures: str = "images"

    def entries(self, root: Path) -> Iterator[Entry]:
        """Pictures with all their expressions; one in several splits goes to the strictest."""
        first_existing(root, [name for _, name in self.tables], "expressions")
        tell_missing(root, [name for _, name in self.tables], "RSVG")
        boxes: dict[str, list[Box]] = {}
        for split, name in self.tables:
            if (root / name).is_file():
                for picture, box, phrase in _plain_list(root / name):
                    x0, y0, x1, y1 = (float(v) for v in box)
                    if not (x1 > x0 and y1 > y0):
                        raise InputError(f"'{name}' has the box {list(box)} for '{picture}', which is none")
                    boxes.setdefault(picture, []).append(Box(phrase, (y0, x0, y1, x1), None, split))
        for picture, found in sorted(boxes.items()):
            split = next(s for s in _STRICTEST if any(b.note == s for b in found))
            yield Entry(picture, (f"{self.pictures}/{picture}",), split, boxes=tuple(found))

    def read(self, root: Path, entry: Entry) -> Pixels:
        """The picture."""
        return picture_pixels((root / entry.files[0]).read_bytes())


@dataclass(frozen=True)
class VrsBenchFolders:
    """VRSBench: one JSON a picture with a caption, questions, and objects with expressions and boxes."""

    def entries(self, root: Path) -> Iterator[Entry]:
        """Pictures by split and name."""
        folders = ("Annotations_train", "Annotations_val")
        first_existing(root, folders, "annotations")
        tell_missing(root, folders, "VRSBench")
        for split in ("train", "val"):
            for path in sorted((root / f"Annotations_{split}").glob("*.json")):
                content = read_json(path)
                boxes = [box for found in content.get("objects", ()) for box in _vrs_boxes(found)]
                labels = tuple(dict.fromkeys(str(f["obj_cls"]) for f in content.get("objects", ()) if f.get("obj_cls")))
                name = content.get("image") or f"{path.stem}.png"
                yield Entry(
                    key=f"{split}/{path.stem}",
                    files=(f"Images_{split}/{name}",),
                    split=split,
                    labels={"vrsbench-objects": labels} if labels else {},
                    texts=(str(content["caption"]),) if content.get("caption") else (),
                    boxes=tuple(boxes),
                    questions=tuple(
                        (str(pair.get("question") or ""), str(pair.get("answer") or ""))
                        for pair in content.get("qa_pairs", ())
                    ),
                )

    def read(self, root: Path, entry: Entry) -> Pixels:
        """The picture."""
        return picture_pixels((root / entry.files[0]).read_bytes())


def rotated(corners: Sequence[Sequence[float]]) -> tuple[tuple[float, float, float, float], float]:
    """A quadrilateral's smallest rotated rectangle as a box and an angle.

    Args:
        corners: four (x, y) in pixels, y downwards.

    Returns:
        Min row, min column, max row, max column of the box before it is turned, and the degrees (counter-clockwise as
        seen on the picture, -90 exclusive to 90) by which to turn it about its centre; its longer side is the width.
    """
    rectangle = shapely.minimum_rotated_rectangle(shapely.MultiPoint([tuple(c) for c in corners]))
    if rectangle.geom_type != "Polygon":
        raise InputError(f"the corners {[list(c) for c in corners]} make no rectangle")
    ring = np.asarray(rectangle.exterior.coords[:3])
    sides = np.diff(ring, axis=0)
    lengths = np.hypot(*sides.T)
    long, short = (
        int(lengths.argmax()),
        int(lengths.argmin()) if lengths[0] != lengths[1] else 1 - int(lengths.argmax()),
    )
    angle = float(np.degrees(np.arctan2(-sides[long, 1], sides[long, 0])))
    angle = angle - 180 if angle > 90 else angle + 180 if angle <= -90 else angle
    x, y = rectangle.centroid.x, rectangle.centroid.y
    half_w, half_h = float(lengths[long]) / 2, float(lengths[short]) / 2
    return (y - half_h, x - half_w, y + half_h, x + half_w), angle


def _voc_box(found: Any, split: str, path: Path) -> Box:  # noqa: ANN401
    box = found.find("bndbox")
    try:
        x0, y0, x1, y1 = (float(box.findtext(name)) for name in ("xmin", "ymin", "xmax", "ymax"))
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"'{path}' has an object without a box; download it again") from error
    phrase = (found.findtext("description") or found.findtext("name") or "").strip()
    return Box(phrase, (y0, x0, y1, x1), None, split)


def _plain_list(path: Path) -> Iterator[tuple[str, Sequence[float], str]]:
    import pickle

    import torch  # only here, in the process that makes the plan

    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        raise InputError(f"'{path}' holds more than plain values, or is damaged; download it again") from error
    for row in content:
        box = next((v for v in row if not isinstance(v, str) and np.size(v) == 4), None)
        texts = [v for v in row if isinstance(v, str)]
        if box is None or len(texts) < 2:
            raise InputError(f"'{path}' is no list of pictures, boxes and expressions; download it again")
        yield texts[0], [float(v) for v in np.asarray(box).ravel()], texts[1].strip()


def _vrs_boxes(found: dict[str, Any]) -> Iterator[Box]:
    phrase = str(found.get("referring_sentence") or found.get("obj_cls") or "").strip()
    note = "unique" if found.get("is_unique") else "object"
    coordinates = found.get("obj_coord")
    if coordinates and len(coordinates) == 4:
        x0, y0, x1, y1 = (float(v) * _VRS_SIDE for v in coordinates)
        yield Box(phrase, (y0, x0, y1, x1), None, note)
    corners = found.get("obj_corner")
    if corners and np.size(corners) == 8:
        box, angle = rotated((np.asarray(corners, float).reshape(4, 2) * _VRS_SIDE).tolist())
        yield Box(phrase, box, angle, note)
