"""`voxtile export DICOM ADDRESS --to dicomweb`: files to an archive by STOW-RS, one after the other."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from voxtile.console import output
from voxtile.errors import ConfigError, InputError, RunFailedError
from voxtile_medical.dicomweb.address import TIMEOUT_S, Address, Server, ServerError

_MAGIC_AT, _MAGIC = 128, b"DICM"  # PS3.10 section 7.1
_FAILED = "00081198"  # Failed SOP Sequence (PS3.18 table I.2-1)
_REASON = "00081197"
_REASONS = {  # PS3.18 table I.2-2
    0xA700: "it has no room left",
    0xA900: "the object does not match its class",
    0xC000: "it does not understand the object",
    0xC122: "it does not take this transfer syntax",
    0x0110: "processing failed",
    0x0122: "it does not take objects of this class",
}


def export_dicomweb(source: Path, address: Path) -> None:
    """Send DICOM files to an archive by the address of its DICOMweb service (STOW-RS).

    Sent twice, an object is the same one: what `extract` and `ground` write has identifiers that depend on what it is.
    A token or a name and password come from the environment: VOXTILE_DICOMWEB_TOKEN, VOXTILE_DICOMWEB_LOGIN.

    Args:
        source: a DICOM file, or a folder of them, as `voxtile extract --to dicom-seg`, `dicom-sr` or `dicom` and
            `voxtile ground --to dicom-seg` write them.
        address: of the service (https://HOST/dicom-web), or of the study that the objects are of.

    Raises:
        ConfigError: the address is none of a DICOMweb service.
        InputError: there is no DICOM file.
        RunFailedError: some objects were not taken; the others are stored.
        MissingExtraError: dicomweb-client is not installed.
    """
    target = Address.of(address)
    if target is None or target.series is not None:
        raise ConfigError(
            f"'{address}' is no address of a DICOMweb service or study; give https://HOST/dicom-web, for instance"
        )
    files = [path for path in sorted(_files(source)) if _is_dicom(path)]
    if not files:
        raise InputError(f"'{source}' holds no DICOM file; write some with: voxtile extract CORPUS UID --to dicom-seg")
    server = Server(target)
    refused: list[str] = []
    for path in files:
        try:
            server.ask(partial(_store, server, path), f"storage of '{path.name}'")
        except ServerError as error:
            refused.append(f"'{path.name}': {error}")
    stored = len(files) - len(refused)
    output().print(f"stored {stored} of {len(files)} objects at {target.host}", markup=False, highlight=False)
    if refused:
        raise RunFailedError(f"{len(refused)} of {len(files)} objects were not stored: {refused[0]}")


def _store(server: Server, path: Path) -> None:
    boundary = uuid4().hex
    begin = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = begin + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    study = f"/{server.address.study}" if server.address.study else ""
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Accept": "application/dicom+json",
    }
    url = f"{server.address.base}/studies{study}"
    with server.session.post(url, data=body, headers=headers, timeout=TIMEOUT_S) as answer:
        if answer.status_code not in (409, 202):  # these come with a reason
            answer.raise_for_status()
        _check_taken(answer.json() if answer.content else {})
        answer.raise_for_status()


def _check_taken(answer: Any) -> None:  # noqa: ANN401 - whatever the server says
    """Raise ServerError where the answer says that an object was not stored, ValueError where it is none of STOW-RS."""
    try:
        failed = answer.get(_FAILED, {}).get("Value", [])
        number = int((failed[0].get(_REASON) or {}).get("Value", [0])[0]) if failed else None
    except (AttributeError, LookupError, TypeError, OverflowError) as error:
        raise ValueError("no answer to a storage (PS3.18 section 10.5.3)") from error
    if number is not None:
        raise ServerError(f"the server did not store the object: {_REASONS.get(number, f'its reason is {number:04X}')}")


def _files(source: Path) -> list[Path]:
    return [source] if source.is_file() else [path for path in source.rglob("*") if path.is_file()]


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_MAGIC_AT + len(_MAGIC))[_MAGIC_AT:] == _MAGIC
