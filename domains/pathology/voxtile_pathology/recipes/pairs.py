"""Image-text data sets: Quilt-1M, OpenPath in PLIP's layout, ARCH (BookSet and PubmedSet)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voxtile.bounded_text import load_json
from voxtile.engine.run import RunOptions
from voxtile.errors import InputError
from voxtile.stages.ingest.table import Table, read_table
from voxtile_datasets.recipes.build import build
from voxtile_datasets.recipes.download import tell_missing
from voxtile_datasets.recipes.entries import Entry
from voxtile_pathology.recipes.collection import Collection, need, picture, pictures_below
from voxtile_pathology.recipes.picture_files import PictureFiles

_HERE = "voxtile_pathology.recipes.pairs"

QUILT = Collection(
    name="quilt-1m",
    title="Quilt-1M (Ikezogwo et al., NeurIPS 2023)",
    licence="Quilt-1M terms of use: research only, no redistribution",
    source="https://zenodo.org/records/8239942",
)
_QUILT_VIDEO = re.compile(r"^(.+)_image_")
_QUILT_SPLITS = {"train": "train", "val": "val", "test": "test"}
_QUILT_KEPT = ("subset", "magnification", "pathology", "med_umls_ids")

OPEN_PATH = Collection(
    name="openpath",
    title="OpenPath (Huang et al., Nature Medicine 2023)",
    licence="terms of the posts' authors; the release holds links",
    source="https://github.com/PathologyFoundation/plip",
)
_PICTURE_COLUMNS = ("image", "images", "image_path", "filepath", "file", "filename")
_TEXT_COLUMNS = ("caption", "captions", "text", "title")

ARCH = Collection(
    name="arch",
    title="ARCH (Gamper and Rajpoot, CVPR 2021)",
    licence="CC BY-NC-SA 4.0, research only",
    source="https://warwick.ac.uk/fac/cross_fac/tia/data/arch",
)
_ARCH_SETS = ("books_set", "pubmed_set")
_LARGEST_JSON = 1 << 30


def list_quilt(root: Path) -> Iterator[Entry]:
    """Pictures of `quilt_1M_lookup.csv`, in whatever folder; all captions of a picture; the video is the subject."""
    table = read_table(need(root, "quilt_1M_lookup.csv", QUILT))
    paths = _paths_by_name(root)
    columns = {name: table.find((name,)) for name in (*_QUILT_KEPT, "split")}
    kept = {name: table.column(column) for name, column in columns.items() if column}
    for name, rows in _rows_by_picture(table, ("image_path",), ("caption",)).items():
        first = rows[0][0]
        subset = (kept.get("subset") or {first: None})[first]
        video = _QUILT_VIDEO.match(name) if subset in (None, "quilt") else None
        split = kept["split"][first] if "split" in kept else None
        if split is not None and split not in _QUILT_SPLITS:
            raise InputError(f"'{name}' in '{table.path}' is in the split '{split}'; Quilt-1M has train and val")
        yield picture(
            paths.get(name, name),
            texts=tuple(dict.fromkeys(text for _, text in rows)),
            subject=video.group(1) if video else None,
            study=video.group(1) if video else None,
            split=split,
            attributes={n: values[first] for n, values in kept.items() if n != "split" and values[first]},
            is_missing=name not in paths,
        )


def list_openpath(root: Path) -> Iterator[Entry]:
    """Pictures of all CSV files in the folder that name one and a caption, as PLIP's training reads them."""
    paths = _paths_by_name(root)
    tables = [read_table(path) for path in sorted(root.glob("*.csv"))]
    usable = [t for t in tables if t.find(_PICTURE_COLUMNS) and t.find(_TEXT_COLUMNS)]
    if not usable:
        raise InputError(
            f"'{root}' has no CSV with the columns image and caption; make one as PLIP's training reads it"
        )
    seen: set[str] = set()
    for table in usable:
        for name, rows in _rows_by_picture(table, _PICTURE_COLUMNS, _TEXT_COLUMNS).items():
            if name in seen:
                continue
            seen.add(name)
            texts = tuple(dict.fromkeys(text for _, text in rows))
            split = next((s for s in ("train", "val", "test") if s in table.path.stem.lower()), None)
            yield picture(paths.get(name, name), texts=texts, split=split, is_missing=name not in paths)


def list_arch(root: Path) -> Iterator[Entry]:
    """Pictures of `books_set` and `pubmed_set`, or of one of them; the parts of a figure are one study."""
    sets = [name for name in _ARCH_SETS if (root / name / "captions.json").is_file()]
    if not sets and (root / "captions.json").is_file():
        sets = [""]
    if not sets:
        need(root, "books_set/captions.json", ARCH)
    if sets != [""]:
        tell_missing(root, [f"{name}/captions.json" for name in _ARCH_SETS], ARCH.title)
    for name in sets:
        folder = root / name
        paths = {path.stem: path for path in pictures_below(folder)}
        for key, row in _captions(folder / "captions.json").items():
            uuid, caption = str(row.get("uuid") or ""), str(row.get("caption") or "")
            if not uuid:
                raise InputError(f"entry {key} of '{folder / 'captions.json'}' has no uuid; download ARCH again")
            figure = f"{name or root.name}-{row['figure_id']}" if row.get("figure_id") else None
            found = paths.get(uuid)
            letter = row.get("letter")
            yield picture(
                (Path(name) / found).as_posix() if found else f"{name or '.'}/images/{uuid}",
                texts=(caption,), subject=figure, study=figure,
                attributes={"letter": letter} if letter and letter != "Single" else {}, is_missing=found is None,
            )  # fmt: skip


def _rows_by_picture(
    table: Table, pictures: tuple[str, ...], texts: tuple[str, ...]
) -> dict[str, list[tuple[int, str]]]:
    """Picture's file name → (row, caption) of the rows that have both."""
    names = table.column(table.need(pictures, "picture"))
    captions = table.column(table.need(texts, "caption"))
    rows: dict[str, list[tuple[int, str]]] = {}
    for index, (name, caption) in enumerate(zip(names, captions, strict=True)):
        if name and caption:
            rows.setdefault(name.replace("\\", "/").rpartition("/")[2], []).append((index, caption))
    return rows


def _paths_by_name(root: Path) -> dict[str, str]:
    return {path.name: path.as_posix() for path in pictures_below(root)}


def _captions(path: Path) -> dict[str, dict[str, Any]]:
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise InputError(f"'{path}' is larger than {_LARGEST_JSON >> 20} MiB; download it again")
        content = load_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"'{path}' cannot be read ({error}); download it again") from error
    if not isinstance(content, dict) or not all(isinstance(row, dict) for row in content.values()):
        raise InputError(f"'{path}' is not a mapping of captions; download it again")
    return content


def build_quilt(source: Path, corpus: Path, *, split_fractions: str = "0.98,0.01,0.01", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from Quilt-1M: a million pictures with captions from videos, articles and posts.

    A picture with several captions is one sample; pictures of one video stay together. Pictures that the table names
    but the folder does not hold are rows of the ledger, and are read when they arrive.

    Args:
        source: the folder with `quilt_1M_lookup.csv` and the unpacked `images_part_*`.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, for pictures without an official split.
        run: options of the run.
    """
    build(PictureFiles(QUILT, f"{_HERE}:list_quilt"), source, corpus, split_fractions, RunOptions(**run))


def build_openpath(source: Path, corpus: Path, *, split_fractions: str = "0.98,0.01,0.01", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from OpenPath, or from any folder in the layout that PLIP trains from.

    The columns are those of PLIP's own training and retrieval files (https://github.com/PathologyFoundation/plip).
    Posts are fetched by their ids, and belong to their authors.

    Args:
        source: a folder of pictures with CSV files whose columns are `image` and `caption`; a CSV whose name holds
            train, val or test is that split.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, for the other CSV files.
        run: options of the run.
    """
    build(PictureFiles(OPEN_PATH, f"{_HERE}:list_openpath"), source, corpus, split_fractions, RunOptions(**run))


def build_arch(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from ARCH: figures of pathology textbooks (BookSet) and articles (PubmedSet) with captions.

    Licence: CC BY-NC-SA 4.0, research only (https://warwick.ac.uk/fac/cross_fac/tia/data/arch).

    Args:
        source: the folder with `books_set` and `pubmed_set`, or one of them.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by figure.
        run: options of the run.
    """
    build(PictureFiles(ARCH, f"{_HERE}:list_arch"), source, corpus, split_fractions, RunOptions(**run))
