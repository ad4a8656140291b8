"""What people and programs are shown, as plain data for JSON, tables and pages; reads Git only, writes and prints nothing.

Times are ISO texts in UTC, ids are full, paths are text; making them short or relative is for whoever renders them.
"""

from promotion.report.audit import audit, audited
from promotion.report.awaited import Awaited, awaited
from promotion.report.drift import drift
from promotion.report.hops import advice, event, plan, result, subjects, waits
from promotion.report.origins import origin
from promotion.report.past import history
from promotion.report.places import concerns, where
from promotion.report.requests import answered, asking, named
from promotion.report.standing import assumed, plans, quick, status

__all__ = [
    "Awaited",
    "advice",
    "answered",
    "asking",
    "assumed",
    "audit",
    "audited",
    "awaited",
    "concerns",
    "drift",
    "event",
    "history",
    "named",
    "origin",
    "plan",
    "plans",
    "quick",
    "result",
    "status",
    "subjects",
    "waits",
    "where",
]
