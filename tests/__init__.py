"""The tests: one module per module of the product, on real repositories and real local servers."""
