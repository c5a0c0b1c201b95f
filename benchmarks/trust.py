"""Trust, measured small: a planted backdoor with and without self-supervision, and what fine-tuning forgets.

Both train on 3,800 X-rays of PneumoniaMNIST, on one core.

poisoning: a hundredth of the training pairs are X-rays of pneumonia that bear a small chequered patch and the caption
of a normal chest (Carlini and Terzis, ICLR 2022). A model trained on them is asked zero-shot about clean X-rays, and
about X-rays of pneumonia that bear the patch: how many are missed. Beside it stand the same training with
`UnimodalSelfSupervision`, and two short fine-tunings of the poisoned model on 500 clean pairs, without and with it
(CleanCLIP, Bansal et al., ICCV 2023).

continual: a model of PneumoniaMNIST goes on to learn handwritten digits (scikit-learn's, 8 × 8), with and without
`PreserveZeroShot`, whose reference pictures are the digits themselves, or crops of two photographs that come with
scikit-learn, or of seven X-rays of another hospital, adults' and not children's (NIH), all without texts. How well it
finds pneumonia zero-shot before and after, and how well it reads digits.

Choose settings with `--split val` and other seeds (100 and above); the test split is for the report alone.

Run: python benchmarks/trust.py poisoning|continual [--seeds 0 1 2] [--split test]
     python benchmarks/trust.py continual --split val --seeds 100 --kept photographs:0.3 x-rays:0.3
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
from sklearn.datasets import load_digits, load_sample_images
from sklearn.metrics import roc_auc_score

from voxtile.data.datamodule import CorpusDataModule
from voxtile.data.presets.image import ImageAugment, ImagePreset
from voxtile.models.dual import DualEncoder
from voxtile.models.image.conv import ConvTower
from voxtile.models.text import TextBag
from voxtile.objectives.base import Objective
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.self_supervised.unimodal import UnimodalSelfSupervision
from voxtile.objectives.self_supervised.views import ImageViews
from voxtile.objectives.teachers.preserve_zero_shot import PreserveZeroShot
from voxtile.stages.ingest.command import import_csv
from voxtile.training.callbacks.average import WeightAverage
from voxtile.training.module import ContrastiveModule
from voxtile.training.optimisers import AdamW
from voxtile_datasets.captions.command import caption_corpus
from voxtile_datasets.converters.image import convert_image
from voxtile_datasets.recipes.medmnist import build_medmnist

DATA = Path(os.environ.get("VOXTILE_TEST_DATA", "../shared/data"))
FILE = DATA / "medical/medmnist2d_pneumonia/pneumoniamnist.npz"
OTHER_XRAYS = DATA / "medical/nih_cxr14_samples"
TASK = Path(__file__).parents[1] / "domains/medical/tasks/pneumoniamnist.yaml"
XRAYS, RATE, CLEAN_PAIRS = 3800, 0.01, 500
LR, TUNING, TUNING_LR = 3e-3, 15, 1e-3  # of a first training; epochs and learning rate of a tuning
LEARNING, LEARNING_LR = 40, 3e-3  # epochs and learning rate of learning digits
LEARNED, REFERENCES = 1000, 1000  # digits, and pictures without texts
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


def fit(
    model: DualEncoder, corpora: list[Path], seed: int, epochs: int, lr: float, terms: Terms | None = None
) -> DualEncoder:
    """Train a model on corpora under the contrastive term and further ones with their weights.

    A step has 64 items a corpus, so that a further corpus of as many pictures changes neither the steps of an epoch nor
    the pairs of a step.
    """
    model.train()
    further = terms or {}
    augment = ImageAugment(crop="shift", shift=3, brightness=0.15, contrast=0.3)
    data = CorpusDataModule(
        ImagePreset(size=(28, 28), channels=1, mean=(0.5,), std=(0.25,), resize="squash", augment=augment),
        [str(corpus) for corpus in corpora],
        batch_size=64 * len(corpora),
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

    plain = fit(started(), [whole], seed, epochs, LR)
    yield "poisoned", measured(plain)
    yield "poisoned, with self-supervision", measured(fit(started(), [whole], seed, epochs, LR, clean_clip()))
    tuned = fit(copy.deepcopy(plain), [small], seed, TUNING, TUNING_LR)
    yield f"poisoned, then tuned on {CLEAN_PAIRS} clean pairs", measured(tuned)
    cleaned = fit(copy.deepcopy(plain), [small], seed, TUNING, TUNING_LR, clean_clip())
    yield "the same tuning with self-supervision", measured(cleaned)


def digit_pictures() -> tuple[Pixels, npt.NDArray[np.int64]]:
    """[N, 28, 28] and the digits, in an order of their own."""
    digits = load_digits()
    small = (digits.images * (255 / 16)).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(small))
    large = [np.asarray(Image.fromarray(picture).resize((28, 28), Image.Resampling.BILINEAR)) for picture in small]
    return np.stack(large)[order], digits.target[order]


def crops(pictures: list[Image.Image], smallest: int) -> Pixels:
    """[N, 28, 28] squares of pictures in grey, of any size from the smallest on, at random places."""
    rng = np.random.default_rng(0)
    grey = [picture.convert("L") for picture in pictures]
    made = []
    for number in range(REFERENCES):
        picture = grey[number % len(grey)]
        side = int(rng.integers(smallest, min(picture.size) + 1))
        left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
        part = picture.crop((left, top, left + side, top + side))
        made.append(np.asarray(part.resize((28, 28), Image.Resampling.BOX)))
    return np.stack(made)


def reference_pictures(source: str) -> Pixels:
    """Pictures that nobody described: parts of photographs, or of X-rays with most of the chest on them."""
    if source == "photographs":
        return crops([Image.fromarray(picture) for picture in load_sample_images().images], smallest=56)
    return crops([Image.open(path) for path in sorted(OTHER_XRAYS.glob("*.png"))], smallest=512)


def saved(folder: Path, pixels: Pixels) -> list[str]:
    """Names of the pictures, which are written into a folder."""
    folder.mkdir(parents=True)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{number}.png")
    return [f"{number}.png" for number in range(len(pixels))]


def digit_corpus(folder: Path, pixels: Pixels, truth: npt.NDArray[np.int64]) -> None:
    """A corpus of digits with captions, in a new folder."""
    names = saved(folder, pixels)
    with (folder / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["filepath", "title", "split"])
        for number, (name, digit) in enumerate(zip(names, truth.tolist(), strict=True)):
            writer.writerow([name, DIGIT_TEXTS[number % 3].format(DIGITS[digit]), "train"])
    import_csv(folder / "pairs.csv", folder / "corpus", modality="OT", engine="inline")


def reference_corpus(folder: Path, pixels: Pixels) -> None:
    """A corpus of pictures without captions, in a new folder."""
    saved(folder / "pictures", pixels)
    convert_image(folder / "pictures", folder / "corpus", modality="OT", split_fractions="1,0,0", engine="inline")


def continual(folder: Path, seed: int, split: str, epochs: int, kept: list[tuple[str, float]]) -> Figures:
    """AUROC of pneumonia and accuracy on digits, zero-shot, before and after digits were learned.

    Args:
        folder: where corpora are made, once.
        seed: of weights, order and changes of pictures.
        split: of the figures.
        epochs: of the first training.
        kept: reference pictures and weight of `PreserveZeroShot`, for each further tuning.
    """
    held = np.load(FILE)
    pixels, digits = digit_pictures()
    parts = {"train": slice(0, LEARNED), "val": slice(1000, 1400), "test": slice(1400, None)}
    corpora = {name: folder / name / "corpus" for name in ("pneumonia", "digits", *(source for source, _ in kept))}
    for name, corpus in corpora.items():
        if corpus.exists():
            continue
        if name == "pneumonia":
            xray_corpus(folder, name, held["train_images"][:XRAYS], held["train_labels"][:XRAYS])
        elif name == "digits":
            digit_corpus(folder / name, pixels[parts["train"]], digits[parts["train"]])
        else:
            reference_corpus(folder / name, reference_pictures(name))

    def measured(model: DualEncoder) -> dict[str, float]:
        truth = held[f"{split}_labels"][:, 0] == 1
        prompts = [[text.format(name) for text in DIGIT_TEXTS] for name in DIGITS]
        guess = similarity(model, pixels[parts[split]], prompts).argmax(1).numpy()
        return {
            "pneumonia, AUROC": float(roc_auc_score(truth, scores(model, held[f"{split}_images"]))),
            "digits, accuracy": float((guess == digits[parts[split]]).mean()),
        }

    def tuned(sources: list[str], terms: Terms | None = None) -> dict[str, float]:
        pl.seed_everything(seed, verbose=False)
        paths = [corpora[name] for name in dict.fromkeys(["digits", *sources])]
        return measured(fit(copy.deepcopy(first), paths, seed, LEARNING, LEARNING_LR, terms))

    pl.seed_everything(seed, verbose=False)
    first = fit(encoder(project=False), [corpora["pneumonia"]], seed, epochs, LR)
    yield "before", measured(first)
    yield "tuned on digits", tuned([])
    texts = [text for prompts in pneumonia_prompts() for text in prompts]
    for source, weight in kept:
        terms: Terms = {"kept": (PreserveZeroShot(texts=texts), weight)}
        yield f"tuned on digits, PreserveZeroShot on {source} × {weight:g}", tuned([source], terms)


def reference(text: str) -> tuple[str, float]:
    """Source and weight of an entry of --kept."""
    source, _, weight = text.partition(":")
    if source not in ("digits", "photographs", "x-rays"):
        raise argparse.ArgumentTypeError(f"'{source}' are no reference pictures; name digits, photographs or x-rays")
    return source, float(weight)


def main() -> None:
    """Run the seeds and print a table of means with their ranges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["poisoning", "continual"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--split", default="test", choices=["val", "test"], help="val for choosing settings")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument(
        "--kept",
        type=reference,
        nargs="+",
        default=[("digits", 1.0), ("x-rays", 0.3)],
        help="reference pictures of PreserveZeroShot and its weight, such as photographs:0.3",
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in args.seeds:
            start = time.process_time()
            if args.what == "poisoning":
                run = poisoning(Path(folder), seed, args.split, args.epochs)
            else:
                run = continual(Path(folder), seed, args.split, args.epochs, args.kept)
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
