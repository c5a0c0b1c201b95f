"""DICOM whole slides have their known colours, whatever their transfer syntax."""

import io
import shutil

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, generate_uid

from voxtile_pathology.slides import SlideError, find_slides, open_slide

WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"


def boxes(width, height):
    """Coloured boxes on white, with a coordinate in each pixel's low bits so that a shift shows."""
    picture = np.full((height, width, 3), 240, np.uint8)
    picture[height // 8 : height // 2, width // 8 : width // 2] = (200, 16, 16)
    picture[height // 2 :, width // 3 :] = (16, 16, 200)
    picture[..., 1] |= (np.arange(width) % 8).astype(np.uint8)[None, :]
    picture[..., 2] ^= (np.arange(height) % 8).astype(np.uint8)[:, None]
    return picture


def write_level(path, picture, *, uids, mpp, tile=32, jpeg=False, kind="VOLUME"):
    """One instance of a TILED_FULL pyramid; PS3.3 A.32.8."""
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((0, -height % tile), (0, -width % tile), (0, 0)), constant_values=255)
    frames = [
        np.ascontiguousarray(padded[y : y + tile, x : x + tile])
        for y in range(0, height, tile)
        for x in range(0, width, tile)
    ]
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if jpeg else ExplicitVRLittleEndian
    image.SOPClassUID, image.SOPInstanceUID = WHOLE_SLIDE, generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = uids
    image.Modality, image.Manufacturer, image.PatientID, image.PatientName = "SM", "Maker", "1", "A^B"
    image.ImageType = ["ORIGINAL", "PRIMARY", kind, "NONE"]
    image.Rows = image.Columns = tile
    image.NumberOfFrames = len(frames)
    image.TotalPixelMatrixColumns, image.TotalPixelMatrixRows = width, height
    image.ImagedVolumeWidth, image.ImagedVolumeHeight = width * mpp / 1000, height * mpp / 1000
    image.ImagedVolumeDepth = 0.001
    image.SamplesPerPixel, image.PlanarConfiguration = 3, 0
    image.PhotometricInterpretation = "YBR_FULL_422" if jpeg else "RGB"
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation = 7, 0
    image.DimensionOrganizationType = "TILED_FULL"
    image.SpecimenLabelInImage, image.BurnedInAnnotation, image.FocusMethod = "NO", "NO", "AUTO"
    image.ExtendedDepthOfField, image.ContainerIdentifier = "NO", "S1"
    image.LossyImageCompression = "01" if jpeg else "00"
    image.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    origin, measures, shared, optical, light = Dataset(), Dataset(), Dataset(), Dataset(), Dataset()
    origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 0
    image.TotalPixelMatrixOriginSequence = [origin]
    measures.PixelSpacing, measures.SliceThickness = [mpp / 1000, mpp / 1000], 0.001
    shared.PixelMeasuresSequence = [measures]
    image.SharedFunctionalGroupsSequence = [shared]
    light.CodeValue, light.CodingSchemeDesignator, light.CodeMeaning = "111744", "DCM", "Brightfield illumination"
    optical.OpticalPathIdentifier, optical.ObjectiveLensPower = "0", 40
    optical.IlluminationTypeCodeSequence = [light]
    image.OpticalPathSequence = [optical]
    image.NumberOfOpticalPaths = image.TotalPixelMatrixFocalPlanes = 1
    if jpeg:
        streams = []
        for frame in frames:
            stream = io.BytesIO()
            Image.fromarray(frame).save(stream, "JPEG", quality=95, subsampling=1)
            streams.append(stream.getvalue())
        image.PixelData = encapsulate(streams)
        image["PixelData"].is_undefined_length = True
    else:
        image.PixelData = np.stack(frames).tobytes()
    image.save_as(path, enforce_file_format=True)
    return frames


@pytest.fixture
def uids():
    return [generate_uid(entropy_srcs=[name]) for name in ("study", "series", "frame")]


def test_the_pixels_of_a_real_dicom_slide_equal_openslide(test_data, openslide_pixels):
    folder = test_data / "pathology/dicom_wsi_openslide_boxes"
    path = folder / "boxes_0.dcm"
    with open_slide(path) as slide:
        assert (slide.reader, slide.levels[0].size, slide.mpp, slide.objective) == (
            "dicom",
            (16, 16),
            (0.499, 0.499),
            20,
        )
        assert np.array_equal(slide.read(0, (0, 0, 16, 16)), openslide_pixels(path, 0, (0, 0, 16, 16)))
        assert (slide.read(0, (10, 10, 40, 40))[6:] == 255).all()  # the frame is 64 pixels wide, the slide 16


def test_the_boxes_of_the_plain_pyramid_have_their_known_colours(test_data):
    with open_slide(test_data / "pathology/dicom_wsi_openslide_boxes/boxes.tiff") as slide:
        pixels = slide.read(0, (0, 0, 300, 250))
        colours = {tuple(map(int, colour)) for colour in np.unique(pixels.reshape(-1, 3), axis=0)}
        assert colours == {(255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255)}
        for index, (width, height) in enumerate([(300, 250), (150, 125), (75, 62), (37, 31)]):
            assert slide.levels[index].size == (width, height)
            assert tuple(slide.read(index, (0, 0, width, height))[height // 4, width // 5]) == (255, 0, 0)


def test_a_pyramid_of_dicom_files_is_one_slide_with_exact_pixels(tmp_path, uids):
    full, half = boxes(100, 70), boxes(50, 35)
    write_level(tmp_path / "b.dcm", full, uids=uids, mpp=0.25)
    write_level(tmp_path / "a.dcm", half, uids=uids, mpp=0.5)
    assert find_slides(tmp_path) == [tmp_path / "a.dcm"]
    with open_slide(tmp_path) as slide:
        assert [level.size for level in slide.levels] == [(100, 70), (50, 35)]
        assert [level.downsample for level in slide.levels] == [(1, 1), (2, 2)]
        assert (slide.mpp, slide.objective, slide.warnings) == ((0.25, 0.25), 40.0, ())
        assert np.array_equal(slide.read(0, (0, 0, 100, 70)), full)
        assert np.array_equal(slide.read(0, (20, 30, 90, 66)), full[30:66, 20:90])
        assert np.array_equal(slide.read(1, (0, 0, 50, 35)), half)
        assert slide.tile_grid(0) is None
        assert not any("A^B" in value for value in slide.properties.values())


def test_jpeg_frames_are_passed_through_and_decoded_with_their_colours(tmp_path, uids):
    picture = boxes(100, 70)
    frames = write_level(tmp_path / "a.dcm", picture, uids=uids, mpp=0.25, jpeg=True)
    with open_slide(tmp_path / "a.dcm") as slide:
        grid = slide.tile_grid(0)
        assert (grid.tile, grid.columns, grid.rows) == ((32, 32), 4, 3)
        pixels = slide.read(0, (0, 0, 100, 70))
        assert np.abs(pixels.astype(int) - picture).mean() < 6
        frame = np.asarray(Image.open(io.BytesIO(grid.encoded(2, 1))))
        assert np.array_equal(frame, slide.read(0, (64, 32, 96, 64)))
        assert np.abs(frame.astype(int) - frames[6]).mean() < 6


def test_a_label_is_an_associated_image_and_no_level(tmp_path, uids):
    write_level(tmp_path / "a.dcm", boxes(100, 70), uids=uids, mpp=0.25)
    label = boxes(32, 32)
    write_level(tmp_path / "l.dcm", label, uids=uids, mpp=10.0, kind="LABEL")
    with open_slide(tmp_path / "a.dcm") as slide:
        assert (len(slide.levels), slide.associated) == (1, ("label",))
        assert np.array_equal(slide.associated_image("label"), label)


def test_a_folder_of_two_dicom_slides_is_two_slides(tmp_path, uids):
    write_level(tmp_path / "a.dcm", boxes(64, 64), uids=uids, mpp=0.25)
    write_level(tmp_path / "b.dcm", boxes(64, 64), uids=[generate_uid() for _ in range(3)], mpp=0.25)
    shutil.copy(pydicom.data.get_testdata_file("CT_small.dcm"), tmp_path / "c.dcm")
    assert [path.name for path in find_slides(tmp_path)] == ["a.dcm", "b.dcm"]
    with pytest.raises(SlideError, match="holds 2 slides, not one"):
        open_slide(tmp_path)


@pytest.mark.parametrize("jpeg", [False, True])
def test_a_damaged_dicom_slide_is_refused_in_one_sentence(tmp_path, uids, jpeg):
    path = tmp_path / "a.dcm"
    write_level(path, boxes(100, 70), uids=uids, mpp=0.25, jpeg=jpeg)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(SlideError, match=r"^a\.dcm") as caught, open_slide(path) as slide:
        slide.read(0, (0, 0, 100, 70))
    assert "\n" not in str(caught.value)


def test_a_dicom_header_that_claims_more_pixels_than_it_has_is_refused(tmp_path, uids):
    path = tmp_path / "a.dcm"
    write_level(path, boxes(100, 70), uids=uids, mpp=0.25)
    image = pydicom.dcmread(path)
    image.TotalPixelMatrixColumns = image.TotalPixelMatrixRows = 100_000_000
    image.save_as(path)
    with pytest.raises(SlideError, match=r"^a\.dcm .*100000000"):
        open_slide(path)
