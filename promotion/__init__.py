"""Promotion moves a change through environments by Git branch; see docs/architecture.md for the map of this package."""

__version__ = "0.1.0"
