"""What deploys a branch; one module a kind, all in one explicit dict."""

from __future__ import annotations

from promotion.engines import argocd, command, directory, flux, kubernetes
from promotion.engines.contract import Engine

ENGINES: dict[str, Engine] = {
    "directory": directory,
    "command": command,
    "argocd": argocd,
    "flux": flux,
    "kubernetes": kubernetes,
}
