"""The tiling of scenes as a task: one item a scene, or a strip of a large one; one sample a tile and grid."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from voxtile.engine.failure import LOST, Failure, how_lost
from voxtile.engine.parallel import PlanReader
from voxtile.engine.task import Item, Outcome, Part
from voxtile.errors import ConfigError
from voxtile_remote_sensing.scenes.open import PRODUCT_FOLDERS, find_scenes, open_scene
from voxtile_remote_sensing.scenes.protocol import Scene, SceneError, SceneOptions, SceneRef
from voxtile_remote_sensing.scenes.sidecar import sidecar_digest
from voxtile_remote_sensing.splits.blocks import BlockGrid, BlockSplits
from voxtile_remote_sensing.tiles.band_groups import groups_of
from voxtile_remote_sensing.tiles.content_id import scene_contents
from voxtile_remote_sensing.tiles.cut import cut
from voxtile_remote_sensing.tiles.settings import TileSettings
from voxtile_remote_sensing.tiles.strips import Strip, Survey, rows_of, survey
from voxtile_remote_sensing.tiles.unstated import parts_of_names

UNOPENED_BYTES = 1 << 22  # scenes of less are not opened by the plan: they are patches, of one strip
MOST_OPENED = 256  # of those, to learn how large tiles are


@dataclass(frozen=True)
class BlockSettings:
    """How places are split.

    Attributes:
        block_m: side of a block.
        buffer_m: least distance between tiles of different splits.
        fractions: split → share of the blocks.
    """

    block_m: float
    buffer_m: float
    fractions: Mapping[str, float]

    def splits(self) -> BlockSplits:
        """The blocks."""
        return BlockSplits(BlockGrid(self.block_m), self.fractions, self.buffer_m)

    def check(self, radius_m: float, scene: str) -> None:
        """Refuse blocks that hold hardly a tile, of which the buffer would leave none.

        Args:
            radius_m: half the diagonal of a tile.
            scene: whose tile it is, for the message: the largest of all.

        Raises:
            ConfigError: a block is smaller than one and a half tiles and the buffer.
        """
        side = math.sqrt(2) * radius_m
        if self.block_m < 1.5 * side + self.buffer_m:
            better = math.ceil((10 * side + self.buffer_m) / 1000)
            raise ConfigError(
                f"tiles of {side:,.0f} m ({scene}) do not fit into blocks of {self.block_m:,.0f} m; take a larger "
                f"--block, such as {better}km, a smaller --size, or --split-by none"
            )


@dataclass(frozen=True)
class GeotiffTask:
    """Cuts every scene of a folder into tiles.

    Attributes:
        source: the folder, a product folder, or a file.
        corpus: where references are relative to.
        settings: sizes, bands, grids, resampling.
        blocks: splits by place; None for none.
        scenes: what readers may do.
        licence: of all samples, instead of each scene's own.
        reader: reads headers for the plan.
    """

    source: Path
    corpus: Path
    settings: TileSettings
    blocks: BlockSettings | None
    scenes: SceneOptions = field(default_factory=SceneOptions)
    licence: str | None = None
    reader: PlanReader = field(default_factory=PlanReader, compare=False)

    @property
    def name(self) -> str:
        """Short name."""
        return "geotiff"

    @property
    def version(self) -> str:
        """Version of the output."""
        return "3"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return {
            **self.settings.config(),
            "blocks": asdict(self.blocks) if self.blocks else None,
            "calibration": self.scenes.calibration,
            "licence": self.licence,
        }

    def items(self) -> Iterable[Item]:
        """One item a scene, or a strip of a large one.

        Raises:
            InputError: the source does not exist or holds no scene.
        ConfigError: blocks are too small for the tiles.
        """
        refs = self._found()
        opened = _to_open(refs)
        found = self.reader.map(partial(survey, settings=self.settings), opened, title="reading headers")
        surveys = {ref.id: known for ref, known in zip(opened, found, strict=True) if not isinstance(known, Failure)}
        coarsest = max(surveys, key=lambda scene: surveys[scene].radius_m, default=None)
        radius = surveys[coarsest].radius_m if coarsest is not None else 0.0
        if self.blocks is not None and coarsest is not None:
            self.blocks.check(radius, coarsest)
        return [
            item
            for ref, told in zip(refs, scene_contents(refs), strict=True)
            for item in self._items(ref, surveys.get(ref.id), round(radius, 3), *told)
        ]

    def _found(self) -> list[SceneRef]:
        """The scenes; metadata of products are read to find them, so that this runs in a supervised process."""
        found = self.reader.read(partial(find_scenes, options=self.scenes), self.source, title="finding scenes")
        if not isinstance(found, Failure):
            return found
        if found.reason in LOST:
            raise SceneError(
                f"finding the scenes of '{self.source}' {how_lost(found)}; convert its folders one by one, to "
                "find the file whose metadata are too much"
            )
        raise SceneError(found.sentence)

    def _items(
        self, ref: SceneRef, known: Survey | None, radius_m: float, probe: str | None, others: str | None
    ) -> Iterable[Item]:
        inputs = {
            "scene": ref.id,
            "reader": ref.reader,
            "path": ref.path,
            "part": ref.part,
            "files": list(ref.files),
            "nbytes": ref.nbytes,
            "radius_m": radius_m,
        }
        if (described := sidecar_digest(ref)) is not None:
            inputs["sidecar_sha256"] = described
        if probe is not None:  # a file that cannot be opened says why in its worker
            inputs["probes"] = probe
        if others is not None:
            inputs["others"] = others
        strips: Sequence[Strip] = known.strips if known is not None else ()
        if len(strips) < 2:  # a scene that could not be opened says why in its worker
            yield Item(ref.id, inputs | {"rows": None}, cost=strips[0].nbytes if strips else max(1, ref.nbytes))
            return
        for strip in strips:
            name, own = f"{ref.id} rows {strip.rows[0]}-{strip.rows[1] - 1}", inputs | {"rows": [*strip.rows]}
            if strip.tiles is not None:
                name, own["tiles"] = f"{name} tiles {strip.tiles[0]}-{strip.tiles[1] - 1}", [*strip.tiles]
            yield Item(name, own, cost=strip.nbytes)

    def process(self, item: Item) -> Outcome:
        """Cut one scene or strip, in a worker."""
        inputs = item.inputs
        with open_scene(self._ref(inputs)) as scene:
            groups = groups_of(scene, self.settings)
            rows = rows_of(groups, self.settings)
            first, last = inputs["rows"] or (0, len(rows))
            tiles = slice(*inputs.get("tiles", (None,)))
            outcome = cut(
                scene,
                groups,
                [cell for row in rows[first:last] for cell in row[tiles]],
                self.settings,
                self.blocks.splits() if self.blocks else None,
                radius_m=inputs["radius_m"],
                corpus=self.corpus,
                licence=self.licence,
                producer=f"{self.name}@{self.version}",
            )
            is_first = not first and not tiles.start  # what is said of a scene is said of its first strip
            absent = _absent(scene) if is_first and not self.settings.bands else ()
            told = parts_of_names(scene) if is_first else ()
            return replace(outcome, parts=(*absent, *told, *outcome.parts))

    def _ref(self, inputs: Mapping[str, Any]) -> SceneRef:
        source = self.source.absolute()
        single = source.is_file() or source.suffix.lower() in PRODUCT_FOLDERS
        return SceneRef(
            id=inputs["scene"],
            reader=inputs["reader"],
            root=source.parent if single else source,
            path=inputs["path"],
            files=tuple(inputs["files"]),
            nbytes=inputs["nbytes"],
            part=inputs["part"],
            options=self.scenes,
        )


def _absent(scene: Scene) -> Iterator[Part]:
    """Bands and masks that a scene names and that are left out: each is told once, in the ledger."""
    for lost in scene.missing:
        yield Part(f"{scene.id} {lost.band.name}", "dropped", f"{lost.what}-not-here", lost.reason)


def _to_open(refs: Sequence[SceneRef]) -> list[SceneRef]:
    """Scenes whose headers the plan reads: large ones, and some of the small ones."""
    large = [ref for ref in refs if ref.nbytes >= UNOPENED_BYTES]
    small = [ref for ref in refs if ref.nbytes < UNOPENED_BYTES]
    return [*large, *small[:: max(1, -(-len(small) // MOST_OPENED))]]
