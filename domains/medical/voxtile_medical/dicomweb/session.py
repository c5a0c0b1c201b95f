"""HTTP to one DICOMweb server: no way to another one, and no answer that is larger than a search can be."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests

MOST_BYTES = 1 << 28  # of an answer that is read whole, unpacked: a page of 500 rows has under one million
_CHUNK = 1 << 16


class BoundedSession(requests.Session):
    """A session that asks the host it was told, and nobody whom that names: it would get what is asked or stored."""

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - as there
        """Send a request; an answer that is not read in pieces is read within the bound.

        Raises:
            requests.TooManyRedirects: the answer sends it to another address.
            requests.exceptions.ContentDecodingError: the answer is larger.
        """
        answer = super().send(request, **kwargs | {"stream": True, "allow_redirects": False})
        if answer.is_redirect:
            answer.close()
            parts = urlsplit(answer.headers["location"])
            where = f"{parts.scheme}://{parts.netloc}" if parts.netloc else "another path"
            raise requests.TooManyRedirects(f"sends it on to {where[:200]}; where that is right, give its address")
        if kwargs.get("stream"):
            return answer
        content = bytearray()
        for chunk in answer.iter_content(_CHUNK):
            content += chunk
            if len(content) > MOST_BYTES:
                answer.close()
                raise requests.exceptions.ContentDecodingError(
                    f"sent more than {MOST_BYTES >> 20} MiB; ask for less with --query"
                )
        answer._content = bytes(content)
        return answer
