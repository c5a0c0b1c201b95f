"""`voxtile import wds|parquet|csv`: existing image-text pairs become a corpus; image bytes are not re-encoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from voxtile.console import note
from voxtile.corpus.splits import parse_fractions
from voxtile.engine.run import RunOptions, run_task
from voxtile.stages.ingest.deidentifier import installed_deidentifier
from voxtile.stages.ingest.listing import CsvTask
from voxtile.stages.ingest.pairs import NO_CAPTION, NO_IMAGE, PairOptions, PairTask
from voxtile.stages.ingest.picture import TOLD_OF_TURNED, TURNED
from voxtile.stages.ingest.rows import ParquetTask
from voxtile.stages.ingest.wds import WdsTask

__all__ = ["import_csv", "import_parquet", "import_wds"]

_ADVICE = {
    NO_IMAGE: "nothing was stored, since nothing holds an image; the tables that img2dataset writes beside tars name "
    "what is in these: import the tars with 'voxtile import wds', and a table of addresses once it is downloaded",
    NO_CAPTION: "nothing was stored, since no image has a caption (a txt or json member, a column of texts); numbers "
    "of classes (cls) need their names in classnames.txt, beside the tars or in the folder above",
}


@dataclass(frozen=True)
class ImportOptions(RunOptions):
    """What imported pairs are.

    Attributes:
        licence: of the images and texts, e.g. "CC BY 4.0".
        modality: what the pictures are; RGB for photographs.
        split_fractions: shares of train, val and test, for subjects without a split.
        deidentify_texts: remove names, days, numbers and places from the texts, as conversions with --reports do; paths
            and subjects stay as they are.
    """

    licence: str | None = None
    modality: str = "RGB"
    split_fractions: str = "0.8,0.1,0.1"
    deidentify_texts: bool = False

    @property
    def pairs(self) -> PairOptions:
        """How pairs are read.

        Raises:
            ConfigError: the shares are none, or nothing installed removes identifiers.
        """
        if self.deidentify_texts:
            installed_deidentifier()
        fractions = parse_fractions(self.split_fractions)
        return PairOptions(self.licence, self.modality, fractions, self.deidentify_texts)


def import_wds(
    source: Path,
    corpus: Path,
    **options: Annotated[Any, ImportOptions],  # noqa: ANN401
) -> None:
    """Import WebDataset tars, those of img2dataset and CLIP_benchmark among them.

    Members are read by offset and never extracted by name. JPEG and PNG bytes are copied untouched, EXIF included; WebP
    becomes PNG with the same pixels. The same image a second time is dropped, and its captions go to the first one.
    Folders named train, val and test are splits, and `subject` (or `patient_id`) in a json member says whose a picture
    is. In a set of CLIP_benchmark a cls member is a class of its classnames.txt, and of a set for retrieval each line
    is a caption.

    Args:
        source: a tar, or a folder of tars, with jpg, jpeg, png or webp members and txt or json beside them.
        corpus: the corpus to add to; made if it does not exist.
        options: what the pairs are and how to run, see `ImportOptions`.

    Raises:
        InputError: there is nothing to import.
        RunFailedError: some pairs could not be imported; the rest is.
    """
    given = ImportOptions(**options)
    _run(WdsTask(str(source), str(corpus), given.pairs, reader=given.plan_reader), corpus, given)


def import_parquet(
    source: Path,
    corpus: Path,
    *,
    image_column: str | None = None,
    text_column: str | None = None,
    **options: Annotated[Any, ImportOptions],  # noqa: ANN401
) -> None:
    """Import Parquet files with image bytes (img2dataset, Hugging Face) or with paths of images beside them.

    Rows that have only a URL are dropped by name: import never uses the network. Columns `subject` and `split` are used
    where they are present; folders, and beginnings of file names, that are train, validation and test are splits.

    Args:
        source: a Parquet file, or a folder of them.
        corpus: the corpus to add to; made if it does not exist.
        image_column: column of bytes or paths; found by its name if not given.
        text_column: column of texts or lists of texts; found by its name if not given.
        options: what the pairs are and how to run, see `ImportOptions`.

    Raises:
        InputError: there is nothing to import.
        RunFailedError: some pairs could not be imported; the rest is.
    """
    given = ImportOptions(**options)
    task = ParquetTask(str(source), str(corpus), given.pairs, image_column, text_column, reader=given.plan_reader)
    _run(task, corpus, given)


def import_csv(
    source: Path,
    corpus: Path,
    *,
    root: Path | None = None,
    image_column: str | None = None,
    text_column: str | None = None,
    **options: Annotated[Any, ImportOptions],  # noqa: ANN401
) -> None:
    """Import a CSV or TSV of image paths and texts, such as open_clip's `filepath` and `title`.

    Rows with the same path are captions of one image. Columns `subject` and `split` are used where they are present.

    Args:
        source: the table.
        corpus: the corpus to add to; made if it does not exist.
        root: folder that the paths are relative to and must stay in; the table's own folder if not given.
        image_column: column of paths; found by its name if not given.
        text_column: column of texts; found by its name if not given.
        options: what the pairs are and how to run, see `ImportOptions`.

    Raises:
        InputError: the table is missing, empty or lacks a column.
        RunFailedError: some pairs could not be imported; the rest is.
    """
    given = ImportOptions(**options)
    folder = str(root or source.parent)
    _run(CsvTask(folder, str(corpus), given.pairs, str(source), image_column, text_column), corpus, given)


def _run(task: PairTask, corpus: Path, options: ImportOptions) -> None:
    """Run an import, and say what to do where nothing came of any pair for one reason."""
    summary = run_task(task, corpus, options)
    dropped = summary.reasons["dropped"]
    if not summary.used and not summary.failed and len(dropped) == 1 and (advice := _ADVICE.get(next(iter(dropped)))):
        note(advice)
    if summary.left_out[TURNED]:
        note(TOLD_OF_TURNED)
    summary.raise_if_failed()
