"""A bit that flipped on a disk is noticed by whoever reads it, not by `voxtile verify` alone."""

import hashlib
import io
import json
import shutil
from pathlib import Path

import blosc2
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from stored_arrays import decode_array

from voxtile.corpus import integrity
from voxtile.corpus.identity import sample_uid
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import EncodedArray, Mask, Sample
from voxtile.corpus.shards.blosc2_frame import inspect_frame
from voxtile.corpus.shards.codecs import compress, encode_array
from voxtile.corpus.view.view import compile_view
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.datamodule import CorpusDataModule
from voxtile.data.presets.volume import VolumePreset
from voxtile.errors import CorpusError
from voxtile.stages.verify.corpus import verify

SHAPE = (40, 70, 130)  # several chunks


def _volume(seed, shape=SHAPE):
    """Smooth structures and the noise of a scanner, in 12 bits."""
    rng = np.random.default_rng(seed)
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    body = 900 * np.exp(-((y - 35) ** 2 + (x - 65) ** 2) / 900) * (1 + np.sin(z / 5))
    return (body + rng.normal(0, 12, shape)).astype(np.int16)


def _picture(seed, form):
    stream = io.BytesIO()
    noise = np.random.default_rng(seed).integers(0, 255, (10, 12, 3)).astype(np.uint8)
    Image.fromarray(noise).resize((60, 50), Image.Resampling.BICUBIC).save(stream, form)
    return stream.getvalue()


def of_schema_1(array):
    """A frame as schema 1 wrote it: without checksums."""
    own = blosc2.ndarray_from_cframe(encode_array(array))
    options = blosc2.CParams(
        codec=blosc2.Codec.ZSTD, clevel=1, nthreads=1, filters=[blosc2.Filter.BITSHUFFLE], filters_meta=[0]
    )
    frame = blosc2.asarray(array, chunks=own.chunks, blocks=own.blocks, cparams=options).to_cframe()
    return EncodedArray(frame, array.shape, array.dtype.name)


UIDS = {name: sample_uid(name) for name in ("volume", "tile", "old", "jpg", "png")}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """A volume, a tile, a volume of schema 1, a JPEG, a PNG, and a mask."""
    root = tmp_path_factory.mktemp("corrupt") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job-0")
    row = {"kind": "volume", "modality": "CT", "axes": "ZYX", "units": "HU", "spacing": [2.0, 1.0, 1.0]}
    tile = {"kind": "tile", "axes": "CYX"}
    bands = np.random.default_rng(3).integers(0, 3000, (4, 48, 48)).astype(np.uint16)
    for name, about, payload in (
        ("volume", row, _volume(0)), ("old", row, of_schema_1(_volume(1))), ("tile", tile, compress(bands)),
        ("jpg", {"kind": "image"}, _picture(4, "JPEG")), ("png", {"kind": "image"}, _picture(5, "PNG")),
    ):  # fmt: skip
        writer.add(Sample({"uid": UIDS[name], "subject": name, **about}, payload))
        writer.add_rows("splits", [{"scheme": "default", "subject": name, "split": "train"}])
        writer.add_rows("captions", [{"caption_id": name, "uid": UIDS[name], "text": f"a {name}", "kind": "raw"}])
    writer.add_mask(Mask({"region_id": "mask", "uid": UIDS["volume"], "source": "t"}, _volume(0) > 400))
    writer.publish()
    return root


@pytest.fixture
def root(pristine, tmp_path):
    integrity._compared.clear()  # as another process would begin
    return shutil.copytree(pristine, tmp_path / "corpus")


def _address(root, name):
    """Offset and length of a payload."""
    if name == "mask":
        [region] = Corpus(root).table("regions").to_pylist()
        return region["mask_offset"], region["mask_nbytes"]
    row = Corpus(root).row(UIDS[name])
    return row["offset"], row["nbytes"]


def _read(root, name):
    """Pixels as training reads them, through a compiled view; a mask through the corpus."""
    corpus = Corpus(root)
    if name == "mask":
        return corpus.mask(corpus.table("regions").to_pylist()[0])
    view = compile_view(corpus)
    source = next(view.source(view.entry(row)) for row in range(len(view)) if view.entry(row).uid == UIDS[name])
    if name in {"jpg", "png"}:
        return np.asarray(Image.open(io.BytesIO(source.encoded())))
    return source.array()


def _flip(root, position, bit):
    """Flip a bit of the only shard, in place: what has mapped it already sees it too."""
    with (root / "shards/job-0.tar").open("r+b") as file:
        file.seek(position)
        value = file.read(1)[0]
        file.seek(position)
        file.write(bytes([value ^ 1 << bit]))


def _caught(root, name, flips, seed=0):
    """How many of single flips anywhere in a payload end in a sentence; each is undone."""
    offset, nbytes = _address(root, name)
    rng = np.random.default_rng(seed)
    caught = 0
    for position, bit in zip(rng.integers(0, nbytes, flips), rng.integers(0, 8, flips), strict=True):
        _flip(root, offset + int(position), int(bit))
        integrity._compared.clear()
        try:
            _read(root, name)
        except CorpusError as error:
            caught += "\n" not in str(error)
        _flip(root, offset + int(position), int(bit))
    return caught


@pytest.mark.parametrize("name", ["volume", "old", "tile", "jpg", "png", "mask"])
def test_a_flipped_bit_is_noticed_wherever_it_lies(root, name):
    whole = _read(root, name)
    assert _caught(root, name, 40) == 40
    np.testing.assert_array_equal(_read(root, name), whole)  # and is well again


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["volume", "old", "tile", "jpg", "png", "mask"])
def test_all_of_four_hundred_flips_are_noticed(root, name):
    assert _caught(root, name, 400, seed=1) == 400


def test_a_crop_notices_what_it_reads_and_reads_no_more(root):
    array = Corpus(root).source(Corpus(root).row(UIDS["volume"])).stored
    frame, (offset, _) = array._frame, _address(root, "volume")
    chunk = frame.chunks
    assert frame.chunk_grid[2] > 1
    inside = tuple(slice(0, size) for size in chunk)
    first = array[inside]
    starts = offset + frame.header_bytes + frame.offsets
    for number, start in enumerate(starts.tolist()):
        _flip(root, start + 200, 3)
        if number == 0:
            with pytest.raises(CorpusError, match="differ from their checksum"):
                array[inside]
        else:
            np.testing.assert_array_equal(array[inside], first)
        _flip(root, start + 200, 3)


def test_every_byte_that_is_no_chunk_is_under_a_checksum():
    """The header with the shape, the index of the chunks, the checksums themselves, the end."""
    frame = encode_array(np.random.default_rng(0).integers(0, 99, (3, 21, 35)).astype(np.int16))
    checked = inspect_frame(frame)
    around = [*range(checked.header_bytes), *range(checked.header_bytes + checked.data_bytes, len(frame))]
    for number, position in enumerate(around):
        broken = bytearray(frame)
        broken[position] ^= 1 << number % 8
        with pytest.raises(CorpusError):
            decode_array(bytes(broken))


def test_training_says_which_sample_is_damaged(root):
    """Through worker processes; what it had read before does not help it."""
    preset = VolumePreset(shape=(8, 16, 16), spacing="native", units="HU")
    where = "kind = 'volume'"
    data = CorpusDataModule(preset, str(root), batch_size=2, num_workers=2, where=where)
    assert len(list(data.train_dataloader())) == 1
    offset, nbytes = _address(root, "volume")
    _flip(root, offset + nbytes // 2, 5)
    data = CorpusDataModule(preset, str(root), batch_size=2, num_workers=2, where=where)
    with pytest.raises(CorpusError, match=f"sample {UIDS['volume']} cannot be loaded: .*differ from their checksum"):
        list(data.train_dataloader())


def test_a_picture_is_hashed_once_a_process(root, monkeypatch):
    """The price of checking old arrays and pictures is paid once."""
    asked = []
    real = integrity.hashlib.sha256
    monkeypatch.setattr(integrity.hashlib, "sha256", lambda data: asked.append(len(data)) or real(data))
    sources = {name: Corpus(root).source(Corpus(root).row(UIDS[name])) for name in ("jpg", "old", "volume")}
    for _ in range(3):
        sources["jpg"].encoded()
        sources["volume"].array()
        Corpus(root).source(Corpus(root).row(UIDS["old"])).array()
    assert sorted(asked) == sorted(_address(root, name)[1] for name in ("jpg", "old"))


def test_a_picture_that_was_found_sound_vouches_for_no_other(root):
    _read(root, "jpg")
    offset, nbytes = _address(root, "png")
    _flip(root, offset + nbytes // 2, 3)
    with pytest.raises(CorpusError, match="differs from the hash in its row"):
        _read(root, "png")


def test_a_hash_of_few_digits_proves_nothing():
    sha256 = hashlib.sha256(b"x").hexdigest()
    assert not integrity.check_hash(memoryview(b"x"), Path("shard"), 0, sha256[:15])
    assert integrity.check_hash(memoryview(b"x"), Path("shard"), 0, sha256[: integrity.HASH_DIGITS])


def test_a_chunk_without_bytes_has_the_checksum_0():
    """As the format says, so that another reader of it finds the same."""
    frame = encode_array(np.zeros(SHAPE, np.int16))
    checked = inspect_frame(frame)
    assert (checked.offsets < 0).all()
    nbytes = 8 * len(checked.offsets)
    assert frame[checked.header_bytes - nbytes : checked.header_bytes] == bytes(nbytes)


def test_two_shards_of_equal_sizes_that_were_exchanged(tmp_path):
    """Sound in themselves, and of the other samples."""
    new_corpus(tmp_path / "corpus")
    uids = [sample_uid(f"{n}") for n in range(2)]
    for n, uid in enumerate(uids):
        writer = JobWriter(tmp_path / "corpus", f"job-{n}")
        noise = np.random.default_rng(n).integers(-(2**15), 2**15, (8, 32, 32)).astype(np.int16)
        writer.add(Sample({"uid": uid, "subject": f"s{n}", "kind": "volume", "axes": "ZYX"}, noise))
        writer.publish()
    corpus = Corpus(tmp_path / "corpus")
    assert len({(row["offset"], row["nbytes"]) for row in corpus.table("samples").to_pylist()}) == 1
    first, second = (tmp_path / "corpus/shards" / f"job-{n}.tar" for n in range(2))
    held = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(held)
    for uid in uids:
        with pytest.raises(CorpusError, match=f"does not hold '{uid}.b2nd'.*exchanged"):
            corpus.source(corpus.row(uid)).array()


def test_a_shard_that_is_cut_short(root):
    shard = root / "shards/job-0.tar"
    offset, nbytes = _address(root, "png")
    shard.write_bytes(shard.read_bytes()[: offset + nbytes // 2])
    with pytest.raises(CorpusError, match="the shard is cut short"):
        _read(root, "png")


def test_the_checksums_name_the_format(root):
    """Schema 2 in all that is written; the same array gives the same bytes, and another program reads them."""
    assert json.loads((root / "corpus.json").read_text())["schema"] == "2.0"
    part = pq.read_schema(root / "tables/samples/job-0.parquet")
    assert part.metadata[b"voxtile_schema"] == b"2.0"
    frame = encode_array(_volume(0))
    assert frame == encode_array(_volume(0))
    np.testing.assert_array_equal(blosc2.ndarray_from_cframe(frame)[:], _volume(0))


def test_a_corpus_of_one_sample_of_schema_1(tmp_path):
    """What older versions wrote opens, trains and verifies."""
    root = tmp_path / "corpus"
    new_corpus(root)
    (root / "corpus.json").write_text(json.dumps({"format": "voxtile-corpus", "schema": "1.0"}))
    writer = JobWriter(root, "job-0")
    row = {"uid": UIDS["old"], "subject": "s", "kind": "volume", "axes": "ZYX", "units": "HU"}
    writer.add(Sample(row, of_schema_1(_volume(1))))
    writer.add_rows("captions", [{"caption_id": "c", "uid": UIDS["old"], "text": "a chest", "kind": "raw"}])
    writer.publish()
    assert verify(root).problems == []
    np.testing.assert_array_equal(_read(root, "old"), _volume(1))
