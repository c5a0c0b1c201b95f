"""`voxtile inspect --leakage`: what the splits of a corpus share, on the ground and in the pixels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from voxtile.corpus.reader import Corpus
from voxtile.errors import CorpusError
from voxtile.stages.inspect.leakage.pixels import PixelReport, compare_pixels
from voxtile.stages.inspect.leakage.places import PlaceReport, compare_places
from voxtile.stages.inspect.summary import SPLIT_ORDER, Check


@dataclass(frozen=True)
class SplitPair:
    """Two splits side by side.

    Attributes:
        one, other: names of the splits.
        places: footprints; None where one of them has no sample with a footprint.
        pixels: near-duplicate pictures.
    """

    one: str
    other: str
    places: PlaceReport | None
    pixels: PixelReport

    @property
    def examples(self) -> Sequence[tuple[str, str]]:
        """Uids of pairs that leak, those on the ground first."""
        return [*(self.places.examples if self.places else ()), *self.pixels.examples]


@dataclass(frozen=True)
class LeakageReport:
    """What the splits of a scheme share.

    Attributes:
        scheme: the split scheme.
        pairs: every two splits.
        placed: samples with a footprint and a split.
        compared: samples whose pixels were compared.
        featureless: samples too uniform to be told apart (open water, saturated cloud).
        unreadable: samples without a picture to compare.
        splits: names of the splits that hold samples.
    """

    scheme: str
    pairs: Sequence[SplitPair]
    placed: int
    compared: int
    featureless: int
    unreadable: int
    splits: Sequence[str]

    def checks(self) -> list[Check]:
        """The findings as sentences."""
        if len(self.splits) == 1:
            smaller = "smaller blocks (voxtile convert geotiff --block)" if self.placed else "more subjects"
            return [
                Check(
                    False,
                    f"all samples with a split lie in '{self.splits[0]}', so nothing can leak and there is nothing to "
                    f"compare; for several splits, take {smaller} or other shares (--split-fractions), in a new corpus",
                )
            ]
        found = []
        for pair in self.pairs:
            names = f"{pair.one} and {pair.other}"
            if pair.places is not None:
                found.append(_place_check(names, pair.places))
            count = pair.pixels.duplicates
            advice = "give both one split, or leave the copies out of a view"
            found.append(
                Check(not count, f"{count:,} near-duplicate pictures in {names}; {advice}")
                if count
                else Check(True, f"no near-duplicate picture in {names}")
            )
        return found


def find_leakage(corpus: Corpus, scheme: str = "default") -> LeakageReport:
    """Compare every two splits of a corpus.

    Args:
        corpus: one corpus or a union.
        scheme: split scheme.

    Raises:
        CorpusError: no sample has a split of this scheme, or a footprint is damaged.
        MissingExtraError: there are footprints, and shapely is not installed.
    """
    rows = _rows(corpus, scheme)
    names = sorted(rows, key=lambda name: (SPLIT_ORDER.index(name) if name in SPLIT_ORDER else len(SPLIT_ORDER), name))
    if not names:
        raise CorpusError(
            f"no sample has a split of scheme '{scheme}', so nothing can leak between splits; name another --scheme, "
            "or convert with --split-fractions"
        )
    footprints = {name: [(row["uid"], row["geometry"]) for row in rows[name] if row["geometry"]] for name in names}
    pixels = compare_pixels(corpus, rows)
    pairs = [
        SplitPair(
            one,
            other,
            compare_places(footprints[one], footprints[other]) if footprints[one] and footprints[other] else None,
            pixels.pairs[one, other],
        )
        for one, other in itertools.combinations(names, 2)
    ]
    placed = sum(len(group) for group in footprints.values())
    return LeakageReport(scheme, pairs, placed, pixels.compared, pixels.featureless, pixels.unreadable, names)


def distance_text(metres: float) -> str:
    """A distance for people."""
    return f"{metres:,.0f} m" if metres < 10_000 else f"{metres / 1000:,.0f} km"


def _place_check(names: str, places: PlaceReport) -> Check:
    if places.overlapping:
        return Check(
            False,
            f"{places.overlapping:,} pairs of footprints in {names} overlap, by up to {places.largest:.0%} of a "
            "footprint; split by place: voxtile convert geotiff --split-by block",
        )
    if places.touching:
        return Check(
            False, f"{places.touching:,} pairs of footprints in {names} touch; leave a buffer between them (--buffer)"
        )
    return Check(True, f"footprints of {names} are at least {distance_text(places.nearest_m)} apart")


def _rows(corpus: Corpus, scheme: str) -> dict[str, list[dict[str, Any]]]:
    splits = corpus.splits(scheme)
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in corpus.table("samples", with_root=True).to_pylist():
        split = splits.get(row["subject"])
        if split is not None:
            rows.setdefault(split, []).append(row)
    return rows
