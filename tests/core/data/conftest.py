"""Small corpora written through the real writer."""

import io

import numpy as np
import pytest
from PIL import Image

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus

VOLUMES = 24
SPLITS = ("train",) * 8 + ("val", "test")


def volume_row(n, shape):
    return {
        "uid": sample_uid(f"volume {n}"),
        "subject": f"subject {n // 2}",
        "study": f"study {n // 2}",
        "kind": "volume",
        "modality": "CT",
        "axes": "ZYX",
        "units": "HU",
        "spacing": [2.0, 1.0, 1.5],
        "channels": [{"name": "CT", "scale": 1.0, "offset": -1024.0}],
    }


def volume_values(n, shape=(12, 16, 20)):
    return np.random.default_rng(n).integers(0, 2000, shape).astype(np.int16)


@pytest.fixture(scope="session")
def volume_corpus(tmp_path_factory):
    """24 volumes of 12 subjects, two a study, with two captions and facts each."""
    root = tmp_path_factory.mktemp("volumes") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job-0")
    for n in range(VOLUMES):
        row = volume_row(n, (12, 16, 20))
        writer.add(Sample(row, volume_values(n)))
        for kind in ("raw", "template"):
            text = f"{kind} report of study {n // 2}. Volume {n} shows nodule {n % 5}."
            writer.add_rows(
                "captions", [{"caption_id": f"{kind}{n:03}", "uid": row["uid"], "text": text, "kind": kind}]
            )
        polarity = "present" if n % 2 else "absent"
        writer.add_rows("facts", [{"uid": row["uid"], "concept": "nodule", "polarity": polarity}])
    subjects = [
        {"scheme": "default", "subject": f"subject {s}", "split": SPLITS[s % len(SPLITS)]} for s in range(VOLUMES // 2)
    ]
    writer.add_rows("splits", subjects)
    writer.publish()
    return Corpus(root)


def smooth_picture(n, size=(40, 56)):
    """A picture with structure at several scales, so that resizing errors show."""
    y, x = np.mgrid[: size[0], : size[1]]
    planes = [np.sin(x / (3 + c + n % 3)) + np.cos(y / (5 + 2 * c)) + ((x // 9 + y // 7) % 2) for c in range(3)]
    picture = np.stack(planes, -1)
    return ((picture - picture.min()) / np.ptp(picture) * 255).astype(np.uint8)


def encoded(pixels, name):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, name, quality=92)
    return stream.getvalue()


@pytest.fixture(scope="session")
def picture_corpus(tmp_path_factory):
    """16 pictures, JPEG and PNG, colour and grey."""
    root = tmp_path_factory.mktemp("pictures") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job-0")
    for n in range(16):
        pixels = smooth_picture(n) if n % 4 else smooth_picture(n)[:, :, 0]
        row = {"uid": sample_uid(f"picture {n}"), "subject": f"s{n}", "kind": "image", "modality": "RGB"}
        writer.add(Sample(row, encoded(pixels, "JPEG" if n % 2 else "PNG")))
        writer.add_rows("splits", [{"scheme": "default", "subject": f"s{n}", "split": "train" if n < 12 else "test"}])
        writer.add_rows("captions", [{"caption_id": f"c{n}", "uid": row["uid"], "text": f"picture {n}", "kind": "raw"}])
    writer.publish()
    return Corpus(root)
