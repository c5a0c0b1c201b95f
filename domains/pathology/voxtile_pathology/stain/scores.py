"""`voxtile score CORPUS --from stain`: the stains of every patch, as rows of the scores table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from voxtile.corpus.parts import read_parts, table_schema
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.corpus.schema import OVERVIEW
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.corpus.source import StoredSample
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import ConfigError, InputError
from voxtile_pathology.stain.density import Pixels
from voxtile_pathology.stain.estimate import STAIN_METHODS, reinhard

ScoreMethod: TypeAlias = Literal["macenko", "vahadane", "reinhard"]
PRODUCER_VERSION = "1"
_ITEM_SAMPLES = 500


@dataclass(frozen=True)
class StainScoreTask:
    """The engine task: an item is a run of samples of one part.

    Attributes:
        corpus: the corpus; no part of the task's identity.
        method: how stains are estimated.
    """

    corpus: str
    method: ScoreMethod

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return f"stain-{self.method}"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return PRODUCER_VERSION

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return {"method": self.method}

    def items(self) -> Iterator[Item]:
        """Runs of colour samples, part by part.

        Raises:
            InputError: the corpus has no colour pictures.
        """
        found = False
        for part in Corpus(Path(self.corpus)).parts("samples"):
            rows = read_parts([part], table_schema("samples"), ["axes", "kind"]).to_pylist()
            colour = [index for index, row in enumerate(rows) if _is_scored(row)]
            for start in range(0, len(colour), _ITEM_SAMPLES):
                found = True
                chosen = colour[start : start + _ITEM_SAMPLES]
                inputs = {"part": part.stem, "first": chosen[0], "last": chosen[-1]}
                yield Item(f"stain:{self.method}/{part.stem}/{chosen[0]}", inputs, cost=len(chosen) * 20_000)
        if not found:
            raise InputError(f"'{self.corpus}' has no colour pictures; make some with: voxtile convert wsi")

    def process(self, item: Item) -> Outcome:
        """Scores of the run's samples; those with too little tissue get none."""
        root = Path(self.corpus)
        part = root / "tables" / "samples" / f"{item.inputs['part']}.parquet"
        schema = table_schema("samples")
        table = read_parts([part], schema, schema.names).slice(
            item.inputs["first"], item.inputs["last"] - item.inputs["first"] + 1
        )
        rows: list[Row] = []
        for row in table.to_pylist():
            if _is_scored(row):
                rows += stain_scores(pixels_of(root, row), row["uid"], self.method)
        return Outcome("used", tables={"scores": rows})


def _is_scored(row: Mapping[str, Any]) -> bool:
    return bool(row["axes"] == "YXC" and row["kind"] != OVERVIEW)


def pixels_of(root: Path, row: Mapping[str, Any]) -> Pixels:
    """Pixels [Y, X, 3] of a colour sample, whether it is stored as JPEG, PNG, array or reference."""
    sample = StoredSample(root, row)
    pixels = decode_picture(sample.encoded()) if row["codec"] in ("jpg", "png") else sample.array()
    return np.ascontiguousarray(pixels[..., :3], dtype=np.uint8)


def stain_scores(pixels: Pixels, uid: str, method: ScoreMethod) -> list[Row]:
    """Rows of the scores table for one patch: `haematoxylin_red` … `eosin_strongest`, or `lab_l_mean` ….

    Args:
        pixels: [Y, X, 3].
        uid: of the sample.
        method: how stains are estimated.
    """
    values: dict[str, float] = {}
    if method == "reinhard":
        lab = reinhard(pixels)
        for axis, mean, deviation in zip("lab", lab.mean, lab.deviation, strict=True):
            values |= {f"lab_{axis}_mean": float(mean), f"lab_{axis}_deviation": float(deviation)}
    elif (stains := STAIN_METHODS[method](pixels)) is not None:
        for name, vector, strongest in zip(("haematoxylin", "eosin"), stains.vectors, stains.strongest, strict=True):
            colours = zip(("red", "green", "blue"), vector, strict=True)
            values |= {f"{name}_{colour}": float(value) for colour, value in colours}
            values[f"{name}_strongest"] = float(strongest)
    producer = f"stain-{method}@{PRODUCER_VERSION}"
    return [{"uid": uid, "name": name, "value": value, "producer": producer} for name, value in values.items()]


def score_stain(
    corpus: Path,
    *,
    method: ScoreMethod = "macenko",
    **run: Any,  # noqa: ANN401
) -> None:
    """Estimate the stains of every patch.

    Haematoxylin and eosin as unit optical density (red, green, blue) and the 99th percentile of their amounts; or, by
    Reinhard's method, mean and deviation in L*a*b*. Patches with too little tissue get no score.

    Args:
        corpus: the corpus to add to.
        method: macenko, vahadane (slower) or reinhard.
        run: options of the run.

    Raises:
        InputError: the corpus has no colour pictures.
    """
    if method not in (*STAIN_METHODS, "reinhard"):
        raise ConfigError(f"there is no stain method '{method}'; use macenko, vahadane or reinhard")
    Corpus(corpus)  # a folder that is no corpus is refused before anything is made in it
    run_task(StainScoreTask(str(corpus), method), corpus, RunOptions(**run)).raise_if_failed()
