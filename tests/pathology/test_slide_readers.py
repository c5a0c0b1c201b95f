"""A reader is added by naming one class; content decides which one opens a file."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from voxtile.errors import InputError
from voxtile_pathology.slides import Level, Slide, SlideError, UnsupportedSlideError, find_slides, open_slide
from voxtile_pathology.slides import open as opening

MAGIC = b"NEWSLIDE"


class NewReader:
    """A third party's reader of a format of its own: eight bytes of magic, then grey pixels of 16 x 16."""

    reader = "new"
    mpp, objective, properties, associated, warnings = (0.5, 0.5), None, {}, (), ()
    levels = (Level((16, 16), (1.0, 1.0)),)

    def __init__(self, path):
        self.path = path
        self.grey = np.frombuffer(path.read_bytes()[8:], np.uint8).reshape(16, 16)

    @classmethod
    def recognises(cls, path, head):
        return 100 if head.startswith(MAGIC) else 0

    def read(self, level, box):
        return np.repeat(self.grey[box[1] : box[3], box[0] : box[2], None], 3, axis=2)

    def tile_grid(self, level):
        return None

    def associated_image(self, name):
        raise SlideError("none")

    def close(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def third_party(monkeypatch):
    entry = EntryPoint("new", f"{__name__}:NewReader", opening.ENTRY_POINT_GROUP)
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or sys.modules[NewReader.__module__])
    monkeypatch.setattr(opening.importlib.metadata, "entry_points", lambda group: [entry])
    opening._third_party_readers.cache_clear()
    yield
    opening._third_party_readers.cache_clear()


def test_a_third_partys_reader_is_found_by_its_entry_point(third_party, tmp_path):
    path = tmp_path / "case.xyz"
    path.write_bytes(MAGIC + bytes(range(256)))
    assert find_slides(tmp_path) == [path]
    with open_slide(path) as slide:
        assert slide.reader == "new"
        assert isinstance(slide, Slide)
        assert slide.read(0, (1, 0, 3, 2))[:, :, 0].tolist() == [[1, 2], [17, 18]]


def test_content_counts_and_not_the_suffix(slide_writer, slide_texture):
    levels = slide_texture(300, 260)
    path = slide_writer.svs("a.svs", levels).rename(slide_writer.folder / "a.dcm")
    with open_slide(path) as slide:
        assert (slide.reader, slide.objective) == ("tiff", 40.0)
        assert isinstance(slide, Slide)


def test_a_reader_that_does_not_know_the_structure_gives_way(slide_writer, slide_texture, monkeypatch):
    """A palette TIFF is not read natively; OpenSlide knows it."""
    import tifffile

    path = slide_writer.folder / "palette.tif"
    indices = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    colours = np.stack([np.arange(256), 255 - np.arange(256), np.zeros(256)]).astype(np.uint16) * 257
    tifffile.imwrite(path, indices, photometric="palette", colormap=colours, tile=(64, 64))
    with open_slide(path) as slide:
        assert slide.reader == "openslide"
        assert slide.read(0, (5, 0, 6, 1)).ravel().tolist() == [5, 250, 0]
    monkeypatch.setattr(opening, "SLIDE_READERS", ("voxtile_pathology.slides.tiff_reader:TiffReader",))
    with pytest.raises(UnsupportedSlideError, match=r"palette\.tif holds 1 channels"):
        open_slide(path)


def test_openslide_and_the_native_reader_agree_on_what_a_slide_says(slide_writer, slide_texture):
    from voxtile_pathology.slides.openslide_reader import OpenSlideReader

    path = slide_writer.svs("a.svs", slide_texture(700, 500))
    with open_slide(path) as ours, OpenSlideReader(path) as theirs:
        assert ours.levels == theirs.levels
        assert (ours.mpp, ours.objective) == (theirs.mpp, theirs.objective) == ((0.25, 0.25), 40.0)
        assert ours.associated == theirs.associated
        for index in range(3):
            box = (30, 20, 150, 110)
            assert np.array_equal(ours.read(index, box), theirs.read(index, box))
        assert np.array_equal(ours.read(0, (-20, -10, 50, 60)), theirs.read(0, (-20, -10, 50, 60)))


def test_openslide_does_not_blur_a_level_whose_downsample_is_no_whole_number(slide_writer, slide_texture):
    from voxtile_pathology.slides.openslide_reader import OpenSlideReader

    full = slide_texture(1001, 703)[0]
    small = np.ascontiguousarray(full[:700:4, :1000:4])
    path = slide_writer.pyramid("a.tif", [full, small], photometric="rgb")
    with OpenSlideReader(path) as slide:
        assert slide.levels[1].downsample == (4.0, 4.0)  # OpenSlide says 4.0106
        for x, y in ((0, 0), (30, 20), (-5, 60)):
            white = np.pad(small, ((0, 0), (5, 0), (0, 0)), constant_values=255)[y : y + 80, x + 5 : x + 85]
            assert np.array_equal(slide.read(1, (x, y, x + 80, y + 80)), white)


def test_a_missing_folder_and_a_folder_without_slides_are_named(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        find_slides(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no whole-slide image under"):
        find_slides(tmp_path)


def test_a_slide_that_was_not_fetched_costs_itself_alone(tmp_path, slide_writer, slide_texture):
    path = slide_writer.svs("a.svs", slide_texture(300, 300))
    gone = path.with_name("gone.svs")
    gone.symlink_to("nowhere")
    (path.parent / "notes.txt").symlink_to("nowhere")
    assert find_slides(path.parent) == [path, gone]
    with pytest.raises(SlideError, match="is not there any more"):
        open_slide(gone)


def test_a_slide_in_a_format_that_nobody_reads_is_listed_and_named(tmp_path, slide_writer, slide_texture):
    path = slide_writer.svs("a.svs", slide_texture(300, 300))
    (path.parent / "b.isyntax").write_bytes(b"<?xml")
    others: list[str] = []
    (path.parent / "notes.txt").write_text("x")
    assert find_slides(path.parent, others) == [path, path.parent / "b.isyntax"]
    assert others == ["notes.txt"]
    with pytest.raises(SlideError, match="Philips iSyntax file, which is not read; export it as TIFF"):
        open_slide(path.parent / "b.isyntax")


def test_readers_import_neither_torch_nor_lightning():
    code = (
        "import sys, voxtile_pathology.slides as s;"
        "[s.open._loaded(target) for target in s.SLIDE_READERS];"
        "assert not {'torch', 'lightning', 'wsidicom'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def test_a_reader_whose_library_is_missing_is_named_only_when_no_other_knows_the_file(
    slide_writer, slide_texture, monkeypatch
):
    opening._loaded.cache_clear()
    monkeypatch.setitem(sys.modules, "openslide", None)
    monkeypatch.delitem(sys.modules, "voxtile_pathology.slides.openslide_reader", raising=False)
    monkeypatch.delitem(sys.modules, "voxtile_pathology.slides.aperio_jpeg2000", raising=False)
    try:
        with open_slide(slide_writer.svs("a.svs", slide_texture(300, 260))) as slide:
            assert slide.reader == "tiff"
        (slide_writer.folder / "a.ndpi").write_bytes(b"no TIFF")
        with pytest.raises(SlideError, match=r"'openslide' is not installed; install it with: .*voxtile\[pathology\]"):
            open_slide(slide_writer.folder / "a.ndpi")
    finally:
        opening._loaded.cache_clear()
