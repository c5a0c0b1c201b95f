"""Inside the context pydicom says little; outside of it, it is as any program of the same process expects it."""

import logging

import pytest
from pydicom import dataset

from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom


def fail_in_an_element():
    with dataset.tag_in_exception(dataset.Tag(0x00100010)):
        raise ValueError("as it is")


def test_what_is_changed_of_pydicom_is_changed_back_also_after_an_error():
    logger, named = logging.getLogger("pydicom"), dataset.tag_in_exception
    with quiet_pydicom(), quiet_pydicom():
        assert logger.disabled
        with pytest.raises(ValueError, match=r"^as it is$"):
            fail_in_an_element()
    with pytest.raises(ValueError, match="as it is"), quiet_pydicom():
        fail_in_an_element()
    assert not logger.disabled
    assert dataset.tag_in_exception is named
    with pytest.raises(ValueError, match="With tag"):
        fail_in_an_element()
