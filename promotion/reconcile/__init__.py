"""Observe, decide, apply, verify; the only writer. Whatever is written goes through one kind of push, in `write`."""

from promotion.reconcile.approvals import approve, check_person, reject, withdraw
from promotion.reconcile.backports import backport
from promotion.reconcile.hop import Result, promote
from promotion.reconcile.patience import Steps, contended, patiently, verified
from promotion.reconcile.people import adopt, configure, freeze, hold, lift, thaw
from promotion.reconcile.proposals import Proposal
from promotion.reconcile.resolutions import resolve
from promotion.reconcile.rounds import Round, Task, reconcile, together, watch_only
from promotion.reconcile.sync import deploy, is_loop, with_synced
from promotion.reconcile.ticks import Ticks
from promotion.reconcile.undo import roll_back

__all__ = [
    "Proposal",
    "Result",
    "Round",
    "Steps",
    "Task",
    "Ticks",
    "adopt",
    "approve",
    "backport",
    "check_person",
    "configure",
    "contended",
    "deploy",
    "freeze",
    "hold",
    "is_loop",
    "lift",
    "patiently",
    "promote",
    "reconcile",
    "reject",
    "resolve",
    "roll_back",
    "thaw",
    "together",
    "verified",
    "watch_only",
    "with_synced",
    "withdraw",
]
