"""Several volumes in one series: planes at the same place are told apart by what their headers say of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from voxtile_medical.dicom_planes.frames import TIME_KEYS, Frame
from voxtile_medical.dicom_planes.geometry import (
    ORIENTATION_TOLERANCE,
    SAME_PLACE_MM,
    GridChoice,
    Stack,
    cross,
    stack_frames,
)
from voxtile_medical.verdicts import Verdict

_SAVED = "ContentTime"  # when an image was made, which need not be when it was measured
_NEARLY_WHOLE = 0.75  # of the places: fewer are planes that were taken again, and no volume
_FEWEST = 3  # planes of a part of what was filed as one volume
_SCALE = "Rescale"  # of enhanced files, where it may change from plane to plane
_PASS = "AcquisitionNumber"  # the passes of one acquisition may have each their own, over every other plane
_ABUTTING = 0.9  # of the slice thickness: planes that are so far apart do not lie in each other


@dataclass(frozen=True)
class VolumeFrames:
    """Planes that belong to one volume, and the values that set it apart from the series' other volumes.

    Attributes:
        frames: in any order.
        label: the values.
        stack: the planes in order, where they have been found to be a sound stack.
    """

    frames: tuple[Frame, ...]
    label: dict[str, Hashable] = field(default_factory=dict)
    stack: Stack | None = None


def split_volumes(frames: Sequence[Frame]) -> list[VolumeFrames]:
    """Split a series into volumes.

    First by stack (enhanced files), then, only where planes lie at the same place, by the first header value that
    differs there, by order in time, and last by instance numbers that run volume after volume or place after place.
    Planes that nothing tells apart stay together, and stacking them gives `duplicates`.

    Returns:
        The volumes in the order of the values that tell them apart.
    """
    stacks: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        stacks[frame.stack].append(frame)
    volumes: list[VolumeFrames] = []
    for name in sorted(stacks, key=_natural):
        label: dict[str, Hashable] = {"StackID": name} if len(stacks) > 1 else {}
        volumes += _split(VolumeFrames(tuple(stacks[name]), label))
    return volumes


def unmerged(volume: VolumeFrames, min_slices: int, choice: GridChoice) -> list[VolumeFrames]:
    """Volumes that were filed as one: stacks of several directions, or acquisitions that lie between each other.

    They are parted only where every part is a sound stack of at least three planes, so that a damaged volume does not
    become a shorter one. Planes of two acquisitions make a sound stack, too, where one lies half a step from the other;
    those of two passes of one acquisition lie side by side, and are one volume.

    Args:
        volume: planes that nothing else tells apart.
        min_slices: fewest planes of a volume.
        choice: as of `stack_frames`.
    """
    whole, found = volume, _between_each_other(volume, _SCALE)
    try:
        whole = replace(volume, stack=stack_frames(volume.frames, min_slices, choice))
        if _side_by_side(whole):
            found = _between_each_other(volume, _SCALE, _PASS)
    except Verdict as verdict:
        if verdict.reason == "mixed-orientations":
            found = [_by_orientation(volume)]
        elif verdict.reason not in ("unequal-steps", "missing-slice", "duplicates"):
            return [volume]
    return next((parts for parts in found if _are_sound(parts, min_slices, choice)), [whole])


def _side_by_side(whole: VolumeFrames) -> bool:
    """No plane of a sound stack reaches into the next, as far as they say how thick they are."""
    thickness = [frame.thickness for frame in whole.frames]
    if whole.stack is None or None in thickness:
        return False
    return float(np.linalg.norm(whole.stack.affine[:3, 2])) >= _ABUTTING * max(t for t in thickness if t is not None)


def _between_each_other(volume: VolumeFrames, *no_reason: str) -> list[list[VolumeFrames]]:
    names = [name for name in _key_names(volume.frames) if name not in (*TIME_KEYS, *no_reason)]
    return [parts for name in names if _lie_between(parts := _by_value(volume, name))]


def _by_orientation(volume: VolumeFrames) -> list[VolumeFrames]:
    alike: list[list[Frame]] = []
    for frame in volume.frames:
        group = next((group for group in alike if _same_direction(group[0], frame)), None)
        if group is None:
            alike.append([frame])
        else:
            group.append(frame)
    return [VolumeFrames(tuple(group), {**volume.label, "Direction": k}) for k, group in enumerate(alike)]


def _same_direction(one: Frame, other: Frame) -> bool:
    return bool(np.abs(np.subtract(one.orientation, other.orientation)).max() <= ORIENTATION_TOLERANCE)


def _by_value(volume: VolumeFrames, name: str) -> list[VolumeFrames]:
    groups: dict[Hashable, list[Frame]] = defaultdict(list)
    for frame in volume.frames:
        groups[frame.keys.get(name)].append(frame)
    return [VolumeFrames(tuple(groups[v]), {**volume.label, name: v}) for v in sorted(groups, key=_natural)]


def _lie_between(parts: Sequence[VolumeFrames]) -> bool:
    """Each part overlaps with another along the normal: one volume cannot be so, unlike one that was cut in two."""
    orientation = parts[0].frames[0].orientation
    normal = cross(orientation[:3], orientation[3:])
    heights = [np.array([frame.position for frame in part.frames]) @ normal for part in parts]
    spans = [(float(h.min()), float(h.max())) for h in heights]
    return len(parts) > 1 and all(
        any(low < other[1] and other[0] < high for k, other in enumerate(spans) if k != index)
        for index, (low, high) in enumerate(spans)
    )


def _are_sound(parts: Sequence[VolumeFrames], min_slices: int, choice: GridChoice) -> bool:
    if len(parts) < 2 or any(len(part.frames) < _FEWEST for part in parts):
        return False
    try:
        for part in parts:
            stack_frames(part.frames, min_slices, choice)
    except Verdict:
        return False
    return True


def _split(volume: VolumeFrames) -> list[VolumeFrames]:
    places = _places(volume.frames)
    most = max(len(place) for place in places)
    if most == 1:
        return [volume]
    for name in _key_names(volume.frames):
        groups: dict[Hashable, list[Frame]] = defaultdict(list)
        for frame in volume.frames:
            groups[frame.keys.get(name)].append(frame)
        # A value that tells volumes apart has at most as many values as there are planes at one place.
        if 1 < len(groups) <= most and any(len({f.keys.get(name) for f in place}) > 1 for place in places):
            parts = [VolumeFrames(tuple(groups[v]), {**volume.label, name: v}) for v in sorted(groups, key=_natural)]
            return [split for part in parts for split in _split(part)]
    return _split_in_time(volume, places, most)


def _split_in_time(volume: VolumeFrames, places: list[list[Frame]], most: int) -> list[VolumeFrames]:
    """The k-th plane in time at every place makes the k-th volume."""
    names = [*sorted({name for frame in volume.frames for name in frame.times} - {_SAVED}), _SAVED]
    for name in names:
        if any(len({f.times.get(name) for f in place} - {None}) != most or len(place) != most for place in places):
            continue
        ordered = [sorted(place, key=lambda f: f.times[name]) for place in places]
        parts = [tuple(place[k] for place in ordered) for k in range(most)]
        if name == _SAVED and not _follow(parts):
            continue
        return [VolumeFrames(part, {**volume.label, "TimePoint": k}) for k, part in enumerate(parts)]
    return _split_by_number(volume, places, most)


def _follow(parts: Sequence[Sequence[Frame]]) -> bool:
    """Each volume was saved before the next began: images that were saved in turns belong to nobody knows which."""
    times = [[frame.times[_SAVED] for frame in part] for part in parts]
    return all(max(before) <= min(after) for before, after in pairwise(times))


def _split_by_number(volume: VolumeFrames, places: list[list[Frame]], most: int) -> list[VolumeFrames]:
    """By instance number, where the numbers run volume after volume, or through all volumes at a place and then on."""
    numbers = [frame.number for frame in volume.frames]
    if None in numbers or len(set(numbers)) < len(numbers):
        return [volume]
    place_of = {id(frame): index for index, place in enumerate(places) for frame in place}
    ordered = sorted(volume.frames, key=lambda frame: frame.number or 0.0)
    count = len(places)
    if any(len(place) != most for place in places):
        runs = _one_way(ordered, [place_of[id(frame)] for frame in ordered])
        lengths = [len(run) for run in runs]
        if len(runs) != most or max(lengths) < count or min(lengths) < _NEARLY_WHOLE * count:
            return [volume]
    else:
        runs = [ordered[k * count : (k + 1) * count] for k in range(most)]
        if any(len({place_of[id(frame)] for frame in run}) < count for run in runs):
            stays = [ordered[k * most : (k + 1) * most] for k in range(count)]
            if any(len({place_of[id(frame)] for frame in stay}) > 1 for stay in stays):
                return [volume]
            runs = [[stay[k] for stay in stays] for k in range(most)]
    return [VolumeFrames(tuple(run), {**volume.label, "InstanceOrder": k}) for k, run in enumerate(runs)]


def _one_way(ordered: Sequence[Frame], places: Sequence[int]) -> list[list[Frame]]:
    """Frames cut where their places turn back: volume after volume, of which some lack a plane."""
    steps = [b - a for a, b in pairwise(places)]
    way = 1 if 2 * sum(step > 0 for step in steps) >= len(steps) else -1
    runs = [[ordered[0]]]
    for frame, step in zip(ordered[1:], steps, strict=True):
        if step * way <= 0:
            runs.append([])
        runs[-1].append(frame)
    return runs


def _places(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames grouped by their distance along the common normal; one group a frame where there is no common normal."""
    orientations = [*dict.fromkeys(tuple(frame.orientation) for frame in frames)]
    if len(orientations) > 1 and np.ptp(orientations, axis=0).max() > ORIENTATION_TOLERANCE:
        return [[frame] for frame in frames]
    normal = cross(orientations[0][:3], orientations[0][3:])
    distances = np.array([frame.position for frame in frames]) @ normal
    places: list[list[Frame]] = []
    previous = -np.inf
    for i in np.argsort(distances, kind="stable"):
        if distances[i] - previous >= SAME_PLACE_MM:
            places.append([])
        places[-1].append(frames[i])
        previous = distances[i]
    return places


def _key_names(frames: Sequence[Frame]) -> list[str]:
    """Names of keys in the order in which the frames list them."""
    return list(dict.fromkeys(name for frame in frames for name in frame.keys))


def _natural(value: Hashable) -> tuple[int, float, str]:
    """Sort numbers (and one-number tuples) by value, before texts; missing values first."""
    if isinstance(value, tuple):
        value = value[0] if len(value) == 1 else "\\".join(str(v) for v in value)
    if value is None:
        return (0, 0.0, "")
    try:
        return (1, float(value), "")  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return (2, 0.0, str(value))
