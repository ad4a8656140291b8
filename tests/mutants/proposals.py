"""What people decide about conflicts, and what is proposed to them: S9, S10, S11, S16, backport."""

from __future__ import annotations

from tests.mutants.mutant import cut

WAY = "test_resolving::test_the_whole_way"
FOREIGN = "test_resolving::test_foreign_commits_are_refused"
MARKERS = "test_resolving::test_markers_that_were_left_are_refused"
BELIEVED = "test_resolving::test_the_audit_needs_no_branch_and_believes_no_record"
KEPT = "test_reconcile_proposals::test_nothing_of_the_root_is_lost"

RESOLUTIONS = (
    cut(
        "S10",
        "of a resolution only the paths in conflict count",
        "merge:resolve",
        "conflicts(table).keys() & decided.keys()",
        "table.rows.keys() & decided.keys()",
        "test_merge::test_only_conflicts_are_resolved",
    ),
    cut(
        "S10",
        "only the paths in conflict are read of a resolution",
        "resolving:_decided",
        "{path: leaf(site, made, path) for path in rows}",
        "{path: entry for path, entry in objects.entries(made)}",
        WAY,
    ),
    cut(
        "S11",
        "a resolution about other content is superseded",
        "resolving:resolved",
        "not known or conflict_id(view, source) != identity",
        "not known",
        "test_resolving::test_a_decision_about_other_content_is_superseded",
    ),
    cut(
        "S11",
        "the name of a conflict is that of its content",
        "resolving:conflict_id",
        "[view.application.name, view.environment.name, commit, *view.contents]",
        "[view.application.name, view.environment.name, commit]",
        "test_resolving::test_a_decision_about_other_content_is_superseded",
    ),
    cut(
        "S11",
        "a proposal is no resolution of itself",
        "resolving:resolved",
        "commit == proposal.oid or not _is_pushed(site, commit, branch_of(identity))",
        "not _is_pushed(site, commit, branch_of(identity))",
        FOREIGN,
        "test_resolving::test_what_no_markers_can_show",
    ),
    cut(
        "S11",
        "a resolution is on its branch",
        "resolving:_is_pushed",
        "tip is not None and site.repository.is_ancestor(commit, tip)",
        "True",
        FOREIGN,
    ),
    cut(
        "S11",
        "no marker lands",
        "resolving:_decided",
        "line := _marker(site, entry, rows[path])",
        "line := None",
        MARKERS,
    ),
    cut(
        "S11",
        "what a side has itself is no marker",
        "resolving:_marker",
        "_MARKER.match(line) and line not in sides",
        "_MARKER.match(line)",
        MARKERS,
    ),
    cut(
        "S11",
        "no file in conflict becomes a directory",
        "resolving:_decided",
        "entry is None and any((below not in rows for below, _ in objects.entries(made, [path])))",
        "False",
        "test_resolving::test_a_directory_in_the_place_of_a_file_is_refused",
    ),
    cut(
        "S16",
        "the audit replays what a person decided",
        "report.audit:_content",
        "yield from _resolution(replay, view)",
        "pass",
        "test_resolving::test_a_record_that_says_otherwise_is_found",
    ),
    cut(
        "S16",
        "a record names what was decided, path by path",
        "report.inforce:_decided",
        "entries_from_json(data['resolution']['entries'])",
        "{}",
        WAY,
        BELIEVED,
    ),
)
BACKPORTS = (
    cut(
        "backport",
        "only what drifts is proposed",
        "reconcile.backports:_sketched",
        "path not in drift or protects(path)",
        "protects(path)",
        "test_reconcile_proposals::test_only_what_drifts_is_proposed",
    ),
    cut(
        "backport",
        "what the root protects is not proposed",
        "reconcile.backports:_sketched",
        "path not in drift or protects(path)",
        "path not in drift",
        "test_reconcile_proposals::test_protected_on_the_way_is_named",
    ),
    cut(
        "backport",
        "a branch that is none of ours is left alone",
        "reconcile.proposals:there",
        "trailer in commit.message.rstrip().rpartition('\\n\\n')[2].splitlines()",
        "True",
        "test_reconcile_proposals::test_a_dry_run_and_refusals_write_nothing",
    ),
    cut(
        "backport",
        "a conflict is marked, never decided",
        "reconcile.proposals:sketch",
        "{path: entry for path, entry in merge.gains(table).items() if path not in conflicts}",
        "{path: row.s for path, row in table.rows.items()}",
        KEPT,
        "test_reconcile_proposals::test_conflicts_hold_markers_and_are_said",
    ),
)

MUTANTS = (*RESOLUTIONS, *BACKPORTS)
