"""A Ray cluster for tests, in a process of its own: Ray forks, which a process that computes with jax must not.

    python ray_nodes.py FOLDER CORES

A head that computes nothing, and one node with so many cores; all their files are in the folder. Prints the address;
then at every line that it reads, the node is killed, a new one joins, and `done` is printed. Ends when its input does.
"""

import os
import sys

from ray.cluster_utils import Cluster


def serve(folder: str, cores: int) -> None:
    # Not the head's `temp_dir`: Ray would still write the current cluster's address into its default folder, /tmp/ray,
    # and fail where that does not exist.
    os.environ["RAY_TMPDIR"] = folder
    # Processes that nobody needs here: workers before there is work, and those that watch logs and scale the cluster.
    os.environ |= {"RAY_enable_worker_prestart": "0", "RAY_prestart_worker_first_driver": "0"}
    alone = {"num_cpus": 0, "include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
    cluster = Cluster(initialize_head=True, head_node_args=alone)
    node = cluster.add_node(num_cpus=cores)
    try:
        print(cluster.address, flush=True)
        for _ in sys.stdin:
            cluster.remove_node(node)
            node = cluster.add_node(num_cpus=cores)
            print("done", flush=True)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
