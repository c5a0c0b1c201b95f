"""What is wrong with names, and what a plan says, comes before anything that takes seconds to import."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import rasterio
import tifffile
import timm
from PIL import Image

from voxtile.cli.doctor import _may_have_gpu
from voxtile.corpus.header import new_corpus
from voxtile.errors import ConfigError
from voxtile.models.hub import names
from voxtile.models.hub.names import refuse_unknown_open_clip, refuse_unknown_timm

HEAVY = [
    *("torch", "lightning", "timm", "transformers", "open_clip", "torchmetrics", "monai", "torchvision"),
    *("pandas", "sklearn", "matplotlib", "scipy.stats", "scipy.fft", "botocore"),
]
TYPED = """
import contextlib, io, json, sys
from voxtile.cli.main import main
heavy, lines = json.loads(sys.argv[1])
for words in lines:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            status = main(words)
        except SystemExit as left:  # as --print_config does
            status = left.code or 0
    print(json.dumps([words, status, said.getvalue(), [name for name in heavy if name in sys.modules]]))
"""
WRONG = {
    "embed nowhere timm:resnet18": "'nowhere' is not a corpus",
    "embed corpus timm:resnet1888": "timm has no model 'resnet1888'; did you mean 'resnet18'?",
    "embed corpus open_clip:ViT-B-33": "open_clip knows no model 'ViT-B-33'; did you mean 'ViT-B-32'?",
    "embed corpus nowhere": "'nowhere' is no model: there is no such file or folder",
    "evaluate last.ckpt medical/ct-findings --corpus corpus --out r": "checkpoint 'last.ckpt' does not exist",
    "evaluate open_clip:ViT-B-33 medical/ct-findings --corpus corpus --out r": "open_clip knows no model 'ViT-B-33'",
    "evaluate x medical/ct-findings --corpus nowhere --out r": "'nowhere' is not a corpus",
    "evaluate x medical/ct-findngs --corpus corpus --out r": "did you mean 'medical/ct-findings'?",
    "ground last.ckpt picture.png nodule --out r": "checkpoint 'last.ckpt' does not exist",
    "ground last.ckpt nowhere.png nodule --out r": "'nowhere.png' does not exist",
    "export last.ckpt out --to onnx --corpus corpus": "checkpoint 'last.ckpt' does not exist",
    "compare a b": "there is no report 'a'",
    "plan medical/tc": "no config named 'medical/tc'",
    "plan medical/ct --gpu l44": "there is no GPU 'l44'",
    "plan medical/ct --micro 0": "--micro must be at least 1, not 0",
    "plan medical/ct --items=-3": "--items must be at least 1, not -3",
    "serve": "no corpus was given",
    "serve nowhere": "'nowhere' is not a corpus",
    "serve corpus --model nowhere.ckpt": "'nowhere.ckpt' is no model",
    "serve corpus --port 70000": "--port must be from 0 to 65535, not 70000",
    "serve --assist nowhere.ckpt": "checkpoint 'nowhere.ckpt' does not exist",
    "draft nowhere last.ckpt --out d.parquet": "'nowhere' is not a corpus",
    "draft corpus last.ckpt --out d.parquet": "checkpoint 'last.ckpt' does not exist",
    "prefer corpus last.ckpt": "checkpoint 'last.ckpt' does not exist",
    "calibrate corpus answers.parquet": "there is no file 'answers.parquet' of answers",
    "calibrate nowhere picture.png": "'nowhere' is not a corpus",
    "caption checkpoint corpus": "captions by a checkpoint need --model",
    "caption checkpoint corpus --model last.ckpt": "--model 'last.ckpt' is no file",
    "caption checkpoint corpus --model last.ckpt --beams 0": "--beams must be at least 1, not 0",
    "score nowhere --from learned --good x": "'nowhere' is not a corpus",
    "facts nowhere --from masks": "'nowhere' is not a corpus",
    "build torchgeo pictures new --dataset EuroSatt": "torchgeo has no dataset 'EuroSatt'; did you mean EuroSAT",
    "build torchgeo nowhere new --dataset EuroSAT": "'nowhere' is not a folder",
    "convert image pictures picture.png --dry-run": "'picture.png' is a file; name a folder for the corpus",
    "convert image pictures scenes --dry-run": "'scenes' is not empty and holds no corpus.json",
    "materialize corpus small --preset nowhere.yaml": "'nowhere.yaml' does not exist",
    "materialize nowhere small --preset medical/ct": "'nowhere' is not a corpus",
    "curate nowhere --view x": "'nowhere' is not a corpus",
    "check corpus": "'corpus' has no captions to check",
    "convert dicom nowhere new": "the source 'nowhere' does not exist",
    "convert geotiff nowhere new": "nowhere' does not exist",
    "convert wsi nowhere new": "'nowhere' does not exist",
    "build medmnst a b": "did you mean 'medmnist'?",
    "fit": "no config was named; for example: lightning fit -c medical/ct",
    "fit -c": "-c needs the name of a config",
    "fit medical/ct": "a config goes behind -c: lightning fit -c medical/ct",
    "fit -c medical/ct corpus": "'corpus' stands behind no option; a corpus goes behind --data.corpus",
    "fit -c medical/ct -x": "there is no option '-x'",
    "fit --data.corpus corpus": "no config was named",
    "fit -c medical/ct --data.corpus": "data.corpus must be the folder of a corpus, not ''",
    "fit -c medical/ct --data.corpus nowhere": "'nowhere' is not a corpus",
    "fit -c medical/ct --trainer.max_epochs many": "'trainer.max_epochs' cannot be many; it must be int",
    "fit -c medical/ct --data.batch_size [1,2]": "'data.batch_size' cannot be [1,2]; it must be int",
    "fit -c medical/ct --ranks.end_after=soon": "'ranks.end_after' cannot be soon; it must be float",
    "fit -c medical/ct --trainer.fast_dev_run maybe": "cannot be maybe; it must be int or true or false",
    "fit -c medical/ct --print_config --model.encoder.embed_dim wide": "'model.encoder.embed_dim' cannot be wide",
    "fit -c medical/ct --data.unit stduy": "'data.unit' cannot be stduy; it must be one of sample, study; did you mean",
    "fit -c medical/ct --trainer.precision bf16-mixd": "did you mean 'bf16-mixed'?",
    "fit -c medical/ct --model.objectives.contrastive.kind x": "it must be one of softmax, sigmoid",
    "fit -c medical/ct --model.encoder.image voxtile.models.VitTower": "did you mean 'voxtile.models.ViTTower'",
    "fit -c medical/ct --model.encoder.text.class_path voxtile.modles.TextBag": "no class 'voxtile.modles.TextBag'",
    "fit -c medical/ct --data.corpus corpus --data.view nowhere": "there is no curated view 'nowhere'",
    "fit -c wrong.yaml": "'model.recompute' cannot be perhaps; it must be true or false",
    "fit -c medical/ct --data.corpus corpus --ckpt_path nowhere.ckpt": "checkpoint 'nowhere.ckpt' does not exist",
}
PLANS = [
    *("convert image pictures new --dry-run", "import csv pairs.csv new --dry-run"),
    *("convert geotiff scenes new --size 64px --dry-run", "convert wsi slides new --mpp native --dry-run"),
]
ANSWERS = {"inspect corpus": "0 samples", "verify corpus": "no problem found", "doctor": "processors"}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What each line says, and what had been imported by then, in one process: the first line to import it shows."""
    folder = tmp_path_factory.mktemp("typed")
    new_corpus(folder / "corpus")
    (folder / "pictures").mkdir()
    for path in (folder / "pictures" / "one.png", folder / "picture.png"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)
    (folder / "wrong.yaml").write_text("model: {recompute: perhaps}\n")
    for name, write in (("scenes", write_scene), ("slides", write_slide)):
        (folder / name).mkdir()
        write(folder / name)
    (folder / "pairs.csv").write_text("image,text\npicture.png,nothing\n")
    lines = [line.split() for line in (*PLANS, *WRONG, *ANSWERS)]
    done = subprocess.run(
        [sys.executable, "-c", TYPED, json.dumps([[*HEAVY, "scipy.ndimage"], lines])],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {" ".join(words): (status, said, heavy) for words, status, said, heavy in found}


@pytest.mark.parametrize("line", WRONG)
def test_names_of_nothing_are_refused_before_anything_heavy_is_imported(answers, line):
    status, said, heavy = answers[line]
    assert WRONG[line] in said
    assert status == 2
    assert not heavy


@pytest.mark.parametrize("line", PLANS)
def test_plans_import_nothing_heavy(answers, line):
    status, said, heavy = answers[line]
    assert status == 0, said
    assert "inputs to do in 1 of 1 jobs" in said
    assert not heavy


@pytest.mark.parametrize("line", ANSWERS)
def test_short_answers_import_nothing_heavy(answers, line):
    status, said, heavy = answers[line]
    assert status == 0, said
    assert ANSWERS[line] in said
    assert not heavy or (line == "doctor" and _may_have_gpu())


# What is imported by what needs PyTorch: these take as long as it does.
OF_NO_USE = [
    *(
        "torch._dynamo.eval_frame",
        "torch.distributed.fsdp",
        "transformers",
        "timm",
        "open_clip",
        "torchvision",
        "pandas",
    ),
    *("matplotlib", "scipy", "sklearn", "torchmetrics.functional", "tensorboard"),
]
OF_TORCH = {
    "plan medical/ct": ["duckdb", "blosc2", "PIL", "pyarrow.compute", "voxtile.corpus.reader"],
    "fit -c medical/ct --print_config": ["sympy", "torch.distributed.tensor"],
}


@pytest.mark.parametrize("line", OF_TORCH)
def test_what_needs_torch_imports_little_else(line):
    asked = json.dumps([[*OF_NO_USE, *OF_TORCH[line]], [line.split()]])
    done = subprocess.run([sys.executable, "-c", TYPED, asked], capture_output=True, text=True, check=True)
    _, status, said, imported = json.loads(done.stdout.splitlines()[-1])
    assert status == 0, said
    assert not imported


def test_every_model_of_the_installed_libraries_passes_and_a_name_of_none_does_not(monkeypatch):
    refuse_unknown_open_clip("added by somebody")  # who has imported it, and whose model it may be
    monkeypatch.setattr(names, "sys", SimpleNamespace(modules={}))
    own = Path(open_clip.__file__).parent / "model_configs"  # other tests add some
    for name in {path.stem for path in own.glob("*.json")} & set(open_clip.list_models()):
        refuse_unknown_open_clip(name)
    for name in timm.list_models()[::20]:
        refuse_unknown_timm(name)
    with pytest.raises(ConfigError, match="open_clip knows no model"):
        refuse_unknown_open_clip("ViT-B-32x")
    with pytest.raises(ConfigError, match="timm has no model"):
        refuse_unknown_timm("resnet18x")


def test_pyarrow_does_without_pandas_until_a_frame_is_asked_for():
    code = """
import sys
from pathlib import Path
import pyarrow as pa
from voxtile.without_pandas import spare_pandas
spare_pandas()
table = pa.table({"a": [1, None], "b": ["x", "y"]})
assert "pandas" not in sys.modules
frame = table.to_pandas()
assert frame["b"].tolist() == ["x", "y"]
import pandas
assert pa.array(pandas.Series([1.0, None])).null_count == 1
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_where_pandas_is_there_already_nothing_changes():
    """In a process of its own: in this one a command may have done without pandas by now."""
    code = """
import pandas as pd
import pyarrow as pa
from voxtile.without_pandas import spare_pandas
spare_pandas()
assert pa.array(pd.Series([1.0, None])).null_count == 1
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def write_scene(folder):
    place = {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 600_000, 0, -10, 5_000_000)}
    shape = {"driver": "GTiff", "count": 3, "height": 64, "width": 64, "dtype": "uint16"}
    with rasterio.open(folder / "scene.tif", "w", **shape, **place) as file:
        file.descriptions = ("B02 blue", "B03 green", "B04 red")
        file.write(np.full((3, 64, 64), 900, np.uint16))


def write_slide(folder):
    pixels = np.random.default_rng(0).integers(0, 255, (512, 512, 3), np.uint8)
    scale = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(
        folder / "slide.tif", pixels, tile=(256, 256), photometric="rgb", compression="jpeg", metadata=None, **scale
    )


@pytest.mark.parametrize(
    ("kind", "write", "options"),
    [
        ("geotiff", write_scene, ["--size", "64px", "--split-by", "none"]),
        ("wsi", write_slide, ["--mpp", "native", "--min-tissue", "0", "--max-pen", "1"]),
    ],
)
def test_a_conversion_and_its_workers_import_nothing_heavy(tmp_path, kind, write, options):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in")
    command = [sys.executable, "-P", "-m", "voxtile.cli.main", "convert", kind, "in", "corpus", "--workers", "1"]
    environment = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    imported = [line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "import time" in line]
    assert imported.count("voxtile.engine.worker") >= 2  # the command's, and at least one of a process of its own
    heavy = tuple(f"{name}." for name in (*HEAVY, "duckdb", "httpx", "requests"))  # one that is refused has no parts
    assert not [name for name in imported if name.startswith(heavy)]
