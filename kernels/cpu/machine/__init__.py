"""The machine: vectors, registers, tiles of products, and functions of numbers that vectorise."""
