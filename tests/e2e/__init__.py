"""Tests that need a real Prefect server, a browser or minutes: `make e2e`."""
