"""Seconds and memory of evaluation at scale: a million images, a thousand classes; 100,000 images, 500,000 captions.

Embeddings are random directions with a share of their class's (or caption's) own, in float32; they are the input and do
not count. Zero-shot gives accuracy, balanced accuracy, macro AUROC and macro average precision; retrieval gives recall
at 1, 5 and 10 in both directions under both rules, a hundredth of the captions being told of two images.

Run: python benchmarks/evaluation_scale.py zero-shot|retrieval [--width 512] [--images N] [--captions N] [--classes K]
"""

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np

from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.kinds.retrieval.pairs import Pairs
from voxtile.evaluation.kinds.retrieval.questions import RULES, image_to_text, joined_questions, text_to_image
from voxtile.evaluation.kinds.retrieval.ranking import find_both
from voxtile.evaluation.many_classes import many_class_figures

sys.path.append(str(Path(__file__).parent))
from bench.recording import record_figure

CUTOFFS = (1, 5, 10)


def directions(rng, count, width):
    """[N, D] float32 of length one."""
    vectors = rng.standard_normal((count, width), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def towards(rng, centres, share):
    """Vectors that point a little towards their centres, made in parts."""
    for start in range(0, len(centres), 50_000):
        part = centres[start : start + 50_000]
        part *= share
        part += directions(rng, len(part), part.shape[1])
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return centres


def zero_shot(arguments):
    rng = np.random.default_rng(0)
    classes = directions(rng, arguments.classes, arguments.width)
    truth = rng.integers(0, arguments.classes, arguments.images)
    images = towards(rng, classes[truth], 0.15)

    def run():
        found = many_class_figures(images, classes, truth, scale=50.0)
        names = ("accuracy", "accuracy_5", "balanced_accuracy", "macro_auroc", "macro_average_precision")
        return {name: round(getattr(found, name), 4) for name in names}

    return run


def retrieval(arguments):
    rng = np.random.default_rng(0)
    captions = arguments.captions
    images = directions(rng, arguments.images, arguments.width)
    unit = np.sort(rng.integers(0, arguments.images, captions))
    texts = towards(rng, images[unit], 0.15)
    text = np.arange(captions)
    text[rng.permutation(captions)[: captions // 100]] = rng.integers(0, captions, captions // 100)
    used, text = np.unique(text, return_inverse=True)
    units, unit = np.unique(unit, return_inverse=True)
    names = tuple(map(str, units))
    pairs = Pairs(
        Units(names, np.arange(len(names)), np.array(names), names),
        tuple(map(str, used)),
        text,
        unit,
        np.arange(len(used)),
    )
    images, texts = images[units], texts[used]

    def run():
        asked = [text_to_image(pairs, rule) for rule in RULES], [image_to_text(pairs, rule) for rule in RULES]
        joined = [joined_questions([part.questions for part in parts]) for parts in asked]
        found = {}
        for name, parts, places in zip(
            ("text-to-image", "image-to-text"), asked, find_both(texts, images, pairs.copies, *joined), strict=True
        ):
            each = places.split([len(part.questions) for part in parts])
            for rule, part, own in zip(RULES, parts, each, strict=True):
                found[f"{name}/{rule}"] = np.round(own.recall(CUTOFFS)[part.of].mean(axis=0), 4).tolist()
        return found

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("zero-shot", "retrieval"))
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--images", type=int)
    parser.add_argument("--captions", type=int, default=500_000)
    parser.add_argument("--classes", type=int, default=1000)
    arguments = parser.parse_args()
    arguments.images = arguments.images or (1_000_000 if arguments.kind == "zero-shot" else 100_000)
    run = {"zero-shot": zero_shot, "retrieval": retrieval}[arguments.kind](arguments)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    figures = run()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(figures)
    print(f"{wall:.0f} s, CPU {cpu:.0f} s, {(after.ru_maxrss - before.ru_maxrss) / 1e6:.2f} GB beyond the input's peak")
    title = f"{arguments.kind} figures of {arguments.images:,} images"
    record_figure(f"{title}: time", wall, unit="s")
    record_figure(f"{title}: memory", (after.ru_maxrss - before.ru_maxrss) / 1e6, unit="GB beyond the input")


if __name__ == "__main__":
    main()
