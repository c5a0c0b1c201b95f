"""What recipes tell the files of a download by: one that was replaced under its name and size is another input."""

import os
from dataclasses import dataclass

import pytest

from voxtile_datasets.recipes.entries import Entry, FileRecipe
from voxtile_datasets.recipes.recipe import DataSet
from voxtile_datasets.recipes.talks import recipe as talks
from voxtile_datasets.recipes.talks.entry import TalkEntry

DATA = DataSet(name="set", title="A set", source="https://example.org", licence="CC0")


@dataclass(frozen=True)
class OneFile(FileRecipe):
    data: DataSet = DATA

    def config(self):
        return {}

    def entries(self, root):
        yield Entry("a", ("a.tif",))

    def record(self, root, entry, item):
        raise NotImplementedError


@pytest.mark.parametrize("kind", ["entries", "talks"])
def test_an_uncompressed_picture_that_was_replaced_is_another_input(kind, tmp_path, monkeypatch):
    monkeypatch.setitem(talks._LAYOUTS, "one", lambda root: iter([TalkEntry("a", "a.tif", ())]))
    recipe = OneFile() if kind == "entries" else talks.Talks(DATA, "one", "RGB")
    path, found = tmp_path / "a.tif", []
    for middle in (b"x", b"x", b"y"):
        path.write_bytes(bytes(1 << 19) + middle * (1 << 19) + bytes(1 << 19))
        os.utime(path, (1e9, 1e9))
        found += recipe.items(tmp_path)
    first, again, other = found
    assert first == again
    assert first.inputs != other.inputs
