"""What a live Kubernetes object says of its health, judged by rules; must not reach a cluster, or read a clock."""

from promotion.health.judging import judge
from promotion.health.rules import Rules, rules

__all__ = ["Rules", "judge", "rules"]
