"""What Argo CD says, and what counts of it; what several objects say together: S2, S3."""

from __future__ import annotations

from tests.mutants.mutant import cut

AGREE = "test_watching::test_several_objects_agree_or_are_on_their_way"
RULE = "test_engine_argocd::test_one_thing_alone_keeps_it_from_healthy"
ORDER = "test_engine_argocd::test_in_any_order_of_writes_healthy_is_true_and_is_said_in_the_end"
WRITES = "test_engine_argocd::test_healthy_is_said_of_a_commit_only_after_the_last_of_what_it_needs"
SECOND = "test_engine_argocd::test_race_compared_before_the_sync_ended"
NONSENSE = "test_engine_argocd::test_nonsense_is_never_healthy"
SOURCES = "test_engine_argocd::test_several_sources_are_told_apart_by_their_place"
SPEC = "test_engine_argocd::test_race_an_old_spec"
PATHS = "test_engine_argocd::test_old_manifests_of_several_sources_with_paths"
HYDRATED = "test_engine_argocd::test_a_hydration_that_runs_or_failed"
HEAD = "test_engine_argocd::test_head_is_our_branch_only_where_it_is_its_newest_commit"
HALF = "test_engine_argocd::test_race_what_a_failed_sync_did_is_not_forgotten_with_the_next_commit"
FAILED = "test_engine_argocd::test_race_a_failure_of_the_commit_before"

JUDGE, OURS = "engines.argocd.judge", "engines.argocd.sources"

MUTANTS = (
    cut(
        "S2",
        "an Application that is deleted",
        f"{JUDGE}:_deleted",
        "at(seen.app, 'metadata', 'deletionTimestamp') is None",
        "True",
        RULE,
    ),
    cut(
        "S2",
        "a sync that is asked for",
        f"{JUDGE}:_sync_wanted",
        "at(seen.app, 'operation') is None",
        "True",
        RULE,
        ORDER,
    ),
    cut(
        "S2",
        "an empty operation is one",
        f"{JUDGE}:_sync_wanted",
        "at(seen.app, 'operation') is None",
        "not at(seen.app, 'operation')",
        RULE,
    ),
    cut(
        "S2",
        "a sync that runs",
        f"{JUDGE}:_sync_running",
        "seen.phase in ('', 'Succeeded', 'Failed', 'Error')",
        "True",
        RULE,
        WRITES,
    ),
    cut(
        "S2",
        "a phase that nobody knows",
        f"{JUDGE}:_sync_running",
        "seen.phase in ('', 'Succeeded', 'Failed', 'Error')",
        "seen.phase not in ('Running', 'Terminating')",
        RULE,
    ),
    cut("S2", "a sync in no phase", f"{JUDGE}:Seen.phase", "state is None", "not at(state, 'phase')", NONSENSE),
    cut(
        "S2",
        "a status of an older spec",
        f"{JUDGE}:_other_spec",
        "same_spec(seen.app, seen.followed)",
        "True",
        RULE,
        SPEC,
    ),
    cut(
        "S2",
        "a status of another destination",
        f"{OURS}:same_spec",
        "[*followed.sources, at(application, 'spec', 'destination')]",
        "[*followed.sources, at(compared, 'destination')]",
        RULE,
    ),
    cut("S2", "people's own empty values are values", f"{OURS}:_dense", "key == KEPT_WHOLE", "False", SPEC),
    cut(
        "S2",
        "the failure of another commit is none of this one",
        f"{JUDGE}:_failed",
        "seen.applied not in (seen.compared, seen.expected)",
        "False",
        FAILED,
    ),
    cut(
        "S3",
        "a sync that failed",
        f"{JUDGE}:_ended_badly",
        "seen.phase in ('Failed', 'Error')",
        "False",
        "test_engine_argocd::test_race_a_failed_attempt_is_never_made_again",
    ),
    cut(
        "S2",
        "a refresh that is still to come",
        f"{JUDGE}:_asked_again",
        "seen.annotation(REFRESH) is None",
        "True",
        RULE,
    ),
    cut("S3", "error conditions", f"{JUDGE}:_broken", "str(row.get('type')).endswith('Error')", "False", RULE),
    cut(
        "S3",
        "a revision that is no full id",
        f"{JUDGE}:_commit",
        "revision is None or not FULL_ID.fullmatch(revision)",
        "revision is None",
        RULE,
    ),
    cut("S2", "HEAD is no branch's name", f"{JUDGE}:_by_head", "not seen.followed.by_head", "True", HEAD),
    cut("S2", "a hydration that is not over", f"{JUDGE}:_hydrating", "phase == 'Hydrated'", "True", HYDRATED),
    cut("S2", "a hydration of another commit", f"{JUDGE}:_hydrating", "dry == seen.compared", "True", HYDRATED),
    cut(
        "S2",
        "what is compared is what was hydrated",
        f"{JUDGE}:_commit",
        "at(done, 'hydratedSHA') == revision",
        "True",
        "test_engine_argocd::test_what_is_compared_must_be_what_was_hydrated_last",
    ),
    cut("S3", "out of sync", f"{JUDGE}:_out_of_sync", "status == 'Synced'", "True", RULE),
    cut(
        "S2",
        "looked at after its sync ended",
        f"{JUDGE}:_older_than_its_sync",
        "ended is not None and looked > ended",
        "True",
        RULE,
        ORDER,
        WRITES,
    ),
    cut(
        "S2",
        "equal seconds prove no order",
        f"{JUDGE}:_older_than_its_sync",
        "looked > ended",
        "looked >= ended",
        SECOND,
        RULE,
    ),
    cut("S2", "it was looked at at all", f"{JUDGE}:_older_than_its_sync", "looked is not None", "True", RULE),
    cut("S2", "what a failed sync left half done", f"{JUDGE}:_half_done", "not _ended_badly(seen)", "True", HALF),
    cut("S2", "the hooks of a failed sync", f"{JUDGE}:_did_nothing", "not row.get('hookType')", "True", HALF),
    cut(
        "S2",
        "manifests that were not made anew",
        f"{JUDGE}:_old_manifests",
        "seen.annotation(PATHS) is None",
        "True",
        PATHS,
    ),
    cut(
        "S2",
        "a hard refresh that is not over",
        f"{JUDGE}:_old_manifests",
        "asked[-1] != seen.status('reconciledAt')",
        "True",
        PATHS,
    ),
    cut("S3", "Argo CD's own word of health", f"{JUDGE}:_unwell", "health is Health.HEALTHY", "True", RULE, WRITES),
    cut(
        "S3",
        "a word of health that nobody knows",
        f"{JUDGE}:_unwell",
        "HEALTH.get(word, Health.UNKNOWN)",
        "HEALTH.get(word, Health.HEALTHY)",
        RULE,
    ),
    cut(
        "S2",
        "each source has its own revision",
        f"{OURS}:Tracked.revision",
        "len(revisions) != len(self.sources)",
        "False",
        SOURCES,
    ),
    cut("S2", "our sources are at one revision", f"{OURS}:Tracked.revision", "len(found) == 1", "True", SOURCES),
    cut(
        "S2",
        "another branch is not ours",
        f"{OURS}:tracked",
        "_branch(sources[i].get('targetRevision')) == subject.branch",
        "True",
        "test_engine_argocd::test_another_branch_is_tracked",
    ),
    cut(
        "S2",
        "another repository is not ours",
        f"{OURS}:_is_ours",
        "same_repository(str(at(source, 'repoURL') or ''), repository)",
        "True",
        "test_engine_argocd::test_another_repository_is_deployed",
    ),
    cut(
        "S2",
        "objects at several commits are not settled",
        "engines.contract:agreed",
        "len(revisions) == 1",
        "True",
        AGREE,
    ),
    cut(
        "S3",
        "the worst of several objects counts",
        "engines.contract:_worst",
        "min((reading.health for _, reading in readings), key=WORST_FIRST.index)",
        "max((reading.health for _, reading in readings), key=WORST_FIRST.index)",
        AGREE,
    ),
    cut(
        "S3",
        "an object that says nothing",
        "engines.contract:agreed",
        "deployed.reading or silent",
        "deployed.reading or Reading(Health.HEALTHY, '')",
        AGREE,
    ),
    cut(
        "S2",
        "objects agree only at what is the same in scope",
        "watching:_in_scope",
        "agreed(parts, question.expected.revision)",
        "agreed([(name, replace(part, revision=question.expected.revision)) for name, part in parts], question.expected.revision)",
        "test_watching::test_objects_agree_at_commits_that_are_the_same_in_scope",
    ),
)
