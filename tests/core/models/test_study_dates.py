"""Study towers that read dates: the encoding's closed form, what dates change and what they do not."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from voxtile.corpus.acquisition_time import days_since_latest, moment
from voxtile.errors import ConfigError
from voxtile.models.study import DateEncoding, Dates, GatedAttention, StudyPool, StudyTransformer

WIDTH = 6
TOWERS = {
    "gated": lambda dates=None: GatedAttention(heads=2, hidden=8, dates=dates),
    "transformer": lambda dates=None: StudyTransformer(depth=1, heads=2, dates=dates),
}
ITEM = torch.tensor([0, 0, 1, 1, 1, 2])
UNKNOWN = torch.full((6,), torch.nan)
DAYS = torch.tensor([-3.0, 0.0, 0.0, -700.25, torch.nan, 0.0])


def made(kind, dates=None, seed=0, random=True):
    torch.manual_seed(seed)
    tower = TOWERS[kind](dates)
    tower.setup(WIDTH)
    for parameter in tower.parameters() if random else ():
        nn.init.normal_(parameter, std=0.5)
    return tower.eval()


def test_a_moment_is_what_numpy_reads():
    for text in ("2020-02-29", "1969-12-31T23:59:59.5", "2021-03-04T05:06:07.089123Z"):
        assert moment(text) == np.datetime64(text.rstrip("Z"), "us").astype(np.int64)
    assert moment("2020-01-01T02:00:00+02:00") == moment("2020-01-01")
    assert [moment(text) for text in (None, "", "2020", "2020-13-01", "2018:05:18 10:00:00", "0 or so")] == [None] * 6


DATES = st.lists(st.none() | st.datetimes(), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(DATES, st.integers(-5000, 5000))
def test_a_shift_of_all_dates_changes_no_bit(dates, shift):
    """De-identification moves all dates of a subject by one number of days."""
    moments = [moment(date and date.isoformat()) for date in dates]
    moved = [value if value is None else value + shift * 86_400_000_000 for value in moments]
    before, after = days_since_latest(moments), days_since_latest(moved)
    assert np.array_equal(before, after, equal_nan=True)
    assert all((date is None) == math.isnan(days) for date, days in zip(dates, before, strict=True))
    known = [days for days in before if not math.isnan(days)]
    assert not known or max(known) == 0


def test_days_count_from_the_latest_of_all():
    moments = [moment("2020-01-01"), None, moment("2020-01-02T12:00:00Z")]
    assert days_since_latest(moments[:1], moments) == [-1.5]


def test_the_encoding_is_its_closed_form():
    torch.manual_seed(0)
    encoding = DateEncoding(Dates(shortest=0.5, longest=4000.0, periods=5), WIDTH)
    nn.init.normal_(encoding.map.weight)
    days = torch.tensor([0.0, -0.25, -1.0, -365.0, -3650.75])
    periods = 0.5 * 8000.0 ** (np.arange(5) / 4)
    angles = 2 * np.pi * days.double().numpy()[:, None] / periods
    expected = np.concatenate([np.sin(angles), np.cos(angles)], 1) @ encoding.map.weight.detach().double().numpy().T
    assert np.abs(encoding(days).detach().numpy() - expected).max() < 2e-3  # 7302 turns of the shortest, in float32
    assert np.abs(encoding(days[:3]).detach().numpy() - expected[:3]).max() < 2e-6


@pytest.mark.parametrize("kind", TOWERS)
def test_unknown_dates_are_no_dates_to_the_bit(kind):
    tower, vectors = made(kind, Dates()), torch.randn(6, WIDTH)
    plain = made(kind)
    plain.load_state_dict({name: value for name, value in tower.state_dict().items() if not name.startswith("date.")})
    without = plain(vectors, ITEM, 3)
    assert torch.equal(tower(vectors, ITEM, 3, UNKNOWN), without)
    assert torch.equal(tower(vectors, ITEM, 3), without)
    known = tower(vectors, ITEM, 3, DAYS)
    assert ((known - without).abs().amax(1) > 1e-3).tolist()[:2] == [True, True]
    some = tower(vectors, ITEM, 3, DAYS.masked_fill(ITEM == 1, torch.nan))
    assert torch.equal(some[1], without[1])  # items do not see each other's dates
    assert torch.equal(some[0], known[0])


@pytest.mark.parametrize("kind", TOWERS)
def test_a_tower_begins_the_same_with_dates_and_without(kind):
    """So configs without dates draw the first weights that they always drew."""
    plain, dated = made(kind, random=False), made(kind, Dates(), random=False)
    assert set(dated.state_dict()) - set(plain.state_dict()) == {"date.map.weight"}
    assert all(torch.equal(value, dated.state_dict()[name]) for name, value in plain.state_dict().items())
    assert not plain.reads_dates
    assert dated.reads_dates
    vectors = torch.randn(6, WIDTH)
    assert torch.equal(plain(vectors, ITEM, 3), dated(vectors, ITEM, 3, DAYS))


@pytest.mark.parametrize("kind", TOWERS)
def test_the_order_of_samples_still_means_nothing(kind):
    tower, vectors = made(kind, Dates()).double(), torch.randn(6, WIDTH, dtype=torch.float64)
    order = torch.tensor([5, 2, 0, 4, 1, 3])
    once, again = tower(vectors, ITEM, 3, DAYS), tower(vectors[order], ITEM[order], 3, DAYS[order])
    assert torch.allclose(once, again, atol=1e-12)


def test_the_mean_of_samples_reads_no_dates():
    assert not StudyPool().reads_dates
    vectors = torch.randn(6, WIDTH)
    assert torch.equal(StudyPool()(vectors, ITEM, 3, DAYS), StudyPool()(vectors, ITEM, 3))


@pytest.mark.parametrize("kind", TOWERS)
def test_it_learns_which_of_two_scans_is_earlier(kind):
    """Each pair of scans comes in both orders of time: without dates, no answer is right for more than half."""
    torch.manual_seed(0)
    tower = TOWERS[kind](Dates())
    tower.setup(WIDTH)
    head = nn.Linear(WIDTH, 1)
    optimizer = torch.optim.Adam([*tower.parameters(), *head.parameters()], 3e-2)

    def pairs(number):
        gap = torch.exp(torch.rand(number) * math.log(3650))  # a day to ten years
        first = torch.rand(number) < 0.5
        days = torch.stack([-gap * first, -gap * ~first], 1)
        vectors = torch.randn(number, 2, WIDTH) * 0.1
        vectors[..., 0] += torch.tensor([1.0, -1.0])  # the first of each pair has a mark; is it the earlier one?
        vectors, days, label = vectors.repeat(2, 1, 1), torch.cat([days, days.flip(1)]), torch.cat([first, ~first])
        return vectors.flatten(0, 1), torch.arange(2 * number).repeat_interleave(2), days.flatten(), label.float()

    for _ in range(50):
        vectors, item, days, label = pairs(24)
        logits = head(tower(vectors, item, 48, days))[:, 0]
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(logits, label).backward()
        optimizer.step()
    vectors, item, days, label = pairs(200)
    for when, expected in ((days, 0.95), (None, 0.5)):
        with torch.no_grad():
            right = ((head(tower.eval()(vectors, item, 400, when))[:, 0] > 0).float() == label).float().mean()
        assert right > expected if when is not None else right == expected


@pytest.mark.parametrize("wrong", [{"shortest": 0.0}, {"longest": 1.0}, {"periods": 1}, {"longest": math.inf}])
def test_periods_out_of_range_are_refused(wrong):
    tower = StudyTransformer(dates=Dates(**wrong), heads=2)
    with pytest.raises(ConfigError, match="0 < shortest < longest"):
        tower.setup(WIDTH)
