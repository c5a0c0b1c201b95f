"""Values that stand for an array come from all of its columns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxtile.formats.sampling import evenly_spread


@given(st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 64)), st.integers(1, 3000))
def test_every_column_is_seen_about_as_often_as_any_other(shape, count):
    columns = np.broadcast_to(np.arange(shape[2]), shape)
    seen = np.bincount(evenly_spread(columns, count), minlength=shape[2])
    assert seen.max() - seen.min() <= 1
    size = columns.size
    assert min(size, count) / 5 <= seen.sum() <= 2 * count


@pytest.mark.parametrize(("shape", "count"), [((64, 64, 64), 4096), ((8, 64, 64), 256), ((3, 5), 15), ((), 9)])
def test_values_are_in_order_and_all_where_there_are_no_more(shape, count):
    values = np.arange(int(np.prod(shape))).reshape(shape)
    found = evenly_spread(values, count)
    assert np.array_equal(np.sort(found), found)
    assert len(found) == len(np.unique(found))
    if values.size <= count:
        assert np.array_equal(found, values.reshape(-1))


def test_an_empty_array_has_none():
    assert evenly_spread(np.zeros((0, 4)), 10).size == 0
