"""Which image a label map is of, by the names of files and folders, and what it shows where the name says so.

The layouts are those of public collections: `case_seg.nii.gz` beside `case.nii.gz` (BraTS), `labelsTr/case.nii.gz` for
`imagesTr/case_0000.nii.gz` (Medical Segmentation Decathlon, nnU-Net), `segmentations/liver.nii.gz` below the folder of
`ct.nii.gz` (TotalSegmentator, AbdomenAtlas), and BIDS derivatives (`sub-01_dseg.nii.gz` for `sub-01_T1w.nii.gz`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from voxtile_medical.nifti.files import stem_of

_LABELS = """
    seg segs segmentation segmentations label labels labelmap labelmaps labelstr labelsts labelsval mask masks dseg
    probseg roi rois gt groundtruth annotation annotations desc
"""
_IMAGES = "image images imagestr imagests imagesval img imgs volume volumes scan scans"
_MODALITIES = "ct mr mri pet pt t1 t1w t1c t1ce t1gd t1n t2 t2w t2f flair pd pdw dwi adc bold"
_LABEL_WORDS, _IMAGE_WORDS = frozenset(_LABELS.split()), frozenset(_IMAGES.split())
_MODALITY_WORDS = frozenset(_MODALITIES.split())
_CHANNEL = re.compile(r"(.+)_\d{4}")  # nnU-Net: the number of the image's channel

_FEW = 16

Tokens = tuple[str, ...]


@dataclass(frozen=True)
class Candidates:
    """Images that a label map may be of.

    Attributes:
        named: by their names.
        longer: images whose names begin with the label map's; only those on its very grid count.
        phrase: what the label map's name says beyond its image's: `case1_tumour_mask` of `case1`.
        beside: where no name fits, the few images in the same folder; the only one on its very grid counts.
    """

    named: tuple[str, ...]
    longer: tuple[str, ...] = ()
    phrase: str | None = None
    beside: tuple[str, ...] = ()


class ImageFiles:
    """Paths of images, looked up by the path of a label map.

    Args:
        paths: relative to the folder that was converted, with forward slashes.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._exact: dict[Tokens, list[str]] = defaultdict(list)
        self._channels: dict[Tokens, list[str]] = defaultdict(list)
        self._begins: dict[Tokens, list[str]] = defaultdict(list)
        self._folders: dict[str, list[str]] = defaultdict(list)
        for path in sorted(paths):
            tokens = _tokens(_without_channel(stem_of(path)))
            self._channels[tokens].append(path)
            self._exact[_tokens(stem_of(path))].append(path)
            for length in range(1, len(tokens)):
                self._begins[tokens[:length]].append(path)
            self._folders[str(PurePosixPath(path).parent)].append(path)

    def of(self, mask: str) -> Candidates:
        """The images that a label map may be of, and the name of the structure that its own name gives.

        Args:
            mask: path of the label map.
        """
        own = _tokens(stem_of(mask))
        folder = PurePosixPath(mask).parent
        holder = next((part for part in (folder, *folder.parents) if _is_label_folder(part)), None)
        longer = tuple(_nearest(self._begins.get(own, []), mask)) if own else ()
        if own or holder is None:
            for length in range(len(own), 0 if own else -1, -1):
                rest = own[length:]
                is_number = bool(rest) and all(word.isdigit() for word in rest)  # of another case: `amos_0009`
                found = self._exact.get(own[:length], []) or ([] if is_number else self._channels.get(own[:length], []))
                if found:
                    return Candidates(tuple(_nearest(found, mask)), longer, _phrase(rest))
        if holder is not None and (found := self._folders.get(str(holder.parent), [])):
            return Candidates(tuple(_nearest(found, mask)), (), _phrase(own))
        beside = tuple(self._folders.get(str(folder), ()))
        return Candidates((), longer, beside=beside if len(beside) <= _FEW else ())


def _tokens(stem: str) -> Tokens:
    """Words of a file name without those that say image, label or modality."""
    words = [word for word in re.split(r"[_\-. ]+", stem.lower()) if word]
    return tuple(word for word in words if word not in _LABEL_WORDS | _IMAGE_WORDS | _MODALITY_WORDS)


def _without_channel(stem: str) -> str:
    match = _CHANNEL.fullmatch(stem)
    return match[1] if match else stem


def _is_label_folder(folder: PurePosixPath) -> bool:
    return folder.name.lower() in _LABEL_WORDS


def _phrase(words: Sequence[str]) -> str | None:
    return " ".join(words) or None


def _nearest(found: Sequence[str], mask: str) -> list[str]:
    """Of several, those of the same modality by name, if it has one, and then in the folders most like the mask's."""
    modality = _modality(mask)
    same = [path for path in found if modality and modality <= _modality(path)] or list(found)
    closeness = {path: _closeness(path, mask) for path in same}
    return [path for path in same if closeness[path] == max(closeness.values())]


def _modality(path: str) -> frozenset[str]:
    words = re.split(r"[_\-. ]+", stem_of(path).lower())
    return frozenset(words) & _MODALITY_WORDS


def _closeness(path: str, mask: str) -> tuple[int, int]:
    """How many folders two paths share, and then how few they do not."""
    one, other = (set(PurePosixPath(p).parts[:-1]) for p in (path, mask))
    return len(one & other), -len(one ^ other)
