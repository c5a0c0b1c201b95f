"""`voxtile score CORPUS --from representatives`: the few patches that stand for a slide, as scores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from voxtile.console import note
from voxtile.corpus.reader import Corpus
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import ConfigError, InputError
from voxtile_pathology.coordinates.features import read_features
from voxtile_pathology.pathgen.selection import Floats, representatives

PRODUCER = "representatives@1"
REPRESENTATIVE = "representative"  # the score's name


@dataclass(frozen=True)
class RepresentativeTask:
    """The engine task: an item is a slide.

    Attributes:
        corpus: the corpus; no part of the task's identity.
        model: whose embeddings are used.
        count: patches a slide.
        clusters, phrase_share, most_similar, seed: of `selection.representatives`.
        phrases: that find patches.
        phrase_vectors: their embeddings by the same model.
    """

    corpus: str
    model: str
    count: int
    clusters: int
    phrase_share: float
    most_similar: float
    seed: int
    phrases: tuple[str, ...]
    phrase_vectors: tuple[tuple[float, ...], ...]

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "representatives"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        names = ("model", "count", "clusters", "phrase_share", "most_similar", "seed")
        asked = {name: getattr(self, name) for name in names} | {"phrases": list(self.phrases)}
        if not self.phrases:
            return asked
        vectors = hashlib.sha256(np.array(self.phrase_vectors, np.float32).tobytes()).hexdigest()
        return asked | {"phrase_vectors": vectors}  # of a text model that may lie under the path of another one

    def items(self) -> Iterator[Item]:
        """One item a slide.

        Raises:
            InputError: the corpus has no patches.
        """
        table = _patches(Path(self.corpus))
        if not table.num_rows:
            raise InputError(f"'{self.corpus}' has no patches; make some with: voxtile convert wsi")
        groups = table.group_by("source").aggregate([("uid", "list")]).sort_by("source")
        for source, uids in zip(groups["source"].to_pylist(), groups["uid_list"].to_pylist(), strict=True):
            digest = hashlib.sha256("\n".join(sorted(uids)).encode()).hexdigest()
            yield Item(f"representatives/{source}", {"source": source, "uids": digest}, cost=len(uids) * 2048)

    def process(self, item: Item) -> Outcome:
        """Choose the patches of one slide."""
        table = _patches(Path(self.corpus))
        uids = sorted(table.filter(pc.equal(table["source"], item.inputs["source"]))["uid"].to_pylist())
        vectors = normalised(read_features(Path(self.corpus), self.model, uids).of(uids).astype(np.float32))
        phrases = np.array(self.phrase_vectors, np.float32) if self.phrase_vectors else None
        if phrases is not None and phrases.shape[1] != vectors.shape[1]:
            raise InputError(
                f"the embeddings by '{self.model}' have {vectors.shape[1]} numbers and those of the phrases "
                f"{phrases.shape[1]}; embed with the image-text model itself"
            )
        chosen = representatives(
            vectors, self.count, clusters=self.clusters, phrases=phrases, phrase_share=self.phrase_share,
            most_similar=self.most_similar, seed=self.seed,
        )  # fmt: skip
        rows = [
            {"uid": uids[index], "name": REPRESENTATIVE, "value": float(rank), "producer": PRODUCER}
            for rank, index in enumerate(chosen, start=1)
        ]
        return Outcome("used", tables={"scores": rows})


def score_representatives(
    corpus: Path,
    *,
    model: str,
    count: int = 32,
    clusters: int = 16,
    phrases: Path | None = None,
    text_model: str | None = None,
    phrase_share: float = 0.5,
    most_similar: float = 0.95,
    seed: int = 0,
    trust_package: tuple[str, ...] = (),
    **run: Any,  # noqa: ANN401
) -> None:
    """Choose the patches that stand for each slide, for describing or for looking at.

    Phrases find the patches that show them; the rest are the most different patches of clusters. The score
    `representative` is the rank within the slide, from 1.

    Args:
        corpus: a corpus of slides with embeddings.
        model: whose embeddings are used, by the name that 'voxtile embed' prints.
        count: patches a slide.
        clusters: clusters a slide.
        phrases: text file with a phrase a line; the model must be an image-text model.
        text_model: where that model is, if not under its name: a checkpoint or open_clip:NAME.
        phrase_share: share of the patches that phrases may find.
        most_similar: cosine similarity above which a patch is a near-copy of a chosen one and left out.
        seed: of the clustering.
        trust_package: package of your own whose classes a checkpoint may name; repeat it for further ones.
        run: options of the run.

    Raises:
        InputError: the corpus has no patches or no embeddings by the model.
    """
    options = RunOptions(**run)
    if count < 1 or clusters < 1:
        raise ConfigError(f"--count and --clusters must be at least 1, not {count} and {clusters}")
    if not 0 <= phrase_share <= 1 or not 0 < most_similar <= 1:
        raise ConfigError("--phrase-share must be in [0, 1] and --most-similar in (0, 1]")
    read_features(corpus, model, [])
    texts = _lines(phrases) if phrases else ()
    vectors = _phrase_vectors(text_model or model, texts, trust_package)
    task = RepresentativeTask(
        corpus=str(corpus), model=model, count=count, clusters=clusters, phrase_share=phrase_share,
        most_similar=most_similar, seed=seed, phrases=texts, phrase_vectors=vectors,
    )  # fmt: skip
    summary = run_task(task, corpus, options)
    if not options.dry_run and (several := _chosen_otherwise(corpus, count)):
        note(
            f"{several} slides have representatives of several choices (another --count, --model, --phrases or "
            "--seed), and voxtile describe takes those of all; choose in a new corpus to have these alone"
        )
    summary.raise_if_failed()


def _chosen_otherwise(corpus: Path, count: int) -> int:
    """Slides with more representatives than were asked for, or two of one rank, or one of two ranks."""
    scores = Corpus(corpus).table("scores", ["uid", "name", "value"])
    scores = scores.filter(pc.equal(scores["name"], REPRESENTATIVE)).select(["uid", "value"])
    ranked = scores.join(_patches(corpus).select(["uid", "source"]), "uid", join_type="inner")
    ranked = ranked.group_by(["source", "uid", "value"]).aggregate([])
    sources = set(ranked.filter(pc.greater(ranked["value"], count))["source"].to_pylist())
    for one in ("uid", "value"):
        counted = ranked.group_by(["source", one]).aggregate([([], "count_all")])
        sources.update(counted.filter(pc.greater(counted["count_all"], 1))["source"].to_pylist())
    return len(sources)


def normalised(vectors: Floats) -> Floats:
    """Rows of unit length; zero stays zero."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)


def _patches(corpus: Path) -> pa.Table:
    table = Corpus(corpus).table("samples", ["uid", "kind", "source"])
    return table.filter(pc.equal(table["kind"], "patch"))


def _phrase_vectors(
    model: str, texts: tuple[str, ...], trust_package: tuple[str, ...]
) -> tuple[tuple[float, ...], ...]:
    if not texts:
        return ()
    from voxtile.inference.load import load_model  # torch, which workers do without

    vectors = load_model(model, trust_package).encode_texts(list(texts)).float()
    return tuple(tuple(row) for row in vectors.tolist())


def _lines(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the phrases '{path}' cannot be read: {error}") from error
    texts = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not texts:
        raise InputError(f"the phrases '{path}' are empty; write one a line")
    return texts
