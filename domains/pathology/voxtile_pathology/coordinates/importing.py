"""`voxtile import features SOURCE CORPUS`: vectors that TRIDENT or CLAM made, for the patches of a corpus."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from voxtile.corpus.identity import KeyMap, key_map_path
from voxtile.corpus.parts import part_table
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.failure import Failure
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome, Part
from voxtile.errors import ConfigError, InputError, VoxtileError
from voxtile.file_edges import probe_digest
from voxtile_pathology.coordinates.files import find_coordinates, read_coordinates, read_corners
from voxtile_pathology.coordinates.layout import Coordinates, CoordinatesError
from voxtile_pathology.coordinates.vectors import SUFFIXES, read_vectors

_FOLDERS = ("", "h5_files", "pt_files")  # the second and third are CLAM's
_LARGEST = float(np.finfo(np.float16).max)
_ROUNDING = 1  # level-0 pixels: the tools have whole ones a patch
STORED = (
    "vectors of the slide by this model are stored, from another file or for fewer patches; take them back with "
    "'voxtile retract CORPUS --stage features' (those of voxtile embed: --stage embed), then run again with --retry"
)


@dataclass(frozen=True)
class Slide:
    """The patches of a slide.

    Attributes:
        path: of the slide, as it was when it was converted.
        uids: of its patches.
        boxes: [N, 4] (x0, y0, x1, y1) at level 0.
        has_vector: [N] whether a patch has a vector by the model.
    """

    path: str
    uids: npt.NDArray[np.str_]
    boxes: npt.NDArray[np.int64]
    has_vector: npt.NDArray[np.bool_]

    @property
    def names(self) -> frozenset[str]:
        """What the tools call it: without its suffix, or all of its suffixes."""
        name = Path(self.path).name
        return frozenset({name, Path(name).stem, name.split(".")[0]})


@dataclass(frozen=True)
class FeatureTask:
    """The engine task: an item is the file of a slide.

    Attributes:
        files: source of a slide, as the corpus has it → its file.
        slides: source of a slide → its patches.
        model: how the table calls the vectors.
        coords: folder of coordinate files, for vectors that do not say where they are from.
        width: numbers a vector.
        ledger: sources of items that were used by earlier runs.
    """

    files: Mapping[str, Path]
    slides: Mapping[str, Slide]
    model: str
    coords: Path | None
    width: int
    ledger: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "features"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """The model."""
        return {"model": self.model, "width": self.width}

    def items(self) -> Iterator[Item]:
        """One item a slide."""
        for source, file in sorted(self.files.items()):
            slide = self.slides[source]
            uids = hashlib.sha256("\n".join(slide.uids.tolist()).encode()).hexdigest()
            inputs = {"slide": source, "file": probe_digest(file), "uids": uids}
            if self.coords is not None and (places := find_coordinates(self.coords, Path(slide.path))) is not None:
                inputs["coords"] = probe_digest(places)
            digest = hashlib.sha256("\n".join(inputs.values()).encode()).hexdigest()[:12]
            yield Item(f"features:{self.model}/{source}/{digest}", inputs, file.stat().st_size)

    def process(self, item: Item) -> Outcome:
        """Vectors of the patches of a slide that the corpus has."""
        source = item.inputs["slide"]
        slide = self.slides[source]
        try:
            vectors = read_vectors(self.files[source])
            places = self._places(self.files[source], slide)
            if len(places) != len(vectors):
                raise CoordinatesError(
                    f"there are {len(vectors)} vectors and {len(places)} places; they are of two runs"
                )
            if vectors.shape[1] != self.width:
                raise CoordinatesError(
                    f"its vectors have {vectors.shape[1]} numbers, and others of the model {self.width}"
                )
            if not (np.abs(vectors) <= _LARGEST).all():
                raise CoordinatesError("a vector is not finite or too large for float16; make the vectors again")
            found = _matched(slide, places)
        except VoxtileError as error:
            return Outcome("failed", "unusable-features", str(error))
        if item.source not in self.ledger and slide.has_vector[[i for i, _ in found]].any():
            return Outcome("failed", "other-vectors", STORED)
        halves = vectors.astype(np.float16)
        rows: list[Row] = [{"uid": str(slide.uids[i]), "model": self.model, "vector": halves[row]} for i, row in found]
        lost = len(places) - len(rows)
        left = f"{lost} of {len(places)} patches"
        note = Part("", "dropped", "no-patch", f"{left} of the file are not in the corpus", f"{item.source}#{left}")
        return Outcome("used", tables={"embeddings": rows}, parts=(note,) if lost else ())

    def _places(self, file: Path, slide: Slide) -> Coordinates:
        if self.coords is not None:
            found = find_coordinates(self.coords, Path(slide.path))
            if found is None:
                raise CoordinatesError(f"no file in '{self.coords}' is named as the slide of '{file.name}'")
            places = read_coordinates(found)
            if file.suffix.lower() != ".pt" and not np.array_equal(read_corners(file), places.corners):
                raise CoordinatesError(f"'{file.name}' has other places of patches than '{found.name}' in --coords")
            return places
        if file.suffix.lower() == ".pt":
            raise CoordinatesError(
                f"'{file.name}' does not say where its patches lie; give the folder of coordinates with --coords"
            )
        try:
            return read_coordinates(file)
        except CoordinatesError as error:
            raise CoordinatesError(f"{error}; CLAM keeps sizes of patches in its folder patches: --coords") from error


def _matched(slide: Slide, places: Coordinates) -> list[tuple[int, int]]:
    """Patch of the corpus and row of the file, by the top left corner, of patches of the file's size.

    Raises:
        CoordinatesError: no patch has this size, or none of them a corner of the file.
    """
    sides = slide.boxes[:, 2:] - slide.boxes[:, :2]
    same = np.flatnonzero((np.abs(sides - np.array(places.level0_px)) <= _ROUNDING).all(axis=1))
    wanted = f"{places.level0_px[0]} × {places.level0_px[1]}"
    if not len(same):
        there = ", ".join(f"{x} × {y}" for x, y in sorted({(int(x), int(y)) for x, y in sides.tolist()})[:3])
        raise CoordinatesError(
            f"its patches are {wanted} pixels of level 0, and those of the corpus {there}; convert the slides with "
            "--sampling coords --coords FOLDER of its coordinates, into a new corpus"
        )
    rows = {(int(x), int(y)): row for row, (x, y) in reversed(list(enumerate(places.corners.tolist())))}
    corners = slide.boxes[same, :2].tolist()
    found = [(int(i), rows[x, y]) for i, (x, y) in zip(same, corners, strict=True) if (x, y) in rows]
    if not found:
        raise CoordinatesError(
            f"none of its {len(places)} patches is where the corpus has one; convert the slides with --sampling coords "
            "--coords FOLDER of its coordinates, into a new corpus"
        )
    return found


def import_features(
    source: Path,
    corpus: Path,
    *,
    model: str,
    coords: Path | None = None,
    key_file: Path | None = None,
    **run: Any,  # noqa: ANN401
) -> None:
    """Take over vectors of patches that TRIDENT or CLAM made, as `voxtile embed` would have stored them.

    The corpus has the patches already: convert the slides with --sampling coords and the same coordinates. A vector
    goes to the patch with its corner and size at level 0.

    Args:
        source: folder of one file a slide, named as the slide: .h5 with the datasets features and coords (features_…
            of TRIDENT, h5_files of CLAM), or .pt with a tensor.
        corpus: a corpus of slides.
        model: what made the vectors, by the name that voxtile embed has for it (hf:ORG/MODEL), or any other name.
        coords: folder of coordinate files (patches), for .pt and for files of CLAM, whose .h5 do not say how large
            patches are.
        key_file: the key map of a de-identified corpus, if it is not beside the corpus.
        run: how to run: workers, retry, dry_run, …

    Raises:
        ConfigError: the model has no name.
        InputError: the folder holds no such file, or none is named as a slide of the corpus.
    """
    options = RunOptions(**run)
    if not model.strip() or not model.isprintable():
        raise ConfigError("--model needs the name of what made the vectors, such as hf:MahmoodLab/UNI")
    if coords is not None and not coords.exists():
        raise InputError(f"the folder of coordinates '{coords}' does not exist; give that of patches/SLIDE.h5")
    opened = Corpus(corpus)
    width, known = _stored(opened, model)
    slides = _slides(opened, corpus, key_file, known)
    files = _files(source, slides, corpus)
    width = width or _first_width(files.values(), options)
    ledger = opened.ledger()
    own = pc.and_(pc.starts_with(ledger["source"], f"features:{model}/"), pc.equal(ledger["status"], "used"))
    used = frozenset(ledger.filter(own)["source"].to_pylist())
    task = FeatureTask(files, {name: slides[name] for name in files}, model, coords, width, used)
    run_task(task, corpus, options).raise_if_failed()


def _slides(opened: Corpus, corpus: Path, key_file: Path | None, known: Collection[str]) -> dict[str, Slide]:
    """Source of a slide → its patches."""
    keys = key_map_path(corpus, key_file)
    key_map = KeyMap(keys) if keys.exists() else None
    table = opened.table("samples", ["uid", "kind", "source", "level0_box"])
    table = table.filter(pc.and_(pc.equal(table["kind"], "patch"), pc.is_valid(table["level0_box"])))
    grouped: dict[str, list[tuple[str, list[int]]]] = defaultdict(list)
    for uid, source, box in zip(*(table[name].to_pylist() for name in ("uid", "source", "level0_box")), strict=True):
        grouped[str(source)].append((uid, box))
    if not grouped:
        raise InputError(f"'{corpus}' has no patches of slides; make them with: voxtile convert wsi --sampling coords")
    return {
        source: Slide(
            (key_map.path_of(source) if key_map else None) or source,
            np.array([uid for uid, _ in sorted(patches)]),
            np.array([box for _, box in sorted(patches)], np.int64),
            np.array([uid in known for uid, _ in sorted(patches)], np.bool_),
        )
        for source, patches in grouped.items()
    }


def _files(source: Path, slides: Mapping[str, Slide], corpus: Path) -> dict[str, Path]:
    """Source of a slide → its file; the first folder that holds files counts."""
    if not source.is_dir():
        raise InputError(f"'{source}' is no folder; give that of the vectors, a file a slide")
    found: list[Path] = []
    for suffix in SUFFIXES:
        found = found or [path for name in _FOLDERS for path in sorted((source / name).glob(f"*{suffix}"))]
    if not found:
        inside = sorted(path.name for path in source.glob("**/features_*") if path.is_dir())
        advice = f"one of its folders, such as {inside[0]}" if inside else "the folder of the vectors"
        raise InputError(f"'{source}' holds no .h5 or .pt; give {advice}")
    by_name: dict[str, list[str]] = defaultdict(list)
    for name, slide in slides.items():
        for called in slide.names:
            by_name[called].append(name)
    files: dict[str, Path] = {}
    unused = 0
    for path in found:
        owners = by_name.get(path.stem, [])
        unused += len(owners) != 1
        if len(owners) > 1:
            raise InputError(f"'{path.name}' is named as {len(owners)} slides of the corpus; import folders one by one")
        files |= dict.fromkeys(owners, path)
    if not files:
        raise InputError(
            f"none of the {len(found)} files in '{source}' is named as a slide of '{corpus}' ({len(slides)} slides); "
            "where identifiers are replaced, the key map says the names: give it with --key-file"
        )
    if unused or len(files) < len(slides):
        from voxtile.console import note

        note(
            f"{unused} of {len(found)} files are named as no slide, and {len(slides) - len(files)} slides have no file"
        )
    return files


def _stored(opened: Corpus, model: str) -> tuple[int, set[str]]:
    """Numbers of a vector by the model, 0 where there is none, and the samples that have one."""
    width, uids = 0, set()
    for part in opened.parts("embeddings"):
        table = part_table(part, ["uid", "model", "vector"]).filter(pc.field("model") == model)
        if table.num_rows:
            width = width or len(table["vector"][0])
            uids.update(table["uid"].to_pylist())
    return width, uids


def _first_width(files: Iterable[Path], options: RunOptions) -> int:
    """Numbers of a vector of the first file that can be read.

    Raises:
        InputError: none can; what is wrong with the last.
    """
    sentence = ""
    for path in files:
        found = options.plan_reader.read(_width, path, title="reading vectors")
        if not isinstance(found, Failure):
            return found
        sentence = found.sentence
    raise InputError(sentence)


def _width(path: Path) -> int:
    return int(read_vectors(path).shape[1])
