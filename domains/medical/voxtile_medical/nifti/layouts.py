"""What folders of public collections say of their NIfTI files: which are label maps, whose they are, what they show.

TotalSegmentator and AbdomenAtlas: `s0001/ct.nii.gz` with `s0001/segmentations/liver.nii.gz`. Medical Segmentation
Decathlon and nnU-Net (documentation/dataset_format.md): `imagesTr/case_0000.nii.gz`, where the last four digits may be
a channel, `labelsTr/case.nii.gz` and `dataset.json`. BraTS: `case/case_t1.nii.gz`. CT-RATE:
`train_1/train_1_a/train_1_a_1.nii.gz`, whose patient is `train_1`. KiTS: `case_00000/imaging.nii.gz`, a name that is
in every patient's folder and tells nobody's. BIDS goes before all of them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from voxtile.bounded_text import load_json
from voxtile.corpus.splits import SPLIT_NAMES
from voxtile.engine.task import Item
from voxtile.errors import InputError
from voxtile_medical.archives.stored import open_stored
from voxtile_medical.nifti.files import stem_of, study_of, subject_of
from voxtile_medical.verdicts import Verdict

LABEL_FOLDERS = {
    "segmentation", "segmentations", "seg", "segs", "label", "labels", "labelstr", "labelsts", "labelsval", "mask",
    "masks", "groundtruth", "gt",
}  # fmt: skip
IMAGE_FOLDERS = {"image", "images", "imagestr", "imagests", "imagesval", "img", "imgs"}
_NNUNET_LABELS = {"labelstr", "labelsts", "labelsval"}
_NNUNET_IMAGES = {"imagestr", "imagests", "imagesval"}
# Words of a file name that say what was taken and not of whom.
_GENERIC = {
    "ct", "mr", "mri", "pet", "pt", "t1", "t1w", "t1c", "t1ce", "t1gd", "t1n", "t2", "t2w", "t2f", "flair", "pd", "pdw",
    "dwi", "adc", "bold", "image", "img", "scan", "volume", "nifti", "data", "anat",
}  # fmt: skip
_MODALITIES: Mapping[str, str] = {
    "ct": "CT", "mr": "MR", "mri": "MR", "t1": "MR", "t1w": "MR", "t1gd": "MR", "t1ce": "MR", "t2": "MR", "t2w": "MR",
    "flair": "MR", "adc": "MR", "dwi": "MR", "pet": "PT", "pt": "PT", "suv": "PT",
}  # fmt: skip
_CHANNEL = re.compile(r"(.+)_(\d{4})")
_MOST_CHANNELS = 16
_LARGEST_JSON = 32 << 20  # bytes; those of the Decathlon list their cases, some 100 kB
# What says when: `ses-2`, `ses-a`, `visit1`, `baseline`, `2020-03-31`.
_WHEN = (
    r"(?:ses|session|visit|timepoint|tp|exam|baseline|follow[-_ ]?up|fu|day|week|month)[-_ ]?\d*"
    r"|(?:ses|session|visit|timepoint)[-_ ][a-z0-9]+"
    r"|(?:19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d"
)
_SESSION = re.compile(_WHEN, re.IGNORECASE)
_AT_THE_END = re.compile(rf"(.+?)[-_ .](?:{_WHEN})", re.IGNORECASE)  # of a file's name
_SPLITS = {**SPLIT_NAMES, "imagestr": "train", "imagesval": "val", "imagests": "test"}
_MOST_EXAMINATIONS = 10  # files of one beginning that may be of one patient; more are of a collection
_BIDS_SUBJECT = re.compile(r"(?:^|[/_])sub-[A-Za-z0-9]+")


@dataclass(frozen=True)
class Layout:
    """What the folders say of the files of one tree.

    Attributes:
        root: name of the tree's folder, for files that lie in it directly.
        labels: paths of label maps.
        cases: path of an image of nnU-Net → (case, channel); the channel is None where names have none.
        modalities: path of an image → DICOM modality, from its dataset.json.
        repeated: names of folders that are in several places, such as a number in every hospital's; whose they are is
            said by all folders above them together.
        shared: stems of files that stand in so many folders that they say what was taken and not of whom.
        splits: path of an image → splits that its folder leaves it, where folders are named after several splits.
    """

    root: str = ""
    labels: frozenset[str] = frozenset()
    cases: Mapping[str, tuple[str, int | None]] = field(default_factory=dict)
    modalities: Mapping[str, str] = field(default_factory=dict)
    repeated: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def subject_of(self, path: str) -> str:
        """Whom a file is of; the file's own stem where nothing says it."""
        return self._owner(path)[0]

    def study_of(self, path: str) -> str:
        """The examination that a file belongs to."""
        return self._owner(path)[1]

    def _owner(self, path: str) -> tuple[str, str]:
        if _BIDS_SUBJECT.search(path):
            return subject_of(path), study_of(path)
        if path in self.cases:
            case = self.cases[path][0]
            return case, case
        stem = stem_of(path)
        folders = PurePosixPath(path).parent.parts
        telling = _telling(folders)
        if _is_generic(stem) or (telling and stem in self.shared):
            telling = telling or _telling([self.root]) or (stem,)
            named = self._named(_owners(telling))
            return named, f"{named}/{telling[-1]}" if telling != _owners(telling) else named
        scan, above = folders[-1] if folders else "", folders[-2] if len(folders) > 1 else ""
        rest = stem.removeprefix(scan) if scan and not _is_generic(scan) else stem
        if rest[:1] in ("_", "-") and _is_generic(rest):  # BraTS
            return scan, scan
        if re.fullmatch(r"_\d+", rest) and above and re.fullmatch(rf"{re.escape(above)}_[a-z]", scan):  # CT-RATE
            return above, scan
        dated = _AT_THE_END.fullmatch(stem)
        is_of_one = dated is not None and any(c.isdigit() for c in dated[1]) and not _is_generic(dated[1])
        return (dated[1] if dated and is_of_one else stem), stem

    def alike(self, paths: Iterable[str]) -> int:
        """How many subjects begin with a folder or a word that few others begin with: perhaps those of one patient.

        Args:
            paths: images, relative.
        """
        groups: dict[str, set[str]] = defaultdict(set)
        for path in paths:
            if path in self.labels or path in self.cases or _BIDS_SUBJECT.search(path):
                continue
            subject, folders = self.subject_of(path), _telling(PurePosixPath(path).parent.parts)
            folders = tuple(name for name in folders if name.lower() not in IMAGE_FOLDERS | _SPLITS.keys())
            groups[folders[0] if folders else re.split(r"[-_ .]", subject)[0]].add(subject)
        found = [len(members) for members in groups.values() if 1 < len(members) <= _MOST_EXAMINATIONS]
        return sum(found) if len(groups) > 1 else 0

    def _named(self, folders: tuple[str, ...]) -> str:
        return "/".join(folders) if folders[-1] in self.repeated else folders[-1]


def read_layout(root: Path, paths: Collection[str]) -> Layout:
    """Look at the folders of a tree.

    Args:
        root: the tree.
        paths: its NIfTI files, relative, with forward slashes.
    """
    labels = frozenset(_label_maps(paths))
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        folder = PurePosixPath(path).parent
        if path not in labels and folder.name.lower() in _NNUNET_IMAGES:
            groups[str(folder.parent)].append(path)
    cases: dict[str, tuple[str, int | None]] = {}
    modalities: dict[str, str] = {}
    for folder_name, images in groups.items():
        masks = {stem_of(p) for p in labels if str(PurePosixPath(p).parent.parent) == folder_name}
        described = _described(root / folder_name / "dataset.json")
        with_channels = has_channels([stem_of(path) for path in images], masks)
        for path in images:
            match = _CHANNEL.fullmatch(stem_of(path)) if with_channels else None
            cases[path] = (match[1], int(match[2])) if match else (stem_of(path), None)
            modality = modality_of_channel(described, cases[path][1])
            if modality:
                modalities[path] = modality
    images_alone = set(paths) - labels - set(cases)
    shared = frozenset(_shared(images_alone))
    repeated = frozenset(_repeated(images_alone, shared))
    return Layout(_name_of(root), labels, cases, modalities, repeated, shared, _splits(set(paths) - labels))


def check_splits(items: Iterable[Item]) -> None:
    """Refuse a subject that folders put into two splits.

    Args:
        items: a file each.

    Raises:
        InputError: naming a file of such a subject.
    """
    splits: dict[str, str] = {}
    for item in items:
        subject, split = item.inputs["subject"], item.inputs["split"]
        if not item.inputs.get("is_label_map") and splits.setdefault(subject, split) != split:
            raise InputError(
                f"folders put the subject of '{item.inputs['path']}' into {splits[subject]} and into {split}; give "
                "each subject one split with --splits, or say with --subject-pattern whose a file is"
            )


def has_channels(images: Iterable[str], labels: Collection[str] = ()) -> bool:
    """Whether the last four digits of image names are channels, as nnU-Net has them, and not the case's own number.

    AMOS calls a case `amos_0001` and its label map `amos_0001` too; nnU-Net's `case_0001` is channel 1 of `case`.

    Args:
        images: stems of all images of a dataset.
        labels: stems of its label maps.
    """
    channels: dict[str, set[int]] = defaultdict(set)
    for stem in set(images):
        match = _CHANNEL.fullmatch(stem)
        if match is None:
            return False
        channels[match[1]].add(int(match[2]))
    if labels:
        return bool(channels.keys() & set(labels))
    return all(found == set(range(len(found))) and len(found) <= _MOST_CHANNELS for found in channels.values())


def _label_maps(paths: Collection[str]) -> Iterable[str]:
    """Files below a folder that is called as one of labels, where images lie beside one of that name.

    Beside is in the folder above, or in a folder of images there.
    """
    holders = {path: _label_folder(PurePosixPath(path)) for path in paths}
    image_parents = {str(PurePosixPath(path).parent) for path, holder in holders.items() if holder is None}
    beside = {
        str(folder.parent)
        for path in paths
        for folder in PurePosixPath(path).parents
        if folder.name.lower() in IMAGE_FOLDERS
    }
    known = set(_NNUNET_LABELS)
    for holder in filter(None, holders.values()):
        if str(holder.parent) in image_parents | beside:
            known.add(holder.name.lower())  # also where a case lacks its image
    return (path for path, holder in holders.items() if holder is not None and holder.name.lower() in known)


def _splits(images: Collection[str]) -> Mapping[str, tuple[str, ...]]:
    """Splits by folders (`imagesTr`, `train`, …) where they name several; without a validation, training gives it."""
    named = {
        path: next(
            (_SPLITS[name] for part in PurePosixPath(path).parts[:-1] if (name := part.lower()) in _SPLITS), None
        )
        for path in images
    }
    found = set(named.values()) - {None}
    if len(found) < 2:
        return {}
    training = ("train",) if "val" in found else ("train", "val")
    return {path: training if split == "train" else (split,) for path, split in named.items() if split}


def _label_folder(path: PurePosixPath) -> PurePosixPath | None:
    return next((folder for folder in path.parents if folder.name.lower() in LABEL_FOLDERS), None)


def _telling(folders: Iterable[str]) -> tuple[str, ...]:
    """The folders that do not only say what was taken."""
    return tuple(name for name in folders if not _is_generic(name))


def _owners(telling: tuple[str, ...]) -> tuple[str, ...]:
    """The folders without a last one that says when."""
    return telling[:-1] if len(telling) > 1 and _SESSION.fullmatch(telling[-1]) else telling


def _shared(images: Collection[str]) -> Iterable[str]:
    """Stems that stand in more folders than there are images in any of these."""
    sizes = Counter(PurePosixPath(path).parent for path in images)
    places: dict[str, set[PurePosixPath]] = defaultdict(set)
    for path in images:
        places[stem_of(path)].add(PurePosixPath(path).parent)
    return (stem for stem, found in places.items() if len(found) > max(sizes[folder] for folder in found))


def _repeated(images: Iterable[str], shared: Collection[str]) -> Iterable[str]:
    """Last telling folders of images whose own names say nothing, where one name stands in several places."""
    places: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for path in images:
        telling = _owners(_telling(PurePosixPath(path).parent.parts))
        if telling and (_is_generic(stem_of(path)) or stem_of(path) in shared):
            places[telling[-1]].add(telling)
    return (name for name, found in places.items() if len(found) > 1)


def _name_of(root: Path) -> str:
    """Name of the tree: of an archive without its ending, as the folder would be called that it unpacks to."""
    name = root.resolve().name
    return re.sub(r"\.(?:zip|tar|tar\.gz|tgz)$", "", name, flags=re.IGNORECASE) if root.is_file() else name


def _is_generic(name: str) -> bool:
    words = [word for word in re.split(r"[_\-. ]+", name.lower()) if word]
    return all(word in _GENERIC for word in words)


def _described(path: Path) -> Mapping[str, Any]:
    """The channels of a dataset.json; none where the file is missing or about something else."""
    try:
        with open_stored(path) as file:
            content = load_json(file.read(_LARGEST_JSON + 1).decode("utf-8-sig")) if file.size <= _LARGEST_JSON else {}
    except (OSError, ValueError, Verdict):
        return {}
    return channels_of(content) if isinstance(content, dict) else {}


def channels_of(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Number → name of the channels that a dataset.json or a data list gives."""
    channels = content.get("channel_names") or content.get("modality") or {}
    channels = {"0": channels} if isinstance(channels, str) else channels
    return channels if isinstance(channels, dict) else {}


def modality_of_channel(channels: Mapping[str, Any], number: int | None) -> str | None:
    """Modality of one channel; of a file without a channel, that of all of them where they are one."""
    names = channels.values() if number is None or len(channels) == 1 else [channels.get(str(number))]
    found = {_MODALITIES.get(str(name).strip().lower()) for name in names}
    return found.pop() if len(found) == 1 else None
