"""`voxtile convert image`: a folder of pictures becomes a corpus.

JPEG and 8-bit PNG bytes are copied untouched, EXIF included, unless de-identification is asked for: then descriptive
metadata is cut out while the compressed pixels stay as they are. Text that is burned into the pixels is not looked for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from voxtile.console import note
from voxtile.corpus.identity import KeyedHash, file_edges, key_map_path, sample_uid
from voxtile.corpus.records import Row, Sample
from voxtile.corpus.splits import parse_fractions, split_of
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import ConfigError, InputError
from voxtile.file_edges import file_sha256
from voxtile.stages.ingest.duplicates import Duplicates, First
from voxtile.stages.ingest.picture import TOLD_OF_TURNED, TURNED, PictureError, read_picture, turned_by_exif
from voxtile.stages.ingest.text import Texts, caption_rows, check_texts
from voxtile_datasets.converters import folders
from voxtile_datasets.converters.metadata import without_metadata
from voxtile_datasets.converters.modalities import note_unknown
from voxtile_datasets.deidentification.replace import deidentified
from voxtile_datasets.intake.deidentify import OtherNames, key_map_of
from voxtile_datasets.intake.tables import read_side_table
from voxtile_datasets.recipes.download import packed_among, tell_packed

READ_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp"})
OTHER_SUFFIXES = frozenset({".tif", ".tiff", ".bmp", ".gif", ".jp2", ".j2k", ".dcm", ".svs", ".heic", ".avif", ".tga"})
_RULE = "class-folders@1"
_TABLE_RULE = "labels@1"


@dataclass(frozen=True)
class ImageTask:
    """The engine task.

    Attributes:
        root: the input folder; no part of the task's identity.
        corpus: where the samples go; no part of the identity.
        pictures: what is known of each picture, in order.
        others: paths of pictures in formats that are not read.
        vocabularies: vocabulary → its classes.
        licence, modality, body_part: written to every sample.
        fractions: split → share, for subjects without a given split.
        hasher: replaces paths, subjects and studies where de-identification is on.
    """

    root: str
    corpus: str
    pictures: Sequence[folders.Picture]
    others: Sequence[str]
    vocabularies: Mapping[str, tuple[str, ...]]
    licence: str | None
    modality: str
    body_part: str | None
    fractions: Mapping[str, float]
    hasher: KeyedHash | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "image"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return {
            "licence": self.licence,
            "modality": self.modality,
            "body_part": self.body_part,
            "fractions": dict(self.fractions),
            "vocabularies": {name: list(classes) for name, classes in self.vocabularies.items()},
            "deidentify": self.hasher is not None,
        }

    def items(self) -> Iterator[Item]:
        """One item a file; a repeated picture names the first one."""
        seen = Duplicates(Path(self.corpus), self.name)
        for picture in self.pictures:
            path = Path(self.root, picture.path)
            source = self.hidden("source", picture.path)
            try:
                size, edges = file_edges(path)
            except OSError as error:
                sentence = f"the file cannot be read ({error.strerror}); check its permissions"
                yield Item(source, {"path": source}, refused=("unreadable-file", sentence))
                continue
            inputs: dict[str, Any] = {"path": picture.path, "edges": edges, "about": self._about(picture)}
            first = seen.first_of(edges, First(source, {"path": picture.path}), partial(file_sha256, path))
            if first is not None:
                inputs["first"] = first.source
            yield self._item(source, inputs, size)
        for name in self.others:
            yield self._item(self.hidden("source", name), {"path": name, "unsupported": True}, 1)

    def process(self, item: Item) -> Outcome:
        """Read one file and decide how it is stored."""
        if "unsupported" in item.inputs:
            advice = "only PNG, JPEG and WebP are read here; convert the file or use another converter"
            return Outcome("dropped", "unsupported-format", advice)
        data = Path(self.root, item.inputs["path"]).read_bytes()
        about = item.inputs["about"]
        try:
            picture = read_picture(without_metadata(data) if self.hasher else data)
        except PictureError as error:
            return Outcome("failed", error.reason, str(error))
        uid = sample_uid(hashlib.sha256(data).hexdigest())
        captions, texts = _captions(uid, item)
        tables = {**self._labels(uid, about["classes"]), "captions": captions}
        parts = texts.left_out(uid)
        if "first" in item.inputs:
            detail = f"the same picture as {item.inputs['first']}, which got its labels and texts"
            return Outcome("dropped", "duplicate", detail, tables=tables, parts=parts)
        row: Row = {
            "uid": uid,
            "subject": about["subject"],
            "study": about["study"],
            "kind": "image",
            "modality": self.modality,
            **picture.columns(),
            "source": item.source,
            "licence": self.licence,
            "attributes": json.dumps({"body_part": self.body_part}) if self.body_part else None,
        }
        tables["splits"] = [{"scheme": "default", "subject": about["subject"], "split": about["split"]}]
        parts = (*parts, *turned_by_exif(uid, data))
        return Outcome("used", samples=(Sample(row, picture.payload, picture.preview),), tables=tables, parts=parts)

    def hidden(self, kind: str, value: str) -> str:
        """The value, or its keyed hash where de-identification is on."""
        return self.hasher.hash(kind, value) if self.hasher else value

    def _item(self, source: str, inputs: dict[str, Any], cost: int) -> Item:
        if self.hasher:
            # The digest of the inputs is stored; with a secret part nobody can test a guessed path against it.
            inputs["salt"] = self.hasher.hash("item", inputs["path"])
        return Item(source, inputs, cost=max(1, cost))

    def _about(self, picture: folders.Picture) -> dict[str, Any]:
        subject = picture.subject or picture.path
        hidden = self.hidden("subject", subject)
        return {
            "subject": hidden,
            "study": self.hidden("study", picture.study) if picture.study else None,
            "split": picture.split or split_of(hidden, self.fractions),
            "classes": picture.classes,
            "texts": self._told(picture),
        }

    def _told(self, picture: folders.Picture) -> list[str]:
        if self.hasher is None:
            return picture.texts
        known = [name for name in (picture.subject, picture.study) if name]
        return [deidentified(text, numbers=known) for text in picture.texts]

    def _labels(self, uid: str, classes: Mapping[str, Sequence[str]]) -> dict[str, list[Row]]:
        facts: list[Row] = []
        scopes: list[Row] = []
        for vocabulary, labels in classes.items():
            rule = _TABLE_RULE if vocabulary == "labels" else _RULE
            facts += [{"uid": uid, "concept": label, "polarity": "present", "source": rule} for label in labels]
            concepts = list(self.vocabularies[vocabulary])
            scopes.append({"uid": uid, "vocabulary": vocabulary, "closed": True, "concepts": concepts})
        return {"facts": facts, "scopes": scopes}


def convert_image(
    source: Path,
    corpus: Path,
    *,
    labels: Path | None = None,
    label_separator: str = "|",
    class_folders: Literal["auto", "yes", "no"] = "auto",
    reports: Path | None = None,
    replace_reports: bool = False,
    subject_column: str | None = None,
    subject_pattern: str | None = None,
    splits: Path | None = None,
    split_fractions: str = "0.8,0.1,0.1",
    licence: str | None = None,
    modality: str = "RGB",
    body_part: str | None = None,
    deidentify: bool = False,
    key_file: Path | None = None,
    **run: Any,  # noqa: ANN401
) -> None:
    r"""Convert a folder of PNG and JPEG pictures.

    JPEG and 8-bit PNG bytes are copied untouched, EXIF included; PNGs of other bit depths become arrays. Folders named
    train, val and test are splits; other folders are classes that exclude each other (a closed scope), but for shards
    of img2dataset.

    Args:
        source: the folder.
        corpus: the corpus to add to; made if it does not exist.
        labels: CSV, XLSX or Parquet with a column `file` and any of `label`, `text`, `subject`, `study`, `split`.
        label_separator: between several labels in one cell.
        class_folders: whether folder names are classes; auto decides by their number.
        reports: CSV, XLSX or Parquet with a column `text` and one of `file`, `study`, `subject`.
        replace_reports: replace stored texts that --reports or --labels has otherwise by those of the table; texts of
            pictures that it does not name stay. What was read from the old ones has to be retracted first.
        subject_column: column of `labels` with the subject (patient, slide, place), the unit of splitting.
        subject_pattern: regular expression that finds the subject in a file's relative path, e.g. '(\d+)_'. Without a
            subject every picture is its own.
        splits: CSV, XLSX or Parquet with the columns `subject` or `file`, and `split`; or with the columns `train`,
            `val` and `test`, which hold names, or true and false beside them.
        split_fractions: shares of train, val and test, for subjects without a given split.
        licence: of the pictures, e.g. "CC BY 4.0".
        modality: what the pictures are: RGB, MSI, HSI, SAR, or a term of DICOM such as CR, DX, US, OP, SM, OT (other).
        body_part: what they show, e.g. chest; template captions name it.
        deidentify: replace paths, subjects and studies by keyed hashes, remove identifiers from texts, and cut EXIF,
            comments and text chunks out of the files; text in the pixels is not looked for.
        key_file: where the key and the map of paths are kept; beside the corpus if not given.
        run: options of the run.

    Raises:
        InputError: no picture, or a table that does not fit.
        ConfigError: the corpus has, or has forgotten, some of the pictures under the other kind of name; or its key map
            is not there.
        RunFailedError: some pictures could not be read; the rest is converted.
    """
    options = RunOptions(**run)
    note_unknown(modality)
    if replace_reports and reports is None and labels is None:
        raise ConfigError("--replace-reports replaces texts by those of --reports; give the corrected table")
    if not source.is_dir():
        raise InputError(f"'{source}' is not a folder; give the folder that holds the pictures")
    files = folders.list_files(source)
    pictures = [folders.Picture(path) for path in folders.with_suffix(files, READ_SUFFIXES)]
    if not pictures:
        raise InputError(
            f"'{source}' holds no PNG, JPEG or WebP file{packed_among(files)}; check the path or use another converter"
        )
    tell_packed(source, files)
    console = Console(stderr=True)
    plain = labels is not None or folders.holds_shards(files)
    vocabularies = folders.apply_folders(pictures, class_folders=_folder_rule(class_folders, plain=plain))
    if labels is None and reports is None and (beside := folders.texts_beside(files, pictures)):
        note(
            f"{beside} pictures have a text file of their name beside them, which is not read; for captions, pack the "
            f"folder (tar --sort=name -cf pairs.tar -C '{source}' .) and take 'voxtile import wds', or give a table "
            "with the columns file and text as --labels"
        )
    if labels is not None:
        table = read_side_table(labels)
        found, said = folders.apply_table(pictures, table, subject_column=subject_column, separator=label_separator)
        vocabularies |= found
        if said:
            console.print(said, highlight=False, markup=False, soft_wrap=True)
    if subject_pattern is not None:
        folders.apply_subject_pattern(pictures, subject_pattern)
    if splits is not None and (said := folders.apply_splits(pictures, read_side_table(splits))):
        console.print(said, highlight=False, markup=False, soft_wrap=True)
    if reports is not None and (unmatched := folders.apply_reports(pictures, read_side_table(reports))):
        console.print(f"{unmatched} texts of '{reports}' belong to no picture", highlight=False, markup=False)
    folders.check_splits(pictures)
    for name, classes in vocabularies.items():
        shown = ", ".join(classes[:12]) + (" …" if len(classes) > 12 else "")
        console.print(f"{name}: {len(classes)} classes ({shown})", highlight=False, markup=False)
    others = OtherNames.of(corpus, key_file, hides=deidentify)
    others.refuse_inputs(picture.path for picture in pictures)
    for picture in pictures:
        others.refuse_forgotten(picture.subject or picture.path)
    task = ImageTask(
        root=str(source),
        corpus=str(corpus),
        pictures=pictures,
        others=folders.with_suffix(files, OTHER_SUFFIXES),
        vocabularies=vocabularies,
        licence=licence,
        modality=modality,
        body_part=body_part,
        fractions=parse_fractions(split_fractions),
        hasher=_hasher(pictures, corpus, key_file, write=not options.dry_run) if deidentify else None,
    )
    if replace_reports:
        from voxtile_datasets.intake.replaced_reports import replace_reports as replace_texts

        replace_texts(corpus, task.items(), dry_run=options.dry_run, stored=PictureTexts())
    summary = run_task(task, corpus, options)
    if summary.left_out[TURNED]:
        note(TOLD_OF_TURNED)
    summary.raise_if_failed()


class PictureTexts:
    """Texts of pictures: those of a repeated picture are about the first one."""

    def is_one(self, part: Path, row: Mapping[str, str]) -> bool:
        """Of this converter alone: pairs that were imported say the same of themselves."""
        return row["provider"] == "import" and part.stem.rpartition("-")[0] == "image"

    def source(self, item: Item) -> str:
        """Of the picture, or of the first that is the same."""
        return str(item.inputs.get("first", item.source))

    def rows(self, uid: str, items: Sequence[Item]) -> list[Row]:
        """As a conversion writes them."""
        return [row for item in items for row in _captions(uid, item)[0]]


def _captions(uid: str, item: Item) -> tuple[list[Row], Texts]:
    texts = check_texts(item.inputs["about"]["texts"] if "about" in item.inputs else ())
    return caption_rows(uid, texts.accepted, source=item.source), texts


def _folder_rule(class_folders: Literal["auto", "yes", "no"], *, plain: bool) -> str:
    """With a label table, and where they are shards, folders are classes only on request."""
    return "no" if class_folders == "auto" and plain else class_folders


def _hasher(pictures: Sequence[folders.Picture], corpus: Path, key_file: Path | None, *, write: bool) -> KeyedHash:
    """The corpus's keyed hash; a dry run makes no key, so that the hashes which it shows are not those of the run."""
    if not write and not key_map_path(corpus, key_file).exists():
        return KeyedHash(bytes(32))
    keys = key_map_of(corpus, key_file)
    if write:
        for picture in pictures:
            subject = keys.hash("subject", picture.subject or picture.path)
            keys.remember(keys.hash("source", picture.path), picture.path, subject)
        keys.save()
    return keys.hasher
