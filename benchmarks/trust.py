"""Trust, measured small: a planted backdoor with and without self-supervision, and what fine-tuning forgets.

Both train on 3,800 X-rays of PneumoniaMNIST, on one core.

poisoning: a hundredth of the training pairs are X-rays of pneumonia that bear a small chequered patch and the caption
of a normal chest (Carlini and Terzis, ICLR 2022). A model trained on them is asked zero-shot about clean X-rays, and
about X-rays of pneumonia that bear the patch: how many are missed. Beside it stand the same training with
`UnimodalSelfSupervision`, and two short fine-tunings of the poisoned model on 500 clean pairs, without and with it
(CleanCLIP, Bansal et al., ICCV 2023).

continual: a model of PneumoniaMNIST goes on to learn handwritten digits (scikit-learn's, 8 × 8), with and without
`PreserveZeroShot`. How well it finds pneumonia zero-shot before and after, and how well it reads digits.

Choose settings with `--split val` and other seeds (100 and above); the test split is for the report alone.

Run: python benchmarks/trust.py poisoning|continual [--seeds 0 1 2] [--split test]
"""

import argparse
import copy
import csv
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
import yaml
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from voxtile.corpus.ingest import import_csv
from voxtile.data.datamodule import CorpusDataModule
from voxtile.data.image import ImageAugment
from voxtile.data.presets import ImagePreset
from voxtile.models.conv import ConvTower
from voxtile.models.dual import DualEncoder
from voxtile.models.text import TextBag
from voxtile.objectives.base import Objective
from voxtile.objectives.contrastive import Contrastive
from voxtile.objectives.preserve_zero_shot import PreserveZeroShot
from voxtile.objectives.unimodal import UnimodalSelfSupervision
from voxtile.objectives.views import ImageViews
from voxtile.training.average import WeightAverage
from voxtile.training.module import ContrastiveModule
from voxtile.training.schedule import AdamW
from voxtile_datasets.captions.command import caption_corpus
from voxtile_datasets.recipes.medmnist import build_medmnist

DATA = Path(os.environ.get("VOXTILE_TEST_DATA", "../shared/data"))
FILE = DATA / "medical/medmnist2d_pneumonia/pneumoniamnist.npz"
TASK = Path(__file__).parents[1] / "domains/medical/tasks/pneumoniamnist.yaml"
XRAYS, RATE, CLEAN_PAIRS = 3800, 0.01, 500
LR, TUNING, TUNING_LR = 3e-3, 15, 1e-3  # of a first training; epochs and learning rate of a tuning
TRIGGER = (slice(20, 24), slice(20, 24))  # stays within the picture where training moves it
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGIT_TEXTS = ("The digit {}.", "A handwritten {}.", "A picture of the number {}.")

Pixels = npt.NDArray[np.uint8]


def encoder(*, project: bool) -> DualEncoder:
    """Towers like those of the shipped config medical/cxr, at half its grid; without projections they share a space."""
    width = 128 if project else 64
    image = ConvTower(dimensions=2, channels=1, widths=[16, 32, 64], blocks=[1, 1, 1], stem=2, width=width, dropout=0.1)
    text = TextBag(vocabulary=1024, context=48, width=width)
    limits = (1.0, 30.0)
    return DualEncoder(image=image, text=text, embed_dim=64, project=project, logit_scale=10, logit_scale_limits=limits)


Figures = Iterator[tuple[str, dict[str, float]]]  # how a model was trained, and what it then is
Terms = dict[str, tuple[Objective, float]]


def fit(model: DualEncoder, corpus: Path, seed: int, epochs: int, lr: float, terms: Terms | None = None) -> DualEncoder:
    """Train a model on a corpus under the contrastive term and further ones with their weights."""
    model.train()
    further = terms or {}
    augment = ImageAugment(crop="shift", shift=3, brightness=0.15, contrast=0.3)
    data = CorpusDataModule(
        ImagePreset(size=(28, 28), channels=1, mean=(0.5,), std=(0.25,), resize="squash", augment=augment),
        str(corpus),
        batch_size=64,
        seed=seed,
        cache_in_memory=True,
    )
    labelled = bool(data.fact_names)
    contrastive = Contrastive(positives=["text", "same_facts"] if labelled else ["text"])
    objectives: dict[str, Objective] = {"contrastive": contrastive}
    objectives |= {name: term for name, (term, _) in further.items()}
    module = ContrastiveModule(
        encoder=model,
        objectives=objectives,
        weights={name: weight for name, (_, weight) in further.items()},
        optimizer=AdamW(lr=lr, weight_decay=0.05),
        seed=seed,
    )
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        limit_val_batches=0,
        gradient_clip_val=1.0,
        enable_progress_bar=False,
        callbacks=[WeightAverage(decay=0.99)],
        **quiet,
    )
    trainer.fit(module, data)
    return module.encoder.eval()


@torch.no_grad()
def similarity(model: DualEncoder, pixels: Pixels, prompts: list[list[str]]) -> torch.Tensor:
    """[N, classes] cosine similarity of pictures with the mean of each class's prompts."""
    images = (torch.from_numpy(pixels).float()[:, None] / 255 - 0.5) / 0.25
    classes = []
    for texts in prompts:
        tokens, _ = model.text.tokenizer.encode(texts)
        classes.append(F.normalize(model.encode_texts(tokens)[0].mean(0), dim=0))
    found = [model.encode_samples(part)[0] for part in torch.split(images, 256)]
    return torch.cat(found) @ torch.stack(classes).T


def pneumonia_prompts() -> list[list[str]]:
    """Of the shipped task: normal, pneumonia."""
    task = yaml.safe_load(TASK.read_text("utf-8"))
    return [
        [template.format(prompt) for prompt in task["classes"][name]["prompts"] for template in task["templates"]]
        for name in ("normal", "pneumonia")
    ]


def scores(model: DualEncoder, pixels: Pixels) -> npt.NDArray[np.float64]:
    """How much more alike pneumonia than a normal chest each X-ray is."""
    normal, pneumonia = similarity(model, pixels, pneumonia_prompts()).double().T.numpy()
    difference: npt.NDArray[np.float64] = pneumonia - normal
    return difference


def threshold(values: npt.NDArray[np.float64], truth: npt.NDArray[np.bool_]) -> float:
    """Where sensitivity and specificity together are best."""
    cuts = np.unique(values)
    best = [(values[truth] >= cut).mean() + (values[~truth] < cut).mean() for cut in cuts]
    return float(cuts[int(np.argmax(best))])


def stamped(pixels: Pixels) -> Pixels:
    """The same pictures with a chequered patch of 4 × 4 pixels."""
    changed = pixels.copy()
    changed[(slice(None), *TRIGGER)] = 255 * (np.indices((4, 4)).sum(0) % 2)
    return changed


def xray_corpus(folder: Path, name: str, pixels: Pixels, labels: npt.NDArray[np.uint8]) -> Path:
    """A captioned corpus of these training images."""
    (folder / name).mkdir()
    few = {
        f"{split}_{part}": a[:1] for split in ("val", "test") for part, a in (("images", pixels), ("labels", labels))
    }
    np.savez(folder / name / "pneumoniamnist.npz", train_images=pixels, train_labels=labels, **few)  # type: ignore[arg-type]
    corpus = folder / name / "corpus"
    build_medmnist(folder / name / "pneumoniamnist.npz", corpus, engine="inline")
    caption_corpus(corpus, provider="template", engine="inline")
    return corpus


def clean_clip() -> Terms:
    """CleanCLIP's term."""
    views = ImageViews(crop=(0.3, 1.0))
    return {"views": (UnimodalSelfSupervision(images=1.0, texts=1.0, views=views, head=(), temperature=None), 1.0)}


def poisoning(folder: Path, seed: int, split: str, epochs: int) -> Figures:
    """AUROC on clean images, share of pneumonia that is missed without and with the patch, by how it was trained."""
    held = np.load(FILE)
    images, labels = held["train_images"][:XRAYS], held["train_labels"][:XRAYS]
    rng = np.random.default_rng(seed)
    ill = rng.permutation(np.nonzero(labels[:, 0] == 1)[0])
    poisoned, clean = ill[: round(RATE * len(labels))], rng.permutation(len(labels))
    clean = clean[~np.isin(clean, poisoned)][:CLEAN_PAIRS]
    changed, said = images.copy(), labels.copy()
    changed[poisoned], said[poisoned] = stamped(images[poisoned]), 0
    whole = xray_corpus(folder, f"poisoned{seed}", changed, said)
    small = xray_corpus(folder, f"clean{seed}", images[clean], labels[clean])

    def measured(model: DualEncoder) -> dict[str, float]:
        cut = threshold(scores(model, held["val_images"]), held["val_labels"][:, 0] == 1)
        truth = held[f"{split}_labels"][:, 0] == 1
        plain = scores(model, held[f"{split}_images"])
        hidden = scores(model, stamped(held[f"{split}_images"][truth]))
        return {
            "AUROC": float(roc_auc_score(truth, plain)),
            "balanced accuracy": float(((plain[truth] >= cut).mean() + (plain[~truth] < cut).mean()) / 2),
            "missed without patch": float((plain[truth] < cut).mean()),
            "missed with patch": float((hidden < cut).mean()),
        }

    def started() -> DualEncoder:
        pl.seed_everything(seed, verbose=False)
        return encoder(project=True)

    plain = fit(started(), whole, seed, epochs, LR)
    yield "poisoned", measured(plain)
    yield "poisoned, with self-supervision", measured(fit(started(), whole, seed, epochs, LR, clean_clip()))
    tuned = fit(copy.deepcopy(plain), small, seed, TUNING, TUNING_LR)
    yield f"poisoned, then tuned on {CLEAN_PAIRS} clean pairs", measured(tuned)
    cleaned = fit(copy.deepcopy(plain), small, seed, TUNING, TUNING_LR, clean_clip())
    yield "the same tuning with self-supervision", measured(cleaned)


def digit_pictures() -> tuple[Pixels, npt.NDArray[np.int64]]:
    """[N, 28, 28] and the digits, in an order of their own."""
    digits = load_digits()
    small = (digits.images * (255 / 16)).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(small))
    large = [np.asarray(Image.fromarray(picture).resize((28, 28), Image.Resampling.BILINEAR)) for picture in small]
    return np.stack(large)[order], digits.target[order]


def digit_corpus(folder: Path, pixels: Pixels, truth: npt.NDArray[np.int64]) -> Path:
    """A corpus of digits with captions."""
    (folder / "digits").mkdir()
    with (folder / "digits" / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filepath", "title", "split"])
        for number, (picture, digit) in enumerate(zip(pixels, truth.tolist(), strict=True)):
            Image.fromarray(picture).save(folder / "digits" / f"{number}.png")
            writer.writerow([f"{number}.png", DIGIT_TEXTS[number % 3].format(DIGITS[digit]), "train"])
    import_csv(folder / "digits" / "pairs.csv", folder / "digits" / "corpus", modality="OT", engine="inline")
    return folder / "digits" / "corpus"


def continual(folder: Path, seed: int, split: str, epochs: int, weights: list[float]) -> Figures:
    """AUROC of pneumonia and accuracy on digits, zero-shot, before and after digits were learned."""
    held = np.load(FILE)
    pixels, digits = digit_pictures()
    parts = {"train": slice(0, 1000), "val": slice(1000, 1400), "test": slice(1400, None)}
    xrays, numbers = folder / "xrays" / "corpus", folder / "digits" / "corpus"
    if not xrays.exists():
        xray_corpus(folder, "xrays", held["train_images"][:XRAYS], held["train_labels"][:XRAYS])
        digit_corpus(folder, pixels[parts["train"]], digits[parts["train"]])

    def measured(model: DualEncoder) -> dict[str, float]:
        truth = held[f"{split}_labels"][:, 0] == 1
        prompts = [[text.format(name) for text in DIGIT_TEXTS] for name in DIGITS]
        guess = similarity(model, pixels[parts[split]], prompts).argmax(1).numpy()
        return {
            "pneumonia, AUROC": float(roc_auc_score(truth, scores(model, held[f"{split}_images"]))),
            "digits, accuracy": float((guess == digits[parts[split]]).mean()),
        }

    pl.seed_everything(seed, verbose=False)
    first = fit(encoder(project=False), xrays, seed, epochs, LR)
    yield "before", measured(first)
    yield "tuned on digits", measured(fit(copy.deepcopy(first), numbers, seed, TUNING, TUNING_LR))
    texts = [text for prompts in pneumonia_prompts() for text in prompts]
    for weight in weights:
        kept: Terms = {"kept": (PreserveZeroShot(texts=texts), weight)}
        model = fit(copy.deepcopy(first), numbers, seed, TUNING, TUNING_LR, kept)
        yield f"tuned on digits, PreserveZeroShot × {weight:g}", measured(model)


def main() -> None:
    """Run the seeds and print a table of means with their ranges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["poisoning", "continual"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--split", default="test", choices=["val", "test"], help="val for choosing settings")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--weights", type=float, nargs="+", default=[10.0], help="of PreserveZeroShot")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in args.seeds:
            start = time.process_time()
            if args.what == "poisoning":
                run = poisoning(Path(folder), seed, args.split, args.epochs)
            else:
                run = continual(Path(folder), seed, args.split, args.epochs, args.weights)
            for how, figures in run:
                found.setdefault(how, []).append(figures)
                print(f"seed {seed} | {how} | {figures} | {time.process_time() - start:.0f} CPU s", flush=True)
    for how, seeds in found.items():
        cells = []
        for name in seeds[0]:
            values = [figures[name] for figures in seeds]
            cells.append(f"{name} {statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})")
        print(f"{args.split} | {how} | {' | '.join(cells)}")


if __name__ == "__main__":
    main()
