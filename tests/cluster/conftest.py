"""One real API server for all of these tests that run in one process, and a new namespace for each."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import serve, server
from tests.support.apiserver import ApiServer, kubelet, missing

__all__ = ["cluster", "namespace", "serve", "server"]


@pytest.fixture(scope="session")
def cluster() -> Iterator[ApiServer]:
    """Ready, with its pods running. Skips where its programs are not there."""
    if why := missing(os.environ):
        pytest.skip(why)
    server = ApiServer.start(Path(os.environ["KUBEBUILDER_ASSETS"]))
    with kubelet(server):
        yield server
    server.stop()


@pytest.fixture
def namespace(cluster: ApiServer) -> str:
    """A new one; deleting it takes longer than it is worth."""
    name = f"test-{secrets.token_hex(4)}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    with cluster.client() as client:
        client.post("/api/v1/namespaces", json=body).raise_for_status()
    return name
