"""What the names of plain files and bands say and nothing states: a day, and a band that is a mask.

Names prove nothing, so neither is taken; that they are there is said, with what to write into the sidecar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from voxtile.engine.task import Part
from voxtile_remote_sensing.scenes.protocol import Scene
from voxtile_remote_sensing.scenes.time_in_name import day_in_name

NO_DATE, MASK_BAND = "no-date", "mask-as-values"
_IN_SIDECAR = "in a sidecar YAML (beside the file, bands.yaml in its folder, or --sidecar FILE)"
_DESCRIBED = ("geotiff", "envi")  # readers of one file and its sidecar
_MASKS = {"scl": "SCL", "qa_pixel": "QA_PIXEL", "bqa": "BQA", "udm2": "UDM2"}


def parts_of_names(scene: Scene) -> Iterator[Part]:
    """A row of the ledger where a file's name has a day and its scene none, and for each band that is called a mask."""
    if scene.ref.reader not in _DESCRIBED:
        return
    pattern = day_in_name(PurePosixPath(scene.ref.path).name)
    if scene.datetime is None and pattern is not None:
        yield _part(NO_DATE, f"{scene.id} write 'datetime_in_name: \"{pattern}\"'")
    used = {mask.kind for mask in scene.masks}
    for band in scene.bands:
        kind = _MASKS.get(band.name.lower())
        if kind is not None and kind not in used:
            line = f"masks: [{{kind: {kind}, band: {band.layer.index}}}]"
            yield _part(MASK_BAND, f"{scene.id} {band.name} write '{line}'")


def sentence(reason: str, told: Sequence[str]) -> str:
    """What to know of such rows of the ledger, and what to write.

    Args:
        reason: of the rows.
        told: their `uid`.
    """
    first, _, written = min(told).partition(" write ")
    more = f" and {len(told) - 1:,} more" if len(told) > 1 else ""
    if reason == NO_DATE:
        return (
            f"{first}{more}: the name has what looks like a day, but nothing states when the scene was taken, so that "
            f"its tiles have no date; if it is one, convert into a new corpus with {written} {_IN_SIDECAR}"
        )
    return (
        f"{first}{more}: a band of this name is a mask of classes, but nothing states it, so that it is stored as "
        f"values and no cloud is known; convert into a new corpus with {written} {_IN_SIDECAR}"
    )


def _part(reason: str, told: str) -> Part:
    return Part(told, "dropped", reason, sentence(reason, [told]))
