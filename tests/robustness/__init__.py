"""Faults of every kind against the whole command line, judged by a checker that knows nothing of the product."""
