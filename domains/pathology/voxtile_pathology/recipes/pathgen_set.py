"""`voxtile build pathgen-1.6m`: the captions of PathGen-1.6M with their patches, read from TCGA slides."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from voxtile.corpus.identity import file_edges, sample_uid
from voxtile.corpus.records import Row
from voxtile.engine.run import RunOptions
from voxtile.engine.task import Item, Part
from voxtile.errors import InputError
from voxtile_datasets.recipes.build import build
from voxtile_datasets.recipes.download import tell
from voxtile_datasets.recipes.recipe import MissingFileError, Recipe, Record
from voxtile_pathology.convert.content_id import slide_content
from voxtile_pathology.convert.patches import encode
from voxtile_pathology.recipes.collection import Collection, need
from voxtile_pathology.slides.open import find_slides, open_slide
from voxtile_pathology.slides.protocol import Slide, SlideError

PATHGEN = Collection(
    name="pathgen-1.6m",
    title="PathGen-1.6M (Sun et al., ICLR 2025)",
    licence="captions: scientific, neither commercial nor clinical use; slides: NIH GDC open access",
    source="https://huggingface.co/datasets/jamessyx/PathGen",
)
FILE = "PathGen-1.6M.json"
PATCH_PX = 672  # at level 0, as the authors' own script reads them
_ITEM_PATCHES = 64
_QUALITY = 90
_CHUNK = 1 << 24
_LONGEST_ROW = 1 << 20
_CASE = re.compile(r"^TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}", re.IGNORECASE)


@dataclass(frozen=True)
class PathGenPatches(Recipe):
    """PathGen-1.6M: an item is a few dozen patches of one slide."""

    data: Collection = PATHGEN

    def config(self) -> dict[str, Any]:
        """How patches are encoded."""
        return {"quality": _QUALITY}

    def check(self, root: Path) -> None:
        """Refuse a folder without the captions."""
        need(root, FILE, self.data)

    def items(self, root: Path) -> Iterator[Item]:
        """Runs of patches, slide by slide; a slide that is not there is one row of the ledger."""
        name = self.data.name
        slides = {path.stem: path for path in find_slides(root)}
        patches: dict[str, list[tuple[int, int, str]]] = {}
        for wsi, x, y, caption in read_rows(need(root, FILE, self.data)):
            rows = patches.setdefault(wsi, [])
            if wsi in slides:
                rows.append((x, y, caption))
        missing = sum(wsi not in slides for wsi in patches)
        tell(f"{len(patches) - missing} of {len(patches)} slides are there")
        for wsi, rows in sorted(patches.items()):
            if wsi not in slides:
                yield Item(f"{name}/{wsi}", {"wsi": wsi, "missing": True})
                continue
            path = slides[wsi].relative_to(root).as_posix()
            size, edges = file_edges(slides[wsi])  # of which uids are made
            content = slide_content(slides[wsi])[0]
            for start in range(0, len(rows), _ITEM_PATCHES):
                chosen = [list(row) for row in rows[start : start + _ITEM_PATCHES]]
                inputs = {"wsi": wsi, "path": path, "bytes": size, "edges": edges, "content": content}
                inputs["patches"] = chosen
                yield Item(f"{name}/{wsi}#{start:05d}", inputs, cost=len(chosen) * PATCH_PX**2)

    def records(self, root: Path, item: Item) -> Iterator[Record | Part]:
        """The patches of one item, each with its caption."""
        inputs, name = item.inputs, self.data.name
        if "missing" in inputs:
            raise MissingFileError("the captions name the slide, but the folder does not hold it")
        wsi = inputs["wsi"]
        slide = _opened(str(root / inputs["path"]), inputs["content"])
        case = _CASE.match(wsi)
        subject = case.group(0).upper() if case else wsi
        for x, y, caption in inputs["patches"]:
            box = (x, y, x + PATCH_PX, y + PATCH_PX)
            uid = sample_uid(f"{inputs['bytes']} {inputs['edges']}", f"{x} {y}", name)
            try:
                payload, row = _patch(slide, box, wsi)
            except SlideError as error:
                yield Part(uid, "failed", "unreadable-patch", str(error))
                continue
            yield Record(
                uid, subject, wsi, payload, row, texts=(caption,), text_source=item.source, text_kind="vlm",
                text_provider=name,
            )  # fmt: skip


def build_pathgen(source: Path, corpus: Path, *, split_fractions: str = "0.98,0.01,0.01", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from PathGen-1.6M: captions that models wrote for patches of TCGA slides.

    Slides may arrive bit by bit: those that are missing are rows of the ledger, and are read when they are there.

    Licence: of the captions, scientific and neither commercial nor clinical use, with a citation
    (https://huggingface.co/datasets/jamessyx/PathGen, with registration); of the slides, open access of the NCI's GDC.

    Args:
        source: the folder with `PathGen-1.6M.json` and, in any folders below, the TCGA slides.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by patient.
        run: options of the run.
    """
    build(PathGenPatches(), source, corpus, split_fractions, RunOptions(**run))


def read_rows(path: Path) -> Iterator[tuple[str, int, int, str]]:
    """Rows (slide, x, y, caption) of the captions, read piece by piece: the file has a gigabyte.

    Raises:
        InputError: it is not a list of such rows.
    """
    decoder, buffer, number = json.JSONDecoder(), "", 0
    with path.open(encoding="utf-8") as file:
        buffer = file.read(_CHUNK).lstrip()
        if not buffer.startswith("["):
            raise InputError(f"'{path}' is not a list of captions; download it again from {PATHGEN.source}")
        buffer = buffer[1:]
        while True:
            buffer = buffer.lstrip(" \r\n\t,")
            if buffer.startswith("]"):
                return
            try:
                row, end = decoder.raw_decode(buffer)
            except (ValueError, RecursionError) as error:
                more = file.read(_CHUNK) if len(buffer) < _LONGEST_ROW + _CHUNK else ""
                if not more:
                    raise InputError(
                        f"'{path}' breaks off after {number} captions ({error}); download it again"
                    ) from None
                buffer += more
                continue
            buffer, number = buffer[end:], number + 1
            yield _row(row, path, number)


def _row(row: Any, path: Path, number: int) -> tuple[str, int, int, str]:  # noqa: ANN401
    try:
        x, y = (int(value) for value in row["position"])
        return str(row["wsi_id"]), x, y, str(row["caption"])
    except (TypeError, KeyError, ValueError):
        raise InputError(f"caption {number} of '{path}' lacks wsi_id, position or caption; download it again") from None


def _patch(slide: Slide, box: tuple[int, int, int, int], wsi: str) -> tuple[bytes, Row]:
    """JPEG of a patch, and the columns of its row."""
    width, height = slide.levels[0].size
    if min(box) < 0 or box[2] > width or box[3] > height:
        raise SlideError(f"the patch at {box[0]}, {box[1]} reaches beyond {wsi} of {width} × {height} pixels")
    row: Row = {
        "study": wsi,
        "kind": "patch",
        "modality": "SM",
        "axes": "YXC",
        "units": "a.u.",
        "mpp": list(slide.mpp) if slide.mpp else None,
        "level0_box": list(box),
    }
    return encode(slide.read(0, box), "jpg", _QUALITY), row


@lru_cache(maxsize=1)
def _opened(path: str, content: str) -> Slide:
    """The slide that this process worked on last."""
    return open_slide(Path(path))
