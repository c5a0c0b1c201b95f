"""Layouts of sets of questions and conversations: what is where in a download."""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voxtile.errors import InputError
from voxtile_datasets.recipes.talks.entry import Talk, TalkEntry
from voxtile_datasets.recipes.talks.files import folder_of, one_file, only_file, read_json, rows_of

# VQA-RAD's question_type and SLAKE's content_type → kind of the dialogue; others follow from the answer.
_RAD_KINDS = {"PRES": "presence", "POS": "place", "SIZE": "size", "COUNT": "count"}
_SLAKE_KINDS = {"Position": "place", "Size": "size", "Quantity": "count"}
_SLAKE_MODALITIES = {"CT": "CT", "MRI": "MR", "X-Ray": "DX"}
_RSVQA_KINDS = {"presence": "presence", "count": "count"}


def vqa_rad(root: Path) -> Iterator[TalkEntry]:
    """VQA-RAD (Lau et al., Scientific Data 5, 2018): one JSON file of questions, and a folder of pictures."""
    rows = read_json(
        one_file(root, ["VQA_RAD Dataset Public.json", "VQA_RAD_Dataset_Public.json", "trainset.json"], "VQA-RAD")
    )
    folder = folder_of(root, ["VQA_RAD Image Folder", "VQA_RAD_Image_Folder", "images"], "VQA-RAD")
    talks: dict[str, list[Talk]] = defaultdict(list)
    for row in rows:
        part = "test" if str(row.get("phrase_type", "")).startswith("test") else "train"
        answer = str(row["answer"])
        kind = _RAD_KINDS.get(str(row.get("question_type", "")).partition(",")[0].strip())
        if kind == "presence" and answer.casefold().strip(" .") not in ("yes", "no"):
            kind = None
        talks[str(row["image_name"])].append(Talk(((str(row["question"]), answer),), kind, part))
    for name, own in sorted(talks.items()):
        yield TalkEntry(name, f"{folder}/{name}", tuple(own))


def slake(root: Path) -> Iterator[TalkEntry]:
    """SLAKE (Liu et al., ISBI 2021): a JSON file a part, and a folder a picture with its boxes. English questions."""
    folder = folder_of(root, ["imgs", "."], "SLAKE")
    talks: dict[str, list[Talk]] = defaultdict(list)
    modality: dict[str, str | None] = {}
    for part, names in (
        ("train", ["train.json"]),
        ("val", ["validate.json", "validation.json"]),
        ("test", ["test.json"]),
    ):
        for row in read_json(one_file(root, names, "SLAKE")):
            if row.get("q_lang") == "en":
                name = str(row["img_name"])
                kind = _SLAKE_KINDS.get(str(row.get("content_type")))
                talks[name].append(Talk(((str(row["question"]), str(row["answer"])),), kind, part))
                modality[name] = _SLAKE_MODALITIES.get(str(row.get("modality")))
    for name, own in sorted(talks.items()):
        boxes = root / folder / Path(name).parent / "detection.json"
        things = read_json(boxes) if boxes.is_file() else []
        listed = tuple((str(phrase), tuple(map(float, box))) for thing in things for phrase, box in thing.items())
        yield TalkEntry(name, f"{folder}/{name}", tuple(own), modality[name], listed)  # type: ignore[arg-type]


def path_vqa(root: Path) -> Iterator[TalkEntry]:
    """PathVQA (He et al., arXiv:2003.10286): a pickled list of questions a part, and a folder of pictures a part."""
    for part in ("train", "val", "test"):
        rows = _plain_pickle(
            one_file(root, [f"qas/{part}/{part}_qa.pkl", f"pvqa/qas/{part}/{part}_qa.pkl", f"{part}_qa.pkl"], "PathVQA")
        )
        folder = folder_of(root, [f"images/{part}", f"pvqa/images/{part}"], "PathVQA")
        talks: dict[str, list[Talk]] = defaultdict(list)
        for row in rows:
            talks[str(row["image"])].append(Talk(((str(row["question"]), str(row["answer"])),), None, part))
        for name, own in sorted(talks.items()):
            yield TalkEntry(f"{part}/{name}", f"{folder}/{name}.jpg", tuple(own))


def rsvqa(root: Path) -> Iterator[TalkEntry]:
    """RSVQA (Lobry et al., IEEE TGRS 58(12), 2020), low or high resolution: tables of questions, answers and images."""
    prefix = "LR" if list(root.glob("LR_split_*_questions.json")) else "USGS"
    folder = folder_of(root, ["Images_LR", "Data", "images"], "RSVQA")
    talks: dict[str, list[Talk]] = defaultdict(list)
    for part, name in (("train", "train"), ("val", "val"), ("test", "test"), ("test", "test_phili")):
        path = root / f"{prefix}_split_{name}_questions.json"
        if not path.is_file() and name == "test_phili":
            continue
        asked = read_json(one_file(root, [path.name], "RSVQA"))["questions"]
        told = read_json(one_file(root, [f"{prefix}_split_{name}_answers.json"], "RSVQA"))["answers"]
        answers = {row["id"]: str(row["answer"]) for row in told if row.get("active")}
        for row in asked:
            known = [answers[number] for number in row.get("answers_ids", ()) if number in answers]
            if row.get("active") and known:
                kind = _RSVQA_KINDS.get(str(row.get("type")), "question")
                talks[str(row["img_id"])].append(Talk(((str(row["question"]), known[0]),), kind, part))
    for name, own in sorted(talks.items()):
        yield TalkEntry(name, f"{folder}/{name}.tif", tuple(own))


def conversations(root: Path, instructions: str | None = None) -> Iterator[TalkEntry]:
    """Conversations as LLaVA lays them out, which LLaVA-Med, GeoChat, PA-LLaVA and PathChat follow.

    Args:
        root: folder with the file of conversations and, below it, the pictures that it names.
        instructions: name of the file; without it the only `.json` or `.jsonl` of the folder.
    """
    file = root / instructions if instructions else only_file(root)
    if not file.is_file():
        raise InputError(f"there is no file '{file}' of conversations; name one below '{root}' with --instructions")
    talks: dict[str, list[Talk]] = defaultdict(list)
    for row in rows_of(file):
        # LLaVA-Med's files misspell the key.
        turns = row.get("conversations") or row.get("conversatons")
        image = row.get("image")
        if isinstance(image, str) and isinstance(turns, list):
            said = [str(turn.get("value", "")) for turn in turns if isinstance(turn, Mapping)]
            pairs = tuple(zip(said[::2], said[1::2], strict=False))
            if pairs:
                talks[image].append(Talk(pairs))
    folder = next(
        (name for name in ("images", "image", "imgs", ".") if any((root / name / one).is_file() for one in talks)), "."
    )
    for name, own in sorted(talks.items()):
        yield TalkEntry(name, name if folder == "." else f"{folder}/{name}", tuple(own))


class _Plain(pickle.Unpickler):
    """Reads lists, mappings, texts and numbers, and nothing that a module must be imported for."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        raise pickle.UnpicklingError(f"it names {module}.{name}")


def _plain_pickle(path: Path) -> list[Mapping[str, Any]]:
    try:
        with path.open("rb") as file:
            rows = _Plain(file).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, AttributeError, TypeError) as error:
        raise InputError(
            f"'{path}' is no plain pickled list ({error}), and nothing else of a pickle is read"
        ) from error
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise InputError(f"'{path}' is no list of questions; download it again")
    return rows
