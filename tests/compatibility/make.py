"""Wrote what lies beside it, with the code of the commit in `written_by.txt`, and measures it again with later code.

Each folder holds what a user of that day had: a corpus of phantom samples, the config as it was written
(`config.yaml`), the config as `lightning fit` saved it (`saved.yaml`), the checkpoint of two steps (`last.ckpt`), an
evaluation task, and `figures.json`: what that day's code made of it. They are never written again: newer code must
read these.

    python tests/compatibility/make.py write NEW_FOLDER [NAMES]    corpora, checkpoints and figures of the present code
    python tests/compatibility/make.py figures FOLDER [NAMES]      figures of what lies in a folder, as JSON on stdout
"""

import contextlib
import csv
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # sums in one order; set before torch is loaded

HERE = Path(__file__).parent
WRITTEN = ("config.yaml", "saved.yaml", "last.ckpt", "task.yaml", "corpus")
SMALL = (
    "{class_path: voxtile.data.presets.VolumePreset, init_args: {shape: [8, 8, 8], spacing: [45, 42, 50], units: HU}}"
)
INLINE = ("--engine", "inline")
STEPS = {
    "medical": (
        ("phantom", "ct", "raw", "--n", "10", "--series", "classic", "--segmentations", "6"),
        ("convert", "dicom", "raw", "full", "--reports", "raw/reports.csv", "--split-fractions", "1,0,0",
         "--no-deidentify", "--licence", "CC0-1.0 (synthetic phantom)", *INLINE),
        ("facts", "full", "--from", "reports", *INLINE),
        ("facts", "full", "--from", "labels", "--labels", "raw/labels.csv", *INLINE),
        ("materialize", "full", "corpus", "--preset", SMALL, *INLINE),
        ("caption", "corpus", "--kind", "fact", "--facts-source", "reports", *INLINE),
    ),
    "pathology": (
        ("phantom", "he", "raw", "--n", "12"),
        ("convert", "wsi", "raw/slides", "corpus", "--patch-px", "24", "--mpp", "4", "--sampling", "random",
         "--patches-per-slide", "5", "--annotations", "raw/annotations", "--reports", "raw/reports.csv",
         "--no-deidentify", "--tissue-mpp", "32", "--split-fractions", "1,0,0",
         "--licence", "CC0-1.0 (synthetic phantom)", *INLINE),
        ("facts", "corpus", "--from", "annotations", "--annotations", "raw/annotations", "--min-fraction", "0.6",
         *INLINE),
        ("caption", "corpus", "--facts-source", "annotations", "--kind", "fact", "--absent", "0",
         "--caption-kind", "roi", *INLINE),
        ("facts", "corpus", "--from", "slide-reports"),
    ),
    "remote_sensing": (
        ("phantom", "sentinel2", "raw", "--n", "5"),
        ("convert", "geotiff", "raw/scenes", "corpus", "--size", "160m", "--stride", "480m", "--resolution", "20",
         "--bands", "B02,B03,B04,B08,B11", "--no-previews", "--split-fractions", "1,0,0", "--block", "5km",
         "--licence", "CC0-1.0 (synthetic phantom)", *INLINE),
        ("facts", "corpus", "--from", "places", "--places", "raw/labels.geojson", *INLINE),
        ("caption", "corpus", "--absent", "0", *INLINE),
    ),
}  # fmt: skip
"""Commands from nothing to a captioned corpus, in an empty folder."""


def write(out: Path, names: list[str]) -> None:
    """Make all of it anew, in folders below `out` that must not exist yet."""
    for name in names:
        (out / name).mkdir(parents=True)
        for written in ("config.yaml", "task.yaml"):
            shutil.copy(HERE / name / written, out / name / written)
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            for step in STEPS[name]:
                run("voxtile", *step)
            shutil.copytree("corpus", out / name / "corpus")
            fitted = fit(out / name / "config.yaml")
            shutil.copy(fitted / "config.yaml", out / name / "saved.yaml")
            shutil.copy(fitted / "checkpoints" / "last.ckpt", out / name / "last.ckpt")
        text = json.dumps(figures(out / name), indent=1, sort_keys=True)
        (out / name / "figures.json").write_text(text + "\n", encoding="utf-8")


def figures(source: Path) -> dict[str, object]:
    """What the installed code makes of a folder's files, by the commands and by the Python API."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for written in WRITTEN:
            if (source / written).is_dir():
                shutil.copytree(source / written, written)
            else:
                shutil.copy(source / written, written)
        return {
            "api": embeddings(),
            "evaluate": evaluated(),
            "next steps by the config": next_steps("config.yaml"),
            "next steps by the saved config": next_steps("saved.yaml"),
            "embed": embedded(),
            "jobs of materialize": materialized() if source.name != "remote_sensing" else [],  # tiles stay as they are
        }


def embeddings() -> dict[str, object]:
    """Each sample's vector by its uid and each text's by itself, float32 in full."""
    import voxtile

    model, corpus = voxtile.load_model("last.ckpt"), voxtile.open_corpus("corpus")
    samples = [sample for sample in corpus if sample.kind != "overview"]
    texts = sorted({caption.text for sample in samples for caption in sample.captions})[:20]
    images = {sample.uid: model.encode_image(sample)[0].tolist() for sample in samples}
    return {"images": images, "texts": dict(zip(texts, model.encode_text(texts).tolist(), strict=True))}


def embedded() -> dict[str, list[float]]:
    """What `voxtile embed` adds to the corpus, by uid."""
    import pyarrow.dataset as arrow

    run("voxtile", "embed", "corpus", "last.ckpt")
    rows = arrow.dataset("corpus/tables/embeddings").to_table().to_pylist()
    return {row["uid"]: [float(value) for value in row["vector"]] for row in rows}


def materialized() -> list[str]:
    """Names of the jobs by which a run of the same command is recognised as done."""
    run("voxtile", "materialize", "corpus", "derived", "--preset", "config.yaml", *INLINE)
    return sorted(path.stem for path in Path("derived/done").glob("*.json"))


def evaluated() -> list[dict[str, object]]:
    """The rows of `results.json`."""
    run("voxtile", "evaluate", "last.ckpt", "task.yaml", "--corpus", "corpus", "--out", "report",
        "--bootstrap", "100", "--allow-leakage")  # fmt: skip
    rows: list[dict[str, object]] = json.loads(Path("report/results.json").read_text(encoding="utf-8"))["rows"]
    assert any(row["value"] is not None for row in rows)
    return rows


def next_steps(config: str) -> dict[str, object]:
    """Losses of two steps from the checkpoint on, and the norm of each tensor of weights after them.

    The first takes its learning rate from the checkpoint, the second from the schedule.
    """
    import torch

    fitted = fit(Path(config), "--ckpt_path", "last.ckpt", "--trainer.max_steps", "4")
    with (fitted / "metrics.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["train/lr"]]
    names = [name for name in rows[0] if name.startswith("train/") or name == "loss"]
    shown = [{name: float(row[name]) for name in names} for row in rows]
    weights = torch.load(fitted / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {"logged": shown, "weights": {name: float(value.double().norm()) for name, value in weights.items()}}


def fit(config: Path, *options: str) -> Path:
    """Folder of the run."""
    before = set(Path("runs").rglob("version_*"))
    run("lightning", "fit", "-c", str(config), *options)
    [made] = set(Path("runs").rglob("version_*")) - before
    return made


def run(program: str, *arguments: str) -> None:
    """Run a command line in this process, which must end well."""
    from voxtile.cli import main as cli

    main = cli.main if program == "voxtile" else cli.lightning_main
    with contextlib.redirect_stdout(sys.stderr):
        status = main(list(arguments))
    if status:
        raise SystemExit(f"{program} {' '.join(arguments)}: status {status}")


if __name__ == "__main__":
    asked, folder, *chosen = sys.argv[1:]
    if asked == "write":
        write(Path(folder).absolute(), chosen or list(STEPS))
    else:
        made = {name: figures(Path(folder).absolute() / name) for name in chosen or list(STEPS)}
        print(json.dumps(made))
