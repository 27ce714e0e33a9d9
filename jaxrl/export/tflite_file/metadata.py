"""What a TFLite file says of itself: checked, because anybody may have written it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

_CARRY = {"input": str, "output": str, "shape": list, "dtype": str}


def checked_metadata(metadata: Any) -> dict[str, Any] | None:
    """The metadata as `jaxrl.export` writes it, or None where a file has none.

    Raises:
      ValueError: it is of other types.
    """
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        raise ValueError(f"its metadata is a {_json(metadata)}, and must be an object")
    output = metadata.get("output", "")
    if not isinstance(output, str):
        raise ValueError(f"output in its metadata is a {_json(output)}, and must be a string")
    carry = metadata.get("carry", [])
    if not isinstance(carry, list) or not all(_is_carry(entry) for entry in carry):
        raise ValueError(f"carry in its metadata must be a list of objects with {', '.join(_CARRY)} and initial")
    return metadata


def require_initial(carry: list[dict[str, Any]], inputs: Mapping[str, Any]) -> None:
    """Checks that what a carry begins with fits the inputs, by LiteRT's descriptions of them.

    Raises:
      ValueError: it does not.
    """
    for entry in carry:
        try:
            values = np.asarray(entry["initial"], np.float64)
            if (detail := inputs.get(entry["input"])) is not None:
                np.broadcast_to(values, [int(size) for size in detail["shape_signature"][1:]])
        except (ValueError, TypeError, OverflowError):
            raise ValueError(f"carry in its metadata begins with what does not fit {entry['input']}") from None


def _is_carry(entry: Any) -> bool:
    return (
        isinstance(entry, dict) and "initial" in entry and all(isinstance(entry.get(n), t) for n, t in _CARRY.items())
    )


def _json(value: Any) -> str:
    """A value's type, as JSON calls it."""
    names = {bool: "boolean", int: "number", float: "number", str: "string", list: "list", dict: "object"}
    return names.get(type(value), "null")
