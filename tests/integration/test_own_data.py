"""The README's sequences on data of one's own: invented studies and slides, and real scenes, with a user's own words.

Each runs the commands as the README has them, in a folder that holds nothing else, with worker processes; trainings are
a step or two long.
"""

import csv
import json
import re
import shutil

import numpy as np
import pytest
import rasterio
from PIL import Image
from pyproj import Transformer

from voxtile.cli.main import lightning_main, main
from voxtile.corpus.reader import Corpus
from voxtile.training.checkpoint import read_checkpoint

WORKERS = ("--workers", "2")
INLINE = ("--engine", "inline")  # as fast as it goes, where workers are no matter
OWN_CLASSES = {  # of the phantom's: spelt another way, in another language, and one that no config knows
    "tumour": "Tumor",
    "necrosis": "Nekrose",
    "stroma": "STROMA",
    "adipose": "Fettgewebe",
    "lymphocytes": "Lymphocyte",
    "mucin": "Mucin",
    "normal epithelium": "Crypts",
    "smooth muscle": "Smooth Muscle",
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def voxtile(*words):
    assert main([str(word) for word in words]) == 0, words


def fit(config, corpus, *options, status=0):
    name = config.rpartition("/")[2]
    argv = ["fit", "-c", config, "--data.corpus", str(corpus), "--trainer.max_epochs", "1", *options]
    assert lightning_main(argv) == status
    return f"runs/{name}/version_0/checkpoints/last.ckpt"


def learned(checkpoint):
    """Whether the run took a step, and its weights are numbers."""
    content = read_checkpoint(checkpoint)
    weights = [tensor for tensor in content["state_dict"].values() if tensor.is_floating_point()]
    return content["global_step"] >= 1 and all(tensor.isfinite().all() for tensor in weights)


@pytest.mark.sweep(ci=True)
@pytest.mark.slow
def test_ct_scans_with_reports_and_no_label_table(here, capsys):
    """20 studies, all in one split; every second report finds an effusion, none a pneumothorax or gallstones."""
    voxtile("phantom", "ct", "made", "--n", "20")
    with open("made/reports.csv", encoding="utf-8") as file:
        studies = [row["study"] for row in csv.DictReader(file)]
    with open("reports.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["study", "text"])
        for number, study in enumerate(studies):
            effusion = "There is a left pleural effusion." if number % 2 else "No pleural effusion."
            table.writerow([study, f"FINDINGS: {effusion} No pneumothorax. The heart is of normal size."])
    voxtile(
        "convert", "dicom", "made/dicom", "corpus", "--reports", "reports.csv", "--split-fractions", "1,0,0", *WORKERS
    )
    voxtile("facts", "corpus", "--from", "reports", *WORKERS)
    voxtile("caption", "corpus", "--kind", "fact", "--facts-source", "reports", "--absent", "99", *INLINE)
    checkpoint = fit("medical/ct", "corpus", "--model.encoder.image.init_args.widths", "[4, 8, 16]")
    assert learned(checkpoint)
    assert "no sample of the corpus is in the splits 'val' and 'test'" in capsys.readouterr().err
    task = (checkpoint, "medical/ct-findings", "--corpus", "corpus", "--out", "report", "--bootstrap", "100")
    assert main(["evaluate", *task]) == 2
    assert "in the split 'test', only in 'train'; choose with --split" in capsys.readouterr().err
    voxtile("evaluate", *task, "--split", "train", "--allow-leakage")
    results = json.loads((here / "report" / "results.json").read_text())
    figures = {row["class"] for row in results["rows"] if row["value"] is not None and row["metric"] == "auroc"}
    assert figures == {"pleural_effusion", None}
    notes = [note["text"] for note in results["notes"]]
    assert notes[0].startswith("silver labels: the corpus has no facts of the source 'labels'")
    [skipped] = [note for note in notes if note.startswith("skipped")]
    assert "gallstones" in skipped
    assert "pneumothorax: refused, no positive among 20 labelled studies of 'train'" in notes
    assert "silver labels" in (here / "report" / "index.html").read_text()


@pytest.mark.sweep(ci=True)
@pytest.mark.slow
def test_slides_whose_classes_have_the_users_own_names(here, capsys):
    voxtile("phantom", "he", "made", "--n", "4")
    for path in (here / "made" / "annotations").glob("*.geojson"):
        drawn = json.loads(path.read_text())
        for feature in drawn["features"]:
            label = feature["properties"]["classification"]
            label["name"] = OWN_CLASSES[label["name"]]
        path.write_text(json.dumps(drawn))
    options = ("--reports", "made/reports.csv", "--annotations", "made/annotations", "--split-fractions", "1,0,0")
    voxtile("convert", "wsi", "made/slides", "corpus", *options, "--pass-through", *WORKERS)
    voxtile("facts", "corpus", "--from", "annotations", "--annotations", "made/annotations", *WORKERS)
    voxtile("facts", "corpus", "--from", "slide-reports")
    worded = ("--kind", "fact", "--caption-kind", "roi", "--variants", "3", "--absent", "0")
    voxtile("caption", "corpus", "--facts-source", "annotations", *worded, *INLINE)
    voxtile("caption", "corpus", "--facts-source", "reports", "--kind", "fact", "--absent", "99", *INLINE)
    capsys.readouterr()
    checkpoint = fit("pathology/he", "corpus", "--data.max_images_per_batch", "16")
    assert "a batch holds 4 items and not 8" in capsys.readouterr().err
    terms = read_checkpoint(checkpoint)["voxtile_model"]["objectives"]
    own = ["crypts", "fettgewebe", "lymphocyte", "mucin", "nekrose", "smooth_muscle", "stroma", "tumor"]
    assert terms["patches"]["init_args"]["concepts"] == terms["patch_facts"]["init_args"]["concepts"] == own
    assert learned(checkpoint)
    grounded = fit("pathology/he-grounding", "corpus", "--trainer.limit_train_batches", "1", "--data.where", "true")
    assert "data.regions asks nothing about 'STROMA'" in capsys.readouterr().err
    assert learned(grounded)
    task = ("pathology/he-tissue", "--corpus", "corpus", "--out", "report", "--bootstrap", "100", "--split", "train")
    assert main(["evaluate", checkpoint, *task, "--allow-leakage"]) == 2  # of so few patients there is no figure
    said = capsys.readouterr().err
    assert "skipped, since no fact of the corpus is about them: adipose, necrosis, normal_epithelium" in said
    assert "tumour: refused, only" in said


def test_a_real_slide_alone_trains_where_patches_are_items_and_is_refused_where_slides_are(here, test_data, capsys):
    (here / "SLIDES").mkdir()
    shutil.copy(test_data / "pathology/svs_cmu1_small_region/CMU-1-Small-Region.svs", "SLIDES/case.svs")
    boxes = {"Tumor": (100, 100, 1100, 1400), "necrosis": (1200, 100, 2100, 1400)}
    rings = {name: [[a, b], [c, b], [c, d], [a, d], [a, b]] for name, (a, b, c, d) in boxes.items()}
    features = [
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]},
         "properties": {"objectType": "annotation", "classification": {"name": name}}}
        for name, ring in rings.items()
    ]  # fmt: skip
    (here / "DRAWN").mkdir()
    (here / "DRAWN" / "case.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (here / "reports.csv").write_text("study,text\ncase,Invasive carcinoma with necrosis.\n")
    options = ("--reports", "reports.csv", "--annotations", "DRAWN", "--split-fractions", "1,0,0")
    voxtile("convert", "wsi", "SLIDES", "corpus", *options, *WORKERS)
    voxtile("facts", "corpus", "--from", "annotations", "--annotations", "DRAWN", *WORKERS)
    checkpoint = fit("pathology/he-grounding", "corpus", "--trainer.limit_train_batches", "1")
    assert learned(checkpoint)
    assert {region["phrase"] for region in Corpus(here / "corpus").table("regions").to_pylist()} >= {
        "Tumor",
        "necrosis",
    }
    voxtile("caption", "corpus", "--facts-source", "annotations", "--kind", "fact", "--caption-kind", "roi", *INLINE)
    capsys.readouterr()
    fit("pathology/he", "corpus", "--name", "one", status=2)
    assert "the split 'train' has 1 item for 1 process" in capsys.readouterr().err


@pytest.mark.sweep(ci=True)
def test_real_sentinel_2_patches_fewer_than_a_batch(here, test_data, capsys):
    products = sorted((test_data / "remote_sensing/bigearthnet_tiny/tiny").iterdir())[:5]
    for product in products:
        shutil.copytree(product, here / "PRODUCTS" / product.name)
    options = ("--size", "600m", "--resolution", "10", "--split-fractions", "1,0,0")
    voxtile("convert", "geotiff", "PRODUCTS", "tiles", *options, *WORKERS)
    voxtile("facts", "tiles", "--from", "metadata", *WORKERS)
    voxtile("caption", "tiles", *INLINE)
    capsys.readouterr()
    checkpoint = fit("remote_sensing/sentinel2", "tiles")
    count = len(Corpus(here / "tiles").table("samples"))
    assert 2 <= count < 32
    assert f"a batch holds {count} items and not 32" in capsys.readouterr().err
    assert learned(checkpoint)


@pytest.mark.sweep(ci=True)
def test_photographs_in_three_named_bands_and_a_map(here, test_data, capsys):
    """Real aerial photographs side by side in one GeoTIFF, with a map of three houses."""
    pictures = sorted((test_data / "remote_sensing/rsscn7").rglob("*.jpg"))[:6]
    rows = [np.asarray(Image.open(path).convert("RGB")) for path in pictures]
    mosaic = np.moveaxis(np.concatenate(rows, axis=1), 2, 0)
    place = rasterio.transform.from_origin(500_000, 5_300_000, 0.6, 0.6)
    (here / "PHOTOGRAPHS").mkdir()
    profile = {"driver": "GTiff", "count": 3, "height": mosaic.shape[1], "width": mosaic.shape[2], "dtype": "uint8"}
    with rasterio.open("PHOTOGRAPHS/flight.tif", "w", **profile, crs="EPSG:32633", transform=place) as file:
        file.write(mosaic)
    command = ("convert", "geotiff", "PHOTOGRAPHS", "corpus", "--size", "60m", "--split-fractions", "1,0,0", *WORKERS)
    assert main(list(command)) == 1
    assert "write flight.yaml beside it" in capsys.readouterr().out.replace("\n", " ")
    with rasterio.open("PHOTOGRAPHS/flight.tif", "r+") as file:
        file.descriptions = ("red", "green", "blue")
    voxtile(*command)
    assert {row["modality"] for row in Corpus(here / "corpus").table("samples").to_pylist()} == {"RGB"}
    houses = [_house(500_020 + 100 * number, 5_299_960) for number in range(3)]
    (here / "map.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": houses}))
    voxtile("facts", "corpus", "--from", "osm", "--osm", "map.geojson", "--captions", "3", *WORKERS)
    capsys.readouterr()
    checkpoint = fit("remote_sensing/aerial", "corpus")
    assert re.search(r"a batch holds \d+ items and not 24", capsys.readouterr().err)
    assert learned(checkpoint)


def _house(east, north):
    """A house of 20 by 15 metres, as OpenStreetMap has it."""
    to_degrees = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    corners = [(east, north), (east + 20, north), (east + 20, north + 15), (east, north + 15), (east, north)]
    ring = [to_degrees.transform(*corner) for corner in corners]
    properties = {"@id": f"way/{east}", "building": "house"}
    return {"type": "Feature", "properties": properties, "geometry": {"type": "Polygon", "coordinates": [ring]}}
