"""Corpora of the studies: real photographs and X-rays, captions composed of their labels, planted faults.

Every corpus is a function of its settings alone. What is planted is planted in the training split; validation and test
are as they are. Facts are the true labels whatever the caption says; a sentence's own statement is its evidence.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.writer import JobWriter, new_corpus

DATA = Path(os.environ.get("VOXTILE_TEST_DATA", "../shared/data")).resolve()
Picture = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]  # y0, x0, y1, x1

SCENES = {
    "forest": ("a forest", "dense trees", "woodland"),
    "grassland": ("grassland", "a meadow", "a lawn"),
    "farmland": ("farmland", "a ploughed field", "cropland"),
    "industrial area": ("an industrial area", "factory buildings", "warehouses"),
    "residential area": ("a residential area", "houses", "rows of dwellings"),
    "parking lot": ("a parking lot", "parked cars", "a car park"),
    "river or lake": ("a river", "a lake", "open water"),
}
"""Classes of RSSCN7 in three wordings each."""
FOLDERS = {
    "forest": "forest", "grass": "grassland", "field": "farmland", "industry": "industrial area",
    "resident": "residential area", "parking": "parking lot", "riverlake": "river or lake",
}  # fmt: skip
XRAYS = {
    "pneumonia": ("pneumonia", "an infiltrate of the lung", "consolidation"),
    "normal": ("a normal chest", "clear lungs", "no disease of the lung"),
}
FRAMES = ("a photograph of {}.", "{} seen from above.", "this picture shows {}.", "{}.", "an image of {}.")
EMPTY = (
    "taken on a clear day.", "the picture is sharp.", "north is at the top.", "a photograph from the archive.",
    "acquired in summer.", "the second of a series.", "seen at noon.", "resampled once.",
)  # fmt: skip
"""Sentences that say nothing of what a picture shows."""
HELD_BACK = 7  # every so manieth training photograph validates: the set has no validation split


@dataclass
class Item:
    """A picture with all that the corpus says of it.

    Attributes:
        uid: of the sample.
        picture: [Y, X, 3] or [Y, X].
        split: train, val or test.
        facts: whether each concept is shown.
        texts: (kind, caption).
        states: what each sentence or caption states by itself.
        regions: phrase and box.
        study: of which it is a part, if of any.
        outlined: whether the boxes are the outlines as well.
    """

    uid: str
    picture: Picture
    split: str
    facts: Mapping[str, bool]
    texts: list[tuple[str, str]] = field(default_factory=list)
    states: dict[str, dict[str, bool]] = field(default_factory=dict)
    regions: list[tuple[str, Box]] = field(default_factory=list)
    study: str | None = None
    outlined: bool = False

    def say(self, text: str, states: Mapping[str, bool], kind: str = "template") -> None:
        """Add a caption."""
        self.texts.append((kind, text))
        self.states[text] = dict(states)

    @property
    def label(self) -> str:
        """The only concept that is shown."""
        return next(name for name, shown in self.facts.items() if shown)


def write(folder: Path, items: Iterable[Item]) -> Path:
    """Write a corpus; subjects are the studies, or single pictures."""
    new_corpus(folder)
    writer = JobWriter(folder, "made")
    for item in items:
        stream = io.BytesIO()
        Image.fromarray(item.picture).save(stream, "PNG", compress_level=1)
        subject = item.study or item.uid
        row = {"uid": item.uid, "subject": subject, "study": item.study, "kind": "image", "source": item.uid}
        row |= {
            "modality": "RGB" if item.picture.ndim == 3 else "DX",
            "axes": "YXC" if item.picture.ndim == 3 else "YX",
        }
        writer.add(Sample(row, stream.getvalue()))
        writer.add_rows("captions", [
            {"caption_id": f"{item.uid}-{n}", "uid": item.uid, "text": text, "kind": kind}
            for n, (kind, text) in enumerate(item.texts)
        ])  # fmt: skip
        writer.add_rows("facts", list(_facts(item)))
        _write_regions(writer, item)
        if item.study is None or item.uid.endswith("0"):
            writer.add_rows("splits", [{"scheme": "default", "subject": subject, "split": item.split}])
    writer.publish()
    return folder


def _write_regions(writer: JobWriter, item: Item) -> None:
    rows: list[dict[str, object]] = [
        {"region_id": f"{item.uid}-{n}", "uid": item.uid, "phrase": phrase, "box": [float(b) for b in box],
         "source": "composed"} for n, (phrase, box) in enumerate(item.regions)
    ]  # fmt: skip
    if not item.outlined:
        writer.add_rows("regions", rows)
        return
    for row, (_, (y0, x0, y1, x1)) in zip(rows, item.regions, strict=True):
        writer.add_mask(Mask(row, np.ones((y1 - y0, x1 - x0), bool), item.picture.shape[:2], (y0, x0)))


def _facts(item: Item) -> Iterable[dict[str, object]]:
    for concept, shown in item.facts.items():
        polarity = "present" if shown else "absent"
        yield {"uid": item.uid, "concept": concept, "polarity": polarity, "source": "labels@1"}
    for text, states in item.states.items():
        for concept, shown in states.items():
            yield {
                "uid": item.uid, "concept": concept, "polarity": "present" if shown else "absent",
                "source": "captions@1", "attributes": json.dumps({"evidence": [text]}),
            }  # fmt: skip


def photographs(size: int = 32) -> list[Item]:
    """RSSCN7's part by the split of its own table, without captions."""
    return [Item(i.uid, i.picture, i.split, i.facts) for i in scene_tiles(size)]


@cache
def scene_tiles(size: int) -> list[Item]:
    """RSSCN7's part, read once; take `photographs` where captions are added."""
    source, found = DATA / "remote_sensing/rsscn7", []
    for number, row in enumerate(csv.DictReader((source / "labels.csv").open(encoding="utf-8"))):
        picture = Image.open(source / row["file"]).convert("RGB").resize((size, size), Image.Resampling.BOX)
        split = "val" if row["split"] == "train" and number % HELD_BACK == 0 else row["split"]
        label = FOLDERS[row["label"]]
        found.append(Item(f"{number:032x}", np.array(picture), split, {name: name == label for name in SCENES}))
    return found


def radiographs(step: int = 1) -> list[Item]:
    """PneumoniaMNIST, every so manieth of the training pictures, with its official test split."""
    arrays, found = np.load(DATA / "medical/medmnist2d_pneumonia/pneumoniamnist.npz"), []
    for number, split in enumerate(("train", "val", "test")):
        pictures, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"].ravel()
        for n in range(0, len(pictures), step if split == "train" else 1):
            shown = {"pneumonia": bool(labels[n]), "normal": not labels[n]}
            found.append(Item(f"{number}{n:031x}", np.ascontiguousarray(pictures[n]), split, shown))
    return found


def worded(concept: str, rng: np.random.Generator, names: Mapping[str, Sequence[str]]) -> str:
    """A caption of one concept."""
    frame, said = FRAMES[rng.integers(len(FRAMES))], names[concept][int(rng.integers(len(names[concept])))]
    return frame.format(said)


def captioned(
    items: list[Item],
    names: Mapping[str, Sequence[str]],
    *,
    wrong: float = 0.0,
    pairs: float = 1.0,
    clean_as_well: bool = False,
    empty: int = 0,
    unrelated: int = 0,
    kept: Sequence[str] = (),
    alone: bool = False,
    seed: int = 1,
) -> list[Item]:
    """One caption a picture, with what is planted.

    Args:
        items: pictures of one concept each.
        names: wordings by concept.
        wrong: share of the training captions that speak of another concept.
        pairs: share of the training pictures that have a caption at all.
        clean_as_well: a second caption of kind `template` that is right, beside that of kind `raw`.
        empty: so many further captions that say nothing of the picture.
        unrelated: so many further captions of a training picture that speak of other concepts.
        kept: only training pictures of these concepts; all where empty.
        alone: leave out training pictures without a caption.
        seed: of all draws.
    """
    rng, found = np.random.default_rng(seed), []
    for item in items:
        training = item.split == "train"
        if training and kept and item.label not in kept:
            continue
        said = item.label
        if training and rng.random() < wrong:
            said = str(rng.choice([name for name in names if name != said]))
        if not training or rng.random() < pairs:
            item.say(worded(said, rng, names), {said: True}, "raw")
            if clean_as_well:
                item.say(worded(item.label, rng, names), {item.label: True})
            for text in rng.choice(EMPTY, empty, replace=False):
                item.say(str(text), {}, "raw")
            for other in rng.choice([n for n in names if n != item.label], unrelated * training, replace=False):
                item.say(worded(str(other), rng, names), {str(other): True}, "raw")
        if item.texts or not (training and alone):
            found.append(item)
    return found


def studies(items: list[Item], size: int = 3, seed: int = 3) -> list[Item]:
    """Photographs in studies of several, each with a caption of its own (`roi`) and a report of all on the first."""
    rng, found = np.random.default_rng(seed), []
    for part, split in enumerate(("train", "val", "test")):
        own = [item for item in items if item.split == split]
        order = rng.permutation(len(own))
        for number, start in enumerate(range(0, len(order) - size + 1, size)):
            members = [own[i] for i in order[start : start + size]]
            report = [worded(member.label, rng, SCENES) for member in members]
            for n, member in enumerate(members):
                study = f"{split}-{number}"
                item = Item(f"{part}{number:030x}{n}", member.picture, split, member.facts, study=study)
                item.say(worded(member.label, rng, SCENES), {member.label: True}, "roi")
                found.append(item)
            states = {member.label: True for member in members}
            found[-size].say(" ".join(report[i] for i in rng.permutation(size)), states, "raw")
    return found


CORPORA: Mapping[str, Callable[[], list[Item]]] = {
    "scenes": lambda: captioned(photographs(), SCENES),
    "scenes, 40 % of captions wrong": lambda: captioned(photographs(), SCENES, wrong=0.4),
    "scenes, 600 with a caption, half of them wrong": lambda: captioned(
        photographs(), SCENES, wrong=0.5, pairs=0.5, alone=True
    ),
    "scenes, raw captions 50 % wrong beside right ones": lambda: captioned(
        photographs(), SCENES, wrong=0.5, clean_as_well=True
    ),
    "scenes, one caption in four says something": lambda: captioned(photographs(), SCENES, empty=3),
    "scenes, one caption right beside two wrong ones": lambda: captioned(photographs(), SCENES, unrelated=2),
    "scenes, 15 % with a caption": lambda: captioned(photographs(), SCENES, pairs=0.15),
    "scenes, 5 % with a caption": lambda: captioned(photographs(), SCENES, pairs=0.05),
    "scenes, 10 % with a caption, alone": lambda: captioned(photographs(), SCENES, pairs=0.1, alone=True),
    "scenes of three classes": lambda: captioned(
        photographs(), SCENES, kept=("forest", "industrial area", "river or lake")
    ),
    "studies of three scenes": lambda: studies(photographs()),
    "X-rays, every third": lambda: captioned(radiographs(3), XRAYS),
    "X-rays, 30 % of captions wrong": lambda: captioned(radiographs(3), XRAYS, wrong=0.3),
}  # fmt: skip
