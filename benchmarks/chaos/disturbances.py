"""The faults that a stage is put through, each a function of a random state and of what an undisturbed run does."""

from __future__ import annotations

import errno
import random
from collections.abc import Mapping
from dataclasses import dataclass

from injection import ANY_CHANGE, FOREVER, Fault, Kind, Plan, Victim

DAY_S = 86_400


@dataclass(frozen=True)
class Disturbance:
    """A kind of fault.

    Attributes:
        about: in the table.
        kinds: the calls that it may happen to; the trial's random state chooses which of them, by number.
        fields: of the plan beside the number.
        lasts: it happens to every call from then on.
        is_silent: the command may be killed by it, and then says nothing.
        leaves: what it is that the driver does once a process has stopped itself: nothing, let it go on after readers
            have looked, or kill the command and let it go on while the next run is under way.
        may_fail_items: it may be an input that cannot be read, which the next run tries again with --retry only.
    """

    about: str
    kinds: Kind
    fields: Mapping[str, int]
    lasts: bool = False
    is_silent: bool = False
    leaves: str = ""
    may_fail_items: bool = False

    def plan(self, undisturbed: Plan, rng: random.Random) -> dict[str, int]:
        """Fields of the plan for one trial."""
        if self.fields["fault"] == Fault.FULL:
            at = rng.randrange(max(1, int(undisturbed.bytes)))
            return {**self.fields, "kinds": self.kinds, "at": at, "until": FOREVER}
        at = rng.randint(1, max(1, undisturbed.count(self.kinds)))
        return {**self.fields, "kinds": self.kinds, "at": at, "until": FOREVER if self.lasts else at}


def _failing(number: int) -> dict[str, int]:
    return {"fault": Fault.FAIL, "error": number}


def _signal(fault: Fault, victim: Victim) -> dict[str, int]:
    return {"fault": fault, "victim": victim}


_NAMES = Kind.CREATE | Kind.NAME | Kind.FOLDER | Kind.RESIZE
_FILES = ANY_CHANGE & ~Kind.MAP

DISTURBANCES: Mapping[str, Disturbance] = {
    "disk full": Disturbance(
        "no space after N bytes", Kind.WRITE | Kind.MAP, {"fault": Fault.FULL, "error": errno.ENOSPC}, is_silent=True
    ),
    "EIO write": Disturbance("one write fails", Kind.WRITE, _failing(errno.EIO)),
    "EIO sync": Disturbance("one fsync fails", Kind.SYNC, _failing(errno.EIO)),
    "EIO name": Disturbance("one open, mkdir, rename, link or truncate fails", _NAMES, _failing(errno.EIO)),
    "EIO remove": Disturbance("one unlink fails", Kind.REMOVE, _failing(errno.EIO)),
    "EIO close": Disturbance("one close of a written file fails", Kind.CLOSE, _failing(errno.EIO)),
    "EIO read": Disturbance("one read below the corpus fails", Kind.READ, _failing(errno.EIO), may_fail_items=True),
    "read-only": Disturbance("every change fails from one call on", ANY_CHANGE, _failing(errno.EROFS), lasts=True),
    "short writes": Disturbance("every write does half of it", Kind.WRITE, {"fault": Fault.SHORT}, lasts=True),
    "torn, group killed": Disturbance(
        "half a write, then SIGKILL to all", Kind.WRITE, _signal(Fault.TORN, Victim.GROUP), is_silent=True
    ),
    "torn, caller killed": Disturbance(
        "half a write, then SIGKILL to its process", Kind.WRITE, _signal(Fault.TORN, Victim.CALLER), is_silent=True
    ),
    "power cut": Disturbance(
        "SIGKILL to all; files lose half of what was never synced",
        _FILES,
        {**_signal(Fault.KILL, Victim.GROUP), "power": 1},
        is_silent=True,
    ),
    "SIGKILL group": Disturbance("at a call that changes", _FILES, _signal(Fault.KILL, Victim.GROUP), is_silent=True),
    "SIGKILL command": Disturbance("workers go on", _FILES, _signal(Fault.KILL, Victim.COMMAND), is_silent=True),
    "SIGSTOP": Disturbance(
        "readers look meanwhile, then SIGCONT", _FILES, _signal(Fault.STOP, Victim.CALLER), leaves="continue"
    ),
    "SIGSTOP, orphaned": Disturbance(
        "its command is killed, it goes on during the next run",
        _FILES,
        _signal(Fault.STOP, Victim.CALLER),
        is_silent=True,
        leaves="orphan",
    ),
    "clock back": Disturbance("400 days", _FILES, {"fault": Fault.JUMP, "seconds": -400 * DAY_S}),
    "clock forward": Disturbance("400 days", _FILES, {"fault": Fault.JUMP, "seconds": 400 * DAY_S}),
}
