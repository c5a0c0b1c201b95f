"""Minimal files of scanners that OpenSlide reads: pixels, scale and objective are those that were written."""

import struct
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import tifffile

from voxtile_pathology.slides import SlideError, find_slides, open_slide

WIDTH, HEIGHT, TILE = 768, 512, 256

_SPACING = '<Attribute Name="DICOM_PIXEL_SPACING" Group="0x0028" Element="0x0030" PMSVR="IDoubleArray">{}</Attribute>'
PHILIPS = f"""<?xml version="1.0" encoding="UTF-8" ?>
<DataObject ObjectType="DPUfsImport">
<Attribute Name="PIM_DP_SCANNED_IMAGES" Group="0x301D" Element="0x1003" PMSVR="IDataObjectArray"><Array>
<DataObject ObjectType="DPScannedImage">
<Attribute Name="PIM_DP_IMAGE_TYPE" Group="0x301D" Element="0x1004" PMSVR="IString">WSI</Attribute>
{_SPACING.format('"0.00025" "0.00026"')}
<Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE" Group="0x1001" Element="0x8B01"
PMSVR="IDataObjectArray"><Array>
<DataObject ObjectType="PixelDataRepresentation">
{_SPACING.format('"0.00025" "0.00025"')}
</DataObject></Array></Attribute></DataObject></Array></Attribute></DataObject>"""

LEICA = f"""<?xml version="1.0"?>
<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01" uuid="urn:uuid:1">
<collection name="c" uuid="urn:uuid:2" sizeX="{WIDTH * 1000}" sizeY="{HEIGHT * 1000}"><barcode>x</barcode>
<image name="i" uuid="urn:uuid:3"><creationDate>2011-01-01T00:00:00Z</creationDate>
<device model="Leica SCN400;Leica SCN" version="1"/>
<pixels sizeX="{WIDTH}" sizeY="{HEIGHT}"><dimension sizeX="{WIDTH}" sizeY="{HEIGHT}" r="0" ifd="0"/></pixels>
<view sizeX="{WIDTH * 500}" sizeY="{HEIGHT * 500}" offsetX="0" offsetY="0"/>
<scanSettings><objectiveSettings><objective>20</objective></objectiveSettings><illuminationSettings>
<numericalAperture>0.4</numericalAperture><illuminationSource>brightfield</illuminationSource>
</illuminationSettings></scanSettings></image></collection></scn>"""


def philips(folder: Path, picture: np.ndarray) -> Path:
    with tifffile.TiffWriter(folder / "a.tiff") as writer:
        kind = {"tile": (TILE, TILE), "compression": "jpeg", "photometric": "rgb", "subsampling": (1, 1)}
        writer.write(picture, software="Philips DP v1.0", description=PHILIPS, metadata=None, **kind)
    return folder / "a.tiff"


def leica(folder: Path, picture: np.ndarray) -> Path:
    with tifffile.TiffWriter(folder / "a.scn", bigtiff=True) as writer:
        kind = {"tile": (TILE, TILE), "compression": "jpeg", "photometric": "rgb", "subsampling": (1, 1)}
        scale = {"resolution": (20_000, 20_000), "resolutionunit": "CENTIMETER"}
        writer.write(picture, description=LEICA, metadata=None, **scale, **kind)
    return folder / "a.scn"


def ventana(folder: Path, picture: np.ndarray) -> Path:
    """Tiles are numbered from the lower left corner, every second row backwards; joints say how they lie."""

    def number(column: int, row_from_below: int) -> int:
        return row_from_below * 3 + (column if row_from_below % 2 == 0 else 2 - column) + 1

    pairs = [("RIGHT", number(c, r), number(c + 1, r)) for r in range(2) for c in range(2)]
    pairs += [("UP", number(c, 0), number(c, 1)) for c in range(3)]
    joints = "".join(
        f'<TileJointInfo FlagJoined="1" Confidence="100" Direction="{way}" Tile1="{a}" Tile2="{b}" OverlapX="0" '
        'OverlapY="0"/>'
        for way, a, b in pairs
    )
    scan = '<Metadata><iScan Magnification="20" ScanRes="0.5"><AOI0 AOIScanned="1"/></iScan></Metadata>'
    stitching = (
        '<?xml version="1.0"?><EncodeInfo Ver="2"><SlideStitchInfo><ImageInfo AOIScanned="1" AOIIndex="0" NumRows="2" '
        f'NumCols="3" Width="{TILE}" Height="{TILE}" Pos-X="0" Pos-Y="0">{joints}</ImageInfo></SlideStitchInfo>'
        '<AoiOrigin><AOI0 OriginX="0" OriginY="0"/></AoiOrigin></EncodeInfo>'
    )
    with tifffile.TiffWriter(folder / "a.bif", bigtiff=True) as writer:
        tags = [(700, 1, len(scan), scan.encode(), True)]
        writer.write(picture[::4, ::4], description="Label_Image", metadata=None, extratags=tags)
        tags = [(700, 1, len(stitching), stitching.encode(), True)]
        kind = {"tile": (TILE, TILE), "compression": "jpeg", "photometric": "rgb", "subsampling": (1, 1)}
        writer.write(picture, description="level=0 mag=20 quality=90", metadata=None, extratags=tags, **kind)
    return folder / "a.bif"


def hamamatsu(folder: Path, picture: np.ndarray) -> Path:
    whole = simplejpeg.encode_jpeg(picture, quality=90, colorsubsampling="444")
    tags = [(65420, 4, 1, 1, True), (65421, 11, 1, 20.0, True), *((65422 + i, 9, 1, 0, True) for i in range(3))]
    with tifffile.TiffWriter(folder / "a.ndpi") as writer:
        writer.write(
            iter([whole]),
            shape=picture.shape,
            dtype="uint8",
            compression="jpeg",
            photometric="ycbcr",
            rowsperstrip=HEIGHT,
            software="NDP.scan",
            resolution=(20_000, 20_000),
            resolutionunit="CENTIMETER",
            metadata=None,
            extratags=tags,
        )
    return folder / "a.ndpi"


def mirax(folder: Path, picture: np.ndarray) -> Path:
    """A JPEG named `.mrxs` and a folder: an INI file, an index of linked pages, and the tiles one after another."""
    version, identity = b"01.02", b"0123456789ABCDEF0123456789ABCDEF"
    parts = folder / "a"
    parts.mkdir()
    ini = {
        "GENERAL": {
            "SLIDE_VERSION": version.decode(),
            "SLIDE_ID": identity.decode(),
            "IMAGENUMBER_X": WIDTH // TILE,
            "IMAGENUMBER_Y": HEIGHT // TILE,
            "OBJECTIVE_MAGNIFICATION": 20,
            "CameraImageDivisionsPerSide": 1,
        },
        "HIERARCHICAL": {
            "HIER_COUNT": 1,
            "NONHIER_COUNT": 0,
            "INDEXFILE": "Index.dat",
            "HIER_0_NAME": "Slide zoom level",
            "HIER_0_COUNT": 1,
            "HIER_0_VAL_0_SECTION": "LEVEL_0",
        },
        "DATAFILE": {"FILE_COUNT": 1, "FILE_0": "Data0000.dat"},
        "LEVEL_0": {
            "OVERLAP_X": 0,
            "OVERLAP_Y": 0,
            "MICROMETER_PER_PIXEL_X": 0.5,
            "MICROMETER_PER_PIXEL_Y": 0.5,
            "IMAGE_FORMAT": "JPEG",
            "IMAGE_FILL_COLOR_BGR": 16777215,
            "DIGITIZER_WIDTH": TILE,
            "DIGITIZER_HEIGHT": TILE,
            "IMAGE_CONCAT_FACTOR": 0,
        },
    }
    text = "".join(f"[{section}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) for section, keys in ini.items())
    (parts / "Slidedat.ini").write_text(text)
    data, entries = version + identity, []
    for row in range(HEIGHT // TILE):
        for column in range(WIDTH // TILE):
            tile = picture[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
            stream = simplejpeg.encode_jpeg(np.ascontiguousarray(tile), quality=90, colorsubsampling="444")
            entries.append((row * (WIDTH // TILE) + column, len(data), len(stream), 0))
            data += stream
    (parts / "Data0000.dat").write_bytes(data)
    start = len(version) + len(identity) + 8  # then the two root pointers
    levels, record, page = start, start + 4, start + 12
    index = version + identity + struct.pack("<ii", levels, 0) + struct.pack("<i", record)
    index += struct.pack("<ii", 0, page)  # a record: zero, then its first page
    index += struct.pack("<ii", len(entries), 0) + b"".join(struct.pack("<iiii", *entry) for entry in entries)
    (parts / "Index.dat").write_bytes(index)
    (folder / "a.mrxs").write_bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(picture[::8, ::8])))
    return folder / "a.mrxs"


@pytest.mark.parametrize(
    ("write", "mpp", "objective"),
    [
        (philips, (0.26, 0.25), None),
        (leica, (0.5, 0.5), 20),
        (ventana, (0.5, 0.5), 20),
        (hamamatsu, (0.5, 0.5), 20),
        (mirax, (0.5, 0.5), 20),
    ],
)
def test_a_scanners_file_is_read_through_openslide(tmp_path, slide_texture, write, mpp, objective):
    picture = slide_texture(WIDTH, HEIGHT)[0]
    path = write(tmp_path, picture)
    assert find_slides(tmp_path) == [path]
    with open_slide(path) as slide:
        assert (slide.reader, slide.mpp, slide.objective) == ("openslide", pytest.approx(mpp), objective)
        pixels = slide.read(0, (0, 0, WIDTH, HEIGHT))
        assert np.abs(pixels.astype(int) - picture).mean() < 4  # JPEG loss alone
        assert np.array_equal(slide.read(0, (300, 100, 400, 300)), pixels[100:300, 300:400])


def test_a_mirax_slide_that_lost_its_data_file_is_refused_by_name(tmp_path, slide_texture):
    path = mirax(tmp_path, slide_texture(WIDTH, HEIGHT)[0])
    (tmp_path / "a" / "Data0000.dat").unlink()
    with pytest.raises(SlideError, match=r"a\.mrxs") as caught, open_slide(path) as slide:
        slide.read(0, (0, 0, 100, 100))
    assert "\n" not in str(caught.value)
