"""Small synthetic slides, written with tifffile, whose pixels are known."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import openslide
import pytest
import simplejpeg
import tifffile
from scipy import ndimage

APERIO = (
    "Aperio Image Library v12.0.15 \r\n{width}x{height} ({tile}x{tile}) JPEG/RGB Q=80|AppMag = {objective}|MPP = {mpp}"
)


@cache
def tissue(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A smooth coloured texture [Y, X, 3] with edges and a gradient, so that a shift of a pixel shows."""
    rng = np.random.default_rng(seed)
    coarse = ndimage.gaussian_filter(rng.normal(size=(height, width, 3)), (5, 5, 0))
    picture = 170 + 60 * coarse / coarse.std() / 2 + np.linspace(-20, 20, width)[None, :, None]
    picture[coarse[..., 0] > coarse[..., 0].std()] = (110, 70, 140)
    blurred = ndimage.gaussian_filter(picture, (1, 1, 0))  # as an objective does
    painted = np.clip(blurred, 0, 255).astype(np.uint8)
    painted.flags.writeable = False  # it is painted once for all
    return painted


def halved(picture: np.ndarray) -> np.ndarray:
    """The next level of a pyramid: means of two by two pixels, the odd row and column dropped."""
    even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2].astype(np.float64)
    mean = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
    return np.rint(mean).astype(np.uint8)


def jpeg_tiles(picture: np.ndarray, tile: int, *, subsampling: str = "420", rgb: bool = False) -> Iterator[bytes]:
    """JPEG tiles in row order, those at the border padded by repeating the edge; YCbCr unless `rgb`."""
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((0, -height % tile), (0, -width % tile), (0, 0)), mode="edge")
    for y in range(0, height, tile):
        for x in range(0, width, tile):
            part = np.ascontiguousarray(padded[y : y + tile, x : x + tile])
            if rgb:
                yield imagecodecs.jpeg8_encode(part, level=90, colorspace="rgb", outcolorspace="rgb", subsampling="444")
            else:
                yield simplejpeg.encode_jpeg(part, quality=90, colorsubsampling=subsampling)


def abbreviated(stream: bytes) -> tuple[bytes, bytes]:
    """A JPEG file's tables (as the JPEGTables tag holds them) and the rest without them and without APP markers."""
    tables, rest, position = b"", b"", 2
    while stream[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(stream[position + 2 : position + 4], "big")
        if stream[position + 1] in (0xDB, 0xC4):
            tables += stream[position:end]
        elif stream[position + 1] not in (0xE0, 0xEE):
            rest += stream[position:end]
        position = end
    return b"\xff\xd8" + tables + b"\xff\xd9", b"\xff\xd8" + rest + stream[position:]


class SlideWriter:
    """Writes slides of each kind into one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def svs(
        self,
        name: str,
        levels: list[np.ndarray],
        *,
        tile: int = 128,
        mpp: float = 0.25,
        objective: float = 40,
        subsampling: str = "420",
        rgb: bool = False,
    ) -> Path:
        """An Aperio slide: levels of abbreviated JPEG tiles, a stripped thumbnail, a label and a macro image.

        As in Aperio's own files, only the photometric tag says whether the tiles are RGB or YCbCr.
        """
        path = self.folder / name
        height, width = levels[0].shape[:2]
        text = APERIO.format(width=width, height=height, tile=tile, mpp=mpp, objective=objective)
        small = levels[0][::8, ::8]
        with tifffile.TiffWriter(path) as writer:
            for index, level in enumerate(levels):
                streams = [abbreviated(data) for data in jpeg_tiles(level, tile, subsampling=subsampling, rgb=rgb)]
                writer.write(
                    (rest for _, rest in streams),
                    shape=level.shape,
                    dtype="uint8",
                    tile=(tile, tile),
                    compression="jpeg",
                    jpegtables=streams[0][0],
                    photometric="rgb" if rgb else "ycbcr",
                    subsampling={"420": (2, 2), "422": (2, 1), "444": (1, 1)}["444" if rgb else subsampling],
                    compressionargs={"outcolorspace": "rgb" if rgb else "ycbcr"},
                    description=text,
                    metadata=None,
                )
                if index == 0:
                    words = "Aperio Image Library\r\nthumbnail"
                    writer.write(small, description=words, metadata=None, rowsperstrip=16)
            for image, kind in (("label", 1), ("macro", 9)):
                words = f"Aperio Image Library v12\r\n{image} {small.shape[1]}x{small.shape[0]}"
                writer.write(small, description=words, metadata=None, compression="lzw", subfiletype=kind)
        return path

    def pyramid(
        self, name: str, levels: list[np.ndarray], *, tile: int = 128, mpp: float | None = 0.5, **kind: Any
    ) -> Path:
        """A plain pyramid: further levels are reduced images of the first."""
        path = self.folder / name
        scale: dict[str, Any] = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"} if mpp else {}
        with tifffile.TiffWriter(path) as writer:
            for index, level in enumerate(levels):
                writer.write(level, tile=(tile, tile), subfiletype=int(index > 0), metadata=None, **scale, **kind)
        return path

    def jpeg_pyramid(self, name: str, levels: list[np.ndarray], *, tile: int = 128, mpp: float = 0.5) -> Path:
        """A plain pyramid of 4:2:0 JPEG tiles that are complete files."""
        path = self.folder / name
        with tifffile.TiffWriter(path) as writer:
            for index, level in enumerate(levels):
                writer.write(
                    jpeg_tiles(level, tile),
                    shape=level.shape,
                    dtype="uint8",
                    tile=(tile, tile),
                    compression="jpeg",
                    photometric="ycbcr",
                    subsampling=(2, 2),
                    subfiletype=int(index > 0),
                    resolution=(1e4 / mpp, 1e4 / mpp),
                    resolutionunit="CENTIMETER",
                    metadata=None,
                )
        return path

    def ome(self, name: str, levels: list[np.ndarray], *, tile: int = 128, **kind: Any) -> Path:
        """An OME-TIFF with its levels as sub-directories; 0.25 µm along x and 0.26 along y."""
        path = self.folder / name
        axes = "YXS" if levels[0].shape[-1] == 3 else "CYX"
        metadata = {"axes": axes, "PhysicalSizeX": 0.25, "PhysicalSizeY": 260, "PhysicalSizeYUnit": "nm"}
        options = {"tile": (tile, tile), "photometric": "rgb" if axes == "YXS" else "minisblack"} | kind
        with tifffile.TiffWriter(path, ome=True) as writer:
            writer.write(levels[0], subifds=len(levels) - 1, metadata=metadata, **options)
            for level in levels[1:]:
                writer.write(level, subfiletype=1, metadata=None, **options)
        return path

    def qptiff(self, name: str, levels: list[np.ndarray], *, tile: int = 128) -> Path:
        """A PerkinElmer slide: its XML says what each directory is."""
        path = self.folder / name
        xml = (
            '<?xml version="1.0" encoding="utf-16"?><PerkinElmer-QPI-ImageDescription><ImageType>{kind}</ImageType>'
            "<Objective>20x</Objective></PerkinElmer-QPI-ImageDescription>"
        )
        small = levels[0][::8, ::8]
        with tifffile.TiffWriter(path) as writer:

            def write(picture: np.ndarray, kind: str, **options: Any) -> None:
                writer.write(
                    picture,
                    description=xml.format(kind=kind),
                    software="PerkinElmer-QPI",
                    resolution=(20_000, 20_000),
                    resolutionunit="CENTIMETER",
                    metadata=None,
                    **options,
                )

            write(levels[0], "FullResolution", tile=(tile, tile), compression="lzw")
            write(small, "Thumbnail")
            for level in levels[1:]:
                write(level, "ReducedResolution", tile=(tile, tile), compression="lzw")
            write(small, "Overview")
            write(small, "Label")
        return path

    def jpeg2000_svs(self, name: str, picture: np.ndarray, *, tile: int = 128, code: int = 33005) -> Path:
        """An Aperio slide of lossless JPEG 2000 RGB tiles."""
        path = self.folder / name
        height, width = picture.shape[:2]

        def tiles() -> Iterator[bytes]:
            for y in range(0, height, tile):
                for x in range(0, width, tile):
                    part = np.ascontiguousarray(picture[y : y + tile, x : x + tile])
                    yield imagecodecs.jpeg2k_encode(part, level=0, codecformat="j2k", mct=code == 34712)

        with tifffile.TiffWriter(path) as writer:
            writer.write(
                tiles(),
                shape=picture.shape,
                dtype="uint8",
                tile=(tile, tile),
                compression=code,
                photometric="rgb",
                description=APERIO.format(width=width, height=height, tile=tile, mpp=0.25, objective=40),
                metadata=None,
            )
        return path


@pytest.fixture
def slide_writer(tmp_path: Path) -> SlideWriter:
    """Writes synthetic slides into the test's folder."""
    return SlideWriter(tmp_path)


@pytest.fixture(scope="session")
def slide_texture() -> Callable[[int, int], list[np.ndarray]]:
    """Three levels of a texture of the given width and height, each the mean of the level above."""

    def levels(width: int, height: int) -> list[np.ndarray]:
        full = tissue(width, height)
        return [full, halved(full), halved(halved(full))]

    return levels


@pytest.fixture(scope="session")
def openslide_pixels() -> Callable[..., np.ndarray]:
    """What OpenSlide reads: path, level, box in that level's pixels -> [Y, X, 3] on white."""

    def read(path: Path, level: int, box: tuple[int, int, int, int]) -> np.ndarray:
        with openslide.OpenSlide(str(path)) as slide:
            downsample = slide.level_downsamples[level]
            corner = (round(box[0] * downsample), round(box[1] * downsample))
            image = slide.read_region(corner, level, (box[2] - box[0], box[3] - box[1]))
            return np.asarray(image.convert("RGB"))

    return read
