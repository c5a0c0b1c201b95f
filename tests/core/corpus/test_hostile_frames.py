"""Prepared frames that would run Python or take all memory are refused before the library opens them.

Each attack that runs code is first shown to work when the library opens the frame without our checks.
"""

import os
import struct
import subprocess
import sys
from contextlib import suppress

import blosc2
import hypothesis.strategies as st
import numpy as np
import pytest
from blosc2.b2objects import make_b2object_carrier, write_b2object_payload
from hypothesis import given, settings
from stored_arrays import decode_array

from voxtile.corpus.shards.codecs import encode_array, open_array
from voxtile.errors import CorpusError

USER_CODEC, USER_FILTER = 201, 202


def _refused(frame, tmp_path, match):
    with pytest.raises(CorpusError, match=match):
        decode_array(frame)
    (tmp_path / "shard.tar").write_bytes(b"0" * 512 + frame)
    with pytest.raises(CorpusError, match=match):
        open_array(tmp_path / "shard.tar", 512, len(frame))[:]


def test_a_stored_python_function_does_not_run(tmp_path):
    marker = tmp_path / "ran"
    operand = blosc2.asarray(np.ones(8), urlpath=str(tmp_path / "operand.b2nd"), mode="w")
    carrier = make_b2object_carrier("lazyudf", (8,), np.float64, urlpath=str(tmp_path / "evil.b2nd"), mode="w")
    source = f"def kernel(x, _=open({str(marker)!r}, 'w')):\n    return x + 1\n"  # a default runs when defined
    write_b2object_payload(
        carrier,
        {
            "kind": "lazyudf",
            "version": 1,
            "function_kind": "dsl",
            "dsl_version": 1,
            "name": "kernel",
            "udf_source": source,
            "dtype": "<f8",
            "shape": [8],
            "operands": {"o0": blosc2.Ref.from_object(operand).to_dict()},
            "kwargs": {},
        },
    )
    frame = (tmp_path / "evil.b2nd").read_bytes()
    _refused(frame, tmp_path, "refused unopened")
    assert not marker.exists()
    with suppress(Exception):  # what it returns does not matter, the code has run by then
        blosc2.open(str(tmp_path / "evil.b2nd"), mode="r", deserialize="full")
    assert marker.exists(), "the attack no longer works; build one that does"


def test_a_lazy_expression_is_not_evaluated(tmp_path):
    operand = blosc2.asarray(np.ones(8), urlpath=str(tmp_path / "operand.b2nd"), mode="w")
    (operand + 1).save(urlpath=str(tmp_path / "expr.b2nd"))
    assert type(blosc2.open(str(tmp_path / "expr.b2nd"), mode="r", deserialize="full")).__name__ == "LazyExpr"
    _refused((tmp_path / "expr.b2nd").read_bytes(), tmp_path, "refused unopened")


@pytest.fixture(scope="module")
def calls():
    """Python functions registered in this process as a codec and a filter; they note each call."""
    seen = []

    def encode(source, target, meta, schunk):
        target[:4] = 0  # lossy: only the call of the decoder matters here
        return 4

    def decode(source, target, meta, schunk):
        seen.append("codec")
        target[: len(target)] = 0
        return len(target)

    def forward(source, target, meta, schunk):
        target[:] = source

    def backward(source, target, meta, schunk):
        seen.append("filter")
        target[:] = source

    blosc2.register_codec("probe", USER_CODEC, encode, decode)
    blosc2.register_filter(USER_FILTER, forward, backward)
    return seen


def _user_frame(**settings):
    values = np.random.default_rng(0).integers(0, 100, (64, 64)).astype(np.int16)
    cparams = blosc2.CParams(nthreads=1, **settings)
    dparams = blosc2.DParams(nthreads=1)
    return blosc2.asarray(values, chunks=(64, 64), blocks=(32, 32), cparams=cparams, dparams=dparams).to_cframe()


def _decode_unchecked(frame):
    array = blosc2.ndarray_from_cframe(frame, deserialize="safe")
    array.schunk.dparams = blosc2.DParams(nthreads=1)
    return array[:]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("codec", {"codec": USER_CODEC, "filters": [blosc2.Filter.NOFILTER], "filters_meta": [0]}),
        ("filter", {"codec": blosc2.Codec.ZSTD, "filters": [USER_FILTER], "filters_meta": [0]}),
    ],
)
def test_user_defined_codecs_and_filters_are_not_called(calls, tmp_path, kind, options):
    frame = _user_frame(**options)
    calls.clear()
    _refused(frame, tmp_path, "refused")
    assert calls == []
    _decode_unchecked(frame)
    assert kind in calls, "the attack no longer works; build one that does"


def test_a_user_defined_filter_hidden_in_a_chunk_is_not_called(calls, tmp_path):
    """The frame header says bitshuffle; only the chunk's own header names the Python function."""
    frame = bytearray(_user_frame(codec=blosc2.Codec.ZSTD, filters=[USER_FILTER], filters_meta=[0]))
    frame[71:77] = bytes([2, 0, 0, 0, 0, 0])
    calls.clear()
    _refused(bytes(frame), tmp_path, "chunk with a user-defined")
    assert calls == []
    _decode_unchecked(bytes(frame))
    assert calls, "the attack no longer works; build one that does"


def test_a_plugin_codec_does_not_start_an_interpreter(tmp_path):
    """For a registered but absent codec, c-blosc2 runs `python -c "import blosc2_grok; …"` to find a library."""
    frame = bytearray(encode_array(np.random.default_rng(0).integers(0, 99, (64, 64)).astype(np.int16)))
    header = int.from_bytes(frame[11:15], "big")
    frame[header + 2] |= 6 << 5  # the chunk's codec format: look at the next field
    frame[header + 22] = 37  # BLOSC_CODEC_GROK
    _refused(bytes(frame), tmp_path, "user-defined codec")
    marker, python = tmp_path / "ran", tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text(f"#!/bin/sh\ntouch '{marker}'\n")
    python.chmod(0o755)
    (python.parent / "python3").symlink_to("python")
    code = "import blosc2, sys; blosc2.ndarray_from_cframe(open(sys.argv[1], 'rb').read()[512:])[:]"
    environment = {**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"}
    run = [sys.executable, "-c", code, str(tmp_path / "shard.tar")]
    subprocess.run(run, env=environment, capture_output=True, check=False, timeout=900)
    assert marker.exists(), "the attack no longer works; build one that does"


def test_metadata_of_variable_length_is_refused(tmp_path):
    array = blosc2.asarray(np.ones((8, 8)), cparams=blosc2.CParams(nthreads=1))
    array.schunk.vlmeta["note"] = {"a": 1}
    _refused(array.to_cframe(), tmp_path, "refused unopened")


def test_terabytes_in_a_small_frame_are_refused(tmp_path):
    bomb = blosc2.zeros((1 << 41,), dtype=np.uint8, chunks=(1 << 30,), blocks=(1 << 16,), cparams=_ZSTD).to_cframe()
    assert len(bomb) < 10_000
    _refused(bomb, tmp_path, r"claims 2\.2e\+12 bytes")


@pytest.mark.parametrize("factor", [1 << 20, 1 << 40, 1 << 62, (1 << 63) - 1])
def test_patched_sizes_are_refused_before_memory_is_taken(tmp_path, factor):
    frame = bytearray(encode_array(np.ones((8, 8, 8), np.int16)))
    shape_at = bytes(frame).index(struct.pack(">bqbqbq", -45, 8, -45, 8, -45, 8)) + 1
    frame[shape_at : shape_at + 8] = struct.pack(">q", factor)
    _refused(bytes(frame), tmp_path, "claims|contradict")


def test_undefined_memory_is_not_returned(tmp_path):
    """A chunk marked as uninitialised would hand out whatever the process had in memory."""
    frame = blosc2.uninit((64, 64), dtype=np.int16, chunks=(64, 64), blocks=(32, 32), cparams=_ZSTD).to_cframe()
    _refused(frame, tmp_path, "without defined values")


_ZSTD = blosc2.CParams(codec=blosc2.Codec.ZSTD, filters=[blosc2.Filter.BITSHUFFLE], filters_meta=[0], nthreads=1)
_FRAMES = [
    encode_array(np.random.default_rng(0).integers(-999, 999, (20, 70, 70)).astype(np.int16)),
    encode_array(np.zeros((100, 100), np.float32)),
    encode_array(np.repeat(np.arange(70000) % 251, 2).astype(np.uint8)),
]


@given(
    st.sampled_from(_FRAMES), st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=4)
)
@settings(max_examples=300, deadline=None)
def test_any_damage_gives_values_or_one_sentence(frame, damage):
    broken = bytearray(frame)
    for position, value in damage:
        index = (
            position % len(frame) if position % 2 else position % min(len(frame), 250)
        )  # half of the damage hits the header
        broken[index] = value
    outcome = ""
    try:
        decode_array(bytes(broken))
    except CorpusError as error:
        outcome = str(error)
    assert "\n" not in outcome


@given(st.sampled_from(_FRAMES), st.floats(0, 1, exclude_max=True))
@settings(max_examples=100, deadline=None)
def test_a_frame_cut_anywhere_is_refused(frame, where):
    with pytest.raises(CorpusError):
        decode_array(frame[: int(where * len(frame))])
