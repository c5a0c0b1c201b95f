"""The conversion as a task: one item a block of patches, one a slide for its overview."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from voxtile.engine.task import Item, Outcome, Status
from voxtile.errors import VoxtileError
from voxtile_datasets.intake.deidentify import without_path
from voxtile_datasets.intake.planner import PlannedTask, Planner
from voxtile_pathology.convert.current_slide import slide_at
from voxtile_pathology.convert.overview import make_overview
from voxtile_pathology.convert.patches import make_patches
from voxtile_pathology.convert.plan import Inputs, plan_items
from voxtile_pathology.convert.settings import WsiSettings


@dataclass(frozen=True)
class WsiTask(PlannedTask):
    """Converts the slides of a folder tree.

    Attributes:
        settings: what changes the output.
        inputs: where the slides are.
        planner: None in workers, which get the plan only.
    """

    settings: WsiSettings
    inputs: Inputs
    planner: Planner | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Short name."""
        return "wsi"

    @property
    def version(self) -> str:
        """Version of the output."""
        return "2"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return self.settings.config()

    def items(self) -> Iterable[Item]:
        """Overviews and blocks of patches, slide by slide.

        Raises:
            InputError: there is no slide, or a table cannot be used.
        """
        return plan_items(self.inputs, self.settings, self.own_planner)

    def process(self, item: Item) -> Outcome:
        """Do one block or overview, in a worker. What it says names no file where file names are hidden."""
        path = self.inputs.root / item.inputs.get("path", "")
        if not self.settings.deidentify or "path" not in item.inputs:
            return self._process(item, path)
        try:
            return _without_name(self._process(item, path), path)
        except VoxtileError as error:
            error.args = (without_path(str(error), path),)
            raise

    def _process(self, item: Item, path: Path) -> Outcome:
        inputs = item.inputs
        if inputs["kind"] == "note":
            status: Status = "failed" if inputs.get("failed") else "dropped"
            return Outcome(status, inputs["reason"], inputs["detail"])
        slide = slide_at(path)
        if inputs["kind"] == "overview":
            return make_overview(slide, item, self.settings)
        return make_patches(slide, path, item, self.settings, self.inputs.annotations)


def _without_name(outcome: Outcome, path: Path) -> Outcome:
    parts = tuple(replace(part, detail=without_path(part.detail, path)) for part in outcome.parts)
    return replace(outcome, detail=without_path(outcome.detail, path) if outcome.detail else None, parts=parts)
