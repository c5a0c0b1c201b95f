"""`voxtile build lidc-idri`: the CT of LIDC-IDRI as DICOM, and the nodules that its readers marked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pydicom
from pydicom.errors import InvalidDicomError

from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import InputError, RunFailedError
from voxtile_medical.archives.stored import stored
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom
from voxtile_medical.dicom_header.scan import list_files
from voxtile_medical.recipes.volumes.build import BY_SUBJECT
from voxtile_medical.recipes.volumes.lidc_readings import read_nodules, series_of
from voxtile_medical.recipes.volumes.lidc_regions import Slices, place_nodules
from voxtile_medical.recipes.volumes.volume_set import load_volume_set
from voxtile_medical.segmentations.placement import Grid
from voxtile_medical.segmentations.regions import Regions, region_prefix
from voxtile_medical.segmentations.samples import Images, MaskNames
from voxtile_medical.verdicts import Verdict

RULE = "lidc-xml@1"
_TAGS = ["SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"]


@dataclass(frozen=True)
class ReadingTask:
    """Attaches the readings of LIDC-IDRI to the CT series of a corpus.

    Attributes:
        source: folder of the data set.
        corpus: where the samples are.
        names: how the corpus writes identifiers; None in workers, which get the plan only.
    """

    source: Path
    corpus: Path
    names: MaskNames | None = field(compare=False, repr=False)

    @property
    def name(self) -> str:
        """Short name."""
        return "lidc-readings"

    @property
    def version(self) -> str:
        """Version of the output."""
        return "1"

    def __getstate__(self) -> dict[str, Any]:
        """Without keys: they stay in the planning process."""
        return {**self.__dict__, "names": None}

    def config(self) -> Mapping[str, Any]:
        """No setting changes the output."""
        return {}

    def items(self) -> Iterable[Item]:
        """One item an XML file that is not attached yet."""
        if self.names is None:
            raise RuntimeError("the plan is made in the process that holds the names")
        images = Images.of(self.corpus, self.names)
        root, paths = list_files(self.source)
        slices: dict[str, str] = {}
        for path in paths:
            if path.lower().endswith(".dcm"):
                slices.setdefault(str(PurePosixPath(path).parent), path)
        for path in paths:
            if not path.lower().endswith(".xml") or PurePosixPath(path).name.startswith("."):
                continue
            series = series_of(root / path)
            grids = images.by_series.get(self.names.names.name("series", series), []) if series else []
            content = hashlib.sha256(f"{path} {hashlib.sha256((root / path).read_bytes()).hexdigest()}".encode())
            identity = content.hexdigest()
            if any((region_prefix(identity), grid.uid) in images.attached for grid in grids):
                continue
            yield Item(
                self.names.names.name("source", path),
                {
                    "path": path,
                    "content": identity,
                    "series": series,
                    "slice": slices.get(str(PurePosixPath(path).parent)),
                    "targets": [grid.packed() for grid in grids],
                },
            )

    def process(self, item: Item) -> Outcome:
        """Read one file and place what it marks, in a worker."""
        inputs = item.inputs
        try:
            if inputs["series"] is None:
                raise Verdict("not-ct-reading", "no reading of a CT series, such as those of radiographs")
            if not inputs["targets"]:
                raise Verdict("no-series", "the series that it reads is not in the corpus; download it")
            if inputs["slice"] is None:
                raise Verdict("no-series", "no DICOM file lies beside it; put it into the folder of its series")
            slices = _slices(self.source / inputs["slice"], inputs["series"])
            readers, nodules = read_nodules(self.source / inputs["path"])
            regions = Regions(inputs["content"], RULE)
            for packed in inputs["targets"]:
                grid = Grid.unpack(packed)
                regions.add(grid, place_nodules(readers, nodules, slices, grid))
        except Verdict as verdict:
            return verdict.outcome()
        return regions.outcome()


def _slices(path: Path, series: str) -> Slices:
    with quiet_pydicom():
        try:
            header = pydicom.dcmread(stored(path), stop_before_pixels=True, specific_tags=list(_TAGS))
            stated = str(header.SeriesInstanceUID)
            numbers = [[float(v) for v in header[tag].value] for tag in _TAGS[1:]]
        except (InvalidDicomError, AttributeError, KeyError, TypeError, ValueError, OSError, EOFError) as error:
            raise Verdict("unreadable-header", "the slice beside it does not say how it lies") from error
    if stated != series:
        raise Verdict("other-series", "the slices beside it are of another series than it reads")
    if [len(found) for found in numbers] != [3, 6, 2]:
        raise Verdict("unreadable-header", "the slice beside it does not say how it lies")
    return Slices(*numbers)


def build_lidc_idri(source: Path, corpus: Path, *, split_fractions: str = BY_SUBJECT, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from LIDC-IDRI: chest CT as DICOM with the nodules that four readers marked, split by patient.

    A nodule is one region: the voxels that at least half of the readers marked who marked the nodule; marks that share
    a voxel are of one nodule. The fact of the region has what each reader rated (malignancy, texture, …). Outlines run
    just outside of what they enclose. Nodules under 3 mm are points and give no region. Radiographs of the set become
    pictures.

    Licence: CC BY 3.0 (https://doi.org/10.7937/K9/TCIA.2015.LO9QL9SX).

    Args:
        source: the folder with `LIDC-IDRI-0001`, …, each XML file in the folder of its series.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by patient.
        run: options of the run.
    """
    options = RunOptions(**run)
    held = load_volume_set("lidc-idri")
    held.announce()
    if not source.is_dir():
        raise InputError(
            f"'{source}' is not a folder; give the folder that {held.title} is unpacked to ({held.source})"
        )
    failed: RunFailedError | None = None
    try:
        convert_dicom(
            source, corpus, deidentify=False, licence=held.licence, split_fractions=split_fractions, **asdict(options)
        )
    except RunFailedError as error:  # what was read is stored, and its nodules are attached
        failed = error
    if not options.dry_run:
        run_task(ReadingTask(source, corpus, MaskNames.of_corpus(corpus, None)), corpus, options).raise_if_failed()
    if failed is not None:
        raise failed
