"""The same model on the same pictures: figures of CLIP_benchmark's own code beside ours, which must agree to 4 digits.

An open_clip model with random weights (saved once, so that both load the same) classifies chest X-rays of
PneumoniaMNIST (validation) by five templates a class, and finds five made-up captions an image. CLIP_benchmark runs
without autocast, as its `--no_amp` does.
Random weights give figures near chance; what is compared is the arithmetic, preprocessing and averaging included.

Run: python benchmarks/clip_benchmark.py PNEUMONIAMNIST.npz --peer PYTHON [--model ViT-S-32] [--images 300]
where PYTHON is that of an environment with clip-benchmark and open_clip_torch.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import open_clip
import torch
from PIL import Image

sys.path.append(str(Path(__file__).parent))
from bench.recording import record_figure

CLASSES = ("a healthy chest", "pneumonia")
TEMPLATES = ("an X-ray of {}", "{}", "a chest radiograph that shows {}", "{} on a radiograph", "a photo of {}")
CUTOFFS = (1, 5, 10)
AGREE = 5e-5  # the fourth digit


def captions(number):
    """Five texts of one image; half of the words change from image to image."""
    words = ("left", "right", "upper", "lower", "dense", "faint", "broad", "narrow")
    picked = [words[(number >> shift) % 8] for shift in (0, 3, 6)]
    return [f"{form} {' and '.join(picked)} opacity, case {number}" for form in ("a", "the", "some", "one", "another")]


def peer(folder):
    """CLIP_benchmark's own functions on the folder's pictures."""
    from clip_benchmark.metrics import zeroshot_classification, zeroshot_retrieval

    about = json.loads((folder / "about.json").read_text())
    model, _, preprocess = open_clip.create_model_and_transforms(about["model"], pretrained=str(folder / "weights.pt"))
    tokenizer = open_clip.get_tokenizer(about["model"])
    model.eval()
    pictures = [preprocess(Image.open(folder / f"{n}.png").convert("RGB")) for n in range(len(about["labels"]))]

    class Labelled(list):
        classes = CLASSES

    data = Labelled(zip(pictures, about["labels"], strict=True))
    loader = torch.utils.data.DataLoader(data, batch_size=32)
    templates = [template.replace("{}", "{c}") for template in TEMPLATES]
    figures = zeroshot_classification.evaluate(model, loader, tokenizer, CLASSES, templates, "cpu", amp=False)
    told = [(picture, captions(n)) for n, picture in enumerate(pictures)]
    loader = torch.utils.data.DataLoader(
        told, batch_size=32, collate_fn=lambda rows: (torch.stack([row[0] for row in rows]), [row[1] for row in rows])
    )
    figures |= zeroshot_retrieval.evaluate(model, loader, tokenizer, "cpu", amp=False, recall_k_list=list(CUTOFFS))
    print(json.dumps(figures))


def ours(folder):
    """`voxtile evaluate` on the same pictures as a corpus."""
    from voxtile.corpus.reader import Corpus
    from voxtile.corpus.records import Sample
    from voxtile.corpus.writer import JobWriter, new_corpus
    from voxtile.evaluation.options import Options
    from voxtile.evaluation.run import evaluate_model
    from voxtile.inference.load import load_model

    about = json.loads((folder / "about.json").read_text())
    root = folder / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "made")
    tables = {"facts": [], "scopes": [], "captions": [], "splits": []}
    for number, label in enumerate(about["labels"]):
        uid = f"u{number:05d}"
        writer.add(Sample({"uid": uid, "subject": uid, "kind": "image", "modality": "CR"},
                          (folder / f"{number}.png").read_bytes()))  # fmt: skip
        polarity = "present" if label else "absent"
        tables["facts"].append({"uid": uid, "concept": "pneumonia", "polarity": polarity, "source": "labels@1"})
        tables["splits"].append({"scheme": "default", "subject": uid, "split": "test"})
        tables["captions"] += [
            {"caption_id": f"{uid}-{k}", "uid": uid, "text": text, "kind": "raw"}
            for k, text in enumerate(captions(number))
        ]
    for name, rows in tables.items():
        writer.add_rows(name, rows)
    writer.publish()
    (folder / "classes.yaml").write_text(
        f"kind: zero-shot-singlelabel\ntemplates: {json.dumps(TEMPLATES)}\npositive: pneumonia\nclasses:\n"
        f"  normal: {{concept: pneumonia, when: absent, prompts: [{CLASSES[0]}]}}\n"
        f"  pneumonia: {{prompts: [{CLASSES[1]}]}}\n"
    )
    (folder / "search.yaml").write_text(f"kind: retrieval\nrecall: {list(CUTOFFS)}\n")
    spec = f"open_clip:{about['model']}/{folder / 'weights.pt'}"
    options = Options(replicates=100, compat=("clip-benchmark",))
    tasks = [str(folder / "classes.yaml"), str(folder / "search.yaml")]
    evaluation = evaluate_model(load_model(spec), spec, Corpus(root), tasks, options)
    figures = {part.metric: part.published for part in evaluation.results[0].compat}
    names = {"text-to-image": "image_retrieval_recall", "image-to-text": "text_retrieval_recall"}
    for row in evaluation.results[1].rows:
        direction, _, rule = (row.class_name or "").partition("/")
        if row.kind == "model" and rule == "strict" and direction in names:
            figures[f"{names[direction]}@{row.metric.partition('@')[2]}"] = row.value
    return figures


def main():
    """Run both and print the figures side by side; exit with 1 where they differ in the fourth digit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="PneumoniaMNIST's .npz, or with --as-peer the prepared folder")
    parser.add_argument("--peer", help="python of an environment with clip-benchmark")
    parser.add_argument("--as-peer", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--model", default="ViT-S-32")
    parser.add_argument("--images", type=int, default=300)
    options = parser.parse_args()
    if options.as_peer:
        peer(options.source)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, options)
        command = [options.peer, "-P", __file__, str(folder), "--as-peer"]
        theirs = json.loads(
            subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
        )
        found = ours(folder)
    largest = max(abs(found[key] - theirs[key]) for key in found)
    record_figure("largest difference of any figure from CLIP_benchmark's", largest, unit="", aim=AGREE)
    wrong = 0
    print(
        f"{options.model}, random weights, {options.images} images\n{'figure':<28}{'CLIP_benchmark':>16}{'voxtile':>12}"
    )
    for key in sorted(found):
        differs = abs(found[key] - theirs[key]) >= AGREE
        wrong += differs
        print(f"{key:<28}{theirs[key]:>16.6f}{found[key]:>12.6f}{'  DIFFERS' if differs else ''}")
    return int(wrong > 0)


def prepare(folder, options):
    """Pictures, labels and weights that both sides read."""
    with np.load(options.source) as content:
        pictures, labels = content["val_images"][: options.images], content["val_labels"][: options.images, 0]
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"{number}.png")
    (folder / "about.json").write_text(json.dumps({"model": options.model, "labels": labels.tolist()}))
    torch.manual_seed(0)
    torch.save(open_clip.create_model(options.model).state_dict(), folder / "weights.pt")


if __name__ == "__main__":
    sys.exit(main())
