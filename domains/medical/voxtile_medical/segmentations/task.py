"""Attaching masks as an engine task: one item a mask file, regions and facts as its outcome."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtile.engine.parallel import PlanReader
from voxtile.engine.task import Item, Outcome
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_header.scan import root_of
from voxtile_medical.segmentations.label_names import LabelName, Names, find_names, read_names
from voxtile_medical.segmentations.names import Identifiers, phrase_of
from voxtile_medical.segmentations.placement import Grid
from voxtile_medical.segmentations.plan import NO_IMAGE, MaskPlan, ToldMask, read_pairs
from voxtile_medical.segmentations.regions import Regions
from voxtile_medical.segmentations.samples import Images, MaskNames
from voxtile_medical.verdicts import Verdict

if TYPE_CHECKING:
    from voxtile_medical.segmentations.label_map import LabelMap

_OTHER_FRAME = "its frame of reference is not the image's; register them first"


@dataclass(frozen=True)
class MaskTask:
    """Attaches the masks of a folder to the samples of a corpus.

    Attributes:
        source: folder of the masks.
        corpus: where the samples are.
        names: how the corpus writes identifiers; None in workers, which get the plan only.
        hides: identifiers are removed from names of structures.
        label_names: table that names the values of every label map.
        pairs: CSV of mask and uid.
        objects: headers of SEG and RTSTRUCT objects; empty in workers.
        label_maps: paths of NIfTI label maps; empty in workers.
        told: path → what a data set says of a label map; empty in workers.
        images: headers of the images beside the objects, whose identifiers may be in names; empty in workers.
        reader: reads the references of objects for the plan.
    """

    source: Path
    corpus: Path
    names: MaskNames | None = field(compare=False, repr=False)
    hides: bool = True
    label_names: Path | None = None
    pairs: Path | None = None
    objects: tuple[FileHeader, ...] = field(default=(), compare=False, repr=False)
    label_maps: tuple[str, ...] = field(default=(), compare=False, repr=False)
    told: Mapping[str, ToldMask] = field(default_factory=dict, compare=False, repr=False)
    images: tuple[FileHeader, ...] = field(default=(), compare=False, repr=False)
    reader: PlanReader = field(default_factory=PlanReader, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Short name."""
        return "masks"

    @property
    def version(self) -> str:
        """Version of the output."""
        return "2"

    def __getstate__(self) -> dict[str, Any]:
        """Without keys and headers: they stay in the planning process."""
        return {**self.__dict__, "names": None, "objects": (), "label_maps": (), "images": (), "told": {}}

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        names = hashlib.sha256(self.label_names.read_bytes()).hexdigest() if self.label_names else None
        return {"hides": self.hides, "label_names_sha256": names}

    @property
    def root(self) -> Path:
        """The folder that paths are relative to."""
        return root_of(self.source)

    def items(self) -> Iterable[Item]:
        """One item a mask file that is not attached yet.

        Raises:
            InputError: the table of pairs cannot be used.
        """
        if self.names is None:
            raise RuntimeError("the plan is made in the process that holds the key")
        images = Images.of(self.corpus, self.names)
        plan = MaskPlan(self.root, self.names, images, self.images if self.hides else (), self.reader)
        pairs = read_pairs(self.pairs, images.by_uid) if self.pairs else {}
        items = [*plan.objects(self.objects), *plan.label_maps(self.label_maps, pairs, self.told)]
        if self.names.key_map is not None:
            self.names.key_map.save()
        return items

    def process(self, item: Item) -> Outcome:
        """Read one mask file and place what it shows, in a worker."""
        inputs = item.inputs
        makers = {"dicom-seg": self._segmentation, "rtstruct": self._structure_set, "label-map": self._label_map}
        try:
            if inputs["kind"] == "note":
                raise Verdict(inputs["reason"], inputs["detail"])
            return makers[inputs["kind"]](inputs).outcome()
        except Verdict as verdict:
            return verdict.outcome()

    def _segmentation(self, inputs: Mapping[str, Any]) -> Regions:
        from voxtile_medical.segmentations.dicom_seg import RULE, SegmentationFile

        file = SegmentationFile(self.root / inputs["path"], self.hides, inputs["identifiers"])
        regions = Regions(inputs["content"], RULE, inputs["digest"])
        for grid in _grids(inputs["targets"]):
            if inputs["frame"] and grid.frame and inputs["frame"] != grid.frame:
                raise Verdict("other-frame-of-reference", _OTHER_FRAME)
            regions.add(grid, file.place(grid))
        return regions

    def _structure_set(self, inputs: Mapping[str, Any]) -> Regions:
        from voxtile_medical.segmentations.rtstruct import RULE, StructureSet

        file = StructureSet(self.root / inputs["path"], self.hides, inputs["identifiers"])
        regions = Regions(inputs["content"], RULE, inputs["digest"])
        for grid in _grids(inputs["targets"]):
            if grid.affine is not None:
                regions.add(grid, file.place(grid, inputs["frames"]))
        return regions

    def _label_map(self, inputs: Mapping[str, Any]) -> Regions:
        from voxtile_medical.segmentations.label_map import RULE, LabelMap

        file = LabelMap(self.root / inputs["path"])
        regions = Regions(inputs["content"], RULE, inputs["digest"], frozenset(inputs["taken"]))
        identifiers = Identifiers(hides=self.hides)
        names = self._names(inputs, file)
        phrase = phrase_of(inputs["phrase"], identifiers) if inputs["phrase"] else None
        for grid in _chosen(file, *(list(_grids(inputs[key])) for key in ("targets", "longer", "beside"))):
            regions.add(grid, file.place(grid, names, phrase, identifiers))
        return regions

    def _names(self, inputs: Mapping[str, Any], file: LabelMap) -> Names:
        """Names as told, else of the given table, one of the map's own name, its header extension, an inherited one."""
        if "told_names" in inputs:
            return tuple(LabelName((value,), name) for value, name in inputs["told_names"])
        if self.label_names:
            return read_names(self.label_names)
        own, inherited = (
            next(filter(None, (find_names(self.root / path) for path, _ in inputs[key])), ())
            for key in ("names", "inherited_names")
        )
        return own or file.extension_names or inherited


def _grids(packed: Iterable[Mapping[str, Any]]) -> Iterator[Grid]:
    for grid in packed:
        yield Grid.unpack(grid)


def _chosen(file: LabelMap, named: list[Grid], longer: list[Grid], beside: list[Grid]) -> list[Grid]:
    """The images on the map's own grid; else the one that goes by its name; else the only one beside it on its grid.

    Raises:
        Verdict: `ambiguous-image` or `no-image`.
    """
    same = [grid for grid in (*named, *longer) if file.same_grid(grid)]
    if same:
        return same
    if len(named) == 1:
        return named
    if not named:
        same = [grid for grid in beside if file.same_grid(grid)]
        if len(same) == 1:
            return same
        raise Verdict("no-image", NO_IMAGE)
    raise Verdict(
        "ambiguous-image",
        f"{len(named)} images go by its name and none has its grid; say which with --pairs FILE",
    )
