"""Hostile files are refused before memory or time is spent: what each costs its reader, in a process of its own."""

import gzip
import importlib
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import blosc2
import nibabel
import numpy as np
import pytest

FUZZ = Path(__file__).parents[2] / "benchmarks" / "fuzz"
SECONDS = 4.0  # of processor, twice read; each takes under 1.2
MEGABYTES = 200.0  # the most is that of a gzip that unpacks to the 64 MiB which are never a bomb


ZEROS = zlib.compress(bytes(1 << 27), 1)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, bits, colour, *chunks):
    """A PNG that claims a size; its pixels unpack to 128 MB of zeros."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IDAT", ZEROS) + chunk(b"IEND", b"")


def nifti(dims, kind=4, bits=16):
    """A header of NIfTI with these dimensions, behind which nothing comes."""
    data = bytearray(nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)).to_bytes())
    struct.pack_into("<8h", data, 40, *dims)
    struct.pack_into("<hh", data, 70, kind, bits)
    return bytes(data)


def tar_of_size(size):
    """A tar whose member claims a size."""
    member = tarfile.TarInfo("a.txt")
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def zip_bomb(times=200, nbytes=1 << 23):
    """A zip of many members, each of 8 MB of zeros."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for number in range(times // 50):
            packed.writestr(f"{number}.dcm", bytes(nbytes))
    return stream.getvalue()


def claims(dicom_files, tag, vr, length):
    """A DICOM header in which an element claims so many bytes, and a hundred follow."""
    early = dicom_files.dataset({t: v for t, v in dicom_files.ct(1).items() if t < tag})
    return dicom_files.meta() + early + struct.pack("<HH2sHI", *tag, vr, 0, length) + bytes(100)


def tiff(raster_files, folder):
    path = raster_files.geotiff(folder / "wide.tif")
    raster_files.lie_about_width(path, 2**31 - 1)
    return path.read_bytes()


def deflated(dicom_files, folder):
    """A deflated DICOM file with an element of 64 MB of zeros."""
    dicom_files.write_deflated_bomb(folder / "deflated.dcm", 1 << 26)
    return (folder / "deflated.dcm").read_bytes()


def sparse(shape):
    """A frame of some hundred bytes that holds nothing but zeros, and claims terabytes of them."""
    return blosc2.zeros(shape, chunks=(1 << 15, 1 << 15), dtype=np.uint8).to_cframe()


def packed_zeros(nbytes, head=b""):
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    block = bytes(1 << 24)
    return packer.compress(head) + b"".join(packer.compress(block) for _ in range(nbytes >> 24)) + packer.flush()


@pytest.fixture(scope="module")
def files(dicom_files, raster_files, tmp_path_factory):
    """Name → the target that reads it, and what makes its bytes."""
    folder = tmp_path_factory.mktemp("costs")
    laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{new}: &{new} [{','.join(['*' + old] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
    )
    made = {
        "png-wide": ("imported picture", lambda: png(2**31 - 1, 2**31 - 1, 8, 2)),
        "png-stored": ("stored picture", lambda: png(65_535, 65_535, 8, 0)),
        "png-deep": ("imported picture", lambda: png(30_000, 30_000, 16, 2)),
        "png-short": ("imported picture", lambda: png(8, 8, 16, 2)),
        "png-text": ("stored picture", lambda: png(8, 8, 8, 2, chunk(b"zTXt", b"a\0\0" + ZEROS))),
        "png-profile": ("stored picture", lambda: png(8, 8, 8, 2, chunk(b"iCCP", b"a\0\0" + ZEROS))),
        "tiff-wide": ("GeoTIFF", lambda: tiff(raster_files, folder)),
        "slide-wide": ("slide", lambda: tiff(raster_files, folder)),
        "frame-of-terabytes": ("b2nd frame", lambda: sparse((1 << 20, 1 << 20))),
        "nifti-large": ("NIfTI", lambda: nifti((3, 32767, 32767, 32767, 1, 1, 1, 1))),
        "nifti-overflow": ("NIfTI", lambda: nifti((7, 32767, 32767, 32767, 32767, 32767, 32767, 32767))),
        "nifti-negative": ("NIfTI", lambda: nifti((3, -32768, -1, 5, 1, 1, 1, 1))),
        "nifti-short": ("NIfTI", lambda: nifti((3, 1000, 1000, 500, 1, 1, 1, 1))),
        "nifti-packed": ("NIfTI", lambda: gzip.compress(nifti((3, 32767, 32767, 32767, 1, 1, 1, 1)), mtime=0)),
        "tar-huge": ("tar of pairs", lambda: tar_of_size(2**62)),
        "tar-negative": ("tar of images", lambda: tar_of_size(-5)),
        "tar-of-images-huge": ("tar of images", lambda: tar_of_size(2**62)),
        "tar-gz-bomb": ("tar.gz in one pass", lambda: packed_zeros(1 << 27, tar_of_size(2**40)[:512])),
        "zip-bomb": ("zip of images", lambda: zip_bomb()),
        "dicom-deflated": ("DICOM image", lambda: deflated(dicom_files, folder)),
        "dicom-long-element": ("DICOM image", lambda: claims(dicom_files, (0x0009, 0x0010), b"OB", 0xFFFFFFFE)),
        "dicom-long-text": ("DICOM report", lambda: claims(dicom_files, (0x0009, 0x0010), b"UT", 0xFFFFFFFE)),
        "dicom-long-list": ("DICOMDIR", lambda: claims(dicom_files, (0x0009, 0x0010), b"OB", 0xFFFFFFF0)),
        "dicom-segmentation": ("DICOM segmentation", lambda: claims(dicom_files, (0x0009, 0x0010), b"OB", 0xFFFFFFFE)),
        "annotations-bomb": ("annotations", lambda: packed_zeros(1 << 27, b"[")),
        "annotations-deep": ("annotations", lambda: b"[" * 5_000_000),
        "annotations-xml": ("annotations", lambda: b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + b"".join(
            f'<!ENTITY {new} "{f"&{old};" * 10}">'.encode() for old, new in zip("abcdefgh", "bcdefghi", strict=True))
            + b"]><ASAP_Annotations>&i;</ASAP_Annotations>"),
        "json-deep": ("JSON within bounds", lambda: b"[" * 20_000_000),
        "json-number": ("JSON within bounds", lambda: b"9" * 10_000_000),
        "json-wide": ("done file", lambda: b'{"job": "' + b"a" * 30_000_000),
        "yaml-laughs": ("YAML within bounds", lambda: laughs.encode()),
        "yaml-number": ("YAML within bounds", lambda: b"a: " + b"9" * 1_000_000),
        "yaml-date": ("YAML within bounds", lambda: b"a: 2021-02-30"),
        "yaml-timestamp": ("YAML within bounds", lambda: b"a: !!timestamp x"),
        "task-number": ("task", lambda: b"name: " + b"9" * 5_000),
        "xml-laughs": ("metadata in XML", lambda: b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><a>&b;</a>'),
        "cached-reply": ("cached reply", lambda: (0xFFFFFFFF).to_bytes(4, "little") + b"x"),
        "gguf": ("GGUF model", lambda: b"GGUF" + struct.pack("<IQQ", 3, 0, 2**63) + bytes(100)),
        "checkpoint": ("checkpoint", lambda: zip_bomb(50)),
        "safetensors": ("safetensors", lambda: struct.pack("<Q", 2**62) + b"{}"),
    }  # fmt: skip
    return made


OF_THE_SUITE = {"stored_arrays", "medical_files"}  # files of targets; all in the sweep


@pytest.fixture(scope="module")
def costs(files, tmp_path_factory):
    """`costs(targets)`: name → what reading it cost, of those that targets of these files read."""

    def measured(groups):
        sys.path.insert(0, str(FUZZ))
        known = {target.name for group in groups for target in importlib.import_module("target").targets_in(group)}
        sys.path.remove(str(FUZZ))
        chosen = {name: entry for name, entry in files.items() if entry[0] in known}
        asked = tmp_path_factory.mktemp("asked") / "asked.json"
        for name, (_, make) in chosen.items():
            asked.with_name(name).write_bytes(make())
        asked.write_text(json.dumps([[target, str(asked.with_name(name))] for name, (target, _) in chosen.items()]))
        command = [sys.executable, "-P", str(Path(__file__).with_name("costs.py")), str(asked), *sorted(groups)]
        settings = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(asked.parent)}
        done = subprocess.run(command, capture_output=True, text=True, env=settings, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return dict(zip(chosen, json.loads(done.stdout.splitlines()[-1]), strict=True))

    return measured


# A damaged archive is listed with its fault and a file of DICOM read as far as it goes; a short PNG needs no more.
READ = {"tar-huge", "tar-of-images-huge", "zip-bomb", "dicom-long-list", "dicom-deflated", "dicom-long-element",
        "dicom-long-text", "png-short"}  # fmt: skip


def check(found):
    """Refused by a named error, in bounds of memory and of processor time."""
    assert {name: cost["find"] for name, cost in found.items() if cost["find"]} == {}
    assert {name for name, cost in found.items() if not cost["refused"]} <= READ
    assert {name: round(cost["megabytes"]) for name, cost in found.items() if cost["megabytes"] > MEGABYTES} == {}
    assert {name: round(cost["seconds"], 1) for name, cost in found.items() if cost["seconds"] > SECONDS} == {}


def test_hostile_files_cost_little(costs):
    found = costs(OF_THE_SUITE)
    assert len(found) > 15
    check(found)


@pytest.mark.sweep
def test_all_hostile_files_cost_little(costs, files):
    found = costs({path.stem for path in (FUZZ / "targets").glob("*.py")})
    assert found.keys() == files.keys()
    check(found)
