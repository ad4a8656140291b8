"""What looked healthy on an Application and was not, and what never would have been said to be: S2, S3."""

from __future__ import annotations

from tests.mutants.mutant import cut
from tests.support.argocd import NEW

FOOLED = "test_engine_argocd_fooled::"

MUTANTS = (
    cut(
        "S3",
        "an Application of Applications",
        "engines.argocd.judge:_others",
        "row.get('group') == GROUP and kind in ('Application', 'ApplicationSet') and not known",
        "False",
        FOOLED + "test_an_application_of_applications",
    ),
    cut(
        "S3",
        "an Application without objects",
        "engines.argocd.judge:_others",
        "if not made:",
        "False",
        FOOLED + "test_an_application_without_objects",
    ),
    cut(
        "S2",
        "a hydrator that was changed since",
        "engines.argocd.judge:_hydrating",
        "same(at(now, 'sourceHydrator'), at(seen.app, 'spec', 'sourceHydrator'))",
        "True",
        FOOLED + "test_a_hydrator_that_was_changed_since",
    ),
    cut(
        "S2",
        "a hydrator that writes to another repository",
        "engines.argocd.sources:_hydrated",
        "_branch(target) == subject.branch and _is_ours(source, repository)",
        "_branch(target) == subject.branch",
        FOOLED + "test_a_hydrator_that_writes_to_another_repository",
    ),
    cut(
        "S2",
        "a hard refresh proves what was compared when it was asked for",
        "engines.argocd.fleet:_mark",
        "[at(sync, 'revision'), *(at(sync, 'revisions') or [])]",
        f"['{NEW}', at(sync, 'revision'), *(at(sync, 'revisions') or [])]",
        FOOLED + "test_a_hard_refresh_that_saw_the_commit_before",
    ),
    cut(
        "S3",
        "a server-side sync that failed and did nothing",
        "engines.argocd.judge:_half_done",
        "any(row.get('status') == 'SyncFailed' for row in done)",
        "False",
        FOOLED + "test_a_failed_server_side_sync_that_did_nothing",
    ),
    cut(
        "S2",
        "a server-side sync that failed and did all",
        "engines.argocd.judge:_half_done",
        "any(row.get('status') == 'SyncFailed' for row in done)",
        "True",
        FOOLED + "test_a_failed_server_side_sync_that_did_nothing",
    ),
)
