"""How kernels become machine code: compiling and keeping it, threads, memory by address, vectors."""
