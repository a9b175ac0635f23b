"""Three nodes on one PostgreSQL with a standby and one bucket, behind one Envoy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg

from tests.cluster.front import FrontEnvoy
from tests.support.postgres import PostgresServer, new_server
from tests.support.product import Product, wait_until
from tests.support.s3_server import BUCKET, S3Server, s3_server

_NODES = 3
_DATABASE = "media"
_DRAIN_S = 3


class Cluster:
    """A running cluster.

    Attributes:
        nodes: Each with two workers and an Envoy of its own.
        database: The primary, and the standby that it waits for.
        bucket: The server that has it.
        front: What clients talk to.
        url: Of the database, for nodes.
    """

    def __init__(self, folder: Path, database: list[PostgresServer], bucket: S3Server) -> None:
        hosts = ",".join(str(each.folder) for each in database)
        self.url = (
            f"postgresql://postgres@/{_DATABASE}?host={hosts}&target_session_attrs=read-write"
        )
        variables = {
            "metadata_url": self.url,
            "blob_url": f"s3://{BUCKET}/{uuid4().hex}?endpoint={bucket.endpoint}",
            "workers": "2",
            "drain_s": str(_DRAIN_S),
            "trusted_hops": "1",
        }
        self.nodes = []
        for number in range(1, _NODES + 1):
            own = folder / f"node-{number}"
            own.mkdir()
            self.nodes.append(Product(own, node_name=f"node-{number}", **variables))
        self.database = database
        self.bucket = bucket
        self.front = FrontEnvoy(folder, self.nodes)

    @property
    def rest_url(self) -> str:
        """Return the REST address."""
        return self.front.rest_url

    @property
    def grpc_target(self) -> str:
        """Return host:port of the gRPC surface."""
        return self.front.grpc_target

    @property
    def account_id(self) -> str:
        """Return the master account's id."""
        return self._first.account_id

    @property
    def api_key(self) -> str:
        """Return the master account's API key."""
        return self._first.api_key

    @property
    def _first(self) -> Product:
        """Return the node that made the master account."""
        [first] = [each for each in self.nodes if (each.data_dir / "bootstrap.json").exists()]
        return first

    def start(self) -> None:
        """Start all nodes at the same time; return when they are ready."""
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            wait_until(partial(_has_started, node), f"{node.data_dir.parent.name} is ready", 120)
            assert node.is_ready(), node.log()

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Return the running processes of all nodes by kind."""
        running = [each for each in self.nodes if each.is_running()]
        return {
            "supervisor": [psutil.Process(each.process.pid) for each in running],
            "worker": [worker for each in running for worker in each.workers().values()],
            "Envoy": [each.envoy() for each in running],
        }

    def stop(self) -> None:
        """Stop all nodes."""
        for node in self.nodes:
            if node.is_running():
                node.stop()

    def log(self) -> str:
        """Return the logs of all nodes."""
        return "".join(each.log() for each in self.nodes)


def _has_started(node: Product) -> bool:
    """Return whether a node is ready or has failed."""
    return node.is_ready() or not node.is_running()


@contextmanager
def running_cluster(folder: Path) -> Iterator[Cluster]:
    """Run a new cluster inside the block."""
    with ExitStack() as stack:
        bucket = stack.enter_context(s3_server())
        primary, standby = (stack.enter_context(new_server()) for _ in range(2))
        primary.make()
        primary.start()
        primary.execute("postgres", f"create database {_DATABASE}")
        standby.follow(primary)
        _wait_for_standby(primary)
        cluster = Cluster(folder, [primary, standby], bucket)
        stack.callback(cluster.stop)
        cluster.start()
        stack.enter_context(cluster.front)
        yield cluster


def _wait_for_standby(primary: PostgresServer) -> None:
    """Return when commits wait for the standby."""

    def is_synchronous() -> bool:
        try:
            rows = primary.rows("postgres", "select sync_state from pg_stat_replication")
        except psycopg.OperationalError:
            return False
        return rows == [("sync",)]

    wait_until(is_synchronous, "the standby is synchronous")
