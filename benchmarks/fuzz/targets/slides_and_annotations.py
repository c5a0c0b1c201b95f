"""Pathology: slides, codestreams, colour profiles, annotations, coordinates of patches."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import suppress

import dicom_seeds
import h5py
import numpy as np
import tifffile
from PIL import Image, ImageCms
from target import Target, file_of, texts

from voxtile_pathology.annotations.model import read_annotation_file
from voxtile_pathology.coordinates.files import read_coordinates
from voxtile_pathology.slides.dicom_files import whole_slide_series
from voxtile_pathology.slides.icc import profile_name, to_srgb
from voxtile_pathology.slides.jpeg2000_stream import CodestreamError, check_codestream
from voxtile_pathology.slides.jpeg_stream import JpegError, complete_jpeg, decode_jpeg
from voxtile_pathology.slides.open import open_slide
from voxtile_pathology.slides.protocol import SlideError

_MOST_PIXELS = 1 << 22


def _slide(data: bytes) -> None:
    slide = open_slide(file_of(data, "slides/a.tif"))
    try:
        width, height = slide.levels[-1].size
        box = (0, 0, min(width, 64), min(height, 64))
        slide.read(len(slide.levels) - 1, box)
        for name in list(slide.associated)[:2]:
            slide.associated_image(name)
    finally:
        slide.close()


def _jpeg(data: bytes) -> None:
    file = complete_jpeg(data, b"", ycbcr=True)
    if file.size[0] * file.size[1] < _MOST_PIXELS:
        decode_jpeg(file)


def _profile(data: bytes) -> None:
    profile_name(data)
    to_srgb(data)(np.zeros((2, 2, 3), np.uint8))


def _dicom(data: bytes) -> None:
    path = file_of(data, "slide_of_dicom/a.dcm")
    whole_slide_series(path)
    with suppress(SlideError):
        open_slide(path).close()


def _annotations(data: bytes) -> None:
    read_annotation_file(file_of(data, "annotations/a.json"), image="a.svs")


def _slides() -> Iterator[bytes]:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    described = "Aperio Image Library v1\n64x64 [0,0,64,64] (32x32) JPEG/RGB Q=70|AppMag = 20|MPP = 0.5"
    for options in ({"compression": "jpeg"}, {"compression": "deflate"}, {"description": described}, {}):
        stream = io.BytesIO()
        with tifffile.TiffWriter(stream, bigtiff=not options) as file:
            file.write(pixels, tile=(32, 32), photometric="rgb", resolution=(20_000, 20_000), resolutionunit=3,
                       metadata=None, **options)  # fmt: skip
            file.write(pixels[::2, ::2], tile=(16, 16), photometric="rgb", metadata=None, subfiletype=1)
        yield stream.getvalue()


def _jpegs() -> Iterator[bytes]:
    for mode in ("RGB", "L"):
        stream = io.BytesIO()
        Image.new(mode, (16, 8)).save(stream, "JPEG")
        yield stream.getvalue()


def _codestreams() -> Iterator[bytes]:
    for form in ("JPEG2000",):
        stream = io.BytesIO()
        Image.new("RGB", (16, 16)).save(stream, form)
        yield stream.getvalue()


def _coordinates() -> Iterator[bytes]:
    for name, attributes in (
        ("coords", {"patch_size": 256, "patch_level": 0, "downsampled_level_dim": [9, 9], "level_dim": [9, 9]}),
        ("coords", {"patch_size_level0": 512, "patch_size": 256, "level0_width": 900, "level0_height": 900,
                    "level0_magnification": 40, "target_magnification": 20}),
    ):  # fmt: skip
        stream = io.BytesIO()
        with h5py.File(stream, "w") as file:
            dataset = file.create_dataset(name, data=np.array([[0, 0], [256, 0]], np.int64))
            dataset.attrs.update(attributes)
        yield stream.getvalue()


_GEOJSON = json.dumps({"type": "FeatureCollection", "features": [{
    "type": "Feature", "id": "a", "geometry": {"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 0]]]},
    "properties": {"classification": {"name": "Tumor", "color": [255, 0, 0]}, "objectType": "annotation"}}]})  # fmt: skip  # noqa: E501
_COCO = json.dumps({
    "images": [{"id": 1, "file_name": "a.svs", "width": 9, "height": 9}], "categories": [{"id": 1, "name": "tumor"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 4, 4], "segmentation": [[0, 0, 4, 0, 4, 4]]},  # noqa: E501
                    {"id": 2, "image_id": 1, "category_id": 1, "segmentation": {"size": [9, 9], "counts": [5, 6, 70]}},
                    {"id": 3, "image_id": 1, "category_id": 1, "segmentation": {"size": [9, 9], "counts": "52203"}}],
})  # fmt: skip
_ASAP = (
    '<ASAP_Annotations><Annotations><Annotation Name="a" Type="Polygon" PartOfGroup="Tumor" Color="#F4FA58"><Coordinates>'  # noqa: E501
    '<Coordinate Order="0" X="1.5" Y="2"/><Coordinate Order="1" X="9" Y="2"/><Coordinate Order="2" X="9" Y="9"/>'
    '</Coordinates></Annotation></Annotations><AnnotationGroups><Group Name="Tumor" PartOfGroup="None" Color="#0"/>'
    "</AnnotationGroups></ASAP_Annotations>"
)
_IMAGESCOPE = (
    '<Annotations MicronsPerPixel="0.5"><Annotation Id="1" Name="Tumor" LineColor="65280"><Regions><Region Id="1" Type="0">'  # noqa: E501
    '<Vertices><Vertex X="1" Y="1"/><Vertex X="9" Y="1"/><Vertex X="9" Y="9"/></Vertices></Region></Regions></Annotation>'  # noqa: E501
    "</Annotations>"
)

TARGETS = (
    Target("slide", _slide, _slides),
    Target("JPEG of a tile", _jpeg, _jpegs, (JpegError,)),
    Target("JPEG 2000 codestream", check_codestream, _codestreams, (CodestreamError,)),
    Target("ICC profile", _profile, lambda: [ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()]),
    Target("file of a DICOM slide", _dicom, dicom_seeds.whole_slides),
    Target("annotations", _annotations, texts(_GEOJSON, _COCO, _ASAP, _IMAGESCOPE)),
    Target("coordinates of patches", lambda data: read_coordinates(file_of(data, "coords/a.h5")), _coordinates),
)
