"""Masks are placed as their images are, and phrases are asked of what is known."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.view.view import compile_view
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.batches.dataset import Draws, PackedPreset
from voxtile.data.captions import CaptionPolicy
from voxtile.data.draws import DrawDataset
from voxtile.data.presets.image import ImageAugment, ImagePreset
from voxtile.data.presets.tile import TileAugment, TilePreset
from voxtile.data.presets.volume import VolumeAugment, VolumePreset
from voxtile.data.regions.masks import joined_mask
from voxtile.data.regions.policy import RegionPolicy
from voxtile.data.regions.regions import RegionDraws
from voxtile.errors import ConfigError, CorpusError

BRIGHT = 1000


def write(root, kind, n=6):
    """Samples whose bright voxels are exactly the masks of their regions; the last one has only a box."""
    new_corpus(root)
    writer = JobWriter(root, "job-0")
    rng = np.random.default_rng(0)
    shape = (14, 20, 24) if kind == "volume" else (40, 44)
    for number in range(n):
        uid, values, splits = f"{number:032x}", np.zeros(shape, np.int16), []
        row = {"uid": uid, "subject": f"p{number}", "study": f"s{number}", "kind": kind, "licence": "CC0-1.0"}
        if kind == "volume":
            row |= {"modality": "CT", "axes": "ZYX", "units": "HU", "spacing": [2.0, 1.0, 1.0]}
        else:
            row |= {"modality": "MSI", "axes": "YX", "units": "a.u.", "gsd_m": 10.0, "channels": [{"name": "B04"}]}
        regions = []
        for part in range(2):
            low = [int(rng.integers(0, size // 2)) for size in shape]
            high = [a + size // 4 for a, size in zip(low, shape, strict=True)]
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            mask = np.zeros(shape, bool)
            mask[box] = True
            values[box] = BRIGHT
            row_of = {"region_id": f"{number}-{part}", "uid": uid, "phrase": "liver lesion", "box": [*low, *high]}
            regions.append((row_of | {"source": "made@1"}, mask))
        writer.add(Sample(row, values))
        for row_of, mask in regions:
            if number == n - 1:
                writer.add_rows("regions", [row_of])
            else:
                writer.add_mask(Mask(row_of, mask))
        writer.add_rows("facts", [{"uid": uid, "concept": "renal_stone", "polarity": "absent", "source": "reports@1"}])
        writer.add_rows("regions", [{"region_id": f"s{number}", "uid": f"{99:032x}", "phrase": "renal stone"}])
        writer.add_rows("captions", [{"caption_id": f"c{number}", "uid": uid, "text": "A lesion.", "kind": "raw"}])
        splits.append({"scheme": "default", "subject": f"p{number}", "split": "train"})
        writer.add_rows("splits", splits)
    writer.publish()
    return Corpus(root)


VOLUME = VolumePreset(
    shape=(10, 18, 20), windows=((0.0, float(BRIGHT)),), augment=VolumeAugment(shift=(2, 3, 3), flip=("x", "y"))
)
TILE = TilePreset(
    bands=("B04",), size=(32, 32), std=(float(BRIGHT),), augment=TileAugment(shift=4, flip=0.5, turn=True)
)


PICTURES = [
    ImagePreset(
        size=(32, 32),
        channels=1,
        mean=(0.0,),
        std=(1.0,),
        window=(0.0, float(BRIGHT)),
        interpolation="bilinear",
        augment=augment,
    )
    for augment in (
        ImageAugment(crop="shift", shift=4, flip=0.5, quarter_turns=True),
        ImageAugment(crop="resized", scale=(0.4, 0.9), flip=0.5),
        ImageAugment(crop="none", flip=0.5, quarter_turns=True),
    )
]


@pytest.mark.cases(2)
@pytest.mark.parametrize(
    ("kind", "preset"), [("volume", VOLUME), ("tile", TILE), *(("tile", picture) for picture in PICTURES)]
)
def test_a_mask_lies_where_its_pixels_lie_in_every_draw(tmp_path, kind, preset):
    corpus = write(tmp_path / "corpus", kind)
    view = compile_view(corpus)
    policy = RegionPolicy(wordings=("{}", "a {}"))
    dataset = DrawDataset(
        view, preset, CaptionPolicy(), split="train", regions=RegionDraws(corpus, policy, preset, view.concepts)
    )
    items = np.arange(6)
    moved = []
    for start in range(0, 60, 6):
        batch = dataset.load(Draws(items, items + start))
        images = preset.unpack(batch.images) if isinstance(preset, PackedPreset) else batch.images
        lesions = [n for n, text in enumerate(batch.regions.phrases) if "lesion" in text]
        assert batch.regions.item[lesions].tolist() == items.tolist()
        for n in lesions:
            bright = images[batch.regions.item[n], 0] > 0.5
            # Masks are kept in steps of 1/255.
            clear = (batch.regions.masks[n] - 0.5).abs() > 1 / 255
            assert torch.equal((batch.regions.masks[n] > 0.5)[clear], bright[clear])
        moved.append(batch.regions.masks[lesions[0]])
        empty = [n for n, text in enumerate(batch.regions.phrases) if "stone" in text]
        assert len(empty) == 6
        assert not batch.regions.masks[empty].any()
    assert len({tuple(mask.flatten().tolist()) for mask in moved}) > 3, "the draws must move"
    boxed = batch.regions.boxed[lesions]
    assert boxed.sum() == 1, "one sample has boxes only"


def test_what_nobody_denies_is_not_asked(tmp_path):
    corpus = write(tmp_path / "corpus", "volume")
    draws = RegionDraws(corpus, RegionPolicy(), VOLUME, ("renal_stone",))
    assert {a.phrase for a in draws.ask([f"{0:032x}"], np.array([0], np.int8), None)} == {"liver lesion", "renal stone"}
    assert {a.phrase for a in draws.ask([f"{0:032x}"], np.array([-1], np.int8), None)} == {"liver lesion"}
    assert {a.phrase for a in draws.ask([f"{0:032x}"], np.array([1], np.int8), None)} == {"liver lesion"}


def spelt(root, *phrases):
    """A corpus of tiles whose regions bear these phrases in turn; the last of them is denied of all tiles."""
    corpus = write(root, "tile")
    path = next((root / "tables" / "regions").glob("*.parquet"))
    table = pq.read_table(path)
    rows = [row | {"phrase": phrases[n % len(phrases)]} for n, row in enumerate(table.to_pylist())]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    return corpus


def test_spellings_of_a_phrase_are_one_phrase(tmp_path):
    """Drawn by several people: the spelling that most have asks for all, and a denial in another denies it."""
    corpus = spelt(tmp_path / "corpus", "Tumour", "tumor", "Tumor", "Tumor")
    draws = RegionDraws(corpus, RegionPolicy(), TILE, ("tumour",))
    assert draws.table.phrases == ("Tumor",)
    rows = [row["phrase"] for uid in range(6) for row in draws.table.of([f"{uid:032x}"]).get("Tumor", ())]
    assert {"Tumour", "tumor", "Tumor"} == set(rows)
    assert len(rows) == 12
    assert [a.phrase for a in draws.ask([f"{98:032x}"], np.array([0], np.int8), None)] == ["Tumor"]


def test_a_chosen_phrase_finds_every_spelling_and_asks_as_it_is_written(tmp_path, capsys):
    corpus = spelt(tmp_path / "corpus", "Tumors", "Stroma", "Nekrose")
    draws = RegionDraws(corpus, RegionPolicy(phrases=("tumour", "necrosis")), TILE, ())
    assert draws.table.phrases == ("tumour",)
    assert draws.texts() == ["tumour"]
    assert "asks nothing about 'Nekrose', 'Stroma'" in capsys.readouterr().err


def test_an_excluded_phrase_is_left_out_and_said(tmp_path, capsys):
    corpus = spelt(tmp_path / "corpus", "Tumor", "STROMA")
    assert RegionDraws(corpus, RegionPolicy(exclude=("stroma",)), TILE, ()).table.phrases == ("Tumor",)
    assert "asks nothing about 'STROMA'" in capsys.readouterr().err


def test_expressions_that_differ_in_number_stay_apart(tmp_path):
    corpus = spelt(tmp_path / "corpus", "the pool", "the pools", "The  Pool")
    assert len(RegionDraws(corpus, RegionPolicy(), TILE, ()).table.phrases) == 2


def test_wrong_regions_are_named(tmp_path):
    corpus = write(tmp_path / "corpus", "tile")
    meta = {"shape": [40, 44], "axes": "YX"}
    outside = {"region_id": "far", "box": [50.0, 0.0, 60.0, 10.0], "mask_shard": None}
    with pytest.raises(CorpusError, match="region far lies outside its sample"):
        joined_mask(corpus, [outside], meta)
    with pytest.raises(CorpusError, match="neither a mask nor a box"):
        joined_mask(corpus, [outside | {"box": None}], meta)
    [first, *_] = (row for row in corpus.table("regions").to_pylist() if row["mask_shard"])
    with pytest.raises(CorpusError, match=r"has the shape \(40, 44\), but its sample has \(40, 45\)"):
        joined_mask(corpus, [first], {"shape": [40, 45], "axes": "YX"})
    asked_for = (
        r"no region with a phrase that is asked for; it has 'liver lesion', 'renal stone': ask for them with --data"
    )
    with pytest.raises(ConfigError, match=asked_for):
        RegionDraws(corpus, RegionPolicy(phrases=("dragon",)), TILE, ())
    with pytest.raises(ConfigError, match=r"needs one \{\}"):
        RegionPolicy(wordings=("the lesion",))


def test_a_turned_box_fills_what_its_corners_bound(tmp_path):
    corpus = write(tmp_path / "corpus", "tile")
    row = {"region_id": "turned", "box": [10.0, 5.0, 20.0, 35.0], "angle": 30.0, "mask_shard": None}
    mask = joined_mask(corpus, [row], {"shape": [40, 44], "axes": "YX"}).mask
    assert mask.sum() == pytest.approx(300, rel=0.06)
    ys, xs = np.nonzero(mask)
    assert (ys.mean() + 0.5, xs.mean() + 0.5) == pytest.approx((15, 20), abs=0.5)
    assert np.polyfit(xs, -ys, 1)[0] > 0.3, "counter-clockwise: its right end is the upper one"
