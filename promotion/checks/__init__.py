"""Ways of asking the running world; one module a kind, all in one explicit dict."""

from __future__ import annotations

from promotion.checks import command, http, kubernetes, metric
from promotion.checks.contract import Check

CHECKS: dict[str, Check] = {
    "http": http.ask,
    "command": command.ask,
    "metric": metric.ask,
    "kubernetes": kubernetes.ask,
}
