"""What is taken back: S12, and the freezes that rollbacks must heed (S13)."""

from __future__ import annotations

from tests.mutants.mutant import cut

PLANTED = "test_undo::test_s12_a_tree_that_does_not_restore_never_lands"
STAYS = "test_undo::test_what_is_never_rolled_back_by_itself"
SEVERAL = "test_undo::test_over_several_releases_and_forward_again"
PLAIN = "test_undo::test_the_release_before_is_restored_as_a_new_commit"
REVERT = "test_undo::test_a_revert_on_the_branch_is_a_rollback"
FURTHER = "test_undo::test_what_was_rolled_back_is_never_promoted_further"
FREEZE = "test_undo::test_s13_a_strict_freeze_before_the_push_wins"

S12 = (
    cut(
        "S12",
        "what was absorbed is known by what is there of the application",
        "reconcile.hop:_event_of",
        "scope.newest(site.repository, view.application, view.tip)",
        "view.tip",
        "test_undo::test_what_was_absorbed_beside_commits_of_others_is_what_is_gone_back_to",
    ),
    cut(
        "S12",
        "what is restored is looked at just before the push",
        "reconcile.write:_look_at_rollback",
        "if wrong:",
        "False",
        PLANTED,
    ),
    cut(
        "S12",
        "protected paths and those of others stay",
        "restoring:misplaced",
        "[path for path in touched if kept(path) or not inside(path)]",
        "[]",
        PLANTED,
    ),
    cut(
        "S12",
        "nothing of it is left out",
        "restoring:misplaced",
        "{*foreign, *(path for path in missed if not kept(path))}",
        "{*foreign}",
        PLANTED,
    ),
    cut(
        "S12",
        "what is restored is the release before",
        "rollback:choose",
        "step.given.healthy",
        "True",
        "test_undo::test_what_never_was_well_is_not_gone_back_to",
    ),
    cut(
        "S12",
        "what was taken back is held",
        "fold:_rolled_back",
        "(*(h for h in e.holds if h.plan_id or h.commit not in replaced), *held)",
        "e.holds",
        PLAIN,
    ),
    cut(
        "S12",
        "each release on the way is held",
        "rollback:back",
        "(s.given or (root and n == 0)) and (not _is_back(s))",
        "n == 0",
        SEVERAL,
    ),
    cut(
        "S12",
        "a rollback is no bad change",
        "rollback:_is_back",
        "step.given.undone or step.given.restores is not None",
        "False",
        SEVERAL,
    ),
    cut(
        "S12",
        "what was rolled back is not promoted further",
        "plan:qualified",
        "given is not None and given.undone",
        "False",
        FURTHER,
    ),
    cut(
        "S12",
        "it stands for what the restored one stood for",
        "rollback:back",
        "next((s.given.source for s in line[number:] if s.given and s.given.source), None)",
        "next((s.given.source for s in line if s.given and s.given.source), None)",
        PLAIN,
    ),
    cut("S12", "going forward ends holds", "restoring:made", "back.forward and (not h.plan_id)", "False", SEVERAL),
    cut(
        "S12", "nobody goes back twice unasked", "rollback:choose", "to is None and there is not None", "False", SEVERAL
    ),
    cut(
        "S12",
        "a revert on the branch counts",
        "reconcile.draft:_taken_back_by_hand",
        "found is None or found[1].source is None",
        "True",
        REVERT,
    ),
    cut(
        "S12",
        "what people take back of their own is none",
        "rollback:by_hand",
        "release in same",
        "False",
        "test_undo::test_what_people_take_back_of_their_own_is_no_rollback",
    ),
    cut(
        "S12",
        "by itself only on a fresh reading of M",
        "reconcile.undo:_failed",
        "seen is not None and seen.health is Health.DEGRADED and is_at(site, seen.revision, watched.commit)",
        "True",
        STAYS,
    ),
    cut(
        "S12",
        "by itself never where it was well",
        "reconcile.undo:_failed",
        "_was_well(state, watched.commit)",
        "False",
        STAYS,
    ),
    cut("S12", "by itself never while frozen", "reconcile.undo:_failed", "_frozen(site, draft, state)", "None", STAYS),
    cut(
        "S12",
        "by itself never over a hotfix",
        "reconcile.undo:_failed",
        "not restoring.same(site, environment, world.tip(environment), watched.commit)",
        "False",
        STAYS,
    ),
    cut(
        "S12",
        "a hotfix below is never undone by itself",
        "reconcile.undo:automatic",
        "not isinstance(found, Back) or found.hotfixes or found.source is None",
        "not isinstance(found, Back)",
        "test_undo::test_a_hotfix_that_would_be_lost_makes_it_a_hold",
    ),
    cut(
        "S12",
        "a message alone makes nobody's commit ours",
        "restoring:line",
        "confirmed.of(site, world, (c for c in lot if lineage.is_ours(c, app.name, environment.name)))",
        "{c.oid for c in lot if lineage.is_ours(c, app.name, environment.name)}",
        "test_undo::test_a_hotfix_that_would_be_lost_makes_it_a_hold",
    ),
    cut("S12", "late is not failed", "reconcile.draft:_verification", "first <= watched.until", "True", STAYS),
    cut(
        "S12",
        "a failed rollback freezes",
        "reconcile.draft:_failed_rollback",
        "draft.plus(event_for(site, 'frozen', environment, data))",
        "draft",
        "test_undo::test_a_rollback_that_fails_freezes_and_says_so",
    ),
    cut(
        "S13",
        "a strict freeze stops a rollback",
        "reconcile.undo:_decided",
        "f and f.strict and f.holds(site.clock())",
        "False",
        FREEZE,
    ),
)

MUTANTS = S12
