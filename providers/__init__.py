"""Which kernel serves which node on which device."""

from onnxlite.providers.registry import (
    Declined,
    Operator,
    Provider,
    TableProvider,
    create_provider,
    device_of,
    get_all_providers,
    get_available_providers,
    register_provider,
)

__all__ = [
    "Declined",
    "Operator",
    "Provider",
    "TableProvider",
    "create_provider",
    "device_of",
    "get_all_providers",
    "get_available_providers",
    "register_provider",
]
