"""A program as JavaScript."""

import base64
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import numpy as np

from jaxrl.web.program import Array, Dot, Each, Lookup, Operand, Program, Reduce, Step, Take

MODULE_MARK = "// A policy of jaxrl"
"""What a module begins with."""

_TYPES = {
    "float32": "Float32Array",
    "bool": "Uint8Array",
    **{f"int{bits}": f"Int{bits}Array" for bits in (8, 16, 32)},
    **{f"uint{bits}": f"Uint{bits}Array" for bits in (8, 16, 32)},
}


def packaged(name: str) -> str:
    """The text of a file beside this module."""
    return resources.files("jaxrl.web").joinpath(name).read_text(encoding="utf-8")


def literal(value: Any) -> str:
    """Plain data as a literal of JavaScript, which ends no `<script>` whatever it says."""
    return json.dumps(value).replace("<", "\\u003c")


def filled(template: str, parts: Mapping[str, str]) -> str:
    """A template with each {{name}} replaced by its part; what the parts hold stays as it is."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def module_source(program: Program, about: dict[str, Any], output: str, single: bool) -> str:
    """A module for one policy.

    Args:
      program: gives the output and "action".
      about: plain data about the policy.
      output: the name of the output.
      single: whether an action is one number.
    """
    inputs = {name: {"shape": list(x.shape), "dtype": x.dtype.name} for name, x in program.inputs.items()}
    parts = {
        "about": literal(about),
        "inputs": literal(inputs),
        "output": literal(output),
        "single": literal(single),
        "program": program_source(program),
    }
    return "\n".join([f"{MODULE_MARK}, in one file.", "", filled(packaged("policy.js"), parts), packaged("runtime.js")])


def program_source(program: Program) -> str:
    """A program as an expression of JavaScript, by the functions of `runtime.js`.

    It gives a function of an object with an array, or a typed one, by the name of each input; numbers are flat. That
    gives an object with a typed array by the name of each output.
    """
    source = _Source()
    lines = [
        f"const v{array.number} = typed({_type(array)}, inputs[{literal(name)}]);"
        for name, array in program.inputs.items()
    ]
    lines += [f"const v{step.result.number} = {source.call(step)};" for step in program.steps]
    outputs = ", ".join(f"{literal(name)}: {source.operand(x)}" for name, x in program.outputs.items())
    body = "\n    ".join([*lines, f"return {{ {outputs} }};"])
    head = "\n  ".join([*source.constants(), *source.functions()])
    return f"(() => {{\n  {head}\n  return (inputs) => {{\n    {body}\n  }};\n}})()"


class _Source:
    """The constants and the functions of the elements that calls need."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._constants: dict[bytes, str] = {}
        self._data = bytearray()
        self._views: list[str] = []

    def call(self, step: Step) -> str:
        """The call of `runtime.js` that gives the result of a step."""
        operation, size = step.operation, step.result.size
        operands = list(map(self.operand, step.operands))
        match operation:
            case Each():
                signature = "(" + ", ".join("abc"[: len(operands)]) + ")"
                name = self._function(operation.primitive.name, f"{signature} => {operation.expression}")
                arguments = [str(size), name]
            case Reduce():
                name = self._function(operation.primitive.name, f"(a, b) => {operation.expression}")
                arguments = [str(size), str(operation.length), name, operation.initial]
            case Take():
                arguments = [self.operand(operation.indices)]
            case Dot():
                arguments = [str(n) for n in (operation.batch, operation.rows, operation.columns, operation.length)]
            case Lookup():
                places = [self.operand(operation.offsets), self.operand(operation.rows)]
                arguments = [*places, literal(operation.strides), literal(operation.limits)]
            case _:
                raise AssertionError(operation)
        return f"{operation.kind}({', '.join([_type(step.result), *arguments, *operands])})"

    def operand(self, operand: Operand) -> str:
        """An array by its name, or a constant."""
        if isinstance(operand, Array):
            return f"v{operand.number}"
        if operand.size == 1:
            return f"[{_number(operand.reshape(-1)[0])}]"
        content = np.ascontiguousarray(operand, operand.dtype.newbyteorder("<")).tobytes()
        key = operand.dtype.str.encode() + content
        if key not in self._constants:
            self._constants[key] = f"c{len(self._constants)}"
            self._data += bytes(-len(self._data) % operand.dtype.itemsize)
            view = f"new {_type(operand)}(data, {len(self._data)}, {operand.size})"
            self._views.append(f"const {self._constants[key]} = {view};")
            self._data += content
        return self._constants[key]

    def constants(self) -> list[str]:
        """Lines that define the constants."""
        if not self._views:
            return []
        return [f'const data = decode("{base64.b64encode(self._data).decode()}");', *self._views]

    def functions(self) -> list[str]:
        """Lines that define the functions of elements."""
        return [f"const {name} = {text};" for (_, text), name in self._names.items()]

    def _function(self, name: str, text: str) -> str:
        if (name, text) not in self._names:
            others = sum(other == name for other, _ in self._names)
            self._names[name, text] = f"{name}_{others}" if others else name
        return self._names[name, text]


def _type(array: Operand) -> str:
    return _TYPES[np.dtype(array.dtype).name]


def _number(value: Any) -> str:
    """A number exactly; the shortest text of the double that it is."""
    if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value):
        return "NaN" if np.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    return repr(int(value) if value.dtype.kind in "biu" else float(value))
