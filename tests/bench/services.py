"""The measured services: the product with and without normalization, and the peers.

Each is started at its first use and stopped with the ExitStack.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from google.protobuf.struct_pb2 import Value

from kazoo_media.v1.settings_service_pb2 import SetDefaultSettingRequest
from kazoo_media.v1.settings_service_pb2_grpc import SettingsServiceStub
from tests.bench.http_load import Endpoint, MeasurementError, NotThereError, ask
from tests.bench.peers.running import Peers, running_peers, running_tus
from tests.support.product import Product


@dataclass(frozen=True, slots=True)
class Running:
    """A service with its workers and its Envoy."""

    endpoint: Endpoint
    grpc_target: str
    supervisor_pid: int
    worker_pids: list[int]
    envoy_pid: int
    data_dir: Path

    def set_default(self, category: str, key: str, value: Value) -> None:
        """Set a setting; the value applies to the next request.

        Raises:
            NotThereError: the product does not have the setting or the value.
        """
        metadata = (("authorization", f"Bearer {self.endpoint.token}"),)
        request = SetDefaultSettingRequest(category=category, key=key, value=value)
        with grpc.insecure_channel(self.grpc_target) as channel:
            try:
                SettingsServiceStub(channel).SetDefaultSetting(request, metadata=metadata)
            except grpc.RpcError as error:
                raise NotThereError(
                    f"{category}.{key} could not be set: {error.details()}"
                ) from error


class Services:
    """The services that a contest may need."""

    def __init__(self, stack: ExitStack, folder: Path, size_bytes: int) -> None:
        """Keep the folder and the limits.

        Args:
            stack: Stops the started services.
            folder: An empty folder with a short path, as it will contain sockets.
            size_bytes: Size of the largest upload.
        """
        self._stack = stack
        self._folder = folder
        self._size_bytes = size_bytes

    @cached_property
    def plain(self) -> Running:
        """Return the product with its default settings."""
        return self._started("plain", normalize=False)

    @cached_property
    def normalizing(self) -> Running:
        """Return the product with normalization on."""
        return self._started("normalizing", normalize=True)

    @cached_property
    def peers(self) -> Peers:
        """Return Starlette and, if installed, nginx, behind their own Envoy."""
        folder = Path(tempfile.mkdtemp(prefix="peers", dir=self._folder))
        return self._stack.enter_context(running_peers(folder))

    @cached_property
    def tus(self) -> tuple[int, int]:
        """Return process id and port of @tus/server."""
        folder = Path(tempfile.mkdtemp(prefix="tus", dir=self._folder))
        return self._stack.enter_context(running_tus(folder))

    def _started(self, name: str, *, normalize: bool) -> Running:
        # A new stack for each attempt: if this one fails, the next contest starts it again.
        product = Product(Path(tempfile.mkdtemp(prefix=name, dir=self._folder)))
        try:
            product.start()
        except (AssertionError, OSError) as error:
            raise MeasurementError(f"the product did not start: {error}") from error
        self._stack.callback(product.stop)
        port = urlsplit(product.rest_url).port or 80
        nobody = Endpoint(port, product.account_id, "")
        answer = ask(nobody, "PUT", "/v2/api_auth", {"data": {"api_key": product.api_key}})
        endpoint = Endpoint(port, product.account_id, str(answer["auth_token"]))
        workers = [worker.pid for worker in product.workers().values()]
        pids = (product.process.pid, workers, product.envoy().pid)
        running = Running(endpoint, product.grpc_target, *pids, product.data_dir)
        running.set_default("crossbar.media", "normalize_media", Value(bool_value=normalize))
        largest = Value(number_value=max(self._size_bytes, 1 << 29))
        running.set_default("crossbar", "max_upload_size", largest)
        return running
