"""When the dose was given, and to which moment the voxel values belong: the dates and times of a PET slice.

One clock: seconds since 1970 in the series' own local time. A DT value that carries an offset from UTC is brought to
it by TimezoneOffsetFromUTC.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from voxtile_medical.suv.header import GE_SCAN, PetHeader
from voxtile_medical.suv.refused import SuvRefusedError, missing, named

DAY_S = 86_400.0
MOST_HALF_LIVES = 4.0  # between injection and scan; a sixteenth of the dose is left then
_SAME_S = 60.0  # clocks and rounded times of one event
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"(\d{2}):?(\d{2}):?(\d{2})?(\.\d+)?")
_MOMENT = re.compile(r"(\d{8})(\d{4}(?:\d{2})?(?:\.\d+)?)([+-]\d{4})?")


def reference_time(headers: Sequence[PetHeader], half_life: float) -> tuple[float, str]:
    """The moment to which a series with DecayCorrection START was corrected.

    In the order of the QIBA profile, with the safer choice where the IBSI chapter gives one: the standard's own
    DecayCorrectionDateTime; GE's scan date and time; SeriesDate and SeriesTime, if they are not after the first
    acquisition (then they are the time of a later processing); else back from each slice's acquisition time, frame
    reference time and duration.

    Args:
        headers: of all slices.
        half_life: seconds.

    Returns:
        Seconds, and where they come from.

    Raises:
        SuvRefusedError: what is needed is missing, or slices contradict each other.
    """
    first = headers[0]
    for keyword in ("DecayCorrectionDateTime", GE_SCAN):
        if first.text(keyword):
            return _not_after(moment(first, keyword), headers, keyword), keyword
    start = min(acquisition_time(header) for header in headers)
    if first.text("SeriesTime") and first.text("SeriesDate"):
        series = date_and_time(first, "SeriesDate", "SeriesTime")
        if series <= start + _SAME_S / 60:
            return series, "SeriesTime"
    return _back_computed(headers, half_life), "FrameReferenceTime"


def acquisition_time(header: PetHeader) -> float:
    """Start of a slice's acquisition, seconds."""
    if header.text("AcquisitionDateTime"):
        return moment(header, "AcquisitionDateTime")
    for keyword in ("AcquisitionDate", "AcquisitionTime"):
        if not header.text(keyword):
            raise missing(keyword, "the decay correction")
    return date_and_time(header, "AcquisitionDate", "AcquisitionTime")


def mean_count_time(duration: float, half_life: float) -> float:
    """Seconds from the start of a frame to when the activity equals its mean over the frame."""
    x = math.log(2) / half_life * duration
    return duration * math.log(x / -math.expm1(-x)) / x


def _back_computed(headers: Sequence[PetHeader], half_life: float) -> float:
    found = []
    for header in headers:
        needed = "the scan's reference time (SeriesTime is missing or after AcquisitionTime)"
        delay = header.number("FrameReferenceTime")
        if delay is None:
            raise missing("FrameReferenceTime", needed)
        duration = header.positive("ActualFrameDuration", needed) / 1000
        found.append(acquisition_time(header) + mean_count_time(duration, half_life) - delay / 1000)
    if max(found) - min(found) > _SAME_S:
        raise SuvRefusedError(
            "contradictory-tags",
            f"{named('AcquisitionTime')}, {named('FrameReferenceTime')}",
            f"slices disagree by {max(found) - min(found):.0f} s about the scan's reference time "
            f"({named('AcquisitionTime')} less {named('FrameReferenceTime')}), and {named('SeriesTime')} is no start",
        )
    return min(found)


def _not_after(reference: float, headers: Sequence[PetHeader], keyword: str) -> float:
    times = [acquisition_time(h) for h in headers if h.text("AcquisitionTime") or h.text("AcquisitionDateTime")]
    if times and reference > min(times) + _SAME_S:
        raise SuvRefusedError(
            "contradictory-tags",
            f"{named(keyword)}, {named('AcquisitionTime')}",
            f"{named(keyword)} is {reference - min(times):.0f} s after the first {named('AcquisitionTime')}",
        )
    return reference


def injection_time(header: PetHeader, reference: float, source: str, half_life: float) -> float:
    """When the dose was given, seconds.

    RadiopharmaceuticalStartDateTime where it is; else RadiopharmaceuticalStartTime on the day of the scan, or on the
    day before where the scan crossed midnight.

    Args:
        header: of any slice.
        reference: of the scan, seconds.
        source: the tag that the reference comes from.
        half_life: seconds.

    Raises:
        SuvRefusedError: both are missing or disagree, or the time from injection to scan cannot be.
    """
    with_date, time = "RadiopharmaceuticalStartDateTime", "RadiopharmaceuticalStartTime"
    if header.text(with_date):
        given = moment(header, with_date)
        if header.text(time):
            _agree(header, given)
        _check_interval(reference - given, half_life, with_date, source)
        return given
    if not header.text(time):
        raise missing(with_date, "the decay of the dose")
    given = reference - reference % DAY_S + _seconds_of_day(header, time)
    if given > reference:
        given -= DAY_S
    _check_interval(reference - given, half_life, time, source)
    return given


def _agree(header: PetHeader, given: float) -> None:
    away = abs(given % DAY_S - _seconds_of_day(header, "RadiopharmaceuticalStartTime"))
    if min(away, DAY_S - away) > _SAME_S:
        both = f"{named('RadiopharmaceuticalStartDateTime')}, {named('RadiopharmaceuticalStartTime')}"
        raise SuvRefusedError("contradictory-tags", both, f"{both} give times of injection that differ by {away:.0f} s")


def _check_interval(interval: float, half_life: float, keyword: str, source: str) -> None:
    if interval < 0:
        after = f"{named(keyword)} is {-interval / 60:.0f} min after the scan ({named(source)})"
        why = f"{after}: a time zone or a date is off"
    elif interval > MOST_HALF_LIVES * half_life:
        why = (
            f"{named(keyword)} is {interval / 3600:.1f} h before the scan ({named(source)}), more than "
            f"{MOST_HALF_LIVES:g} half-lives, or after it on the same day: a time zone or a date is off"
        )
    else:
        return
    raise SuvRefusedError("contradictory-tags", f"{named(keyword)}, {named(source)}", why)


def moment(header: PetHeader, keyword: str) -> float:
    """A DT value, seconds on the series' clock.

    Raises:
        SuvRefusedError: it has no time of day, or an offset from UTC that the series lacks.
    """
    match = _MOMENT.fullmatch(header.text(keyword))
    if match is None:
        raise _unreadable(keyword)
    local = _day(match[1], keyword) + _clock(match[2], keyword)
    if match[3] is None:
        return local
    zone = header.text("TimezoneOffsetFromUTC")
    if not re.fullmatch(r"[+-]\d{4}", zone):
        raise missing("TimezoneOffsetFromUTC", f"{named(keyword)}, which states its offset from UTC,")
    return local - _offset(match[3]) + _offset(zone)


def date_and_time(header: PetHeader, date: str, time: str) -> float:
    """A DA and a TM value, seconds."""
    return _day(header.text(date), date) + _seconds_of_day(header, time)


def _seconds_of_day(header: PetHeader, keyword: str) -> float:
    return _clock(header.text(keyword), keyword)


def _day(text: str, keyword: str) -> float:
    match = _DATE.fullmatch(text)
    try:
        year, month, day = map(int, match.groups()) if match else (0, 0, 0)
        return datetime(year, month, day, tzinfo=UTC).timestamp()
    except ValueError:
        return _fail(keyword)


def _clock(text: str, keyword: str) -> float:
    match = _TIME.fullmatch(text)
    if match is None:
        return _fail(keyword)
    hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3] or 0)
    if hours > 23 or minutes > 59 or seconds > 60:
        return _fail(keyword)
    return timedelta(hours=hours, minutes=minutes, seconds=seconds).total_seconds() + float(match[4] or 0)


def _offset(text: str) -> float:
    sign = -1 if text[0] == "-" else 1
    return sign * (int(text[1:3]) * 3600 + int(text[3:5]) * 60)


def _fail(keyword: str) -> float:
    raise _unreadable(keyword)


def _unreadable(keyword: str) -> SuvRefusedError:
    return SuvRefusedError("implausible-value", named(keyword), f"{named(keyword)} is no readable date or time")
