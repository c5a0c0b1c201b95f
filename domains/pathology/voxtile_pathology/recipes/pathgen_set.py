"""`voxtile build pathgen-1.6m`: the captions of PathGen-1.6M with their patches, read from TCGA slides."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from rich.console import Console

from voxtile.corpus.identity import file_edges, sample_uid
from voxtile.corpus.records import Row, Sample
from voxtile.corpus.splits import parse_fractions, split_of
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome, Part
from voxtile.errors import InputError
from voxtile.stages.ingest.text import caption_rows, check_texts
from voxtile_pathology.convert.patches import encode
from voxtile_pathology.recipes.collection import Collection, need
from voxtile_pathology.slides.open import find_slides, open_slide
from voxtile_pathology.slides.protocol import Slide, SlideError

PATHGEN = Collection(
    name="pathgen-1.6m",
    title="PathGen-1.6M (Sun et al., ICLR 2025)",
    licence="captions: scientific, neither commercial nor clinical use; slides: NIH GDC open access",
    home="https://huggingface.co/datasets/jamessyx/PathGen",
)
FILE = "PathGen-1.6M.json"
PATCH_PX = 672  # at level 0, as the authors' own script reads them
_ITEM_PATCHES = 64
_QUALITY = 90
_CHUNK = 1 << 24
_LONGEST_ROW = 1 << 20
_CASE = re.compile(r"^TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}", re.IGNORECASE)


@dataclass(frozen=True)
class PathGenTask:
    """The engine task: an item is a few dozen patches of one slide.

    Attributes:
        root: folder with the captions and the slides; no part of the task's identity.
        fractions: split → share.
    """

    root: str
    fractions: Mapping[str, float]

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return PATHGEN.name

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return {"licence": PATHGEN.licence, "fractions": dict(self.fractions), "quality": _QUALITY}

    def items(self) -> Iterator[Item]:
        """Runs of patches, slide by slide; a slide that is not there is one row of the ledger.

        Raises:
            InputError: the captions are missing or damaged.
        """
        root = Path(self.root)
        slides = {path.stem: path for path in find_slides(root)}
        patches: dict[str, list[tuple[int, int, str]]] = {}
        for wsi, x, y, caption in read_rows(need(root, FILE, PATHGEN)):
            rows = patches.setdefault(wsi, [])
            if wsi in slides:
                rows.append((x, y, caption))
        missing = sum(wsi not in slides for wsi in patches)
        Console(stderr=True).print(f"{len(patches) - missing} of {len(patches)} slides are there", highlight=False)
        for wsi, rows in sorted(patches.items()):
            if wsi not in slides:
                yield Item(f"{self.name}/{wsi}", {"wsi": wsi, "missing": True})
                continue
            path = slides[wsi].relative_to(root).as_posix()
            size, edges = file_edges(slides[wsi])
            for start in range(0, len(rows), _ITEM_PATCHES):
                chosen = [list(row) for row in rows[start : start + _ITEM_PATCHES]]
                inputs = {"wsi": wsi, "path": path, "bytes": size, "edges": edges, "patches": chosen}
                yield Item(f"{self.name}/{wsi}#{start:05d}", inputs, cost=len(chosen) * PATCH_PX**2)

    def process(self, item: Item) -> Outcome:
        """Read the patches of one item."""
        inputs = item.inputs
        if "missing" in inputs:
            return Outcome("dropped", "missing-file", "the captions name the slide, but the folder does not hold it")
        slide = _opened(str(Path(self.root, inputs["path"])), inputs["edges"])
        case = _CASE.match(inputs["wsi"])
        subject = case.group(0).upper() if case else inputs["wsi"]
        tables: dict[str, list[Row]] = {"captions": []}
        tables["splits"] = [{"scheme": "default", "subject": subject, "split": split_of(subject, self.fractions)}]
        samples: list[Sample] = []
        parts: list[Part] = []
        for x, y, caption in inputs["patches"]:
            box = (x, y, x + PATCH_PX, y + PATCH_PX)
            uid = sample_uid(f"{inputs['bytes']} {inputs['edges']}", f"{x} {y}", PATHGEN.name)
            try:
                samples.append(_sample(slide, box, uid, subject, inputs["wsi"]))
            except SlideError as error:
                parts.append(Part(uid, "failed", "unreadable-patch", str(error)))
                continue
            texts = check_texts([caption]).accepted
            tables["captions"] += caption_rows(uid, texts, source=item.source, kind="vlm", provider=PATHGEN.name)
        if not samples:
            return Outcome("failed", parts[0].reason, parts[0].detail)
        return Outcome("used", samples=tuple(samples), tables=tables, parts=tuple(parts))


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

    Raises:
        InputError: there are no captions or no slides.
        RunFailedError: some patches could not be read; the rest is stored.
    """
    need(source, FILE, PATHGEN)
    Console(stderr=True).print(f"{PATHGEN.title}: {PATHGEN.licence}", highlight=False, markup=False)
    task = PathGenTask(str(source), parse_fractions(split_fractions))
    run_task(task, corpus, RunOptions(**run)).raise_if_failed()


def read_rows(path: Path) -> Iterator[tuple[str, int, int, str]]:
    """Rows (slide, x, y, caption) of the captions, read piece by piece: the file has a gigabyte.

    Raises:
        InputError: it is not a list of such rows.
    """
    decoder, buffer, number = json.JSONDecoder(), "", 0
    with path.open(encoding="utf-8") as file:
        buffer = file.read(_CHUNK).lstrip()
        if not buffer.startswith("["):
            raise InputError(f"'{path}' is not a list of captions; download it again from {PATHGEN.home}")
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


def _sample(slide: Slide, box: tuple[int, int, int, int], uid: str, subject: str, wsi: str) -> Sample:
    width, height = slide.levels[0].size
    if min(box) < 0 or box[2] > width or box[3] > height:
        raise SlideError(f"the patch at {box[0]}, {box[1]} reaches beyond {wsi} of {width} × {height} pixels")
    row: Row = {
        "uid": uid,
        "subject": subject,
        "study": wsi,
        "kind": "patch",
        "modality": "SM",
        "axes": "YXC",
        "units": "a.u.",
        "mpp": list(slide.mpp) if slide.mpp else None,
        "level0_box": list(box),
        "source": wsi,
        "licence": PATHGEN.licence,
    }
    return Sample(row, encode(slide.read(0, box), "jpg", _QUALITY))


@lru_cache(maxsize=1)
def _opened(path: str, edges: str) -> Slide:
    """The slide that this process worked on last."""
    return open_slide(Path(path))
