"""What depends on the CPU: vectors in LLVM IR, the microkernel of products and its tiles, functions that vectorise."""
