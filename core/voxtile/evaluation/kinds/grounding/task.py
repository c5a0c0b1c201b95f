"""The grounding task, and what its YAML may say beyond the keys that tasks with classes share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from voxtile.evaluation.kinds.zero_shot.task import CLASSES_KEYS, class_fields
from voxtile.evaluation.tasks.place import Place, shown
from voxtile.evaluation.tasks.task import EvaluationTask
from voxtile.inference.similarity.method import METHODS, Method

GROUNDING_KEYS = (*CLASSES_KEYS, "overlap", "least_extent", "regions_source", "method", "proposals")
COMPETING = "similarity-segmentation"
PROBING = "segmentation-probe"
"""Kind of task in which every place belongs to one class."""


@dataclass(frozen=True, kw_only=True)
class GroundingTask(EvaluationTask):
    """Phrases are shown in images, against regions; each class is a phrase, and its concept names the regions.

    Attributes:
        overlap: intersection over union at which a predicted lesion is a true one.
        least_extent: targets count whose longest extent on the model's grid reaches so many voxels along an axis.
        method: how similarity shows phrases, see `SimilarityModel`; None asks the model's own decoder.
        proposals: answer with the one annotated region of the image, whatever it is called, that holds most of the map:
            an oracle's proposals, since the right answer is among them.
        regions_source: only regions whose source begins with one of these are the truth; all where empty. What reports
            suggest (`suv-mentions`) may train a model and never judges one.
    """

    lends_classes: ClassVar[bool] = False

    overlap: float = 0.3
    least_extent: int = 4
    regions_source: tuple[str, ...] = ()
    method: Method | None = None
    proposals: bool = False

    @property
    def compete(self) -> bool:
        """Whether a place belongs to one class only, the one that fits it best."""
        return self.kind == COMPETING

    @property
    def probes(self) -> bool:
        """Whether a linear classifier is fitted on the features of patches, by the regions of the training split."""
        return self.kind == PROBING

    @property
    def multilabel(self) -> bool:
        """Any number of phrases can have targets."""
        return True


def parse_grounding(place: Place, task: Mapping[str, Any], shared: Mapping[str, Any]) -> GroundingTask:
    """The task of a file whose `kind` is `grounding`, `similarity-segmentation` or `segmentation-probe`.

    Args:
        place: of the file, for error messages.
        task: the file's mapping.
        shared: the fields that all tasks have.

    Raises:
        ConfigError: there are no classes, or a value out of range.
    """
    return GroundingTask(**shared, **class_fields(place, task, multilabel=False), **_own_fields(place, task))


def _own_fields(place: Place, task: Mapping[str, Any]) -> dict[str, Any]:
    overlap, extent = task.get("overlap", 0.3), task.get("least_extent", 4)
    if isinstance(overlap, bool) or not isinstance(overlap, int | float) or not 0 < overlap <= 1:
        raise place.at("overlap").error(f"expected a number above 0 and at most 1, found {shown(overlap)}")
    if type(extent) is not int or extent < 1:
        raise place.at("least_extent").error(f"expected a whole number of voxels above 0, found {shown(extent)}")
    competing = task.get("kind") == COMPETING
    if task.get("kind") == PROBING and (wrong := next((key for key in ("method", "proposals") if key in task), None)):
        raise place.at(wrong).error("a probe is fitted on regions, and shows by nothing else; leave it out")
    method = place.choice(task, "method", METHODS, METHODS[0]) if competing or "method" in task else None
    proposals = place.choice(task, "proposals", ("oracle", "regions"), None) if "proposals" in task else None
    if proposals and (method is None or competing):
        raise place.at("proposals").error("proposals are chosen by similarity in tasks of kind grounding; set 'method'")
    fields = {"overlap": float(overlap), "least_extent": extent, "regions_source": _sources(place, task)}
    return fields | {"method": method, "proposals": proposals is not None}


def _sources(place: Place, task: Mapping[str, Any]) -> tuple[str, ...]:
    value = task.get("regions_source") or ""
    if not isinstance(value, str):
        raise place.at("regions_source").error(f"expected words, separated by commas, found {shown(value)}")
    return tuple(name.strip() for name in value.split(",") if name.strip())
