"""Captions by a model that was trained here: from the command's options to a run, batch by batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import torch

from voxtile.corpus.header import corpus_home
from voxtile.corpus.parts import part_paths, part_table
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome, Part
from voxtile.errors import CheckpointError, VoxtileError
from voxtile.inference.captioner import Captioner
from voxtile.objectives.generative.decoding import Decoding
from voxtile.stages.embed.clip_model import checkpoint_name
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies
from voxtile_datasets.captions.context.contexts import Contexts, Known
from voxtile_datasets.captions.context.selection import check_licences, chosen_samples
from voxtile_datasets.captions.strategies.judging import Judging
from voxtile_datasets.captions.strategies.reply_form import clean

PROVIDER = "checkpoint"
_CHUNK = 512  # samples that are written at once; what a stopped run loses at most
_KEPT = ("supported", "unknown")  # verdicts with which a text is stored


@dataclass(frozen=True)
class CheckpointOptions:
    """Options of `voxtile caption checkpoint`; see there."""

    model: str
    decoding: Decoding
    batch_size: int = 16
    where: str | None = None
    limit: int | None = None
    unchecked: bool = False
    lang: str = "en"
    facts_source: str | None = None
    key_file: Path | None = None
    trust_package: tuple[str, ...] = ()


def caption_with_checkpoint(corpus: Path, options: CheckpointOptions, run: Mapping[str, Any]) -> None:
    """See `voxtile_datasets.captions.command.caption_by_checkpoint`."""
    engine = "ray" if run.get("engine") == "ray" else "inline"
    settings = RunOptions(**{**run, "engine": engine, "job_items": 1})
    chosen = chosen_samples(corpus, options.where, options.limit)
    check_licences(chosen["licence"].unique().to_pylist(), is_remote=False, allow_credentialed=False)
    uids = frozenset(chosen["uid"].to_pylist())
    task = _opened(corpus, options, uids)
    columns = ["kind", "modality", "axes", "shape", "dtype", "units", "uid"]
    metas = task.corpus.table("samples", columns=columns).to_pylist()
    task.captioner.preset.check([meta for meta in metas if meta["uid"] in uids])
    run_task(task, corpus, settings).raise_if_failed()


def _opened(
    corpus: Path, options: CheckpointOptions, uids: frozenset[str], called: str | None = None
) -> CheckpointTask:
    """The task with its model loaded, here or on a node; there it must be the model that is `called` so here."""
    name = checkpoint_name(options.model)
    if called not in (None, name):
        raise CheckpointError(f"'{options.model}' is '{name}' here and '{called}' where the run began; copy it again")
    captioner = Captioner(options.model, options.trust_package)
    words = frozenset(word.casefold() for v in installed_vocabularies().values() for word in v.known_words)
    contexts = Contexts(corpus, options.facts_source, words, options.key_file)
    return CheckpointTask(Corpus(corpus), captioner, name, options, contexts, Judging(), uids)


@dataclass(frozen=True)
class CheckpointTask:
    """The engine task: an item is a chunk of the samples of one part, with what is known of them.

    Attributes:
        corpus: opened.
        captioner: the model.
        model: its name, with a hash of its content.
        options: of the command.
        contexts: reads what is known of samples.
        judging: checks the captions.
        uids: samples to caption.
    """

    corpus: Corpus
    captioner: Captioner
    model: str
    options: CheckpointOptions
    contexts: Contexts
    judging: Judging
    uids: frozenset[str]
    uses_gpu: ClassVar[bool] = True

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the corpus and loads the model for itself."""
        model = str(Path(self.options.model).absolute())
        root = Path(corpus_home(self.contexts.root))
        return _opened, (root, replace(self.options, model=model), self.uids, self.model)

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "caption-checkpoint"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "2"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output; a batch's size changes no more than the last bit of a probability."""
        how = {"decoding": asdict(self.options.decoding), "unchecked": self.options.unchecked}
        chosen = {"lang": self.options.lang, "facts_source": self.options.facts_source}
        return {**how, **chosen, "model": self.model, "checker": self.judging.version}

    def items(self) -> Iterator[Item]:
        """Chunks of each part; facts that arrive later make a chunk a new one."""
        for part in part_paths(self.contexts.root, "samples"):
            known = list(self.contexts.of_part(part, self.uids))
            for first in range(0, len(known), _CHUNK):
                own = known[first : first + _CHUNK]
                digest = hashlib.sha256("".join(f"{k.context.uid}{k.digest}" for k in own).encode()).hexdigest()
                source = f"{self.name}:{self.model}/{part.stem}/{first}"
                yield Item(source, {"part": part.stem, "first": first, "known": digest}, cost=len(own))

    def process(self, item: Item) -> Outcome:
        """Captions and verdicts of one chunk; a sample without a caption is a row of the ledger."""
        part = self.contexts.root / "tables" / "samples" / f"{item.inputs['part']}.parquet"
        first = item.inputs["first"]
        known = list(self.contexts.of_part(part, self.uids))[first : first + _CHUNK]
        uids = pa.array([k.context.uid for k in known], pa.string())
        table = part_table(part)
        rows = {row["uid"]: row for row in table.filter(pc.is_in(table["uid"], uids)).to_pylist()}
        captions: list[Row] = []
        verdicts: list[Row] = []
        failed: list[Part] = []
        for start in range(0, len(known), self.options.batch_size):
            for one, text, tokens in self._written(known[start : start + self.options.batch_size], rows, failed):
                self._judge(one, text, tokens, captions, verdicts, failed)
        return Outcome("used", tables={"captions": captions, "verdicts": verdicts}, parts=tuple(failed))

    def _written(
        self, known: Sequence[Known], rows: Mapping[str, Row], failed: list[Part]
    ) -> Iterator[tuple[Known, str, int]]:
        ready, images = [], []
        for one in known:
            uid = one.context.uid
            try:
                images.append(self.captioner.preset(self.corpus.source(rows[uid]), None))
                ready.append(one)
            except (VoxtileError, OSError, ValueError) as error:
                failed.append(Part(uid, "failed", "unreadable", f"sample {uid} cannot be captioned: {error}"))
        if ready:
            keys = [int(one.context.uid[:15], 16) for one in ready]
            texts = self.captioner.captions(torch.stack(images), self.options.decoding, keys)
            for one, (text, tokens) in zip(ready, texts, strict=True):
                yield one, clean(text), tokens

    def _judge(
        self, known: Known, text: str, tokens: int, captions: list[Row], verdicts: list[Row], failed: list[Part]
    ) -> None:
        uid = known.context.uid
        if not any(letter.isalnum() for letter in text):
            said = f"no word, only '{text[:20]}'" if text else "nothing"
            failed.append(Part(uid, "failed", "malformed", f"sample {uid}: the model wrote {said}"))
            return
        verdict = self.judging.of(known)(text)
        if verdict.verdict not in _KEPT and not self.options.unchecked:
            why = verdict.faults[0].why if verdict.faults else ""
            failed.append(Part(uid, "failed", verdict.verdict, f"sample {uid}: {why}"))
            return
        how = f"{uid}\0{self.model}\0{sorted(asdict(self.options.decoding).items())}"
        request = hashlib.sha256(how.encode()).hexdigest()
        caption_id = hashlib.sha256(f"{request}\0{text}".encode()).hexdigest()[:32]
        if caption_id in known.stored:
            return
        captions.append(
            {
                "caption_id": caption_id, "uid": uid, "text": text, "lang": self.options.lang, "kind": "vlm",
                "provider": PROVIDER, "model": self.model, "request_sha": request, "tokens_in": 0,
                "tokens_out": tokens, "cost_usd": 0.0,
            }
        )  # fmt: skip
        verdicts.append(self.judging.row(caption_id, verdict))
