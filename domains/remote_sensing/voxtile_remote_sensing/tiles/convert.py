"""`voxtile convert geotiff`: scenes of any sensor to tiles with named bands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from voxtile.console import note, output
from voxtile.corpus.splits import parse_fractions
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError
from voxtile_remote_sensing.scenes.protocol import SceneOptions
from voxtile_remote_sensing.splits.blocks import BlockGrid
from voxtile_remote_sensing.tiles.cut import SPLIT_SCHEME
from voxtile_remote_sensing.tiles.grid import parse_length
from voxtile_remote_sensing.tiles.settings import parse_settings
from voxtile_remote_sensing.tiles.task import BlockSettings, GeotiffTask
from voxtile_remote_sensing.tiles.undeclared_nodata import REASON, sentence
from voxtile_remote_sensing.tiles.unstated import MASK_BAND, NO_DATE
from voxtile_remote_sensing.tiles.unstated import sentence as sentence_of

_NOTES: Mapping[str, Callable[[Sequence[str]], str]] = {
    REASON: sentence,
    **{reason: partial(sentence_of, reason) for reason in (NO_DATE, MASK_BAND)},
}


def convert_geotiff(
    source: Path,
    corpus: Path,
    *,
    size: str = "256px",
    stride: str | None = None,
    bands: str | None = None,
    resolution: str = "native",
    resampling: str = "bilinear",
    reproject: str | None = None,
    min_valid: float = 0.5,
    coords_only: bool = False,
    previews: bool = True,
    split_by: Literal["block", "none"] = "block",
    block: str = "20km",
    buffer: str = "0m",
    split_fractions: str = "0.8,0.1,0.1",
    licence: str | None = None,
    sidecar: Path | None = None,
    calibration: Literal["sigma0", "beta0", "gamma0", "none"] = "sigma0",
    allow_outside: bool = False,
    allow_network: bool = False,
    **run: Any,  # noqa: ANN401
) -> None:
    """Cut scenes (Sentinel SAFE, Landsat, GeoTIFF, …) into tiles on a fixed grid, with named bands and splits by place.

    A place has the same tile name for all dates and sensors, and its dates are one study. Bands of other resolutions
    become samples of their own in that study, unless --resolution asks for one grid.

    Args:
        source: folder of scenes, one product folder, or one file.
        corpus: where the corpus is, or will be.
        size: side of a tile, in pixels of a scene's finest band (256px) or on the ground (2560m); in metres where
            sensors of different resolutions shall share places.
        stride: from one tile to the next; default the size.
        bands: names to take, separated by commas (B04,B03,B02 or red,green,blue); default all.
        resolution: native, or one pixel size in metres to which all bands are resampled.
        resampling: kernel for resampling, for all bands or some: bilinear,B01=cubic; classes take nearest or mode.
        reproject: utm, or a coordinate system such as EPSG:3857; default each scene's own.
        min_valid: least share of a tile's pixels with data and without cloud or cloud shadow.
        coords_only: store where the pixels are, and leave them in their files.
        previews: store a small picture of each tile for people.
        split_by: block splits places by blocks on the globe; none writes no splits.
        block: side of a block.
        buffer: least distance between tiles of different splits; at 0 they do not touch.
        split_fractions: shares of train, val and test among blocks.
        licence: licence to note with every sample, instead of what the scene says.
        sidecar: YAML that describes plain files without one of their own.
        calibration: of Sentinel-1 GRD.
        allow_outside: VRT and STAC may refer to files outside the source folder.
        allow_network: they may refer to the network.
        run: how to run: workers, retry, dry_run, …
    """
    settings = parse_settings(
        size=size,
        stride=stride,
        bands=bands,
        resolution=resolution,
        resampling=resampling,
        reproject=reproject,
        min_valid=min_valid,
        coords_only=coords_only,
        previews=previews,
    )
    options = RunOptions(**run)
    task = GeotiffTask(
        source,
        corpus,
        settings,
        _blocks(block, buffer, split_fractions) if split_by == "block" else None,
        SceneOptions(outside=allow_outside, network=allow_network, sidecar=sidecar, calibration=calibration),
        licence,
        reader=options.plan_reader,
    )
    summary = run_task(task, corpus, options)
    if task.blocks is not None and not options.dry_run:
        _say_where_all_lie(corpus, task.blocks)
    if not options.dry_run:
        for reason, sentence in _NOTES.items():
            if summary.left_out[reason]:
                _say_what_nothing_states(corpus, reason, sentence)
    summary.raise_if_failed()


def _say_where_all_lie(corpus: Path, blocks: BlockSettings) -> None:
    """A hint where all tiles came into one split though several were asked for."""
    from voxtile.corpus.reader import Corpus  # late: a plan needs no database

    splits = Corpus(corpus).splits(SPLIT_SCHEME)
    used, asked = set(splits.values()), {name for name, share in blocks.fractions.items() if share > 0}
    if len(used) == 1 and len(asked) > 1:
        count = f"{len(splits)} blocks" if len(splits) > 1 else "one block"
        output().print(
            f"All tiles lie in {count} of {blocks.block_m / 1000:g} km, and so in one split ({used.pop()}); "
            "a smaller --block, in a new corpus, splits them.",
            highlight=False,
            markup=False,
        )


def _say_what_nothing_states(corpus: Path, reason: str, sentence: Callable[[Sequence[str]], str]) -> None:
    """A note on what files have and nothing states: values where nothing was measured, days, masks."""
    from voxtile.corpus.reader import Corpus  # late: a plan needs no database

    note(sentence([row["uid"] for row in Corpus(corpus).ledger().to_pylist() if row["reason"] == reason]))


def _blocks(block: str, buffer: str, fractions: str) -> BlockSettings:
    side = parse_length(block, "--block", default_unit="m")
    gap = parse_length(buffer, "--buffer", default_unit="m", may_be_zero=True)
    for option, length in (("--block", side), ("--buffer", gap)):
        if length.unit != "m":
            raise ConfigError(f"{option} is a length on the ground such as 2km or 500m, got '{length}'")
    BlockGrid(side.value)
    return BlockSettings(side.value, gap.value, parse_fractions(fractions))
