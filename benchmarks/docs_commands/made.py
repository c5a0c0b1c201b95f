"""Small inputs that no command of voxtile makes; run by the Python of the environment under test.

made.py uid CORPUS | subject CORPUS | rows CORPUS | embedded CORPUS | xrays | chest | captioner | tokens | volumes |
        timm | few CORPUS | exportable CORPUS | vision-model | photographs | shards |
        two-volumes | rows-of-pictures
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

_CAPTIONER = """
model:
  objectives:
    contrastive: {class_path: voxtile.objectives.Contrastive}
    captioning:
      class_path: voxtile.objectives.Captioning
      init_args: {width: 64, unimodal_depth: 1, depth: 1}
  weights: {contrastive: 1.0, captioning: 2.0}
data: {batch_size: 16}
trainer: {max_epochs: 40, limit_val_batches: 0}
name: captioner
"""
_TOKENS = """
model:
  objectives:
    contrastive: {class_path: voxtile.objectives.Contrastive}
    tokens: {class_path: voxtile.objectives.TokenWise}
    matching: {class_path: voxtile.objectives.ImageTextMatching}
    concepts: {class_path: voxtile.objectives.ConceptPatch}
    attributes: {class_path: voxtile.objectives.RegionAttribute, init_args: {warmup: 1}}
  weights: {contrastive: 1.0}
  cache_locked: false
trainer: {max_epochs: 1}
name: tokens
"""
_EXPORTABLE = """
data:
  batch_size: 8
  preset:
    class_path: voxtile.data.ImagePreset
    init_args: {size: [224, 224], channels: 3, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25], modalities: [DX, CR]}
model:
  encoder:
    image: {class_path: voxtile.models.OpenClipImage, init_args: {name: ViT-S-32-alt, channels: 3}}
    text: {class_path: voxtile.models.OpenClipText, init_args: {name: ViT-S-32-alt}}
    embed_dim: 64
trainer: {max_epochs: -1, max_steps: 1, limit_val_batches: 0, precision: 32-true}
name: exportable
"""
_EACH = {"train": 128, "val": 32, "test": 64}


def uid(corpus: str) -> None:
    """Print the uid of a sample, one that has a region where any has."""
    import pyarrow.dataset as ds

    for table in ("regions", "samples"):
        folder = Path(corpus, "tables", table)
        if folder.is_dir() and (found := ds.dataset(folder).head(1, columns=["uid"]).to_pylist()):
            print(found[0]["uid"])
            return


def subject(corpus: str) -> None:
    """Print a subject of a corpus."""
    import pyarrow.dataset as ds

    print(ds.dataset(Path(corpus, "tables", "samples")).head(1, columns=["subject"]).to_pylist()[0]["subject"])


def rows(corpus: str) -> None:
    """Print the number of rows of each table, as JSON."""
    import pyarrow.parquet as pq

    parts = sorted(Path(corpus, "tables").rglob("*.parquet"))
    counts: dict[str, int] = {}
    for part in parts:
        counts[part.parent.name] = counts.get(part.parent.name, 0) + pq.read_metadata(part).num_rows
    print(json.dumps(counts))


def embedded(corpus: str) -> None:
    """Print the name of the model whose embeddings a corpus has, as `voxtile embed` prints it."""
    import pyarrow.dataset as ds

    print(ds.dataset(Path(corpus, "tables", "embeddings")).head(1, columns=["model"]).to_pylist()[0]["model"])


def xrays() -> None:
    """A small part of the real PneumoniaMNIST where it is at hand, else pictures of the same format."""
    import numpy as np

    from voxtile.phantom.xrays import write_xrays

    real = Path(os.environ.get("VOXTILE_TEST_DATA", ""), "medical/medmnist2d_pneumonia/pneumoniamnist.npz")
    if not real.is_file():
        write_xrays(Path())
        return
    with np.load(real) as held:
        chosen = {}
        for split, count in _EACH.items():
            labels = held[f"{split}_labels"].ravel()  # both in equal parts: a probe needs them in every draw
            rows = np.sort(np.concatenate([np.flatnonzero(labels == label)[: count // 2] for label in (0, 1)]))
            chosen |= {f"{split}_{kind}": held[f"{split}_{kind}"][rows] for kind in ("images", "labels")}
    np.savez("pneumoniamnist.npz", **chosen)


def chest() -> None:
    """`chest.dcm`, a radiograph of noise in DICOM."""
    import numpy as np
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = DigitalXRayImageStorageForPresentation, generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
    image.PatientID, image.Modality, image.BodyPartExamined = "invented", "DX", "CHEST"
    image.BurnedInAnnotation, image.ViewPosition, image.ImagerPixelSpacing = "NO", "PA", [0.4, 0.4]
    pixels = np.random.default_rng(0).integers(0, 4096, (256, 256)).astype(np.uint16)
    image.set_pixel_data(pixels, "MONOCHROME2", 12)
    image.save_as("chest.dcm", enforce_file_format=True)


def captioner() -> None:
    """`last.ckpt` of a model that was trained with the Captioning objective, long enough for sentences."""
    Path("captioner.yaml").write_text(_CAPTIONER, encoding="utf-8")
    words = "lightning fit -c medical/cxr -c captioner.yaml --data.corpus corpus"
    subprocess.run(words.split(), check=True)
    Path("runs/captioner/version_0/checkpoints/last.ckpt").rename("last.ckpt")


def tokens() -> None:
    """`last.ckpt` of a CT model that was trained for an epoch with terms that compare tokens."""
    Path("tokens.yaml").write_text(_TOKENS, encoding="utf-8")
    words = "lightning fit -c medical/ct -c tokens.yaml --data.corpus corpus"
    subprocess.run(words.split(), check=True)
    Path("runs/tokens/version_0/checkpoints/last.ckpt").rename("last.ckpt")


def exportable(corpus: str) -> None:
    """`last.ckpt` of a model whose towers open_clip and transformers have, after a step on pictures."""
    Path("exportable.yaml").write_text(_EXPORTABLE, encoding="utf-8")
    words = f"lightning fit -c medical/cxr -c exportable.yaml --data.corpus {corpus}"
    subprocess.run(words.split(), check=True)
    Path("runs/exportable/version_0/checkpoints/last.ckpt").rename("last.ckpt")


def timm() -> None:
    """`weights.pt` of a small model of timm, random ones."""
    import timm
    import torch

    torch.save(timm.create_model("vit_tiny_patch16_224").state_dict(), "weights.pt")


def few(corpus: str) -> None:
    """A corpus of two CT phantoms with facts and captions."""
    commands = (
        f"voxtile phantom ct of-{corpus} --n 2 --seed 7",
        f"voxtile convert dicom of-{corpus}/dicom {corpus} --reports of-{corpus}/reports.csv",
        f"voxtile facts {corpus} --from reports",
        f"voxtile caption {corpus} --kind fact --facts-source reports --absent 0",
    )
    for command in commands:
        subprocess.run(command.split(), check=True)


def volumes() -> None:
    """A CT in NIfTI with a label map beside it, and a data list of both."""
    import nibabel
    import numpy as np

    Path("volumes").mkdir()
    image = np.random.default_rng(0).integers(-1000, 400, (24, 24, 24)).astype(np.int16)
    label = np.zeros(image.shape, np.uint8)
    label[6:12, 6:12, 6:12] = 1
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(image, affine), "volumes/case.nii.gz")
    nibabel.save(nibabel.Nifti1Image(label, affine), "volumes/case_seg.nii.gz")
    entry = {"image": "case.nii.gz", "label": "case_seg.nii.gz", "fold": 0}
    listed = {"training": [entry], "modality": {"0": "CT"}, "labels": {"1": "liver"}}
    Path("volumes/dataset_0.json").write_text(json.dumps(listed), encoding="utf-8")


def two_volumes() -> None:
    """`timed`, a series of CT that shows one place at two times."""
    import numpy as np
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    Path("timed").mkdir()
    study, series, frame, rng = generate_uid(), generate_uid(), generate_uid(), np.random.default_rng(0)
    for number in range(10):
        time, plane = divmod(number, 5)
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.SOPClassUID, image.SOPInstanceUID, image.Modality = CTImageStorage, generate_uid(), "CT"
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.PatientID, image.InstanceNumber, image.AcquisitionNumber = "invented", number + 1, time + 1
        image.AcquisitionTime, image.ImageType = f"1200{time:02d}", ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.ImageOrientationPatient, image.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 3 * plane]
        image.PixelSpacing, image.SliceThickness = [2, 2], 3
        image.RescaleIntercept, image.RescaleSlope = -1024, 1
        image.set_pixel_data(rng.integers(0, 2048, (16, 16)).astype(np.uint16), "MONOCHROME2", 12)
        image.save_as(f"timed/{number}.dcm", enforce_file_format=True)


def rows_of_pictures() -> None:
    """`ROWS`, a folder with a Parquet file of pictures and texts as Hugging Face has them."""
    import io

    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from PIL import Image

    Path("ROWS").mkdir()
    rng, rows = np.random.default_rng(0), []
    for number in range(8):
        picture = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(picture, "PNG")
        rows.append({"image": {"bytes": picture.getvalue(), "path": f"{number}.png"}, "text": f"picture {number}"})
    pq.write_table(pa.Table.from_pylist(rows), "ROWS/train-00000-of-00001.parquet")


def shards() -> None:
    """A folder as img2dataset leaves it: a tar of pictures with their texts and what is known of them."""
    import io
    import tarfile

    import numpy as np
    from PIL import Image

    Path("FOLDER").mkdir()
    rng = np.random.default_rng(0)
    with tarfile.open("FOLDER/00000.tar", "w") as file:
        for number in range(8):
            picture = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(picture, "JPEG")
            text = f"picture {number}"
            about = json.dumps({"caption": text, "key": f"{number:06}", "status": "success"})
            for kind, data in (("jpg", picture.getvalue()), ("txt", text.encode()), ("json", about.encode())):
                member = tarfile.TarInfo(f"{number:06}.{kind}")
                member.size = len(data)
                file.addfile(member, io.BytesIO(data))
    Path("FOLDER/00000_stats.json").write_text('{"count": 8}', encoding="utf-8")


def vision_model() -> None:
    """A folder of a vision model in the layout of transformers, with random weights."""
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    small = ViTConfig(hidden_size=48, num_hidden_layers=2, num_attention_heads=2, intermediate_size=96, image_size=64)
    ViTModel(small).save_pretrained("model")
    ViTImageProcessor(size={"height": 64, "width": 64}).save_pretrained("model")


def photographs() -> None:
    """Pictures of seven classes, in a table of pairs and as RSSCN7's download has them."""
    import numpy as np
    from PIL import Image

    classes = ["grassland", "farmland", "industrial_area", "river_or_lake", "forest", "residential_area", "parking_lot"]
    folders = ["aGrass", "bField", "cIndustry", "dRiverLake", "eForest", "fResident", "gParking"]
    rng, rows = np.random.default_rng(0), ["filepath,title,subject,split,label"]
    Path("PICTURES").mkdir()
    for number in range(140):
        label, split = classes[number % 7], ("train", "val", "test", "test")[number // 35]
        pixels = rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"PICTURES/{number}.png")
        rows.append(f"{number}.png,{label.replace('_', ' ')},{number},{split},{label}")
        Path("DOWNLOAD/RSSCN7", folders[number % 7]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(f"DOWNLOAD/RSSCN7/{folders[number % 7]}/{number}.jpg")
    Path("pairs.csv").write_text("\n".join(rows))


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    globals()[name.replace("-", "_")](*arguments)
