"""`voxtile.open_corpus`: a corpus as samples with images, geometry, facts and captions, and as a torch dataset."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from voxtile.corpus.reader import ROOT_COLUMN, Corpus
from voxtile.corpus.schema import OVERVIEW
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.corpus.source import StoredSample
from voxtile.corpus.view.tables import judge_captions
from voxtile.formats.geometry import channel_scaling

if TYPE_CHECKING:
    from voxtile.api.dataset import SampleDataset
    from voxtile.data.presets.base import Preset

_ROWS = 1024  # of the samples table that are turned into Python at a time
_PICTURES = ("jpg", "png")
_CAPTIONS = """
    SELECT c.corpus, c.uid, c.caption_id, c.text, c.kind, coalesce(j.verdict, 'unknown') AS verdict
    FROM captions c LEFT JOIN judged j USING (caption_id) ORDER BY c.corpus, c.uid, c.caption_id"""
_FACTS = "SELECT * FROM facts ORDER BY corpus, uid, concept, source"


@dataclass(frozen=True)
class Geometry:
    """Where a sample lies, in physical units; what its field does not know is None.

    Attributes:
        axes: of the stored array, such as ZYX, CYX or YXC.
        shape: along these axes.
        spacing_mm: size of a voxel in mm, in the order of the spatial axes: (z, y, x) or (y, x).
        affine: [4, 4], voxel index (x, y, z, 1) to RAS+ mm.
        mpp: micrometres a pixel (x, y).
        level0_box: (x0, y0, x1, y1) in pixels of a slide's level 0.
        gsd_m: metres a pixel on the ground.
        crs, transform, bounds: of the ground, as rasterio has them.
    """

    axes: str | None
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...] | None
    affine: npt.NDArray[np.float64] | None
    mpp: tuple[float, ...] | None
    level0_box: tuple[int, ...] | None
    gsd_m: float | None
    crs: str | None
    transform: tuple[float, ...] | None
    bounds: tuple[float, ...] | None


@dataclass(frozen=True)
class Caption:
    """A text of a sample.

    Attributes:
        text: as it is stored.
        kind: raw, template, rewrite, fusion, vlm or roi.
        verdict: of the newest checker: supported, contradicted, unsupported, or unknown where none has judged it.
    """

    text: str
    kind: str
    verdict: str


@dataclass(frozen=True)
class Fact:
    """What is known of a sample.

    Attributes:
        concept: such as `pleural effusion`.
        polarity: present, absent or uncertain.
        value, unit: of a measurement, else None.
        region_id: the region that it is of, else None.
        source: the rule that found it.
        attributes: what else it says: `laterality`, `lobe`, `stage`, …; as in the table.
        code: of an ontology, else None.
    """

    concept: str
    polarity: str
    value: float | None
    unit: str | None
    region_id: str | None
    source: str | None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    code: str | None = None


class Sample:
    """One sample of a corpus. Pixels, facts and captions are read when they are asked for.

    Attributes:
        meta: its row of the table `samples`.
    """

    def __init__(self, corpus: OpenedCorpus, meta: Mapping[str, Any]) -> None:
        self.meta = meta
        self._corpus = corpus

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.meta.get("shape") or ()))
        return f"Sample({self.uid[:12]}…, {self.kind}, {self.modality}, {shape}, units={self.units})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:  # noqa: ANN401 - what IPython asks
        """In a Jupyter notebook its picture, of a volume the viewer of `voxtile serve`; elsewhere the text alone."""
        from voxtile.formats.pictures.notebook import bundle, in_notebook

        text = {"text/plain": repr(self)}
        if not in_notebook() or (shown := bundle(self._corpus, self.source, self._regions)) is None:
            return text
        data, metadata = shown if isinstance(shown, tuple) else (shown, {})
        return {**data, **text}, metadata

    @property
    def _regions(self) -> list[dict[str, Any]]:
        import pyarrow.compute as pc  # slow to import, and needed in notebooks alone

        table = self._corpus.table("regions", with_root=True)
        own = pc.and_(pc.equal(table["uid"], self.uid), pc.equal(table[ROOT_COLUMN], self.meta.get(ROOT_COLUMN) or 0))
        rows: list[dict[str, Any]] = table.filter(own).to_pylist()
        return rows

    @property
    def uid(self) -> str:
        """Its name in all tables."""
        return str(self.meta["uid"])

    @property
    def kind(self) -> str:
        """Image, volume, tile, patch or overview."""
        return str(self.meta["kind"])

    @property
    def modality(self) -> str | None:
        """As DICOM names it where it does: CT, MR, …; else RGB, MSI, SAR, …."""
        return self.meta.get("modality")

    @property
    def units(self) -> str | None:
        """Of `image`: HU, SUVbw, reflectance, dB, …."""
        return self.meta.get("units")

    @property
    def channels(self) -> list[str]:
        """Names of the channels, such as bands, in order; empty where they have none."""
        names = [channel.get("name") for channel in self.meta.get("channels") or []]
        return [str(name) for name in names] if all(names) else []

    @property
    def source(self) -> StoredSample:
        """The stored values, for presets and for reading a box of a large array."""
        return self._corpus.source(self.meta)

    @property
    def image(self) -> npt.NDArray[Any]:
        """Pixels in the order of `geometry.axes`.

        Pictures of 8 bits are as they are stored. All else is float32 in `units`, NaN where a tile has no value.

        Raises:
            CorpusError: the data is missing or damaged.
        """
        if self.meta["codec"] in _PICTURES:
            return decode_picture(self.source.encoded())
        return _physical(self.source.array(), self.meta)

    @property
    def geometry(self) -> Geometry:
        """Where it lies, in physical units."""
        return geometry_of(self.meta)

    @property
    def facts(self) -> list[Fact]:
        """All facts, by concept; present, absent and uncertain ones of every source."""
        rows = self._corpus._facts.rows(self.meta)
        names = ("concept", "polarity", "value", "unit", "region_id", "source", "code")
        return [
            Fact(attributes=json.loads(row["attributes"] or "{}"), **{name: row[name] for name in names})
            for row in rows
        ]

    @property
    def captions(self) -> list[Caption]:
        """All captions; training never draws those whose verdict is contradicted."""
        return [Caption(row["text"], row["kind"], row["verdict"]) for row in self._corpus._captions.rows(self.meta)]


class OpenedCorpus(Corpus):
    """A corpus, or the union of several, to look at and to load from.

    `table(name)` gives a whole table as Arrow, `connection()` all of them in DuckDB. Overviews of slides and scenes,
    which are for people, are no samples here; they are in the table.
    """

    def __init__(self, *roots: str | os.PathLike[str]) -> None:
        super().__init__(*roots)
        self.roots = tuple(root.absolute() for root in self.roots)  # a script or notebook may go to another folder

    def __repr__(self) -> str:
        return f"OpenedCorpus({', '.join(map(str, self.roots))}: {len(self)} samples)"

    def __bool__(self) -> bool:
        return True  # also where it is empty: it is there

    def __len__(self) -> int:
        """Number of samples."""
        kinds = self.table("samples", columns=["kind"])["kind"].to_pylist()
        return sum(kind != OVERVIEW for kind in kinds)

    def __iter__(self) -> Iterator[Sample]:
        """All samples, in the order of corpora and tables."""
        for batch in self.table("samples", with_root=True).to_batches(max_chunksize=_ROWS):
            yield from (Sample(self, row) for row in batch.to_pylist() if row["kind"] != OVERVIEW)

    def __getitem__(self, uid: str) -> Sample:
        """The sample of this uid.

        Raises:
            CorpusError: no sample or more than one has it.
        """
        return Sample(self, self.row(uid))

    def __contains__(self, sample: object) -> bool:
        """Whether there is a sample of this uid."""
        import pyarrow.compute as pc

        uid = sample.uid if isinstance(sample, Sample) else sample
        return isinstance(uid, str) and pc.index(self.table("samples", columns=["uid"])["uid"], uid).as_py() >= 0

    def dataset(
        self,
        *,
        preset: Preset | Mapping[str, Any] | str | os.PathLike[str],
        split: str | None = None,
        where: str | None = None,
        view: str = "all",
        texts: int = 0,
    ) -> SampleDataset:
        """The samples as a `torch.utils.data.Dataset`, prepared by a preset; nothing is random.

        Args:
            preset: a preset, a model's `preset`, its description (`class_path` and `init_args`), or the name or path of
                a config that has one (`medical/ct`).
            split: train, val or test; all samples when left out.
            where: SQL condition over the samples table, such as `modality = 'CT'`.
            view: name of a curated view.
            texts: most texts of an item, in order; 0 for all. Contradicted captions are left out.

        Raises:
            ConfigError: no sample is selected, or there is no such preset, split or view.
            PresetError: a sample lacks what the preset needs, such as the spacing.
        """
        from voxtile.api.dataset import SampleDataset, as_preset

        return SampleDataset(self, as_preset(preset), split=split, where=where, view=view, texts=texts)

    @cached_property
    def _facts(self) -> _ByUid:
        return _ByUid(self._query(_FACTS))

    @cached_property
    def _captions(self) -> _ByUid:
        return _ByUid(self._query(_CAPTIONS, judged=True))

    def _query(self, query: str, *, judged: bool = False) -> pa.Table:
        with closing(self.connection()) as connection:
            if judged:
                judge_captions(connection)
            return connection.sql(query).to_arrow_table()


def open_corpus(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> OpenedCorpus:
    """Open a corpus, or several as one.

    Args:
        path: its folder, or a list of folders.

    Raises:
        CorpusError: a folder is not a corpus, or was made by a newer version.
    """
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    return OpenedCorpus(*(Path(one) for one in paths))


def geometry_of(meta: Mapping[str, Any]) -> Geometry:
    """Geometry of a row of the table `samples`."""
    from voxtile.data.presets.base import spacing_mm

    affine = meta.get("affine")
    return Geometry(
        axes=meta.get("axes"),
        shape=tuple(meta.get("shape") or ()),
        spacing_mm=spacing_mm(meta),
        affine=None if affine is None else np.asarray(affine, np.float64).reshape(4, 4),
        mpp=_tuple(meta.get("mpp")),
        level0_box=_tuple(meta.get("level0_box")),
        gsd_m=meta.get("gsd_m"),
        crs=meta.get("crs"),
        transform=_tuple(meta.get("transform")),
        bounds=_tuple(meta.get("bounds")),
    )


class _ByUid:
    """Rows of a table that is sorted by corpus and uid, found by a sample's."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table.combine_chunks()
        marks = zip(table[ROOT_COLUMN].to_pylist(), table["uid"].to_pylist(), strict=True)
        self._keys = np.array([f"{root:06d}{uid}" for root, uid in marks], dtype="U")

    def rows(self, meta: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Those of a sample, in the table's order."""
        key = f"{meta.get(ROOT_COLUMN) or 0:06d}{meta['uid']}"
        start, stop = (int(np.searchsorted(self._keys, key, side)) for side in ("left", "right"))
        rows: list[dict[str, Any]] = self._table.slice(start, stop - start).to_pylist()
        return rows


def _physical(stored: npt.NDArray[Any], meta: Mapping[str, Any]) -> npt.NDArray[Any]:
    """Stored values in the row's units."""
    from voxtile.data.presets.tile import nodata_value

    axes = meta.get("axes") or ""
    count = stored.shape[axes.index("C")] if "C" in axes and len(axes) == stored.ndim else 1
    scalings = [channel_scaling(meta, channel) for channel in range(count)]
    nodata = [nodata_value(meta, channel) for channel in range(count)]
    plain = all(scaling == (1.0, 0.0) for scaling in scalings) and not any(n is not None for n in nodata)
    if plain and stored.dtype == np.uint8 and axes in ("YX", "YXC"):
        return stored
    if np.iscomplexobj(stored):
        return stored
    out = stored.astype(np.float32)
    planes = np.moveaxis(out, axes.index("C"), 0) if count > 1 or "C" in axes else out[None]
    raw = np.moveaxis(stored, axes.index("C"), 0) if count > 1 or "C" in axes else stored[None]
    for plane, values, (scale, offset), empty in zip(planes, raw, scalings, nodata, strict=True):
        plane *= np.float32(scale)
        plane += np.float32(offset)
        if empty is not None:
            plane[values == empty] = np.nan
    return out


def _tuple(values: Sequence[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)
