"""From a body to what a package takes: the fields that were sent, some of them read."""

from typing import Any

from msgspec import UNSET, Struct, structs


def sent(data: Struct, **read: Any) -> dict[str, Any]:  # Any: each field has its own type
    """The fields of a body that were sent; `read` replaces those that had to be read first, where they were sent."""
    fields = {name: value for name, value in structs.asdict(data).items() if value is not UNSET}
    return fields | {name: value for name, value in read.items() if value is not UNSET}
