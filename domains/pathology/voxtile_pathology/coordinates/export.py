"""`voxtile export CORPUS OUT --to trident|clam`: patches of a corpus in the folders and files that the tools read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
from rich.console import Console

from voxtile.corpus.drafts import draft
from voxtile.corpus.identity import KeyMap, key_map_path
from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError, InputError
from voxtile_pathology.coordinates.features import read_features
from voxtile_pathology.coordinates.files import write_coordinates
from voxtile_pathology.coordinates.layout import clam_attributes, trident_attributes

_COLUMNS = ("uid", "kind", "source", "shape", "mpp", "level0_box", "attributes")
_MPP_DIGITS = 3
_MOST_OVERLAPPING = 8  # steps a patch; places closer than that are random


@dataclass(frozen=True)
class SlidePatches:
    """The patches of one slide at one scale.

    Attributes:
        name: of the slide, without its suffix; the hash of its path where the key map is not at hand.
        uids: of the patches, row by row.
        corners: [N, 2] top left corners at level 0.
        patch_px: side of a patch.
        level0_px: side of a patch at level 0.
        mpp: micrometres a pixel of the patches.
        overlap: of neighbours on a grid, in pixels of the patch.
        size: (width, height) of level 0, where it is known.
    """

    name: str
    uids: tuple[str, ...]
    corners: npt.NDArray[np.int64]
    patch_px: int
    level0_px: int
    mpp: float
    overlap: int
    size: tuple[int, int] | None

    def trident(self) -> dict[str, Any]:
        """Attributes as TRIDENT writes them."""
        return trident_attributes(
            name=self.name, patch_px=self.patch_px, level0_px=self.level0_px, mpp=self.mpp, overlap=self.overlap,
            size=self.size,
        )  # fmt: skip

    def clam(self) -> dict[str, Any]:
        """Attributes as CLAM writes them; at level 0, since CLAM has no scales between levels."""
        size = self.size or (0, 0)
        return clam_attributes(
            name=self.name, patch_px=self.level0_px, level=0, downsample=(1.0, 1.0), level_size=size, size=size
        )


def export_trident(
    corpus: Path, out: Path, *, features: str | None = None, mpp: float | None = None, key_file: Path | None = None
) -> None:
    """Write the patches of a corpus as TRIDENT does: `OUT/20x_256px_0px_overlap/patches/SLIDE_patches.h5`.

    With --features, also `…/features_MODEL/SLIDE.h5` with the datasets `features` and `coords`.

    Args:
        corpus: a corpus of slides.
        out: the folder to write to.
        features: model whose embeddings are written too, by the name that 'voxtile embed' prints.
        mpp: only patches of this scale, in micrometres a pixel; all scales if not given.
        key_file: where names of slides are kept; default beside the corpus, CORPUS.sources.parquet. Without it files
            are named by hashes.

    Raises:
        InputError: the corpus has no patches with places, or no such embeddings.
    """
    written = 0
    vectors = read_features(corpus, features) if features else None
    for patches in slide_patches(corpus, mpp=mpp, key_file=key_file):
        attributes = patches.trident()
        magnification = attributes["target_magnification"]
        folder = out / f"{magnification}x_{patches.patch_px}px_{patches.overlap}px_overlap"
        _write(folder / "patches" / f"{patches.name}_patches.h5", patches, attributes)
        if vectors is not None and features:
            path = folder / f"features_{_file_name(features)}" / f"{patches.name}.h5"
            _write(path, patches, attributes, vectors.of(patches.uids))
        written += 1
    _say(written, out)


def export_clam(
    corpus: Path, out: Path, *, features: str | None = None, mpp: float | None = None, key_file: Path | None = None
) -> None:
    """Write the patches of a corpus as CLAM does: `OUT/patches/SLIDE.h5`.

    With --features, also `OUT/h5_files/SLIDE.h5` and `OUT/pt_files/SLIDE.pt`, which CLAM trains from.

    Args:
        corpus: a corpus of slides.
        out: the folder to write to.
        features: model whose embeddings are written too, by the name that 'voxtile embed' prints.
        mpp: only patches of this scale, in micrometres a pixel; needed where the corpus has several.
        key_file: where names of slides are kept; default beside the corpus, CORPUS.sources.parquet. Without it files
            are named by hashes.

    Raises:
        ConfigError: the corpus has patches of several scales and --mpp chooses none.
        InputError: the corpus has no patches with places, or no such embeddings.
    """
    vectors = read_features(corpus, features) if features else None
    found = list(slide_patches(corpus, mpp=mpp, key_file=key_file))
    scales = sorted({round(patches.mpp, _MPP_DIGITS) for patches in found})
    if len({patches.name for patches in found}) < len(found):
        listed = ", ".join(f"{scale:g}" for scale in scales)
        raise ConfigError(f"'{corpus}' has several scales of a slide ({listed} µm a pixel); choose one with --mpp")
    for patches in found:
        _write(out / "patches" / f"{patches.name}.h5", patches, patches.clam())
        if vectors is not None:
            found_features = vectors.of(patches.uids)
            _write(out / "h5_files" / f"{patches.name}.h5", patches, patches.clam(), found_features)
            _write_tensor(out / "pt_files" / f"{patches.name}.pt", found_features)
    _say(len(found), out)


def slide_patches(corpus: Path, *, mpp: float | None = None, key_file: Path | None = None) -> Iterator[SlidePatches]:
    """The patches of a corpus, slide by slide and scale by scale, in the order of names.

    Args:
        corpus: a corpus of slides.
        mpp: only this scale.
        key_file: where names of slides are kept.

    Raises:
        InputError: no patch has a place on a slide.
    """
    table = Corpus(corpus).table("samples", _COLUMNS)
    table = table.filter(pc.and_(pc.equal(table["kind"], "patch"), pc.is_valid(table["level0_box"])))
    names = _names(corpus, key_file)
    groups: dict[tuple[str, float, int], list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        scale = round(row["mpp"][0], _MPP_DIGITS) if row["mpp"] else 0.0
        if mpp is None or abs(scale - mpp) < 10**-_MPP_DIGITS * 2:
            groups.setdefault((str(row["source"]), scale, int(row["shape"][0])), []).append(row)
    if not groups:
        where = f" at {mpp:g} µm a pixel" if mpp is not None else ""
        raise InputError(f"'{corpus}' has no patches of slides{where}; make some with: voxtile convert wsi")
    for (source, _, patch_px), rows in sorted(groups.items()):
        yield _slide(names.get(source, source), rows, patch_px)


def _slide(name: str, rows: list[dict[str, Any]], patch_px: int) -> SlidePatches:
    rows = sorted(rows, key=lambda row: (row["level0_box"][1], row["level0_box"][0]))
    boxes = np.array([row["level0_box"] for row in rows], np.int64)
    level0_px = int(np.rint(np.median(boxes[:, 2] - boxes[:, 0])))
    size = json.loads(rows[0]["attributes"] or "{}").get("slide_size")
    return SlidePatches(
        name=Path(name).stem,
        uids=tuple(row["uid"] for row in rows),
        corners=boxes[:, :2],
        patch_px=patch_px,
        level0_px=level0_px,
        mpp=float(rows[0]["mpp"][0]) if rows[0]["mpp"] else 1.0,
        overlap=grid_overlap(boxes[:, :2], level0_px, patch_px),
        size=(int(size[0]), int(size[1])) if size else None,
    )


def grid_overlap(corners: npt.NDArray[np.int64], level0_px: int, patch_px: int) -> int:
    """Pixels of the patch that neighbours share, where corners lie on a grid; otherwise 0.

    Args:
        corners: [N, 2] at level 0.
        level0_px: side of a patch at level 0.
        patch_px: side of a patch.
    """
    steps = [np.asarray(np.diff(np.unique(corners[:, axis])), np.int64) for axis in (0, 1)]
    step = min((int(s.min()) for s in steps if s.size), default=level0_px)
    is_grid = step * _MOST_OVERLAPPING >= level0_px and all(
        (np.minimum(s % step, -s % step) <= 1 + s // step).all() for s in steps
    )
    return round((level0_px - step) * patch_px / level0_px) if is_grid and step < level0_px else 0


def _names(corpus: Path, key_file: Path | None) -> Mapping[str, str]:
    path = key_map_path(corpus, key_file)
    if not path.exists():
        if key_file is not None:
            raise InputError(f"the key file '{key_file}' does not exist")
        return {}
    keys = KeyMap(path)
    sources = Corpus(corpus).table("samples", ["source"])["source"].unique().to_pylist()
    return {source: known for source in sources if source and (known := keys.path_of(source))}


def _write(
    path: Path,
    patches: SlidePatches,
    attributes: Mapping[str, Any],
    features: npt.NDArray[np.floating[Any]] | None = None,
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_coordinates(path, patches.corners, attributes, features=features)


def _write_tensor(path: Path, features: npt.NDArray[np.float32]) -> None:
    import torch  # late: patches without features are written without it

    path.parent.mkdir(parents=True, exist_ok=True)
    with draft(path) as temporary:
        torch.save(torch.from_numpy(features), temporary)
        temporary.replace(path)


def _file_name(model: str) -> str:
    """A model's name as part of a file name."""
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in model)


def _say(written: int, out: Path) -> None:
    Console(stderr=True).print(f"{written} slides written to {out}", highlight=False, markup=False)
