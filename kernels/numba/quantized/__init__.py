"""Products and convolutions of integers of 4 and 8 bits, and quantization."""
