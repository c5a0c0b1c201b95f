"""Work on the nodes of a Ray cluster: the jobs of a run, the files of a plan, and calls in general."""

from voxtile.engine.ray_cluster.jobs import RayEngine
from voxtile.engine.ray_cluster.planning import RayPlanReader

__all__ = ["RayEngine", "RayPlanReader"]
