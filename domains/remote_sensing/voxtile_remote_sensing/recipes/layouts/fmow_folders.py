"""Layout: Functional Map of the World, RGB version: a folder a place and class, with dated pictures and a JSON each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from voxtile.errors import InputError
from voxtile_datasets.recipes.download import tell
from voxtile_datasets.recipes.entries import Box, Entry
from voxtile_remote_sensing.recipes.dataset import SPLITS, Pixels
from voxtile_remote_sensing.recipes.layouts.classes import concept_of
from voxtile_remote_sensing.recipes.layouts.pixels import picture_pixels
from voxtile_remote_sensing.recipes.layouts.reading import read_json

_KEPT = ("country_code", "cloud_cover", "sun_elevation_dbl", "sun_azimuth_dbl", "off_nadir_angle_dbl", "utm")


@dataclass(frozen=True)
class FmowFolders:
    """Pictures of places over time.

    Attributes:
        concepts: class → concept.
        vocabulary: name of the labels.
    """

    concepts: Mapping[str, str]
    vocabulary: str = "fmow"

    def entries(self, root: Path) -> Iterator[Entry]:
        """Pictures with three channels (`*_rgb.jpg`), by split, class, place and date; dates of a place are a study.

        Raises:
            InputError: none of the splits' folders is there.
        """
        tops = [name for name in ("train", "val", "test_gt", "test") if (root / name).is_dir()]
        if not tops:
            raise InputError(f"'{root}' has no folder train, val or test_gt; give the folder of fMoW-rgb")
        alone = 0
        for top in tops:
            alone += sum(not p.with_suffix(".json").is_file() for p in (root / top).glob("*/*/*_rgb.jpg"))
            for path in sorted((root / top).glob("*/*/*_rgb.json")):
                picture = path.with_suffix(".jpg")
                about = read_json(path)
                boxes = about.get("bounding_boxes") or []
                boxes = boxes if isinstance(boxes, list) else [boxes]
                names = [b.get("category") for b in boxes if b.get("category")] or [path.parent.parent.name]
                where = f"'{path.relative_to(root).as_posix()}'"
                concepts = tuple(dict.fromkeys(concept_of(self.concepts, n, where) for n in names))
                place = path.parent.relative_to(root).as_posix()
                yield Entry(
                    key=path.relative_to(root).with_suffix("").as_posix(),
                    files=(picture.relative_to(root).as_posix(),),
                    split=SPLITS[top],
                    labels={self.vocabulary: concepts},
                    boxes=tuple(
                        Box(concept_of(self.concepts, b["category"], where), (y, x, y + h, x + w))
                        for b in boxes
                        if b.get("category") and len(b.get("box", ())) == 4
                        for x, y, w, h in [map(float, b["box"])]
                    ),
                    subject=place,
                    study=place,
                    row={"gsd_m": about.get("gsd"), "datetime": about.get("timestamp")},
                    attributes={k.removesuffix("_dbl"): about[k] for k in _KEPT if about.get(k) is not None},
                )
        if alone:
            tell(f"fMoW-rgb: {alone} pictures in '{root}' have no JSON of the same name and are left out")

    def read(self, root: Path, entry: Entry) -> Pixels:
        """The picture."""
        return picture_pixels((root / entry.files[0]).read_bytes())
