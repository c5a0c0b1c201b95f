"""Digests of places spread over a file: what lies at any of them tells files apart, as does their size."""

import os

import pytest

from voxtile.file_edges import EDGE, PROBES, file_edges, probe_digest, probe_digests, telling_edges


@pytest.mark.parametrize("size", [1, EDGE, PROBES * EDGE, PROBES * EDGE + 1, 3_000_000])
def test_a_change_at_any_probed_place_is_seen(tmp_path, size):
    path = tmp_path / "file"
    content = bytearray(os.urandom(size))
    path.write_bytes(content)
    digests = {probe_digest(path)}
    places = {round(max(0, size - EDGE) * number / (PROBES - 1)) for number in range(PROBES)}
    places = {min(size - 1, place + 1) for place in places} if size > EDGE else set(range(0, size, 97))
    for place in places:
        content[place] ^= 1
        path.write_bytes(content)
        digests.add(probe_digest(path))
    path.write_bytes(content + b"\0")
    digests.add(probe_digest(path))
    assert len(digests) == len(places) + 2


def test_of_a_short_file_every_byte_counts(tmp_path):
    path = tmp_path / "file"
    content = bytearray(range(256)) * 255
    assert len(content) <= PROBES * EDGE
    path.write_bytes(content)
    before = probe_digest(path)
    content[5_000] ^= 1
    path.write_bytes(content)
    assert probe_digest(path) != before


def test_of_many_they_come_in_order_and_what_is_no_file_has_none(tmp_path):
    paths = []
    for number in range(100):
        paths.append(tmp_path / str(number))
        paths[-1].write_bytes(os.urandom(70_000))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    wanted = [*map(probe_digest, paths), None, None, None, None]
    assert probe_digests([*paths, tmp_path, pipe, tmp_path / "nowhere", paths[0] / "member.nii"]) == wanted


def test_what_is_not_packed_is_told_by_places_between_its_ends(tmp_path):
    for name, packed in (("a.tif", False), ("a.h5", False), ("a.nii.gz", True), ("a.PNG", True)):
        path = tmp_path / name
        path.write_bytes(bytes(PROBES * EDGE * 4))
        before = telling_edges(path)
        assert before[0] == PROBES * EDGE * 4
        assert (before == file_edges(path)) == packed
        path.write_bytes(bytes(PROBES * EDGE * 2 - 1) + b"x" * (2 * EDGE) + bytes(PROBES * EDGE * 2 - 2 * EDGE + 1))
        assert (telling_edges(path) == before) == packed
