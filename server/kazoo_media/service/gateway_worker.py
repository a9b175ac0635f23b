"""The program of a worker behind the gateway, which the supervisor starts.

    python -m kazoo_media.service.gateway_worker INDEX SOCKET

It is not a command: a worker would import the command line with it.
"""

from __future__ import annotations

import gc
import sys
import traceback
from pathlib import Path

from kazoo_media.config import Config, ConfigError
from kazoo_media.service.logs import configure_logging
from kazoo_media.service.memory import prepare_allocator
from kazoo_media.start_error import StartError

REFUSED = "kazoo-media gateway-worker: "
"""With it begins the last line on stderr when a start fails; the reason follows."""


def main() -> None:
    """Serve until SIGTERM."""
    _, index, socket = sys.argv
    prepare_allocator()
    gc.disable()  # imports create no garbage
    import uvloop  # noqa: PLC0415 - after the allocator is prepared

    from kazoo_media.service.worker import run_gateway_worker  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    configure_logging(f"worker-{index}")
    try:
        uvloop.run(run_gateway_worker(Config.from_environ(), int(index), Path(socket)))
    except (ConfigError, StartError, OSError) as error:
        traceback.print_exc()  # the supervisor hides it unless it has --debug
        reason = StartError.of(error) if isinstance(error, OSError) else error
        sys.stderr.write(f"{REFUSED}{reason}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
