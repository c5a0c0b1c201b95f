"""A corpus of a volume, a patch and a scene, with a script planted wherever a text of others can stand."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.writer import JobWriter, new_corpus

VOLUME, PATCH, SCENE, OTHER = (f"{n:032x}" for n in range(1, 5))
SCRIPT = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "<svg onload=\"alert('owned')\"></svg>"
)
REPORT = f"There is a nodule in the left lung. No effusion. {SCRIPT}"
SECRET = "patient-doe/scan-0001.dcm"
NODATA = -9999
RNG = np.random.default_rng(5)
HOUNSFIELD = RNG.integers(-1000, 1000, (40, 48, 56), dtype=np.int16)
BANDS = RNG.integers(0, 4000, (4, 32, 48)).astype(np.int16)
BANDS[:, :5] = NODATA
AFFINE = [1.5, 0.0, 0.0, -40.0, 0.0, 1.5, 0.0, -30.0, 0.0, 0.0, 3.0, 100.0, 0.0, 0.0, 0.0, 1.0]
VECTORS = {VOLUME: (1.0, 0.0, 0.2), PATCH: (0.0, 1.0, 0.0), SCENE: (0.0, 0.1, 1.0), OTHER: (0.9, 0.1, 0.0)}


def _row(uid, **columns):
    return {"uid": uid, "subject": "p", "study": "s", "source": SECRET, "licence": "CC0-1.0", **columns}


def _fact(concept, polarity, **columns):
    return {"uid": VOLUME, "concept": concept, "polarity": polarity, "source": "reports@3", **columns}


def _channels():
    named = (("B02", 490.0), ("B03", 560.0), ("B04", 665.0), ("B08", 842.0))
    return [{"name": n, "wavelength_nm": nm, "unit": "reflectance", "scale": 1e-4, "offset": 0.0} for n, nm in named]


def _png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_served_corpus(root: Path) -> None:
    """Write it."""
    new_corpus(root)
    writer = JobWriter(root, "job")
    ct = {
        "kind": "volume",
        "modality": "CT",
        "axes": "ZYX",
        "units": "HU",
        "spacing": [3.0, 1.5, 1.5],
        "affine": AFFINE,
    }
    writer.add(Sample(_row(VOLUME, **ct, attributes=json.dumps({"kernel": SCRIPT})), HOUNSFIELD))
    writer.add(Sample(_row(OTHER, **ct), HOUNSFIELD[:1]))  # a volume with one plane
    patch = {"kind": "patch", "modality": "SM", "axes": "YXC", "subject": "q", "study": None, "mpp": [0.5, 0.5]}
    writer.add(Sample(_row(PATCH, **patch), _png(np.full((40, 60, 3), (200, 120, 180), np.uint8))))
    scene = {
        "kind": "tile", "modality": "MSI", "axes": "CYX", "subject": "r", "study": None, "units": "reflectance",
        "channels": _channels(), "crs": "EPSG:32632", "transform": [10.0, 0.0, 5e5, 0.0, -10.0, 5e6],
        "attributes": json.dumps({"nodata": NODATA}),
    }  # fmt: skip
    writer.add(Sample(_row(SCENE, **scene), BANDS))
    mask = np.zeros(HOUNSFIELD.shape, bool)
    mask[20, 10:20, 30:40] = True
    writer.add_mask(Mask({"region_id": "r1", "uid": VOLUME, "phrase": f"nodule {SCRIPT}"}, mask))
    flat = np.zeros((40, 60), bool)
    flat[5:15, 10:30] = True
    writer.add_mask(Mask({"region_id": "r2", "uid": PATCH, "phrase": SCRIPT, "box": [5.0, 10.0, 15.0, 30.0]}, flat))
    writer.add_rows("facts", [
        _fact("nodule", "present", value=12.0, unit="mm",
              attributes=json.dumps({"evidence": "There is a nodule in the left lung."})),
        _fact("effusion", "absent", attributes=json.dumps({"evidence": "No effusion.", "note": SCRIPT})),
        _fact(SCRIPT, "present"),
        {**_fact("gland", "present"), "uid": PATCH},
    ])  # fmt: skip
    writer.add_rows("captions", [
        {"caption_id": "c", "uid": VOLUME, "text": REPORT, "kind": "raw", "provider": "reports"},
        {"caption_id": "d", "uid": PATCH, "text": f"A gland. {SCRIPT}", "kind": "template"},
    ])  # fmt: skip
    judged = {"caption_id": "c", "verdict": "supported", "detail": SCRIPT, "checker": "check", "checker_version": "2"}
    writer.add_rows("verdicts", [judged])
    writer.add_rows("splits", [{"scheme": "default", "subject": "p", "split": "val"}])
    writer.add_rows("scores", [{"uid": PATCH, "name": "sharpness", "value": 7.0, "producer": "laplace@1"}])
    rows = [{"uid": uid, "model": "toy", "vector": np.array(v, np.float16)} for uid, v in VECTORS.items()]
    writer.add_rows("embeddings", rows)
    writer.publish()
