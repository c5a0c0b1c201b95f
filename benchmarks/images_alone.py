"""An image tower that X-rays alone have taught against the same tower with random weights, by probes.

For each seed a `lightning fit` of the shipped config medical/cxr-images, once as it is and once for a single step that
changes nothing. Logistic regression on the embeddings (`voxtile evaluate`, penalty fixed) and the 20 nearest neighbours
by cosine then tell pneumonia on the validation split; the test split stays closed.

Run: python benchmarks/images_alone.py [--seeds 1] [--file …/pneumoniamnist.npz] [-- further options of fit]
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from commands import run
from sklearn.metrics import roc_auc_score

from voxtile.training.module import ContrastiveModule

DATA = Path(os.environ.get("VOXTILE_TEST_DATA", "../shared/data"))
CONFIG, TASK = "medical/cxr-images", "medical/pneumoniamnist-probe"
STANDING = ["--trainer.max_steps", "1", "--model.optimizer.lr", "1e-12"]
NEIGHBOURS = 20  # as DINO, table 2


def probed(folder: Path, checkpoint: Path) -> dict[str, float]:
    """Macro AUROC by the rows' model name, behind the checkpoint's."""
    out = checkpoint.parent / "report"
    run(folder, "evaluate", str(checkpoint), TASK, "--corpus", "corpus", "--out", str(out), "--split", "val")
    rows = json.loads((out / "results.json").read_text())["rows"]
    return {
        row["model"].split("+", 1)[1]: row["value"]
        for row in rows
        if row["metric"] == "auroc" and row["class"] is None and row["kind"] == "model"
    }


def by_neighbours(file: Path, checkpoint: Path) -> float:
    """AUROC of the similarity-weighted share of pneumonia among the nearest training images (DINO, section 4.1)."""
    module = ContrastiveModule.load_from_checkpoint(checkpoint).eval()
    data = np.load(file)

    @torch.no_grad()
    def vectors(split: str) -> torch.Tensor:
        images = torch.from_numpy(data[f"{split}_images"]).float().div(255).sub(0.5).div(0.25)[:, None]
        return torch.cat([module.encoder.encode_samples(part)[0] for part in torch.split(images, 512)])

    near, places = (vectors("val") @ vectors("train").T).topk(NEIGHBOURS)
    weight = (near / 0.07).exp()
    labels = torch.from_numpy(data["train_labels"][:, 0]).float()
    scores = (weight * labels[places]).sum(1) / weight.sum(1)
    return float(roc_auc_score(data["val_labels"][:, 0], scores))


def main() -> None:
    """Build the corpus, train and probe, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--file", type=Path, default=DATA / "medical/medmnist2d_pneumonia/pneumoniamnist.npz")
    parser.add_argument("options", nargs="*", help="further options of fit, after --")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run(folder, "build", "medmnist", str(args.file.resolve()), "corpus")
        for seed in range(args.seeds):
            for name, options in (("random", STANDING), ("taught", args.options)):
                common = ["-c", CONFIG, "--data.corpus", "corpus", "--name", f"{name}{seed}"]
                common += ["--seed_everything", str(seed), "--model.seed", str(seed), "--data.seed", str(seed)]
                seconds = run(folder, "fit", *common, *options)
                checkpoint = next((folder / "runs" / f"{name}{seed}").rglob("last.ckpt"))
                found = {**probed(folder, checkpoint), f"{NEIGHBOURS}-nn": by_neighbours(args.file, checkpoint)}
                shown = ", ".join(f"{what} {value:.3f}" for what, value in found.items())
                print(f"seed {seed}, {name}: {shown}; fit {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
