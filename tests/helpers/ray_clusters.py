"""A cluster of Ray on this machine: a head that works on nothing, and machines with one core each that can go."""

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

SMALL = 80_000_000
"""Bytes of each object store."""


@dataclass
class SmallCluster:
    """Two machines, which are processes here, and this process as the driver."""

    cluster: Any
    machines: list = field(default_factory=list)

    def add_machine(self):
        """Add a machine of one core."""
        self.machines.append(self.cluster.add_node(num_cpus=1, object_store_memory=SMALL))

    def cut_off(self):
        """Take the machine away that came first, with all that runs on it."""
        self.cluster.remove_node(self.machines.pop(0), allow_graceful=False)


@contextmanager
def start_cluster(count=2):
    """Yield a cluster that this process is connected to: a pool that is opened uses it."""
    import ray
    from ray.cluster_utils import Cluster

    from curate.runtime.work import ray_cluster

    handlers = ray_cluster.list_handlers()
    head = {"num_cpus": 0, "object_store_memory": SMALL, "include_dashboard": False}
    made = SmallCluster(Cluster(initialize_head=True, head_node_args=head))
    try:
        for _ in range(count):
            made.add_machine()
        made.cluster.wait_for_nodes()
        ray.init(address=made.cluster.address, log_to_driver=False, logging_level="ERROR")
        ray_cluster.restore_handlers(handlers)
        ray_cluster.silence_ray()
        yield made
    finally:
        ray.shutdown()
        made.cluster.shutdown()
