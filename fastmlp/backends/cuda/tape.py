"""The tape on which operations record kernels and products to queue, and facts about arrays at this point of it.

A fact, such as where the sum of an array's rows is stored, holds from the node that makes it true to the next node that
writes to the array. Nothing runs while a tape is recorded, so facts follow from the order of the nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any

import numpy as np

from fastmlp.backends.cuda.device import Access, Device, Launch, Matmul, Node
from fastmlp.backends.cuda.numbers import Number, Scalar, scalar
from fastmlp.backends.cuda.reduction import Reduce
from fastmlp.backends.cuda.streaming import Stage
from fastmlp.backends.cuda.workspace import Workspace
from fastmlp.formulas.by_code import Formulas
from fastmlp.kernels.cuda import MAX_BLOCKS, Operation, operations

__all__ = ["Samples", "Tape"]


class Samples:
    """Numbers of `length` samples in device memory, order[position + first], …; slices as an array's."""

    def __init__(self, address: int, position: int, length: int, first: int = 0) -> None:
        self.picks, self.first, self._length = (address + 8 * first, position), first, length
        self._order = address

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> Samples:
        start, stop, _ = part.indices(self._length)
        return Samples(self._order, self.picks[1], max(stop - start, 0), self.first + start)


class Tape:
    """Records nodes on `tape`."""

    def __init__(self, device: Device, workspace: Workspace, real: np.dtype, formulas: Formulas) -> None:
        self.tape: list[Node | Stage | Reduce] = []
        self._device, self._workspace, self._real, self._formulas = device, workspace, real, formulas
        self._operations = operations(real)
        self._numbers: set[Scalar] = set()  # those that have been stored where the library reads them
        self._facts: dict[tuple[str, int], tuple[int, Any]] = {}  # by name and first address: last address, fact

    def launch(
        self,
        name: str,
        blocks: float,
        work: float,
        numbers: float | None = None,
        own: Mapping[str, tuple[str, int]] = MappingProxyType({}),
        **values: Any,
    ) -> None:
        """Record a launch of a kernel; `values` are all fields of its struct.

        work and numbers (default: as many as there is work) as in `Launch`; own: of fields as in `Access`.
        """
        operation = self._operations[name]
        arguments = np.zeros((), operation.arguments)
        assert values.keys() == set(arguments.dtype.names), (name, values.keys(), arguments.dtype.names)
        for field, value in values.items():
            arguments[field] = self._argument(value)
        count = int(min(max(blocks, 1), MAX_BLOCKS))
        touched = (self._accesses(operation, field, value, own.get(field)) for field, value in values.items())
        self.tape.append(
            Launch(
                name,
                count,
                arguments,
                work=work,
                numbers=work if numbers is None else numbers,
                accesses=tuple(chain.from_iterable(touched)),
                formulas=self._formulas,
            )
        )
        for field in operation.written:
            self._forget(values[field])

    def multiply(self, a: Any, b: Any, out: Any, **how: Any) -> None:
        """Record a product by the library; `how` as the fields of `Matmul`."""
        self.tape.append(Matmul(a, b, out, **how))
        self._forget(out)

    def _argument(self, value: Any) -> Any:
        if isinstance(value, Samples):
            return value.picks
        if isinstance(value, (bool, int, float, tuple, np.generic)):
            return value
        return self._device.address(value) if value is not None and value.size else 0

    def _accesses(self, operation: Operation, field: str, value: Any, own: tuple[str, int] | None) -> Iterator[Access]:
        """The memory to which a field of an operation's arguments leads."""
        written = field in operation.written
        if isinstance(value, Samples):
            (first, position), size = value.picks, 8 * len(value)
            yield Access(first, first + size, False)
            yield Access(position, position + 8, False)
        elif isinstance(value, Scalar):
            yield from (Access(at, at + 8, False) for at in (value.first, value.second) if at)
        elif isinstance(value, tuple):  # a `Reduction`
            sizes = 8 * MAX_BLOCKS, 4, 8
            yield from (Access(at, at + size, True) for at, size in zip(value, sizes, strict=True) if at)
        elif isinstance(value, int) and field in operation.addresses:
            yield Access(value, value + 8, written)
        elif value is not None and not isinstance(value, (bool, int, float, np.generic)) and value.size:
            first = self._device.address(value)
            yield Access(first, first + value.nbytes, written, own)

    def _stored(self, number: Number | float) -> Any:
        """A number as the library takes it: itself, or an array (1,) that holds it in the step's dtype."""
        if not isinstance(number, Number):
            return number
        key = scalar(number)
        place = self._workspace.stored(key)
        if key not in self._numbers:
            self._numbers.add(key)
            self.launch("store_scalar", 1, 0, number=key, to=place)
        return place

    # Facts

    def _know(self, what: str, array: Any, fact: Any) -> None:
        """Note a fact about an array, true from here on until something writes to the array."""
        first = self._device.address(array)
        self._facts[what, first] = first + array.nbytes, fact

    def _known(self, what: str, array: Any) -> Any:
        """The fact of this name about an array, or None."""
        _, fact = self._facts.get((what, self._device.address(array)), (0, None))
        return fact

    def _forget(self, written: Any) -> None:
        if written is None or isinstance(written, int) or not self._facts:
            return
        start = self._device.address(written)
        end = start + written.nbytes
        self._facts = {key: kept for key, kept in self._facts.items() if kept[0] <= start or end <= key[1]}
