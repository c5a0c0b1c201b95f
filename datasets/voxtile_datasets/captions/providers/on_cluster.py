"""A language model on the nodes of a Ray cluster: each node loads it once and answers with all its processors.

Replies, budget and captions stay in the program that asks: what is sent to a node is a request, and what comes back is
its reply. A request that was on a lost node is asked of another one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from voxtile.engine.ray_cluster.connection import connect, versions, wrong_version
from voxtile.engine.ray_cluster.on_node import like_the_program
from voxtile.engine.ray_cluster.slots import PATIENCE_S
from voxtile.errors import ConfigError, VoxtileError
from voxtile_datasets.captions.providers.default_model import SLOTS, default_model, named_model
from voxtile_datasets.captions.providers.gguf import read_header
from voxtile_datasets.captions.providers.provider import ProviderError, ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request

_TICK_S = 1.0


class ClusterProvider:
    """Answers from a GGUF model that each node of a cluster has loaded.

    Args:
        model: a GGUF file, the same under the same path on each node, or the name of a packaged model; None for the
            best that the memory of this machine has room for.
        slots: requests in one batch of a node.
        nodes: at most; 0 means all that have a processor.

    Attributes:
        model: the file's name with a fingerprint of its content.
        chat: the file has a chat template.
        concurrency: requests that keep all nodes busy.

    Raises:
        ConfigError: no cluster answers, a node is of another version or has another model, or none has room.
        ProviderError: the file is no model.
    """

    name = "local"

    def __init__(self, model: str | None = None, *, slots: int | None = None, nodes: int = 0) -> None:
        slots = slots or SLOTS
        spec = model or default_model(slots).model.name
        header = read_header(named_model(spec))
        self.model, self.chat, self.content = header.name, header.chat, header.content
        self._connection = connect(0)
        self._ray = self._connection.ray
        self._busy: dict[Any, int] = {}  # node's actor → requests that it has
        try:
            self._start(spec, slots, nodes)
        except BaseException:
            self._connection.close()
            raise
        self.concurrency = 2 * slots * len(self._busy)

    async def ask(self, request: Request) -> Reply:
        """See `Provider.ask`."""
        while self._busy:
            node = min(self._busy, key=self._busy.__getitem__)
            self._busy[node] += 1
            try:
                said, content = await self._answered(node.ask.remote(request))
            except self._ray.exceptions.RayActorError:
                self._busy.pop(node, None)
                continue
            if node in self._busy:
                self._busy[node] -= 1
            if said == "reply" and isinstance(content, Reply):
                return content
            raise ReplyError(*content) if said == "failed" else ProviderError(*content)
        raise ProviderError(
            "all nodes of the Ray cluster that had the model are lost; run the same command again: replies are kept"
        )

    async def close(self) -> None:
        """See `Provider.close`."""
        for node in self._busy:
            if not self._connection.is_lost:
                self._ray.kill(node)
        self._busy.clear()
        self._connection.close()

    def _start(self, spec: str, slots: int, nodes: int) -> None:
        """Have each node load the model; those go on that have when the first has."""
        affinity = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        alive = [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
        starting = {}
        for node in alive[: nodes or len(alive)]:
            made = self._ray.remote(num_cpus=int(node["Resources"]["CPU"]), max_restarts=0, max_task_retries=0)(_Model)
            actor = made.options(scheduling_strategy=affinity(node["NodeID"], soft=False)).remote(sys.path, os.getcwd())
            starting[actor.open.remote(versions(), spec, self.model, slots)] = actor
        ready, late = (
            self._ray.wait(list(starting), num_returns=len(starting), timeout=PATIENCE_S) if alive else ([], [])
        )
        for found in ready:
            if wrong := self._ray.get(found):
                raise ConfigError(wrong)
            self._busy[starting[found]] = 0
        for found in late:
            self._ray.kill(starting[found])
        if not self._busy:
            raise ConfigError(
                "no node of the Ray cluster has all its processors free for the model; see 'ray status', then run the "
                "same command again"
            )

    async def _answered(self, reference: Any) -> tuple[str, Any]:  # noqa: ANN401
        future = asyncio.wrap_future(reference.future())
        while not (await asyncio.wait([future], timeout=_TICK_S))[0]:
            self._connection.look()
        answer: tuple[str, Any] = future.result()
        return answer


class _Model:
    """What runs on a node.

    Args:
        paths: where the program that started it imports from.
        folder: where that program works.
    """

    def __init__(self, paths: Sequence[str], folder: str) -> None:
        like_the_program(paths, folder)

    def open(self, expected: Mapping[str, str], spec: str, model: str, slots: int) -> str | None:
        """Load the model; what is wrong with this node, if anything."""
        if wrong := wrong_version(expected):
            return wrong
        from voxtile_datasets.captions.providers.local import LocalProvider

        node = socket.gethostname()
        try:
            self._provider = LocalProvider(named_model(spec), slots=slots)
        except (VoxtileError, OSError) as error:
            return f"node '{node}' cannot load the model: {error}"
        if self._provider.model != model:
            return f"'{spec}' is '{self._provider.model}' on node '{node}' and '{model}' here; copy it again"
        return None

    async def ask(self, request: Request) -> tuple[str, Any]:
        """('reply', the reply), ('failed', (reason, sentence)) or ('broken', (sentence,))."""
        try:
            return "reply", await self._provider.ask(request)
        except ReplyError as error:
            return "failed", (error.reason, str(error))
        except ProviderError as error:
            return "broken", (str(error),)
