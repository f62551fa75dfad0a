"""Products of float32 matrices, and what follows them."""
