"""What a folder tree says about its pictures: splits and classes from folder names, labels and texts from tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from voxtile.corpus.splits import SPLIT_NAMES
from voxtile.errors import ConfigError, InputError
from voxtile.stages.ingest.table import Table, composed, file_key, is_missing
from voxtile_datasets.captions.label_table import classes_in
from voxtile_datasets.intake.splits_file import splits_by_column
from voxtile_datasets.intake.subject_pattern import subject_finder
from voxtile_datasets.intake.walk import walk

FILE_COLUMNS = ("file", "filepath", "path", "filename", "file_name", "image", "image_path", "image_index", "name")
LABEL_COLUMNS = ("label", "labels", "class", "category", "finding_labels", "diagnosis")
TEXT_COLUMNS = ("text", "caption", "report", "title")
SUBJECT_COLUMNS = ("subject", "subject_id", "patient", "patient_id")
STUDY_COLUMNS = ("study", "study_id")
_STATISTICS = "_stats.json"
_MOST_CLASSES = 1000  # more folders than ImageNet has classes are subjects, not classes


@dataclass
class Picture:
    """A picture file and what is known of it before it is opened.

    Attributes:
        path: relative to the input folder, with forward slashes.
        classes: vocabulary → labels that hold; a vocabulary that was not looked at for this picture is absent.
        texts: captions.
        subject, study, split: where given.
    """

    path: str
    classes: dict[str, list[str]] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    subject: str | None = None
    study: str | None = None
    split: str | None = None


def split_folders(paths: Sequence[str]) -> bool:
    """Whether all top-level folders are named after splits (`train`, `val`, …) and there are at least two."""
    tops = {PurePosixPath(path).parts[0].lower() for path in paths if "/" in path}
    return len(tops) > 1 and tops <= SPLIT_NAMES.keys() and all("/" in path for path in paths)


def holds_shards(files: Collection[str]) -> bool:
    """Whether folders are shards of img2dataset, which writes `00000_stats.json` beside the folder `00000`."""
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents}
    return any(path.endswith(_STATISTICS) and path.removesuffix(_STATISTICS) in folders for path in files)


def texts_beside(files: Collection[str], pictures: Iterable[Picture]) -> int:
    """How many pictures have a `.txt` of the same name beside them."""
    names = {path for path in files if path.endswith(".txt")}
    return sum(str(PurePosixPath(picture.path).with_suffix(".txt")) in names for picture in pictures)


def apply_folders(pictures: Sequence[Picture], *, class_folders: str) -> dict[str, tuple[str, ...]]:
    """Read splits and classes from folder names.

    Args:
        pictures: changed in place.
        class_folders: `yes`, `no`, or `auto`: every level of folders that all pictures have in common is a vocabulary,
            unless there are as many folders as pictures or more than a thousand.

    Returns:
        Vocabulary (`class-folders`, `class-folders-2`, …) → its classes.

    Raises:
        ConfigError: `yes`, but some pictures lie in no folder.
    """
    has_splits = split_folders([picture.path for picture in pictures])
    folders = [PurePosixPath(composed(picture.path)).parts[has_splits:-1] for picture in pictures]
    if has_splits:
        for picture in pictures:
            picture.split = SPLIT_NAMES[picture.path.split("/", 1)[0].lower()]
    if class_folders == "no" or not pictures:
        return {}
    depth = min(len(parts) for parts in folders)
    if depth == 0 and class_folders == "yes":
        loose = next(p.path for p, parts in zip(pictures, folders, strict=True) if not parts)
        raise ConfigError(f"'{loose}' lies in no class folder; move it into one or use --class-folders no")
    vocabularies: dict[str, tuple[str, ...]] = {}
    for level in range(depth):
        classes = sorted({parts[level] for parts in folders})
        plausible = 1 < len(classes) < len(pictures) and len(classes) <= _MOST_CLASSES
        if class_folders == "auto" and not plausible:
            continue
        name = f"class-folders-{level + 1}" if level else "class-folders"
        vocabularies[name] = tuple(classes)
        for picture, parts in zip(pictures, folders, strict=True):
            picture.classes[name] = [parts[level]]
    return vocabularies


def apply_subject_pattern(pictures: Sequence[Picture], pattern: str) -> None:
    """Take each picture's subject from its path.

    Args:
        pictures: changed in place.
        pattern: regular expression; its first group, or the whole match, is the subject.

    Raises:
        ConfigError: not a regular expression.
        InputError: a path does not match.
    """
    subject_of = subject_finder(pattern)
    for picture in pictures:
        picture.subject = subject_of(picture.path)


def apply_table(
    pictures: Sequence[Picture], table: Table, *, subject_column: str | None = None, separator: str = "|"
) -> tuple[dict[str, tuple[str, ...]], str | None]:
    """Read labels, texts, subjects, studies and splits from a table with one or more rows a file.

    Args:
        pictures: changed in place.
        table: has a column of files and any of label, text, subject, study and split.
        subject_column: overrides the search by name.
        separator: between several labels in one cell.

    Returns:
        `{"labels": classes}`, or nothing when the table has no label; and a sentence on rows without a picture and
        pictures without a row, if there are any.

    Raises:
        InputError: no column of files, nothing to read, no row matches, or a wrong split.
    """
    file_column = table.need(FILE_COLUMNS, "file")
    subject_names = (subject_column,) if subject_column else SUBJECT_COLUMNS
    if subject_column:
        table.need(subject_names, "subject")
    found = {
        "label": table.find(LABEL_COLUMNS), "text": table.find(TEXT_COLUMNS), "subject": table.find(subject_names),
        "study": table.find(STUDY_COLUMNS), "split": table.find(("split",)),
    }  # fmt: skip
    if not any(found.values()):
        raise InputError(
            f"'{table.path}' has files but no label, text, subject, study or split; {table.told_header} "
            "(one column a finding is read by: voxtile facts CORPUS --from labels)"
        )
    index = _index(pictures)
    columns = {key: table.columns.index(name) for key, name in found.items() if name}
    files = table.columns.index(file_column)
    matched, told = 0, set()
    given: dict[tuple[str, str], str] = {}
    for number, row in enumerate(table.rows, start=2):
        picture = index.get(file_key(row[files] or ""))
        if picture is not None:
            matched += 1
            told.add(picture.path)
            values = {key: row[column] or "" for key, column in columns.items() if not is_missing(row[column])}
            for key in values.keys() & {"subject", "study", "split"}:
                if given.setdefault((picture.path, key), values[key]) != values[key]:
                    raise InputError(
                        f"'{table.path}' gives the picture of row {number} another {key} than an earlier row; give it "
                        "one in all its rows"
                    )
            _apply_row(picture, values, separator, f"row {number}")
    if not matched:
        raise InputError(f"no row of '{table.path}' names a picture of the folder; its column '{file_column}' was used")
    said = None
    if matched < len(table.rows) or len(told) < len(pictures):
        rows = f"{len(table.rows) - matched} of {len(table.rows)} rows of '{table.path}'"
        without = f"{len(pictures) - len(told)} of {len(pictures)} pictures have no row"
        said = f"{rows} name no picture of the folder, and {without}"
    if "label" not in columns:
        return {}, said
    classes = sorted({label for picture in pictures for label in picture.classes.get("labels", ())})
    return {"labels": tuple(classes)}, said


def apply_reports(pictures: Sequence[Picture], table: Table) -> int:
    """Attach texts by file, study or subject, whichever column the table has first.

    Returns:
        The number of texts that belong to no picture.

    Raises:
        InputError: the table lacks a text column or all key columns.
    """
    text_column = table.columns.index(table.need(TEXT_COLUMNS, "text"))
    key = table.need((*FILE_COLUMNS[:-1], *STUDY_COLUMNS, *SUBJECT_COLUMNS), "file, study or subject")
    owners: Mapping[str, Sequence[Picture]]
    if key == table.find(FILE_COLUMNS[:-1]):
        owners = {path: [picture] for path, picture in _index(pictures).items()}
    else:
        attribute = "study" if key == table.find(STUDY_COLUMNS) else "subject"
        grouped: dict[str, list[Picture]] = defaultdict(list)
        for picture in pictures:
            grouped[composed(getattr(picture, attribute) or "")].append(picture)
        owners = grouped
    unmatched = 0
    for value, text in zip(table.column(key), [row[text_column] for row in table.rows], strict=True):
        name = "" if is_missing(value) else value or ""
        holders = owners.get(composed(name)) or owners.get(file_key(name), []) if name else []
        unmatched += not holders
        for picture in holders:
            if text and not is_missing(text):
                picture.texts.append(text)
    return unmatched


def apply_splits(pictures: Sequence[Picture], table: Table) -> str | None:
    """Read splits by subject or file; a table may have a column a split, see `splits_by_column`.

    Returns:
        A sentence on rows that name nothing of the folder and pictures that no row names, if there are any.

    Raises:
        InputError: a column is missing, a split has another name, or no row names anything of the folder.
    """
    by_column = splits_by_column(table.path, [(name, table.column(name)) for name in table.columns])
    if by_column is None:
        key = table.need((*SUBJECT_COLUMNS, *FILE_COLUMNS), "subject or file")
        by_subject = key == table.find(SUBJECT_COLUMNS)
        columns = table.column(key), table.column(table.need(("split",), "split"))
        stated_rows = [(number, *cells) for number, cells in enumerate(zip(*columns, strict=True), start=2)]
    else:
        key, files = "of each split", _index(pictures)
        by_subject = not any(row.name in files for row in by_column)
        stated_rows = [(row.row + 1, row.name, row.split) for row in by_column]
    owners: dict[str, list[Picture]] = defaultdict(list)
    if by_subject:
        for picture in pictures:
            owners[composed(picture.subject or picture.path)].append(picture)
    else:
        owners |= {name: [picture] for name, picture in _index(pictures).items()}
    stated: dict[str, str] = {}
    given: dict[str, str] = {}
    lost: list[int] = []
    for number, value, split in stated_rows:
        name = SPLIT_NAMES.get((split or "").lower())
        if name is None:
            raise InputError(f"'{table.path}' names another split in row {number}; use train, val or test")
        owner = composed(value or "") if by_subject else file_key(value or "")
        held = owners.get(owner, [])
        if stated.setdefault(owner, name) != name or any(given.setdefault(p.path, name) != name for p in held):
            raise InputError(f"'{table.path}' puts what row {number} names into two splits; give it one")
        for picture in held:
            picture.split = name
        lost += [] if held else [number]
    if not given:
        raise InputError(f"no row of '{table.path}' names a picture of the folder; its column '{key}' was used")
    without = sum(picture.split is None for picture in pictures)
    if not (lost or without):
        return None
    rows = f"{len(lost)} of {len(stated_rows)} rows of '{table.path}' name no picture of the folder"
    first = f" (row {lost[0]} is the first)" if lost else ""
    return f"{rows}{first}, and {without} of {len(pictures)} pictures get their split by --split-fractions"


def check_splits(pictures: Sequence[Picture]) -> None:
    """Refuse a subject in two splits.

    Raises:
        InputError: names the first such picture.
    """
    splits: dict[str, str] = {}
    for picture in pictures:
        if picture.subject and picture.split and splits.setdefault(picture.subject, picture.split) != picture.split:
            raise InputError(
                f"the subject of '{picture.path}' is in the splits {splits[picture.subject]} and {picture.split}; "
                "give each subject one split"
            )


def _apply_row(picture: Picture, values: Mapping[str, str], separator: str, where: str) -> None:
    if label := values.get("label"):
        labels = picture.classes.setdefault("labels", [])
        labels += [name for name in classes_in(label, separator) if name not in labels]
    if text := values.get("text"):
        picture.texts.append(text)
    picture.subject = composed(values.get("subject") or "") or picture.subject
    picture.study = values.get("study") or picture.study
    if split := values.get("split"):
        if split.lower() not in SPLIT_NAMES:
            raise InputError(f"{where} of the label table names another split; use train, val or test")
        picture.split = SPLIT_NAMES[split.lower()]


def _index(pictures: Sequence[Picture]) -> dict[str, Picture]:
    """Pictures by relative path, and by file name and stem where these name one picture only."""
    names = Counter(PurePosixPath(p.path).name for p in pictures)
    stems = Counter(PurePosixPath(p.path).stem for p in pictures)
    index: dict[str, Picture] = {}
    for picture in pictures:
        path = PurePosixPath(picture.path)
        if stems[path.stem] == 1:
            index[composed(path.stem)] = picture
        if names[path.name] == 1:
            index[composed(path.name)] = picture
    return index | {composed(picture.path): picture for picture in pictures}


def list_files(root: Path) -> list[str]:
    """Relative paths (forward slashes, sorted) of the files below `root`, but hidden ones and those behind links."""
    return sorted(
        path.relative_to(root).as_posix()
        for folder, _, names in walk(root)
        for path in (Path(folder, name) for name in names if not name.startswith("."))
    )


def with_suffix(files: Sequence[str], suffixes: frozenset[str]) -> list[str]:
    """Those of the files that have one of the suffixes."""
    return [path for path in files if PurePosixPath(path).suffix.lower() in suffixes]
