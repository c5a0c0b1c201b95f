"""The text layer of a PDF; a PDF of scanned pages has none and is refused."""

from __future__ import annotations

import logging
from io import BytesIO

from voxtile.console import logging_level
from voxtile_medical.report_files.document import NotReadError

MAX_PAGES = 200
_FEWEST_LETTERS = 20  # of a page with a picture; below, the picture is taken for the page


def text_of_pdf(content: bytes) -> str:
    """The text of all pages.

    Raises:
        NotReadError: `encrypted-report`, `scanned-report` or `unreadable-report`.
    """
    from pypdf import PdfReader  # takes a third of a second, so only reports in this form pay
    from pypdf.errors import PyPdfError

    try:
        with logging_level(logging.CRITICAL, "pypdf"):  # what it warns of may quote the report
            reader = PdfReader(BytesIO(content))
            if reader.is_encrypted:
                raise NotReadError("encrypted-report", "the PDF is encrypted; give it without a password")
            if len(reader.pages) > MAX_PAGES:
                raise NotReadError("text-too-long", f"the PDF has more than {MAX_PAGES} pages; give the report alone")
            pages = [(page.extract_text().strip(), _has_picture(page)) for page in reader.pages]
    except (NotReadError, MemoryError):
        raise
    except (PyPdfError, Exception) as error:  # a parser on bytes from outside; what it says may quote the report
        raise NotReadError(
            "unreadable-report", f"the PDF cannot be parsed ({type(error).__name__}); export it again"
        ) from error
    if any(picture and sum(map(str.isalpha, text)) < _FEWEST_LETTERS for text, picture in pages):
        raise NotReadError(
            "scanned-report", "a page of the PDF is a picture without a text layer; give the report as text"
        )
    text = "\n".join(text for text, _ in pages if text)
    if not text:
        raise NotReadError("no-text", "the PDF holds no text; give the report as text")
    return text


def _has_picture(page: object) -> bool:
    resources = getattr(page, "get", lambda _: None)("/Resources")
    resources = resources.get_object() if resources is not None else {}
    pictures = (resources.get("/XObject") or {}) if hasattr(resources, "get") else {}
    pictures = pictures.get_object() if hasattr(pictures, "get_object") else pictures
    return any(picture.get_object().get("/Subtype") == "/Image" for picture in pictures.values())
