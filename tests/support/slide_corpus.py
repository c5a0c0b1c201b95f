"""A folder `scans` with a slide, and a corpus of five of its patches, a picture 20,000 pixels wide and a volume."""

import io
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus

PLACES = [(0, 0), (256, 0), (512, 256), (768, 512), (0, 512)]
UIDS = [f"{n:032x}" for n in range(50, 50 + len(PLACES))]
LARGE, VOLUME = f"{90:032x}", f"{91:032x}"
HEIGHT, WIDTH = 900, 1300


def scan():
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([x * 255 // WIDTH, y * 255 // HEIGHT, (x // 160 + y // 160) % 2 * 200], axis=-1).astype(np.uint8)


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def write_slide_corpus(root: Path) -> None:
    """Write `scans` and `corpus`."""
    (root / "scans").mkdir()
    with tifffile.TiffWriter(root / "scans" / "a.tif") as tiff:
        for factor in (1, 4):
            level = np.asarray(Image.fromarray(scan()).reduce(factor))
            tiff.write(
                level, tile=(256, 256), photometric="rgb", compression="zlib", metadata=None,
                resolutionunit="CENTIMETER", resolution=(2e4 / factor,) * 2, subfiletype=int(factor > 1),
            )  # fmt: skip
    new_corpus(root / "corpus")
    writer = JobWriter(root / "corpus", "job")
    shared = {"kind": "patch", "modality": "SM", "axes": "YXC", "subject": "q", "source": "a.tif", "licence": "CC0-1.0"}
    for uid, (x, y) in zip(UIDS, PLACES, strict=True):
        about = {"uid": uid, "level0_box": [x, y, x + 256, y + 256], "mpp": [0.5, 0.5]}
        writer.add(Sample(shared | about, png(scan()[y : y + 256, x : x + 256])))
    wide = np.zeros((600, 20_000, 3), np.uint8)
    wide[:, 10_000:] = (250, 120, 30)
    writer.add(Sample(shared | {"uid": LARGE, "subject": "w", "kind": "image", "source": "w"}, wide))
    ct = {"uid": VOLUME, "kind": "volume", "modality": "CT", "axes": "ZYX", "subject": "v", "source": "v"}
    writer.add(Sample(shared | ct, np.zeros((2, 4, 4), np.int16)))
    row = {"region_id": "r", "uid": UIDS[1], "phrase": "gland", "box": [10.0, 20.0, 30.0, 60.0], "source": "drawn"}
    writer.add_rows("regions", [row])
    writer.publish()
