"""A Ray cluster for tests, in a process of its own: Ray forks, which a process that computes with jax must not.

    python ray_nodes.py FOLDER CORES

A head that computes nothing, and one node with so many cores. Prints the address; then at every line that it reads, the
node is killed, a new one joins, and `done` is printed. Ends when its input does.
"""

import sys

from ray.cluster_utils import Cluster


def serve(folder: str, cores: int) -> None:
    head = {"num_cpus": 0, "temp_dir": folder, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
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
