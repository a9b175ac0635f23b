"""The location of packaged files."""

from __future__ import annotations

from pathlib import Path

_PACKAGED = Path(__file__).parent / "gateway"
_CHECKOUT = Path(__file__).parents[2] / "gateway"


def gateway_folder() -> Path:
    """Return the folder of `envoy.yaml`, `kazoo.lua` and `kazoo_media.binpb`.

    It is in the installed package or, without an installation, in the checkout.
    """
    return _PACKAGED if (_PACKAGED / "envoy.yaml").is_file() else _CHECKOUT
