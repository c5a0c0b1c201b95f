"""Addresses of DICOMweb servers, and the way to one: its token, its sentences about what went wrong."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from voxtile.errors import ConfigError, InputError, required

TOKEN = "VOXTILE_DICOMWEB_TOKEN"
"""Variable of the environment with a bearer token; it is sent to the server and written nowhere."""
LOGIN = "VOXTILE_DICOMWEB_LOGIN"
"""Variable of the environment with NAME:PASSWORD, for servers that ask for these."""

ATTEMPTS = 4
PAUSE_S = 1.0  # before the second attempt; twice as long before each further one
TIMEOUT_S = (10.0, 60.0)  # until a connection is there, and between two pieces of an answer
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})  # answers after which the same question may be answered
_UID = re.compile(r"[0-9.]{1,64}")
_HERE = frozenset({"127.0.0.1", "localhost", "::1"})
_Answer = TypeVar("_Answer")


class ServerError(InputError):
    """The server cannot be asked, or its answer cannot be used."""


class PassingError(ServerError):
    """A failure after which another attempt may succeed."""


@dataclass(frozen=True)
class Address:
    """A DICOMweb service, and the study or series of it that is meant.

    Attributes:
        base: of the service, without a slash at its end.
        study, series: UIDs, or None for all.
    """

    base: str
    study: str | None = None
    series: str | None = None

    @classmethod
    def of(cls, source: Path | str) -> Address | None:
        """The address that a source of a conversion is, or None where it is a path.

        Raises:
            ConfigError: it holds a name and password, or what follows the service is no study or series.
        """
        match = re.fullmatch(r"(https?):/+(.*?)/*", str(source), re.IGNORECASE)  # a path has lost one of the slashes
        if match is None:
            return None
        url = f"{match[1].lower()}://{match[2]}"
        parts = urlsplit(url)
        if "@" in parts.netloc:
            raise ConfigError(f"the address holds a name or password; leave it out and set {LOGIN} or {TOKEN}")
        if parts.query or parts.fragment or not parts.netloc:
            raise ConfigError("the address of a DICOMweb service has no '?' and no '#'; filter with --query")
        base, _, rest = url.partition("/studies")
        words = rest.strip("/").split("/") if rest.strip("/") else []
        if len(words) not in (0, 1, 3) or (len(words) == 3 and words[1] != "series"):
            raise ConfigError("the address must end in the service, in /studies/UID or in /studies/UID/series/UID")
        uids = words[::2]
        if not all(map(is_uid, uids)):
            raise ConfigError("what follows /studies or /series in the address is no DICOM UID")
        return cls(base, *uids)

    @property
    def host(self) -> str:
        """Name of the machine."""
        return urlsplit(self.base).netloc


def is_uid(text: object) -> bool:
    """Whether a text can be a UID, and so the name of a folder."""
    return isinstance(text, str) and _UID.fullmatch(text) is not None and text.strip(".") == text


@dataclass
class Server:
    """A connection to a service.

    Args:
        address: of the service.

    Raises:
        MissingExtraError: dicomweb-client is not installed.
        ConfigError: a token would travel unencrypted.
    """

    address: Address
    client: Any = field(init=False, repr=False)
    session: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        with required("dicomweb-client", "dicomweb"):
            from dicomweb_client.web import DICOMwebClient

            from voxtile_medical.dicomweb.session import BoundedSession
        self.session = BoundedSession()
        token, login = os.environ.get(TOKEN), os.environ.get(LOGIN)
        parts = urlsplit(self.address.base)
        if (token or login) and parts.scheme != "https" and parts.hostname not in _HERE:
            raise ConfigError(
                f"the address is http, and {TOKEN if token else LOGIN} would travel in the clear; use https"
            )
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"
        elif login:
            self.session.auth = tuple(login.split(":", 1)) if ":" in login else (login, "")
        self.session.trust_env = not (token or login)  # else a .netrc would take the token's place
        self.client = DICOMwebClient(self.address.base, session=self.session, timeout=TIMEOUT_S)
        self.client.set_http_retry_params(retry=False)  # `ask` does it, for broken connections too

    def ask(self, question: Callable[[], _Answer], what: str) -> _Answer:
        """Ask, several times where the failure may pass.

        Args:
            question: asks once.
            what: what it asks for, for the sentence.

        Raises:
            ServerError: it was answered in no attempt.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self.said(what):
                    return question()
            except PassingError:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(PAUSE_S * 2 ** (attempt - 1))
        raise AssertionError  # the loop returns or raises

    def said(self, what: str) -> _Sentences:
        """A block whose errors of the network become one sentence."""
        return _Sentences(self.address.host, what)


@dataclass(frozen=True)
class _Sentences:
    host: str
    what: str

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        import requests
        import urllib3

        from voxtile_medical.dicomweb.session import EndlessAnswerError

        if error is None or isinstance(error, ServerError) or not isinstance(error, Exception):
            return
        begin = f"the server {self.host}"
        if isinstance(error, requests.TooManyRedirects | EndlessAnswerError):
            raise ServerError(f"{begin}, asked for {self.what}, {error}") from None
        if isinstance(error, requests.exceptions.ContentDecodingError):
            raise ServerError(
                f"{begin}, asked for {self.what}, sent what is not packed as it says; ask its administrator"
            ) from None
        if isinstance(error, requests.HTTPError) and error.response is not None:
            raise self._of_status(error.response.status_code) from None
        if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise ServerError(
                f"{begin} shows no certificate that this machine trusts; set REQUESTS_CA_BUNDLE to the file of its "
                "authority"
            ) from None
        if isinstance(error, requests.Timeout):
            raise PassingError(f"{begin} did not answer in time when asked for {self.what}; run it again") from None
        if isinstance(error, ValueError | RecursionError):  # the latter of JSON that is nested without end
            raise ServerError(
                f"{begin} answered the question for {self.what} with something else than DICOMweb does; "
                "check that the address is that of its DICOMweb service"
            ) from None
        if isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError | ConnectionError):
            raise PassingError(
                f"the connection to {self.host} broke or was refused when asked for {self.what}; check that the server "
                "runs, then run the same command again"
            ) from None

    def _of_status(self, status: int) -> ServerError:
        begin = f"the server {self.host} answered the question for {self.what} with status {status}"
        if status in (401, 403):
            return ServerError(f"{begin}; it wants other credentials: set {TOKEN} or {LOGIN}")
        if status in _BUSY:
            return PassingError(f"{begin}; wait, then run the same command again")
        return ServerError(f"{begin}; check the address")


def filters(words: tuple[str, ...]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Filters of studies and of series from words such as `Modality=CT`.

    Raises:
        ConfigError: a word is no KEYWORD=VALUE of the DICOM dictionary.
    """
    from pydicom.datadict import tag_for_keyword

    studies: dict[str, str] = {}
    series: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not value or tag_for_keyword(name) is None:
            raise ConfigError(f"--query takes KEYWORD=VALUE, a keyword of DICOM such as Modality=CT, not '{word}'")
        (series if name in _OF_SERIES else studies)[name] = value
    return studies, series


# Attributes of the series in a search; all others are of its study or patient (PS3.18 tables 10.6.1-3 and 10.6.1-5).
_OF_SERIES = frozenset({
    "Modality", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "BodyPartExamined", "ProtocolName",
    "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime", "StationName", "Manufacturer",
    "ManufacturerModelName", "Laterality", "SeriesDate", "SeriesTime",
})  # fmt: skip
