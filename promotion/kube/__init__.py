"""The one place that speaks the Kubernetes API: raw dictionaries, deadlines on every call, our own errors; judges nothing."""

from __future__ import annotations

from promotion.kube.cluster import Cluster, connect
from promotion.kube.errors import ContestedError, DeniedError, InvalidError, MissingError
from promotion.kube.kind import Kind

__all__ = ["Cluster", "ContestedError", "DeniedError", "InvalidError", "Kind", "MissingError", "connect"]
