"""Sets whose pictures lie in Parquet files, as Hugging Face stores them: an item is a group of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.corpus.identity import file_edges, printable, sample_uid
from voxtile.engine.task import Item, Part
from voxtile.errors import ConfigError, InputError
from voxtile.stages.ingest.picture import PictureError, read_picture
from voxtile_datasets.recipes.recipe import Recipe, Record
from voxtile_medical.recipes.medical_set import MedicalSet, read_set

SETS = Path(__file__).parent / "parquet_sets"
_LARGEST_GROUP = 2 << 30  # bytes of the rows that a worker reads at once
_BATCH = 32  # rows that are unpacked at once


@dataclass(frozen=True, kw_only=True)
class ParquetSet(MedicalSet):
    """A set of pictures in Parquet files.

    Attributes:
        modality: of all pictures.
        files: pattern of their names, in whatever folder.
        image: column of encoded pictures, alone or with their path.
        key: column that names a picture; its place names one that has none.
        caption: column.
        caption_kind: `raw` for what people wrote, `vlm` for what a model did.
        kept: columns that become attributes, where they are there.
    """

    modality: str
    files: str
    image: str
    key: str
    caption: str
    caption_kind: str = "raw"
    kept: tuple[str, ...] = ()


def parquet_set(name: str) -> ParquetSet:
    """One of the sets in `parquet_sets/`, by its name.

    Raises:
        ConfigError: the file does not fit.
    """
    path = SETS / f"{name}.yaml"
    fields = read_set(path)
    try:
        return ParquetSet(**{**fields, "kept": tuple(fields.get("kept", ()))})
    except TypeError as error:
        raise ConfigError(f"the data set '{path}' does not fit: {error}; correct the file") from error


@dataclass(frozen=True)
class ParquetPictures(Recipe):
    """A set of pictures in Parquet files.

    Attributes:
        data: what its YAML file says.
    """

    lists_apart: ClassVar[bool] = True

    data: ParquetSet

    def config(self) -> dict[str, Any]:
        """Which set it is, where it is from, and what its makers ask for."""
        return {"set": self.data.name, "source": self.data.source, "access": self.data.access}

    def check(self, root: Path) -> None:
        """Refuse what is no folder."""
        if not root.is_dir():
            raise InputError(f"'{root}' is not a folder; give the folder of {self.data.title} ({self.data.source})")

    def items(self, root: Path) -> Iterator[Item]:
        """The groups of rows of all files."""
        paths = sorted(path for path in root.rglob(self.data.files) if path.is_file())
        if not paths:
            raise InputError(
                f"'{root}' has no '{self.data.files}' of {self.data.title}; download it from {self.data.source}"
            )
        for path in paths:
            name = path.relative_to(root).as_posix()
            with _open(path, name) as file:
                self._check_columns(file.schema_arrow, name)
                sizes = [file.metadata.row_group(group) for group in range(file.num_row_groups)]
            first = 0
            for group, held in enumerate(sizes):
                if not held.num_rows:
                    continue
                inputs = {"file": name, "group": group, "first": first, "edges": file_edges(path)[1]}
                large = ("too-large", f"a group of rows of '{name}' has more than 2 GiB; write it with smaller groups")
                refused = large if held.total_byte_size > _LARGEST_GROUP else None
                yield Item(
                    f"{self.data.name}/{name}/{group}", inputs, cost=max(1, held.total_byte_size), refused=refused
                )
                first += held.num_rows

    def records(self, root: Path, item: Item) -> Iterator[Record | Part]:
        """The pictures of a group; one that cannot be read is a row of the ledger beside the others."""
        name, number = item.inputs["file"], item.inputs["first"]
        with _open(root / name, name) as file:
            held = [c for c in (self.data.key, self.data.caption, *self.data.kept) if c in file.schema_arrow.names]
            batches = file.iter_batches(_BATCH, row_groups=[item.inputs["group"]], columns=[self.data.image, *held])
            try:
                for batch in batches:
                    for row in batch.to_pylist():
                        yield self._record(row, f"{name}/{number}", f"{item.source}#{number}")
                        number += 1
            except (pa.ArrowException, OSError) as error:
                raise PictureError("decode-error", f"'{name}' is damaged; download it again") from error

    def _record(self, row: Mapping[str, Any], place: str, source: str) -> Record | Part:
        data = self.data
        image = row[data.image]
        encoded = image.get("bytes") if isinstance(image, Mapping) else image
        key = printable(str(row.get(data.key) or place))
        uid = sample_uid(hashlib.sha256(encoded or b"").hexdigest(), region=f"{data.name}/{key}")
        if not encoded:
            return Part(uid, "dropped", "missing-file", f"row {place} holds no picture, but at most its path", source)
        try:
            found = read_picture(encoded)
        except PictureError as error:
            return Part(uid, "failed", error.reason, f"row {place}: {error}", source)
        caption = row.get(data.caption)
        return Record(
            uid,
            f"{data.name}-{key}",
            f"{data.name}/{key}",
            found.payload,
            {"kind": "image", "modality": data.modality, **found.columns()},
            found.preview,
            texts=(str(caption),) if caption else (),
            text_source=place,
            text_kind=data.caption_kind,
            text_provider=data.name,
            attributes={name: str(row[name]) for name in data.kept if row.get(name) is not None},
        )

    def _check_columns(self, schema: pa.Schema, name: str) -> None:
        for column in (self.data.image, self.data.caption):
            if column not in schema.names:
                raise InputError(
                    f"'{name}' has no column '{column}', which the Parquet files of {self.data.title} with pictures in "
                    "them have; take those, or another release"
                )
        kind = schema.field(self.data.image).type
        is_struct = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        if not is_struct and not pa.types.is_binary(kind) and not pa.types.is_large_binary(kind):
            raise InputError(f"the column '{self.data.image}' of '{name}' holds no encoded pictures; download it again")


def _open(path: Path, name: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"'{name}' is no Parquet file ({type(error).__name__}); download it again") from error
