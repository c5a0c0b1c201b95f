"""How to run a task: the options that every command with a run shares."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from voxtile.engine.inline import InlineEngine
from voxtile.engine.local import Engine, LocalEngine
from voxtile.engine.parallel import PlanReader
from voxtile.engine.worker_process import Limits
from voxtile.errors import ConfigError
from voxtile.processors import usable_processors


@dataclass(frozen=True)
class RunOptions:
    """How to run a task. None of these changes a byte of the corpus, except the two job sizes.

    Attributes:
        workers: number of worker processes, with ray in the whole cluster; 0 means one a processor.
        engine: where jobs run: local (supervised processes), ray (the cluster that RAY_ADDRESS names, or processes of a
            Ray of its own), or inline (this process, for debugging).
        on_error: what to do when an input fails: skip it and exit with 1 at the end, or stop at once.
        retry: also run the inputs whose last attempt failed.
        dry_run: print the plan and write nothing.
        memory_limit_gb: memory that one worker may take, in GiB.
        time_limit_s: time that one input may take, in seconds.
        job_mb: close a job (and its shard) before it reads more than this many MB.
        job_items: close a job before it has more than this many inputs; earlier where there are few in all.

    Raises:
        ConfigError: a number or a word that cannot be.
    """

    workers: int = 0
    engine: Literal["local", "ray", "inline"] = "local"
    on_error: Literal["skip", "stop"] = "skip"
    retry: bool = False
    dry_run: bool = False
    memory_limit_gb: float = 4.0
    time_limit_s: float = 600.0
    job_mb: float = 256.0
    job_items: int = 256

    def __post_init__(self) -> None:
        for name in ("memory_limit_gb", "time_limit_s", "job_mb", "job_items"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"'{name}' must be greater than 0, not {getattr(self, name)}")
            if name != "time_limit_s" and math.isinf(getattr(self, name)):  # of time it says that there is no limit
                raise ConfigError(f"'{name}' must be a finite number, not {getattr(self, name)}")
        if self.workers < 0:
            raise ConfigError(f"'workers' must be 0 (one a processor) or more, not {self.workers}")
        if self.on_error not in ("skip", "stop"):
            raise ConfigError(f"'on_error' must be skip or stop, not '{self.on_error}'")

    @property
    def processes(self) -> int:
        """Number of worker processes."""
        return self.workers or usable_processors()

    @property
    def limits(self) -> Limits:
        """What one input may take."""
        return Limits(time_s=self.time_limit_s, memory_bytes=int(self.memory_limit_gb * 2**30))

    @property
    def plan_reader(self) -> PlanReader:
        """How outside files are read while the plan is made."""
        if self.engine == "ray":
            from voxtile.engine.ray_cluster import RayPlanReader  # late: most runs need none

            return RayPlanReader(usable_processors(), self.limits, self.workers)
        return PlanReader(0 if self.engine == "inline" else self.processes, self.limits)

    def build_engine(self) -> Engine:
        """The engine by name.

        Raises:
            ConfigError: it does not exist.
        """
        builders: Mapping[str, Callable[[RunOptions], Engine]] = {
            "local": _local_engine,
            "ray": _ray_engine,
            "inline": lambda _: InlineEngine(),
        }
        if self.engine not in builders:
            raise ConfigError(f"there is no engine '{self.engine}'; choose one of: {', '.join(builders)}")
        return builders[self.engine](self)


def _ray_engine(options: RunOptions) -> Engine:
    from voxtile.engine.ray_cluster import RayEngine  # late: most runs need none

    return RayEngine(options.workers, options.limits)


def _local_engine(options: RunOptions) -> Engine:
    return LocalEngine(options.processes, options.limits)
