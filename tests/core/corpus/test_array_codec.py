"""Arrays come back as they went in, from anywhere in a file, and a crop reads only its chunks."""

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import blosc2
import hypothesis.extra.numpy as npst
import hypothesis.strategies as st
import numpy as np
import pytest
from examples import examples
from hypothesis import given, settings
from stored_arrays import decode_array

from voxtile.corpus.shards import lean_blosc2
from voxtile.corpus.shards.codecs import compress, encode_array, open_array
from voxtile.errors import CorpusError

DTYPES = ["?", "i1", "u1", "<i2", ">i2", "<u2", "<i4", ">u4", "<i8", "<u8", "<f2", "<f4", ">f8", "<c8", "<c16"]


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: npst.arrays(dtype, npst.array_shapes(min_dims=1, max_dims=5, max_side=20), fill=st.nothing())
    )
)
@settings(max_examples=examples(12, 60), deadline=None)
def test_any_array_round_trips(array):
    decoded = decode_array(encode_array(array))
    assert decoded.shape == array.shape
    assert decoded.dtype == array.dtype.newbyteorder("<")
    assert decoded.tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()  # NaN payloads and −0 included


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((4, 256, 256), "<u2"), ((3, 256, 256), "|u1"), ((2, 128, 200), "<f4"), ((5, 200, 200), "<i2"), ((64, 16), "<f8")],
)
@pytest.mark.parametrize("content", ["noise", "zeros", "ones", "nan"])
def test_the_bytes_are_those_of_blosc2s_own_constructor(shape, dtype, content):
    values = {"noise": np.random.default_rng(0).normal(0, 50, shape), "zeros": np.zeros(shape), "ones": np.ones(shape)}
    if content == "nan" and np.dtype(dtype).kind != "f":
        return
    array = (np.full(shape, np.nan) if content == "nan" else values[content]).astype(np.dtype(dtype))
    frame = encode_array(array)
    own = blosc2.ndarray_from_cframe(frame)
    options = blosc2.CParams(
        codec=blosc2.Codec.ZSTD, clevel=1, nthreads=1, filters=[blosc2.Filter.BITSHUFFLE], filters_meta=[0]
    )
    layer = {"checksums": bytes(8 * (1 + own.schunk.nchunks))}
    built = blosc2.asarray(array, chunks=own.chunks, blocks=own.blocks, cparams=options, meta=layer).to_cframe()
    end = int.from_bytes(frame[11:15], "big")  # of the header, where our checksums stand in place of the zeros
    start = end - len(layer["checksums"])
    assert frame[:start] + frame[end:] == built[:start] + built[end:]
    assert not any(built[start:end])
    assert any(frame[start:end])
    assert decode_array(frame).tobytes() == array.tobytes()


def test_what_was_compressed_before_leaves_no_trace():
    """Tiles of one shape in turn, the empty and the constant among them, and several threads at once."""
    rng = np.random.default_rng(0)
    tiles = [np.zeros((3, 64, 64), np.uint16), np.full((3, 64, 64), 9, np.uint16)]
    tiles += [rng.integers(0, 2000, (3, 64, 64)).astype(np.uint16) for _ in range(2)]
    order = [0, 2, 0, 1, 3, 2, 0, 3, 1, 1, 2] * 4
    alone = [encode_array(tile) for tile in tiles]
    with ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(lambda n: encode_array(tiles[n]), order))
    assert frames == [alone[n] for n in order]
    for n, frame in zip(order, frames, strict=True):
        np.testing.assert_array_equal(decode_array(frame), tiles[n])


def test_an_array_compressed_beforehand_says_what_it_is():
    array = np.arange(24, dtype=">i2").reshape(2, 3, 4)
    packed = compress(array)
    assert (packed.shape, packed.dtype) == ((2, 3, 4), "int16")
    np.testing.assert_array_equal(decode_array(packed.data), array)


_FRAMES: dict[tuple[int, ...], bytes] = {}


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_crop_equals_numpy(data):
    shape = data.draw(st.sampled_from([(90, 70, 130), (3, 70, 40, 66), (300, 520), (300, 270, 3), (140000,)]))
    array = np.random.default_rng(0).integers(-1000, 1000, shape).astype(np.int16)
    frame = _FRAMES.setdefault(shape, encode_array(array))
    box = tuple(
        slice(*sorted(data.draw(st.tuples(st.integers(0, size), st.integers(0, size)), label="edge"))) for size in shape
    )
    with tempfile.NamedTemporaryFile() as shard:
        shard.write(b"x" * 512 + frame + b"y" * 100)
        shard.flush()
        np.testing.assert_array_equal(open_array(Path(shard.name), 512, len(frame))[box], array[box])


def test_another_process_and_many_threads_give_the_same_bytes():
    code = (
        "import blosc2, hashlib, numpy as np; from voxtile.corpus.shards.codecs import encode_array;"
        "blosc2.set_nthreads({});"
        "a = (np.random.default_rng(1).normal(0, 400, (70, 130, 90))).astype('i2');"
        "print(hashlib.sha256(encode_array(a)).hexdigest())"
    )
    run = [subprocess.check_output([sys.executable, "-c", code.format(threads)]) for threads in (1, 4)]
    assert run[0] == run[1]


def test_stored_frame_is_a_plain_blosc2_array(tmp_path):
    """Somebody without voxtile reads the file."""
    array = np.arange(4000, dtype=np.int16).reshape(10, 20, 20)
    (tmp_path / "a.b2nd").write_bytes(encode_array(array))
    np.testing.assert_array_equal(blosc2.open(str(tmp_path / "a.b2nd"), mode="r")[:], array)


def test_crop_reads_only_the_chunks_it_touches(tmp_path):
    array = np.random.default_rng(0).integers(0, 30000, (192, 192, 192)).astype(np.int16)
    frame = bytearray(encode_array(array))
    assert blosc2.ndarray_from_cframe(bytes(frame)).schunk.nchunks == 27
    header = int.from_bytes(frame[11:15], "big")
    first = np.s_[0:64, 0:64, 0:64]
    stored = int.from_bytes(frame[39:47], "big")
    first_chunk = int.from_bytes(frame[header + 12 : header + 16], "little")
    frame[header + first_chunk : header + stored] = b"\xff" * (stored - first_chunk)  # every other chunk is ruined
    (tmp_path / "a").write_bytes(frame)
    opened = open_array(tmp_path / "a", 0, len(frame))
    np.testing.assert_array_equal(opened[first], array[first])
    with pytest.raises(CorpusError):
        opened[0:65, 0:64, 0:64]


def test_few_planes_are_kept_in_chunks_of_the_plane(tmp_path):
    """Bands of a tile: a crop touches the chunks under it, with all bands, and no other."""
    array = np.random.default_rng(0).integers(0, 30000, (4, 512, 300)).astype(np.uint16)
    frame = encode_array(array)
    assert blosc2.ndarray_from_cframe(frame).chunks == (4, 256, 256)
    (tmp_path / "a").write_bytes(frame)
    opened = open_array(tmp_path / "a", 0, len(frame))
    for box in (np.s_[1:3, 100:300, 200:300], np.s_[0:4, 0:1, 0:300], np.s_[2:3]):
        np.testing.assert_array_equal(opened[box], array[box])


@pytest.mark.parametrize(
    "bad", [np.empty((0, 3)), np.array(["a"]), np.array([object()]), np.float32(3.0), np.zeros(3, "M8[s]")]
)
def test_what_is_not_plain_numbers_is_not_stored(bad):
    with pytest.raises(ValueError, match="cannot be stored"):
        encode_array(np.asarray(bad))


def test_steps_and_too_many_axes_are_refused(tmp_path):
    frame = encode_array(np.zeros((4, 4)))
    (tmp_path / "a").write_bytes(frame)
    array = open_array(tmp_path / "a", 0, len(frame))
    with pytest.raises(ValueError, match="step 1"):
        array[::2]
    with pytest.raises(ValueError, match="at most 2"):
        array[0:1, 0:1, 0:1]


def test_missing_and_truncated_shards_say_what_to_do(tmp_path):
    with pytest.raises(CorpusError, match=r"is missing.*voxtile verify"):
        open_array(tmp_path / "none.tar", 0, 100)
    frame = encode_array(np.zeros((40, 40), np.int16))
    (tmp_path / "cut.tar").write_bytes(frame[:-10])
    with pytest.raises(CorpusError, match="cut short"):
        open_array(tmp_path / "cut.tar", 0, len(frame))
    with pytest.raises(CorpusError, match="cut short"):
        open_array(tmp_path / "cut.tar", 0, len(frame) - 10)
    (tmp_path / "empty.tar").write_bytes(b"")
    with pytest.raises(CorpusError, match="cannot read"):
        open_array(tmp_path / "empty.tar", 0, 1)


def test_replaced_shard_is_seen(tmp_path):
    path = tmp_path / "shard.tar"
    for value in (1, 2):
        frame = encode_array(np.full((3, 3), value))
        replacement = tmp_path / "new"
        replacement.write_bytes(frame)
        replacement.rename(path)
        assert (open_array(path, 0, len(frame))[:] == value).all()


def test_open_shards_are_bounded(tmp_path):
    frame = encode_array(np.arange(9))
    arrays = []
    for number in range(300):
        (tmp_path / str(number)).write_bytes(frame)
        arrays.append(open_array(tmp_path / str(number), 0, len(frame)))
    with open("/proc/self/maps") as maps:
        mapped = [line for line in maps if str(tmp_path) in line]
    assert len(mapped) == 300  # still in use
    assert all((array[:] == np.arange(9)).all() for array in arrays)
    arrays.clear()
    with open("/proc/self/maps") as maps:
        assert len([line for line in maps if str(tmp_path) in line]) <= 128


def test_a_module_that_is_deferred_is_imported_by_whoever_asks_it_for_something(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with lean_blosc2._deferred("colorsys"):
        import colorsys as standing_in
    assert "colorsys" not in sys.modules
    assert standing_in.rgb_to_hsv(1.0, 1.0, 1.0) == (0.0, 0.0, 1.0)
    import colorsys

    assert colorsys is not standing_in
    assert colorsys is sys.modules["colorsys"]
    with lean_blosc2._deferred("colorsys"):
        import colorsys as again
    assert again is colorsys
