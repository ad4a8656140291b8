"""The one door to Git: a bare, blob-less clone that is only a cache, tree differences, new objects, compare-and-swap push.

No checkout, no hook, no filter runs here, and no decision is taken here. What a remote's branches are is asked of the
remote each time; the clone is an object store that may be deleted at any moment.
"""

from promotion.repository.clone import Repository, Snapshot
from promotion.repository.process import Git
from promotion.repository.remote import Update

__all__ = ["Git", "Repository", "Snapshot", "Update"]
