"""The connection of this program to a Ray cluster, and how it is seen that the cluster is gone."""

from __future__ import annotations

import importlib.util
import os
import platform
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from voxtile.errors import ConfigError, CorpusError, MissingExtraError

_REACH_S = 10.0  # to reach the head of a cluster
_TRIES = "2"  # of Ray at a head that listens and does not answer, 40 s each; by itself it tries 20 times
_STARTS = 3  # of a cluster made here, before it is said that none answers
_SLOW = ("timed out", "failed to connect to gcs", "failed to start gcs")  # of Ray 2.60, where its processes come late
_LISTENS_ELSEWHERE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"  # Ray's variable: 1 lets other machines reach a cluster
_LOOK_S = 2.0  # how often it is seen whether the head of the cluster is there
GONE_S = 10.0  # so long nobody may be found there; Ray itself ends the program after a minute, without a word
WENT_AWAY = (
    "the Ray cluster at {address} went away; what is committed stays: start the cluster, then run the same command "
    "again, and it goes on from there"
)
NODE_ENDED = (
    "this machine's node of the Ray cluster at {address} ended; what is committed stays: join the cluster again with "
    "'ray start', then run the same command again, and it goes on from there"
)


def require_ray() -> None:
    """See that the package is installed, without importing it.

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError("ray", "ray")


@dataclass
class Connection:
    """A cluster that this program is connected to.

    Attributes:
        ray: the module.
        is_ours: whether this program has connected it here, and ends the connection.
        address: of its head, HOST:PORT; empty where this program has started the cluster.
        unmute: lets Ray print again, where it was told not to.
        node: socket of this machine's node, by which Ray ends the program without a word when the node is gone.
    """

    ray: Any
    is_ours: bool
    address: str = ""
    unmute: Callable[[], None] = lambda: None
    node: str = ""
    _looked: float = field(default_factory=time.monotonic)
    _missed_since: float | None = None

    def look(self) -> None:
        """See, now and then, whether the head and this machine's node are still there.

        Raises:
            CorpusError: one is not.
        """
        now = time.monotonic()
        if not self.address or now - self._looked < _LOOK_S:
            return
        self._looked = now
        try:
            _reach(self.address)
            self._missed_since = None
        except OSError as error:
            self._missed_since = self._missed_since or now
            if now - self._missed_since >= GONE_S:
                raise self.went_away() from error
            return
        if self.node and _is_refused(self.node):
            self._missed_since = now
            raise CorpusError(NODE_ENDED.format(address=self.address))

    def went_away(self) -> CorpusError:
        """What is said when the cluster is gone."""
        return CorpusError(WENT_AWAY.format(address=self.address or "this machine"))

    @property
    def is_lost(self) -> bool:
        """Whether nobody was there at the last look: what is asked of the cluster then would be waited for."""
        return self._missed_since is not None

    def close(self) -> None:
        """End the connection, where it is ours; one that is lost ends with the program."""
        if self.is_ours and not self.is_lost:
            self.ray.shutdown()
            self.unmute()


def connect(slots: int) -> Connection:
    """The cluster that RAY_ADDRESS names or that this program is connected to, or one made here.

    Args:
        slots: processors of one that is made here; 0 means as many as this machine has.

    Raises:
        ConfigError: the cluster cannot be reached.
        MissingExtraError: Ray is not installed.
    """
    require_ray()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # slots without a GPU leave its variables alone
    address = os.environ.get("RAY_ADDRESS", "")
    if address:
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", _TRIES)  # read at import
    import ray

    if ray.is_initialized():
        return Connection(ray, False, ray.get_runtime_context().gcs_address)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    try:
        with _sigterm_kept():
            if address:
                _reach(address)
                ray.init(**quiet)
            else:
                _start(ray, {"num_cpus": slots or None, "include_dashboard": False, **quiet})
    except ConfigError:
        raise
    except Exception as error:  # Ray raises plain ones too, for a head that is too slow, say
        token = "" if os.environ.get("RAY_AUTH_MODE") else "; where it asks for a token, set RAY_AUTH_MODE=token"
        raise ConfigError(
            f"no Ray cluster answers ({address or 'on this machine'}): {str(error).splitlines()[0]}; start one with "
            f"'ray start --head', or unset RAY_ADDRESS to use this machine alone{token if address else ''}"
        ) from error
    found = ray.get_runtime_context().gcs_address if address else ""
    return Connection(ray, True, found, _muted(ray), _node_socket(ray))


@contextmanager
def _sigterm_kept() -> Iterator[None]:
    """What SIGTERM does stays: Ray would print a stack of addresses and end with 15, or abort."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if before is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


def _node_socket(ray: Any) -> str:  # noqa: ANN401 - the module
    node: Any = getattr(getattr(getattr(ray, "_private", None), "worker", None), "_global_node", None)
    return str(getattr(node, "raylet_socket_name", ""))


def _is_refused(path: str) -> bool:
    """Whether nobody listens at a socket of this machine any more."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(_REACH_S)
        try:
            asked.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except OSError:  # too busy to say
            return False
    return False


def _muted(ray: Any) -> Callable[[], None]:  # noqa: ANN401 - the module
    """Keep Ray off standard output, where answers go; gives what undoes it.

    It prints there what happens to nodes, a page of their logs for each that is lost, also where it is told to be
    quiet. The engine says itself what it lost.
    """
    worker: Any = getattr(getattr(ray, "_private", None), "worker", None)
    prints = getattr(worker, "print_to_stdstream", None)
    if prints is None:
        return lambda: None
    worker.print_to_stdstream = lambda *_, **__: None
    return lambda: setattr(worker, "print_to_stdstream", prints)


@contextmanager
def _for_this_machine(ray: Any) -> Iterator[None]:  # noqa: ANN401 - the module
    """A Ray that is started meanwhile listens on 127.0.0.1, as on macOS, and not on all addresses of the machine.

    Whoever reaches its ports may run what they like as this user, where releases know no token or it was switched off.
    A variable of Ray's that is set already stays.
    """
    constants = getattr(getattr(ray, "_private", None), "ray_constants", None)
    before = getattr(constants, "ENABLE_RAY_CLUSTER", None)
    if _LISTENS_ELSEWHERE in os.environ or before is None:
        yield
        return
    os.environ[_LISTENS_ELSEWHERE] = "0"  # for the processes that are started
    vars(constants)["ENABLE_RAY_CLUSTER"] = False  # read from the environment when Ray is imported
    try:
        yield
    finally:
        del os.environ[_LISTENS_ELSEWHERE]
        vars(constants)["ENABLE_RAY_CLUSTER"] = before


def is_slow_start(said: str) -> bool:
    """Whether Ray says that its own processes did not come in time, for which it has no class."""
    return any(words in said.lower() for words in _SLOW)


def _start(ray: Any, options: Mapping[str, Any]) -> None:  # noqa: ANN401 - the module
    """Start a cluster here; Ray gives its processes half a minute, which a busy machine may not keep."""
    for attempt in range(_STARTS):
        try:
            with _for_this_machine(ray):
                ray.init(address="local", **options)
        except Exception as error:
            if attempt + 1 == _STARTS or not is_slow_start(str(error)):
                raise
            ray.shutdown()
        else:
            return


def versions(*, computes: bool = False) -> dict[str, str]:
    """What decides the bytes that a node writes, and where it computes with a model, what that does."""
    names = ("voxtile", "python", "blosc2", "pyarrow", "numpy", *(["torch"] if computes else []))
    return {name: found for name in names if (found := _version(name)) is not None}


def wrong_version(expected: Mapping[str, str]) -> str | None:
    """How this node differs from the program that made the plan, as a sentence; None where it does not."""
    for name, wanted in expected.items():
        if (found := _version(name)) != wanted:
            return (
                f"node '{socket.gethostname()}' has {f'{name} {found}' if found else f'no {name}'}, and the plan was "
                f"made with {wanted}; install the same there"
            )
    return None


def _version(name: str) -> str | None:
    if name == "python":
        return platform.python_version()
    try:
        found = version(name)
    except PackageNotFoundError:
        return None
    return found.partition("+")[0] if name == "torch" else found  # nodes with and without GPUs have other builds


def _reach(address: str) -> None:
    """See whether somebody listens there: Ray itself asks for minutes.

    Raises:
        OSError: nobody does.
        ConfigError: it is an address of Ray Client.
    """
    if address.startswith("ray://"):
        raise ConfigError(
            f"RAY_ADDRESS is {address}, and Ray Client sends no streams; run the command on a node of the cluster, "
            "with RAY_ADDRESS=auto or its HOST:PORT"
        )
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_S).close()
