"""What is known of a data set of volumes, as its YAML file says it: which files are what, and what its tables hold."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from voxtile.errors import ConfigError
from voxtile_medical.recipes.medical_set import MedicalSet, made, read_set

SETS = Path(__file__).parent / "sets"
Owner = Literal["volume", "study", "subject"]
ROLES = ("identities", "reports", "labels", "geometry", "splits")


@dataclass(frozen=True, kw_only=True)
class ImageRule:
    """Which files are images. Texts in braces are filled with the groups of the pattern.

    Attributes:
        path: pattern that the end of a path matches, from the start of a file's or folder's name on.
        subject: whose it is.
        study: the examination; the subject where it is not given.
        volume: its name in the set's tables; the file's name without its suffix where it is not given.
        split: word of an official split, a key of the set's `splits`; none where it is not given.
        modality: DICOM modality.
        units: of the values; those of the modality where it is not given.
        series: what the file shows, as a description of a series has it (`FLAIR`).
        channels: such descriptions of the volumes of a 4D file.
        array: its name in an .npz file: [z, y, x], from the head down, the front back and the right to the left, in HU.
        spacing: of such an array, in mm, the same in all directions.
    """

    path: str
    subject: str
    study: str = ""
    volume: str = ""
    split: str = ""
    modality: str = "CT"
    units: str | None = None
    series: str = ""
    channels: Sequence[str] = ()
    array: str = ""
    spacing: float = 0.0

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The compiled pattern."""
        return re.compile(rf"(?:.*/)?{self.path}")


@dataclass(frozen=True, kw_only=True)
class MaskRule:
    """Which files are label maps, and of what.

    Attributes:
        path: as in `ImageRule`.
        of: names of the volumes that it is of; those that are not there are left out.
        phrase: what a map of one value shows.
        names: value → structure.
    """

    path: str
    of: Sequence[str]
    phrase: str = ""
    names: Mapping[int, str] = field(default_factory=dict)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The compiled pattern."""
        return re.compile(rf"(?:.*/)?{self.path}")


@dataclass(frozen=True, kw_only=True)
class TableRule:
    """A table that comes with the set.

    Attributes:
        role: `identities`, `reports`, `labels`, `geometry` or `splits`.
        files: patterns of file names.
        key: names of the column that says whose a row is.
        of: what the key names.
        sections: heading → names of the column, for reports; a column without a heading under the key `""`.
        kind: of the reports: `raw` where people wrote them, else `template` or `vlm`.
        identity: `subject` and `study` → names of the column, for identities.
        blank: cells that say nothing.
        vocabulary: of the labels.
        labels: column → concept, for labels.
        values: cell → present, absent or uncertain, for labels; other cells say nothing.
        parted_by: what parts concept and location in a column's name; `labels` then has what stands before it.
        split: names of the column with the split's word.
        split_of_file: pattern of a file's name → the split's word of all its rows.
        columns: field → names of its column, for geometry: slope, intercept, spacing_xy, spacing_z, orientation,
            position.
        is_list: it names what the set holds, so that what is not there is missing.
    """

    role: str
    files: Sequence[str]
    key: Sequence[str]
    of: Owner = "volume"
    sections: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kind: str = "raw"
    identity: Mapping[str, Sequence[str]] = field(default_factory=dict)
    blank: Sequence[str] = ()
    vocabulary: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=lambda: {"1": "present", "0": "absent"})
    parted_by: str = ""
    split: Sequence[str] = ()
    split_of_file: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    is_list: bool = True

    def __post_init__(self) -> None:
        """Refuse a role that nothing reads."""
        if self.role not in ROLES:
            raise TypeError(f"'{self.role}' is no role; there are {', '.join(ROLES)}")


@dataclass(frozen=True, kw_only=True)
class VolumeSet(MedicalSet):
    """A data set of volumes.

    Attributes:
        images: which NIfTI or .npz files are images; of two files of one volume the one of the earlier rule is read.
            None where the set is DICOM.
        masks: which are label maps.
        tables: reports, labels, geometry and splits.
        splits: word of the set → train, val or test.
        validation: share of the training subjects that becomes the validation split, where the set has none.
        exclude: volume → why it is left out.
        blank_headers: headers of one release say nothing of geometry and scale, and a table does.
        shows_air: every CT shows air and soft tissue: what has hardly any of one is not in HU.
    """

    images: tuple[ImageRule, ...] = ()
    masks: tuple[MaskRule, ...] = ()
    tables: tuple[TableRule, ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)
    validation: float = 0.0
    exclude: Mapping[str, str] = field(default_factory=dict)
    blank_headers: bool = False
    shows_air: bool = False

    @property
    def vocabularies(self) -> dict[str, list[str]]:
        """Vocabulary → all its concepts."""
        return {t.vocabulary: list(dict.fromkeys(t.labels.values())) for t in self.tables if t.vocabulary}


def load_volume_set(name: str) -> VolumeSet:
    """A data set by its name, the stem of its YAML file.

    Raises:
        ConfigError: there is no such set, or its file does not say what it must.
    """
    path = SETS / f"{name}.yaml"
    content: dict[str, Any] = read_set(path)
    kinds = {"images": ImageRule, "masks": MaskRule, "tables": TableRule}
    content |= {key: made(kind, content[key], path) for key, kind in kinds.items() if key in content}
    unknown = set(content) - {field_.name for field_ in fields(VolumeSet)}
    if unknown:
        raise ConfigError(f"the data set '{path}' says {', '.join(sorted(unknown))}, which nothing reads; remove it")
    return VolumeSet(**content)
