"""Trainings and answers of the studies, kept in a folder; a training that several studies share runs once."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import corpora
import numpy as np
import torch
from corpora import CORPORA
from held import Judged, held_out
from judging import judge
from mosaics import MOSAICS
from prepared import PREPARE
from study import Study
from training import STORED, Arm, as_config, train

from voxtile.training import ContrastiveModule


@dataclass(frozen=True)
class Answer:
    """What one training gave.

    Attributes:
        judged: of the split.
        seconds: of processor time that the training took, with what it was started from or weighed by.
    """

    judged: Judged
    seconds: float


class Runs:
    """Runs what is asked for and is not there yet.

    Args:
        work: folder for corpora, weights and answers.
        split: that is judged.
    """

    def __init__(self, work: Path, split: str) -> None:
        self.work, self.split = work, split
        self._seconds: dict[str, float] = {}

    def corpus(self, name: str) -> Path:
        """A corpus, built when first asked for."""
        folder = self.work / "corpora" / re.sub(r"\W+", "-", name)
        done = folder.with_suffix(".done")
        if not done.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            corpora.write(folder, {**CORPORA, **MOSAICS}[name]())
            done.touch()
        return folder

    def _with_vectors(self, arm: Arm, corpus: str) -> None:
        if arm.preset in STORED:
            PREPARE[arm.preset](self.corpus(corpus), arm, 0, lambda a, f, s: self._trained(a, corpus, s)[0])

    def answer(self, study: Study, seed: int, *, with_: bool) -> Answer:
        """The answers of one side of a study."""
        arm = study.with_ if with_ else study.without
        figure = study.figure_with or study.figure if with_ else study.figure
        folder = self.corpus(study.corpus)
        key = _key(arm, study.corpus, seed, figure, self.split, study.prepare if "{seed}" in str(arm) else "")
        path = self.work / "answers" / f"{key}.npz"
        if not path.exists():
            before = 0.0
            self._with_vectors(arm, study.corpus)
            if study.prepare and (with_ or study.figure.startswith("old-index")):
                first = study.first or study.without
                for name in {study.corpus, arm.start_corpus or study.corpus}:
                    PREPARE[study.prepare](
                        self.corpus(name), first, seed, lambda a, f, s: self._trained(a, study.corpus, s)[0]
                    )
                if study.prepare == "scores":
                    before = self._trained(first, study.corpus, seed)[1]
            module, seconds = self._trained(arm, study.corpus, seed)
            judged = judge(module, arm, folder, self.split, figure, seed)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(
                path, values=judged.values, truth=judged.truth, kind=judged.kind, seconds=seconds + before
            )
        with np.load(path) as found:
            judged = Judged(str(found["kind"]), found["values"], found["truth"])
            return Answer(judged, float(found["seconds"]))

    def subjects(self, study: Study) -> list[str]:
        """Subjects of the judged split, a picture each."""
        self._with_vectors(study.with_, study.corpus)
        return list(held_out(self.corpus(study.corpus), self.split, study.with_.preset).subjects)

    def _trained(self, arm: Arm, corpus: str, seed: int) -> tuple[ContrastiveModule, float]:
        """The trained module, and seconds of processor time."""
        folder, path = self.corpus(corpus), self.work / "weights" / f"{_key(arm, corpus, seed)}.pt"
        if not path.exists():
            start, before = None, 0.0
            if arm.start is not None:
                start, before = self._trained(arm.start, arm.start_corpus or corpus, seed)
            began = time.process_time()
            module = train(arm, folder, seed, start)
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = {"weights": module.state_dict(), "tokenizer": module.encoder.text.tokenizer.to_json()}
            kept |= {"facts": list(module.fact_names or ()), "preset": module.preset_config}
            torch.save({**kept, "seconds": before + time.process_time() - began}, path)
        return _opened(path, arm, folder, seed)


def _opened(path: Path, arm: Arm, folder: Path, seed: int) -> tuple[ContrastiveModule, float]:
    kept = torch.load(path, weights_only=True)
    module = ContrastiveModule.from_config(as_config(arm, folder, seed)["model"])
    module.encoder.text.tokenizer.from_json(kept["tokenizer"])
    module.setup_objectives(tuple(kept["facts"]))
    module.load_state_dict(kept["weights"])
    module.preset_config = kept["preset"]
    return module.eval(), float(kept["seconds"])


def _key(arm: Arm, *more: object) -> str:
    said = json.dumps([asdict(arm), *more], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:20]
