"""Which kernel serves which node on which device."""

from onnxlite.kernels.op import Kernel, KernelTable, describe
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
    "Kernel",
    "KernelTable",
    "Operator",
    "Provider",
    "TableProvider",
    "create_provider",
    "describe",
    "device_of",
    "get_all_providers",
    "get_available_providers",
    "register_provider",
]
