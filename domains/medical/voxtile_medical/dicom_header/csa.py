"""Nibabel's reader of the private header of Siemens (CSA), imported when the first file has one."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any


@cache
def csa_reader() -> Any:  # noqa: ANN401 - nibabel has no types here
    """The module `nibabel.nicom.csareader`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel calls its DICOM readers experimental on import; our tests cover this
        from nibabel.nicom import csareader
    return csareader
