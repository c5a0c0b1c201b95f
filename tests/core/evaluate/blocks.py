"""Volumes whose findings are blocks, each of its own grey level, with a mask a block."""

import numpy as np

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.writer import JobWriter, new_corpus

NAMES = ("nodule", "effusion", "fracture")


def block_corpus(root, shape, block, *, items, share):
    """A corpus of subjects of one volume each; finding k is a block of the level 100 (k + 1) in the k-th part along Z.

    Args:
        root: where it is written.
        shape: (Z, Y, X) of the volumes.
        block: (depth, side) of a finding.
        items: number of them.
        share: of them that each finding is in.
    """
    new_corpus(root)
    writer = JobWriter(root, "made")
    rng = np.random.default_rng(0)
    depth, side = block
    for number in range(items):
        uid, values, masks = f"{number:032x}", np.zeros(shape, np.int16), []
        for k, name in enumerate(NAMES):
            present = rng.random() < share
            if present:
                y, x = rng.integers(0, shape[1] - side, 2)
                values[depth * k : depth * (k + 1), y : y + side, x : x + side] = 100 * (k + 1)
                masks.append((name, values == 100 * (k + 1)))
            polarity = "present" if present else "absent"
            writer.add_rows("facts", [{"uid": uid, "concept": name, "polarity": polarity, "source": "labels@1"}])
        row = {"uid": uid, "subject": f"p{number}", "study": f"s{number}", "kind": "volume", "modality": "CT"}
        writer.add(Sample(row | {"axes": "ZYX", "units": "HU", "spacing": [1.0, 1.0, 1.0]}, values))
        for name, mask in masks:
            writer.add_mask(Mask({"region_id": f"{uid}{name}", "uid": uid, "phrase": name}, mask))
        split = ("test", "val", "test", "train")[number % 4]
        writer.add_rows("splits", [{"scheme": "default", "subject": f"p{number}", "split": split}])
    writer.publish()
    return Corpus(root)
