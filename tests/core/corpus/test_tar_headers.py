"""Shards are the tars that Python's own writer would make; shapes of JPEGs are what Pillow reads."""

import io
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from voxtile.corpus.shards.codecs import picture_shape
from voxtile.corpus.shards.tar import DeterministicTar

NAMES = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x17F, exclude_characters="/\\"), min_size=1, max_size=130
)


@given(members=st.lists(st.tuples(NAMES, st.binary(max_size=1500)), max_size=6))
def test_a_tar_equals_the_one_of_tarfile(members):
    ours, theirs = io.BytesIO(), io.BytesIO()
    writer = DeterministicTar(ours)
    offsets = [writer.add(name, data) for name, data in members]
    writer.finish()
    with tarfile.open(fileobj=theirs, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    content = ours.getvalue()
    assert content == theirs.getvalue()[: len(content)]  # tarfile pads the end to whole records
    assert [content[at : at + len(data)] for at, (_, data) in zip(offsets, members, strict=True)] == [
        d for _, d in members
    ]


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_the_shape_of_a_jpeg_is_read_from_its_header(mode, options):
    stream = io.BytesIO()
    Image.fromarray(np.zeros((40, 60), np.uint8)).convert(mode).save(stream, "JPEG", **options)
    assert picture_shape(stream.getvalue()) == ((40, 60) if mode == "L" else (40, 60, 3))
    assert picture_shape(memoryview(stream.getvalue())) == picture_shape(stream.getvalue())
