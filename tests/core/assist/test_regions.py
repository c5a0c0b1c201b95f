"""Regions in and out: shares are areas, points lie inside, and each token that points has a region of its own."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from voxtile.assist.connector import Connector
from voxtile.assist.phrase_queries import PhraseQueries
from voxtile.assist.places import Places, point_of
from voxtile.assist.region_inputs import Marked, region_on_grid
from voxtile.assist.region_tokens import covered
from voxtile.assist.regions import GroundedAnswering
from voxtile.assist.scratch import ScratchLanguage
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data import ImagePreset
from voxtile.data.dialogues import DialogueDraws, DialoguePolicy
from voxtile.data.regions.marked import MarkedRegions
from voxtile.errors import CheckpointError, ConfigError, InputError
from voxtile.models import GroundingDecoder, TextBag, WaveletTower
from voxtile.objectives import Grounding
from voxtile.training.step.locked_images import check_cache
from voxtile.types import Encoded, Features, Regions, Shown, Turn

UID = "a" * 32


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 7), st.integers(1, 5)), min_size=2, max_size=3), st.integers(0, 99))
def test_a_cell_is_covered_by_the_area_of_it_that_a_region_covers(sizes, seed):
    voxels, cells = zip(*sizes, strict=True)
    masks = torch.rand(2, *voxels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    fine = masks
    for axis, (count, wanted) in enumerate(sizes, start=1):  # parts that both grids are made of, then their means
        fine = fine.repeat_interleave(wanted, axis).unflatten(axis, (wanted, count)).mean(axis + 1)
    assert torch.allclose(covered(masks, cells), fine)


def answering(turns=(), names=("nodule",), **changed):
    torch.manual_seed(0)
    tower, text = WaveletTower(dimensions=2, widths=(8, 16), blocks=(1, 1)), TextBag(width=16)
    made = GroundedAnswering(
        scratch=ScratchLanguage(vocabulary=300, width=16, depth=1, heads=2, context=200),
        connector=Connector(pooled=1, hidden=16, kind="none"),
        grounding=Grounding(width=16, fine_width=16, product=4, points=64),
        **changed,
    )
    made.setup_towers(tower, text)
    source = SimpleNamespace(training_turns=lambda: list(turns), training_texts=lambda: ["a"], region_names=names)
    made.take_state(made.state_from(source))
    return made, tower, text


def features(tower, text, dialogues, **more):
    masks = torch.zeros(3, 16, 16)
    masks[0, 2:6, 2:6] = masks[1, 8:12, 2:9] = masks[2, 1:3, 10:14] = 1
    phrases = text(torch.tensor([[1, 11, 2], [1, 12, 2], [1, 11, 2]]))
    regions = Regions(["a nodule", "one mass", "a nodule"], torch.tensor([0, 0, 1]), masks, torch.zeros(3).bool(),
                      torch.ones(3), phrases, names=["Nodule", "mass", "Nodule"])  # fmt: skip
    encoded = tower(torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(1)), tokens=True)
    return Features.of_pairs(
        torch.ones(2, 8), torch.ones(0, 8), image_encoded=encoded, regions=regions, text_item=torch.zeros(0).long(),
        texts=[], dialogues=dialogues, **more,
    )  # fmt: skip


def test_an_answer_points_where_the_batch_has_its_region_and_says_nothing_of_it():
    talk = (Turn("Where is it?", "Here.", shows=("nodule",)), Turn("And the cyst?", "There.", shows=("cyst",)))
    made, tower, text = answering(talk)
    given = features(tower, text, [(talk,), ((Turn("Where?", "Here <seg> it is.", shows=("mass",)),),)])
    rows = made.rows(given)
    assert rows[:, 4].tolist() == [1.0, 0.0]  # the cyst has no region, and the mass none in the second image
    ((_, first), (_, second)) = made.dialogues(given.batch)
    assert [turn.answer for turn in first] == ["Here. <seg>", "There."]
    assert second[0].answer == "Here it is."  # a text that happens to have the word
    one = made.sequence(first)
    assert len(one.shown) == 1
    assert made.words.decode([one.tokens[one.shown[0] - 1]]) != ""
    point = made.words.encode("<seg>")
    assert [one.tokens[one.shown[0]]] == point  # a token of its own
    written = [*made.words.encode(" Here."), *point, *made.words.encode(" There.")]
    assert made.text_of(written) == "Here. There."
    assert made.parts_of([*written, *point]) == ["Here.", "There.", ""]


def test_a_structured_report_points_behind_findings_that_have_a_region_and_not_behind_denials():
    made, tower, text = answering()
    batch = features(tower, text, [(), ()]).batch
    batch.texts, batch.text_kinds = ["No mass.", "A nodule.", "A cyst."], ["template"] * 3
    batch.text_item, batch.fact_names = torch.zeros(3).long(), ("cyst", "mass", "nodule")
    batch.text_facts = torch.tensor([[-1, 0, -1], [-1, -1, 1], [1, -1, -1]], dtype=torch.int8)
    (_, (turn,)), = made.dialogues(batch)  # fmt: skip
    assert turn.answer == "A cyst. A nodule. <seg> No mass."
    assert turn.shows == ("nodule",)
    plain = made.sequence((turn,))
    made.captions = replace(made.captions, findings=3.0)  # sentences of findings count more, and say the same
    (_, (turn,)), = made.dialogues(batch)  # fmt: skip
    heavy = made.sequence((turn,))
    assert (heavy.tokens, heavy.shown) == (plain.tokens, plain.shown)
    assert (plain.weights, set(heavy.weights)) == ((), {1.0, 3.0})
    assert heavy.weights[heavy.shown[0]] == 3.0


def test_of_several_images_no_region_is_asked():
    images = (Shown(UID, "CT 1"), Shown("b" * 32, "CT 2"))
    shown = (Turn("Where?", "Here.", shows=("nodule",), images=images),)
    made, tower, text = answering(shown)
    ((_, (turn,)),) = made.dialogues(features(tower, text, [(shown,), ()]).batch)
    assert (turn.answer, turn.shows) == ("Here.", ())
    marked = ((Turn("What?", "That.", marks=("r",), images=images),),)
    with pytest.raises(ConfigError, match="a region lies on one"):
        made.dialogues(features(tower, text, [marked, ()]).batch)


def test_what_points_is_learned_from_its_own_mask():
    talk = (Turn("Where is it?", "Here.", shows=("nodule",)),)
    made, tower, text = answering(talk, phrase=0.0)
    given = features(tower, text, [(talk,), (talk,)])
    before = made.rows(given)[:, 2]
    given.batch.regions.masks[2] = given.batch.regions.masks[1]  # another place in the second image alone
    after = made.rows(given)[:, 2]
    assert after[0] == before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize("words", [2, 6])
def test_a_state_that_asks_what_a_phrase_does_is_shown_what_the_phrase_is(words):
    torch.manual_seed(0)
    tower, text = WaveletTower(dimensions=2, widths=(8, 16), blocks=(1, 1)), TextBag(width=16)
    phrase = text(torch.tensor([[1, 11, 12, 2, 0, 0, 0, 0]]))
    asking = PhraseQueries(5, 4, 16, words)
    with torch.no_grad():
        asking.vectors.weight.zero_()
        asking.there.weight.zero_()
        asking.vectors.bias.copy_(torch.cat([phrase.pooled, phrase.tokens[0, :words]]).flatten())
        asking.there.bias.copy_(torch.where(phrase.mask[0, :words], 20.0, -20.0))
    states = torch.randn(1, 5)
    assert asking.unlike(states, phrase).item() < 1e-6
    decoder = GroundingDecoder(dimensions=2, level_widths=tower.level_widths, text_width=16, width=16).eval()
    levels = tower.eval()(torch.randn(1, 1, 16, 16), tokens=True).levels
    cut = Encoded(phrase.pooled, phrase.tokens[:, :words], None, phrase.mask[:, :words])
    own, wanted = (decoder(levels, one, torch.tensor([0]), (16, 16)) for one in (asking.encoded(states), cut))
    torch.testing.assert_close(own.mask, wanted.mask)
    torch.testing.assert_close(own.presence, wanted.presence)
    if words == 6:
        whole = decoder(levels, phrase, torch.tensor([0]), (16, 16))
        torch.testing.assert_close(own.mask, whole.mask)  # places beyond the words are not read
    for part in (slice(0, 16), slice(16, 32)):  # the whole and its words are drawn to the phrase each
        with torch.no_grad():
            asking.vectors.bias[part] += 1
        assert asking.unlike(states, phrase).item() > 0.1
        with torch.no_grad():
            asking.vectors.bias[part] -= 1
    with torch.no_grad():
        asking.there.bias.mul_(-1)
    assert asking.unlike(states, phrase).item() > 10


def test_without_masks_to_learn_no_map_of_the_image_is_read_and_the_rest_is_learned_as_with_them(caplog):
    caplog.set_level("INFO")
    talk = (Turn("Where is it?", "Here.", shows=("nodule",)),)
    made, tower, text = answering(talk)
    given = features(tower, text, [(talk,), (talk,)])
    rows = made.rows(given)
    made.place = 0.0
    with pytest.raises(CheckpointError, match=r"model\.pretrained has no grounding decoder"):
        made.begin_with({"contrastive.bias": torch.zeros(1)})
    answering(talk, place=0)
    assert "the grounding decoder stays as it was drawn at random" in caplog.text
    made.begin_with({f"shows.{name}": part for name, part in made.grounding.state_dict().items()})
    given.image_encoded.levels = None
    kept = made.rows(given)
    assert rows[:, 2].all()
    assert not kept[:, 2].any()
    assert torch.equal(kept[:, [0, 1, 3, 4]], rows[:, [0, 1, 3, 4]])
    assert not answering(talk, place=1.0)[0].reads_encoded_alone
    own, cached = answering(talk, place=0)[0], {"regions", "tokens"}
    assert own.reads_encoded_alone
    assert own.row_needs == cached
    check_cache({"answering": own}, 1, False, frozen=True)
    with pytest.raises(ConfigError, match="cache_locked keeps what the tower gives"):
        check_cache({"answering": own}, 1, False)  # images are augmented until the tower is locked
    for wrong in ({"phrase": 0}, {"tune_decoder": True}):
        with pytest.raises(ConfigError, match="place 0 learns no masks"):
            answering(talk, place=0, **wrong)


def test_a_question_about_a_region_sees_it_and_is_refused_without():
    talk = (Turn("What is it?", "A nodule.", marks=("r1",)),)
    made, tower, text = answering(talk)
    masks = torch.zeros(1, 16, 16)
    masks[0, 2:6, 2:6] = 1
    losses = []
    for mask in (masks, masks.flip(2)):
        marked = Regions([""], torch.tensor([0]), mask, torch.tensor([False]), torch.ones(1), names=["r1"])
        losses.append(made.rows(features(tower, text, [(talk,), ()], marked=marked))[0, 0])
    assert losses[0] != losses[1]
    with pytest.raises(ConfigError, match=r"data\.dialogues\.marked is not set"):
        made.rows(features(tower, text, [(talk,), ()]))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.integers(2, 3))
def test_the_point_of_a_mask_lies_in_its_largest_part(seed, axes):
    rng = np.random.default_rng(seed)
    mask = rng.random((9,) * axes) < 0.1
    mask[(slice(2, 6),) * axes] |= rng.random((4,) * axes) < 0.8
    if mask.any():
        assert mask[point_of(mask, None)]
    crescent = np.zeros((9, 9), bool)
    crescent[1:8, 1:8] = True
    crescent[2:8, 3:8] = False  # its centre of mass lies outside
    assert crescent[point_of(crescent, (2.0, 1.0))]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A picture of 12 by 10 pixels with a region that has an outline and a box, and questions about it."""
    root = tmp_path_factory.mktemp("marked") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "made")
    row = {"uid": UID, "subject": "p", "study": "s", "kind": "image", "modality": "RGB", "axes": "YXC"}
    writer.add(Sample({**row, "shape": [12, 10, 3], "dtype": "uint8", "codec": "png"}, _png((12, 10)), None))
    mask = np.zeros((12, 10), bool)
    mask[2:8, 1] = mask[7, 1:6] = True
    writer.add_mask(Mask({"region_id": "r", "uid": UID, "phrase": "ell", "box": [2.0, 1.0, 8.0, 6.0]}, mask))
    rows = [("user", "What is it?", ["r"]), ("assistant", "An ell.", None), ("user", "Where?", None),
            ("assistant", "Here.", ["r"])]  # fmt: skip
    writer.add_rows("dialogues", [
        {"dialogue_id": "d", "turn": n, "role": role, "text": text, "uids": [UID], "kind": "region", "region_ids": ids}
        for n, (role, text, ids) in enumerate(rows)
    ])  # fmt: skip
    writer.publish()
    return Corpus(root)


def _png(size):
    import io

    stream = io.BytesIO()
    Image.fromarray(np.zeros((*size, 3), np.uint8)).save(stream, format="PNG")
    return stream.getvalue()


PRESET = ImagePreset(size=(12, 10), mean=(0.5,) * 3, std=(0.5,) * 3)


def test_dialogues_know_what_they_show_and_mark_and_draws_place_it(pictures):
    ((first, second),) = DialogueDraws(pictures, DialoguePolicy(per_item=0)).of([UID])
    assert (first.marks, first.shows, second.marks, second.shows) == (("r",), (), (), ("ell",))
    metas = {UID: pictures.table("samples", with_root=True).to_pylist()[0]}
    talks, found = ((first, second),), {}
    for boxes in (0.0, 1.0):
        regions = MarkedRegions(pictures, boxes)
        kept, (placed,) = regions.place(metas, talks, PRESET, lambda: None, np.random.default_rng(0))
        assert kept == talks
        assert (placed.name, placed.boxed) == ("r", bool(boxes))
        found[boxes] = int((placed.mask > 127).sum())
    assert found == {0.0: 10, 1.0: 30}
    unknown = ((Turn("What?", "That.", marks=("nowhere",)),),)
    assert MarkedRegions(pictures, 0.5).place(metas, unknown, PRESET, lambda: None, None) == ((), [])


def polygon(*corners):
    return {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}


def test_outlines_and_masks_of_a_picture_mark_the_pixels_whose_centres_they_hold(pictures, tmp_path):
    outline = {"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {}, "geometry": polygon([1, 2], [6, 2], [6, 8], [1, 8])}
    ]}  # fmt: skip
    (tmp_path / "outline.geojson").write_text(json.dumps(outline))
    drawn = np.zeros((12, 10), np.uint8)
    drawn[2:8, 1:6] = 9
    Image.fromarray(drawn).save(tmp_path / "mask.png")
    ways = [
        Marked((2.0, 1.0, 8.0, 6.0)),
        Marked(mask=tmp_path / "mask.png"),
        Marked(outline=tmp_path / "outline.geojson"),
    ]
    found = [region_on_grid(pictures, UID, PRESET, way) for way in ways]
    assert np.array_equal(found[0].numpy(), drawn / 9)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    turned = region_on_grid(pictures, UID, PRESET, Marked((4.0, 1.0, 6.0, 9.0), 90.0))
    assert np.array_equal(np.argwhere(turned.numpy())[[0, -1]], [[1, 4], [8, 5]])  # 8 high and 2 wide about its centre


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.png", _png((3, 3)), "another geometry than the image: 3 x 3 pixels"),
        ("a.png", b"nothing", "cannot be read as a picture"),
        ("a.npy", b"", "neither NIfTI nor a picture"),
        ("a.geojson", b"{", "cannot be read as GeoJSON"),
        ("a.geojson", b'{"type": "Point", "coordinates": [1, 1]}', "has no polygon"),
        ("a.geojson", json.dumps(polygon([50, 50], [60, 50], [60, 60])).encode(), "lies outside the image"),
        ("a.geojson", json.dumps(polygon([1.1, 1.1], [1.2, 1.1], [1.2, 1.2])).encode(), "covers no voxel"),
    ],
)
def test_files_that_mark_nothing_are_named(pictures, tmp_path, name, content, sentence):
    path = tmp_path / name
    path.write_bytes(content)
    marked = Marked(outline=path) if name.endswith("geojson") else Marked(mask=path)
    with pytest.raises(InputError, match=sentence):
        region_on_grid(pictures, UID, PRESET, marked)


def test_a_presence_of_0_shows_every_place_as_in_ground():
    assert Places(presence=0.0).presence == 0
    with pytest.raises(ConfigError, match="--presence must be at least 0 and below 1, not 1"):
        Places(presence=1.0)
