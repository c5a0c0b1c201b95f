"""What a config that writes brings as it comes: the commands of its header, timed, and how right it is about phantoms.

The head of `medical/cxr-report` and its like has all commands from a phantom to an answer. They are run as they stand
there, in an empty folder; of each the seconds are printed, and the seconds of processors. `report` and `ask` are about
the first image of the phantom. Then `voxtile draft` and `voxtile evaluate` say how right reports and answers about a
split are, beside the trivial ones, those about other images, and, with `--blind`, those of the same assistant trained
and asked without images. What was run is found again: a second call goes on where the first ended.

Run: python benchmarks/assist_configs.py OUT CONFIG [--seed 0] [--split val] [--blind] [--tower CKPT] [--limit N]

`--test-seed SEED` reads images of another seed in place of a split: a phantom of `--test-n` is drawn, half of which
are read; the other half says nothing but what the commonest answers are.
"""

import argparse
import ctypes
import json
import os
import shlex
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from voxtile.domain import resolve

IMAGES = {
    "SCAN": "phantom/dicom/*", "FILM.dcm": "phantom/dicom/**/*.dcm", "PATCH.png": "patches/*.png",
    "TILE.tif": "phantom/scenes/*.tif",
}  # fmt: skip
REAPS_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER of Linux's prctl
TRAINED = "--model.pretrained"
BLIND = ("--model.objectives.answering.init_args.blind", "true")
TASKS = {
    "reports": ("drafts", "kind: report-factuality\nreferences: [structured]"),
    "answers": ("answers", "kind: question-answering"),
}


def header_commands(config):
    """Commands of the head of a config, each as a list of words."""
    head = (line for line in resolve(config, kind="config").read_text(encoding="utf-8").splitlines())
    lines = [line.removeprefix("#").strip() for line in head if line.startswith("#   ")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in joined) if words]


class Runs:
    """Commands in a folder, each run once and timed.

    Args:
        folder: of the run; `times.json` in it says what was run.
    """

    def __init__(self, folder):
        self.folder, self._record = folder, folder / "times.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.times = json.loads(self._record.read_text()) if self._record.exists() else {}

    def run(self, words):
        """Run `voxtile …` or `lightning …` unless it was run; what it printed is in `commands.log`."""
        line = shlex.join(words)
        if line in self.times:
            return
        program = [sys.executable, "-P", "-m", "voxtile.cli.main", *words[1:]]  # `voxtile fit` is `lightning fit`
        start = time.perf_counter()
        with (self.folder / "commands.log").open("a") as log:
            log.write(f"$ {line}\n")
            log.flush()
            begun = subprocess.Popen(program, cwd=self.folder, stdout=log, stderr=log)
            _, status, used = os.wait4(begun.pid, 0)
        if status:
            raise SystemExit(f"{line} failed; see {self.folder / 'commands.log'}")
        took = {"seconds": time.perf_counter() - start, "processor": _processor(used) + _left_behind()}
        self.times[line] = took
        self._record.write_text(json.dumps(self.times, indent=1))
        print(f"{took['seconds']:7.0f} s {took['processor']:7.0f} s of processors  {line}", flush=True)

    def asked(self, words):
        """Run a command that answers, about the first image of the phantom, and print what it says."""
        if words[2] == "PATCH.png" and not (self.folder / "patches").is_dir():
            self._extract_patch()
        image = sorted(self.folder.glob(IMAGES[words[2]]))[0]
        line = [sys.executable, "-P", "-m", "voxtile.cli.main", words[1], str(image), *words[3:]]
        done = subprocess.run(line, cwd=self.folder, capture_output=True, text=True)
        print(f"$ {shlex.join(words)}\n{done.stdout}{done.stderr if done.returncode else ''}")

    def _extract_patch(self):
        from voxtile.corpus.reader import Corpus

        rows = Corpus(self.folder / "corpus").table("samples", columns=["uid", "kind"]).to_pylist()
        uid = min(row["uid"] for row in rows if row["kind"] == "patch")
        (self.folder / "patches").mkdir()
        self.run(["voxtile", "extract", "corpus", uid, "--to", "png", "--out", "patches/patch.png"])


def _processor(used):
    return used.ru_utime + used.ru_stime


def _left_behind():
    """Seconds of processors of workers whose parent did not wait for them; they come to this process."""
    total = 0.0
    with suppress(ChildProcessError):
        while (ended := os.wait3(0))[0]:
            total += _processor(ended[2])
    return total


def prepared(commands, seed, test=None):
    """Commands that make the corpus, of a seed; of a test corpus with its number of cases."""
    made = [words for words in commands if words[0] == "voxtile" and words[1] not in ("report", "ask")]
    for words in made:
        if words[1] == "phantom":
            words = [*words, "--seed", str(seed)]
            if test is not None:
                words[words.index("--n") + 1] = str(test)
        if test is not None:
            names = {"corpus": f"test-{seed}", "phantom": f"phantom-{seed}"}
            words = [*words[:2], *(_renamed(word, names) for word in words[2:])]
            if words[1] == "convert":
                words += ["--split-fractions", "0.5,0,0.5"]
        yield words


def _renamed(word, names):
    first, *rest = word.split("/", 1)
    return "/".join([names.get(first, first), *rest])


def figures(runs, corpus, split, models, limit):
    """Drafts and answers of models about a split, evaluated; printed by the commands themselves."""
    for name, (key, first) in TASKS.items():
        lines = [first]
        for role, model in models.items():
            out = f"{corpus}-{split}-{name}-{role}.parquet"
            less = [] if limit is None else ["--limit", str(limit)]
            asks = ["--questions", str(name == "answers").lower(), "--blind", str(role == "blind").lower()]
            runs.run(["voxtile", "draft", corpus, model, "--split", split, *asks, *less, "--out", out])
            lines.append(f"{key if role == 'own' else role}: {out}")
        task = runs.folder / f"{corpus}-{split}-{name}.yaml"
        task.write_text("\n".join(lines) + "\n")
        judge = ["evaluate", models["own"], task.name, "--corpus", corpus, "--out", task.stem, "--split", split]
        subprocess.run([sys.executable, "-P", "-m", "voxtile.cli.main", *judge], cwd=runs.folder, check=True)


def arguments():
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("config", help="such as remote_sensing/chat")
    parser.add_argument("--seed", type=int, default=0, help="of the phantom that it learns from")
    parser.add_argument("--split", choices=("val", "test"), default="val")
    parser.add_argument("--blind", action="store_true", help="also train an assistant without images")
    parser.add_argument("--tower", help="checkpoint of its tower, where one is trained already")
    parser.add_argument("--limit", type=int, help="images that are read at most")
    parser.add_argument("--test-seed", type=int)
    parser.add_argument("--test-n", type=int, default=100)
    return parser.parse_args()


def main():
    """Run the commands of the header, and say how right the assistant is."""
    options = arguments()
    ctypes.CDLL(None).prctl(REAPS_ORPHANS, 1)
    runs, commands = Runs(options.out.resolve()), header_commands(options.config)
    for words in prepared(commands, options.seed):
        runs.run(words)
    for words in (words for words in commands if words[0] == "lightning"):
        if options.tower and TRAINED in words:
            words = [*words[: words.index(TRAINED) + 1], str(Path(options.tower).resolve())]
        elif options.tower:
            continue
        runs.run(words)
        if TRAINED in words and options.blind:
            runs.run([*words, *BLIND, "--name", "blind"])
    asked = [words for words in commands if words[1] in ("report", "ask")]
    for words in asked if options.test_seed is None else ():
        runs.asked(words)
    models = {"own": asked[0][asked[0].index("--model") + 1]}
    if options.blind:
        models["blind"] = "runs/blind/version_0/checkpoints/last.ckpt"
    if options.test_seed is None:
        figures(runs, "corpus", options.split, models, options.limit)
        return
    for words in prepared(commands, options.test_seed, options.test_n):
        runs.run(words)
    figures(runs, f"test-{options.test_seed}", "test", models, options.limit)


if __name__ == "__main__":
    main()
