"""NIfTI, archives and what lies beside images: HL7, FHIR, CDA, PDF, articles, label names, DICOMweb answers."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator

import nibabel
import numpy as np
from target import Target, as_text, file_of, scratch, texts

from voxtile_medical.archives.entries import ArchiveFault
from voxtile_medical.archives.single_pass import read_once
from voxtile_medical.archives.stored import list_archive, open_stored
from voxtile_medical.dicomweb.address import PassingError, ServerError
from voxtile_medical.dicomweb.fetch import _count, _uid
from voxtile_medical.dicomweb.multipart import boundary_of, save_parts
from voxtile_medical.dicomweb.send import _check_taken
from voxtile_medical.figures.article import ArticleFault as FigureFault
from voxtile_medical.figures.bioc import is_bioc, read_bioc_json, read_bioc_xml
from voxtile_medical.figures.file_list import read_file_list, read_metadata
from voxtile_medical.figures.formulae import tex_text
from voxtile_medical.figures.jats import is_jats, parse_xml, read_jats
from voxtile_medical.nifti.header import read_nifti_header
from voxtile_medical.nifti.values import read_volumes
from voxtile_medical.report_files.read import read_documents
from voxtile_medical.segmentations.label_names import names_of_extensions, parse_names
from voxtile_medical.verdicts import Verdict

_MOST_BYTES = 1 << 26


def _nifti(data: bytes) -> None:
    path = file_of(data, "nifti/a.nii")
    header = read_nifti_header(path, "refuse")
    if header.volume_bytes * header.volumes < _MOST_BYTES:  # a sound file may be as large as it says
        read_volumes(path, header)


def _archive(name: str, data: bytes) -> None:
    path = file_of(data, f"archives/{name}")
    for entry in list(list_archive(path))[:20]:
        if not entry.reason:
            with open_stored(path / entry.path) as member:
                member.read(100)
                member.stream()


def _once(data: bytes) -> None:
    for _ in read_once(file_of(data, "archives/once.tar.gz"), lambda entry: True):
        pass


def _reports(data: bytes) -> None:
    file_of(data, "messages/a.txt")
    list(read_documents(scratch() / "messages", "a.txt"))


def _article(data: bytes) -> None:
    root = parse_xml(data)
    if is_bioc(root):
        read_bioc_xml(root)
    elif is_jats(root):
        read_jats(root)


def _listed(data: bytes) -> None:
    read_file_list(file_of(data, "lists/oa_file_list.csv"), {"PMC1"})
    read_metadata(data)


def _names(data: bytes) -> None:
    for suffix in (".json", ".tsv", ".xml", ".ctbl"):
        parse_names(as_text(data), suffix)
    names_of_extensions([data])


def _multipart(data: bytes) -> None:
    head, _, body = data.partition(b"\n")
    folder = scratch() / "parts"
    folder.mkdir(exist_ok=True)
    save_parts([body[:40], body[40:]], boundary_of(head.decode("latin-1")), folder, most=10)
    for path in folder.iterdir():
        path.unlink()


def _listed_series(data: bytes) -> None:
    rows = json.loads(data)
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            _uid(row, "0020000E")
            _count(row)


def _niftis() -> Iterator[bytes]:
    for kind, made in (
        (np.int16, nibabel.Nifti1Image),
        (np.float32, nibabel.Nifti2Image),
        (np.uint8, nibabel.Nifti1Image),
    ):
        image = made(np.ones((3, 4, 2), kind), np.diag([2.0, 2.0, 3.0, 1.0]))
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b'{"1": "liver"}'))
        plain = image.to_bytes()
        yield plain
        yield gzip.compress(plain, mtime=0)


def _zips() -> Iterator[bytes]:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(zipfile.ZipInfo("a/b.dcm"), b"x" * 300)
        packed.writestr(zipfile.ZipInfo("../c.dcm"), b"y")
        packed.writestr(zipfile.ZipInfo("inner.zip"), b"PK")
    yield stream.getvalue()


def _tars() -> Iterator[bytes]:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as packed:
        for name in ("a/b.dcm", "../c.dcm", "inner.tar"):
            member = tarfile.TarInfo(name)
            member.size = 300
            packed.addfile(member, io.BytesIO(b"x" * 300))
        link = tarfile.TarInfo("d.dcm")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(link)
    yield stream.getvalue()


_HL7 = (
    "MSH|^~\\&|RIS|H|X|Y|20200101||ORU^R01|1|P|2.5\rPID|1||123||DOE^JANE\rOBR|1||ACC1|CT^CT chest|||20200101\r"
    "OBX|1|TX|I&IMP^Impression||No effusion.||||||F\rZDS|1.2.3^X^Application^DICOM\r"
)
_FHIR = json.dumps({"resourceType": "Bundle", "entry": [{"resource": {
    "resourceType": "DiagnosticReport", "status": "final", "conclusion": "No effusion.",
    "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}],
    "text": {"div": "<div><p>No effusion.</p></div>"}, "subject": {"reference": "Patient/1"}}}]})  # fmt: skip
_CDA = (
    '<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><component><structuredBody><component><section>'
    "<title>Findings</title><text>No effusion.</text></section></component></structuredBody></component></ClinicalDocument>"  # noqa: E501
)
_JATS = (
    '<article article-type="case-report"><front><article-meta><article-id pub-id-type="pmc">1</article-id></article-meta>'  # noqa: E501
    '</front><body><fig id="f1"><label>Fig. 1</label><caption><p>A CT.</p></caption><graphic xlink:href="a" xmlns:xlink='  # noqa: E501
    '"http://www.w3.org/1999/xlink"/></fig><p>See <xref ref-type="fig" rid="f1">Fig. 1</xref>.</p></body></article>'
)
_BIOC = (
    "<collection><document><id>1</id><passage><infon key='section_type'>FIG</infon><infon key='id'>f1</infon>"
    "<text>A CT.</text></passage></document></collection>"
)
_BIOC_JSON = json.dumps([{"documents": [{"id": "1", "passages": [{"infons": {"section_type": "FIG", "file": "a.jpg"},
                                                                  "text": "A CT."}]}]}])  # fmt: skip
_LIST = "File,Article Citation,Accession ID,Last Updated,PMID,License\noa/PMC1.tar.gz,x,PMC1,2020,1,CC BY\n"
_PART = "multipart/related; type=application/dicom; boundary=b\n--b\r\nContent-Type: application/dicom\r\n\r\n"

TARGETS = (
    Target("NIfTI", _nifti, _niftis, (Verdict, OSError)),
    Target("zip of images", lambda data: _archive("a.zip", data), _zips, (Verdict, ArchiveFault, OSError)),
    Target("tar of images", lambda data: _archive("a.tar", data), _tars, (Verdict, ArchiveFault, OSError)),
    Target(
        "tar.gz of images",
        lambda data: _archive("a.tar.gz", data),
        lambda: [gzip.compress(tar, mtime=0) for tar in _tars()],
        (Verdict, ArchiveFault, OSError),
    ),
    Target("tar.gz in one pass", _once, lambda: [gzip.compress(tar, mtime=0) for tar in _tars()], (ArchiveFault,)),
    Target("messages of reports", _reports, texts(_HL7, _FHIR, _CDA, "{\\rtf1 No effusion}", "%PDF-1.4"), (Verdict,)),
    Target("article", _article, texts(_JATS, _BIOC), (FigureFault,)),
    Target("article in JSON", read_bioc_json, texts(_BIOC_JSON), (FigureFault,)),
    Target(
        "formula in TeX", lambda data: tex_text(as_text(data)), texts(r"$\alpha_{2}^{max} = \frac{1}{2}$", r"\begin{x}")
    ),
    Target("list of articles", _listed, texts(_LIST, '{"pmcid": "PMC1", "license_code": "CC BY"}')),
    Target(
        "label names",
        _names,
        texts(
            '{"1": "liver", "2": {"name": "x"}}',
            "index\tname\n1\tliver\n",
            '<LabelTable><Label Key="5">liver</Label></LabelTable>',
            "1 liver 0 0 0 255\n",
        ),
    ),
    Target(
        "answer of DICOMweb",
        _multipart,
        lambda: [_PART.encode() + bytes(128) + b"DICM" + b"\r\n--b--\r\n"],
        (ServerError, PassingError),
    ),
    Target(
        "list of series of DICOMweb",
        _listed_series,
        texts('[{"0020000E": {"Value": ["1.2.3"]}, "00201209": {"Value": [12]}}, {"0020000E": {"Value": ["1.2.4"]}}]'),
        (ServerError, ValueError, RecursionError),
    ),
    Target(
        "answer to a storage by DICOMweb",
        lambda data: _check_taken(json.loads(data)),
        texts("{}", '{"00081198": {"Value": []}, "00081199": {"Value": [{"00081155": {"Value": ["1.2"]}}]}}'),
        (ServerError, ValueError, RecursionError),
    ),
)
