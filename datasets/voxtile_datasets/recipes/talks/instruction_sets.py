"""Layouts of large instruction sets: PathMMU, GMAI-VL-5.5M, MedMax."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxtile.console import note
from voxtile.errors import InputError
from voxtile.evaluation.kinds.answers.scoring import CHOICE
from voxtile_datasets.recipes.talks.entry import Talk, TalkEntry
from voxtile_datasets.recipes.talks.files import folder_of, one_file, read_json, rows_of

# A part of PathMMU → the part of the corpus; test_tiny is a part of its test questions that experts answered, too.
_PATHMMU_PARTS = {"train": "train", "val": "val", "test": "test", "test_tiny": "test"}
_OPTION = re.compile(r"\s*\(?([A-J])\s*[).:]\s*")
_GMAI = "GMAI-VL-5.5M-OpenSource"
_GMAI_MODALITIES = {"ct": "CT", "mr": "MR", "mri": "MR", "x_ray": "DX", "xray": "DX", "x-ray": "DX"}
_CHINESE = re.compile(r"[\u3400-\u9fff]")
# Chameleon's token between what is asked and what is answered, as MedMax's texts have it (Bansal et al.,
# arXiv:2412.12661; token 8710 of its training code).
_TURN = "<reserved08706>"
_IMAGE = "<image>"


def path_mmu(root: Path) -> Iterator[TalkEntry]:
    """PathMMU (Sun et al., ECCV 2024): `data.json` by source and part, options after letters, and `images`."""
    sources = read_json(one_file(root, ["data.json"], "PathMMU"))
    folder = folder_of(root, ["images"], "PathMMU")
    talks: dict[str, list[Talk]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    for parts in sources.values():
        for name, rows in parts.items():
            part = _PATHMMU_PARTS[name]
            for row in rows:
                options = [str(option) for option in row["options"]]
                right = _right_option(options, str(row["answer"]))
                if right is None:
                    left_out["an answer that is none of its options"] += 1
                    continue
                question = "\n".join([str(row["question"]), *options])
                talks[str(row["img"])].append(Talk(((question, right),), CHOICE, part))
    _tell(left_out, "PathMMU")
    for name, own in sorted(talks.items()):
        yield TalkEntry(name, f"{folder}/{name}", tuple(own))


def gmai_vl(root: Path) -> Iterator[TalkEntry]:
    """GMAI-VL-5.5M (Li et al., arXiv:2411.14522): `annotations/GMAI-MM-*.jsonl` and the unpacked `images`.

    What is without a picture, about several, or in Chinese is left out.
    """
    base = root / _GMAI if (root / _GMAI).is_dir() else root
    files = sorted((base / "annotations").glob("GMAI-MM-*.jsonl"))
    if not files:
        raise InputError(
            f"'{root}' has no 'annotations/GMAI-MM-….jsonl'; give the folder that GMAI-VL-5.5M is downloaded to"
        )
    prefix = f"{_GMAI}/" if base != root else ""
    talks: dict[str, list[Talk]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    for row in (row for file in files for row in rows_of(file)):
        turns = row.get("conversations")
        said = [str(turn.get("value", "")) for turn in turns or () if isinstance(turn, Mapping)]
        image, why = _image(row.get("image"))
        if image is None or not said:
            left_out[why or "no turns"] += 1
        elif any(_CHINESE.search(text) for text in said):
            left_out["Chinese text"] += 1
        else:
            talks[image].append(Talk(tuple(zip(said[::2], said[1::2], strict=False))))
    _tell(left_out, "GMAI-VL-5.5M")
    for name, own in sorted(talks.items()):
        steps = name.split("/")  # images / 2d or 3d / task / modality / data set / …
        modality = _GMAI_MODALITIES.get(steps[3].casefold()) if len(steps) > 4 else None
        yield TalkEntry(name, f"{prefix}{name}", tuple(own), modality)


def medmax(root: Path) -> Iterator[TalkEntry]:
    """MedMax (Bansal et al., arXiv:2412.12661): `train.jsonl`, `validation.jsonl` and the unpacked pictures.

    Answers that are pictures, and rows whose pictures need credentials and are not in the download, are left out.
    """
    talks: dict[str, list[Talk]] = defaultdict(list)
    left_out: Counter[str] = Counter()
    for part, name in (("train", "train.jsonl"), ("val", "validation.jsonl")):
        for row in rows_of(one_file(root, [name], "MedMax")):
            image, why = _image(row.get("image_path"))
            said = str(row["text"]).split(_TURN)
            if image is None:
                needs_credentials = str(row.get("credential")).casefold() == "yes"
                left_out["a picture that needs credentials" if needs_credentials else why] += 1
            elif len(said) < 2:
                left_out[f"no {_TURN} between question and answer"] += 1
            elif any(_IMAGE in text for text in said[1::2]):
                left_out["an answer that is a picture"] += 1
            else:
                talks[image].append(Talk(tuple(zip(said[::2], said[1::2], strict=False)), part=part))
    _tell(left_out, "MedMax")
    for image, own in sorted(talks.items()):
        yield TalkEntry(image, image, tuple(own))


def _right_option(options: Sequence[str], answer: str) -> str | None:
    """The option that is the answer: the same text, or the one with its letter."""
    if answer in options:
        return answer
    letter = _OPTION.match(answer) or re.fullmatch(r"\s*([A-J])\s*", answer)
    of_letter = [one for one in options if letter and (found := _OPTION.match(one)) and found[1] == letter[1]]
    return of_letter[0] if len(of_letter) == 1 else None


def _image(value: Any) -> tuple[str | None, str]:  # noqa: ANN401 - as the row has it
    """The one picture of a row, else why there is none."""
    named = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str) and one]
    if len(named) == 1:
        return named[0], ""
    return None, "several pictures" if named else "no picture"


def _tell(left_out: Mapping[str, int], title: str) -> None:
    if left_out:
        reasons = ", ".join(f"with {why} ({count:,})" for why, count in sorted(left_out.items()))
        note(f"left out of {title}: rows {reasons}")
