"""Object files in the memory of this process, by LLVM's just-in-time linker."""

from __future__ import annotations

from typing import NamedTuple

from llvmlite import binding

from fastmlp.forks import no_fork

__all__ = ["Linker", "ObjectCode"]


class ObjectCode(NamedTuple):
    """An object file with one function, and the names that it needs from the process, such as memcpy."""

    needs: tuple[str, ...]
    content: bytes

    @classmethod
    def unpacked(cls, payload: bytes) -> ObjectCode:
        """What `packed` has made."""
        needs, content = payload.split(b"\n", 1)
        return cls(tuple(needs.decode().split()), content)

    def packed(self) -> bytes:
        """A file's content."""
        return " ".join(self.needs).encode() + b"\n" + self.content


class Linker:
    """Functions of object files. They stay until the linker goes."""

    def __init__(self) -> None:
        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        machine = binding.Target.from_triple(binding.get_process_triple()).create_target_machine(jit=True)
        self._engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine)

    def address(self, symbol: str, code: ObjectCode) -> int:
        """The address of a function from its object file.

        Raises
        ------
        RuntimeError
            The file is none that LLVM can read, or has no such function.
        """
        if not all(map(binding.address_of_symbol, code.needs)):
            with no_fork():
                import numba.core.registry  # some functions of Numba's own, which it makes known to LLVM

            numba.core.registry.cpu_target.target_context.refresh()
        self._engine.add_object_file(binding.ObjectFileRef.from_data(code.content))
        self._engine.finalize_object()
        address = self._engine.get_function_address(symbol)
        if not address:
            raise RuntimeError(f"an object file lacks the function {symbol}")
        return address
