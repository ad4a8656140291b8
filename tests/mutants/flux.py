"""What Flux's objects say, and what counts of it: S2, S3."""

from __future__ import annotations

from tests.mutants.mutant import Mutant, cut

JUDGE, TREE = "test_engine_flux::", "test_engine_flux_tree::"
BELOW = TREE + "test_a_kustomization_below_has_to_be_as_far"
ANY_ORDER = TREE + "test_writes_in_any_order"


def rule(property: str, name: str, where: str, function: str, *tests: str) -> Mutant:
    """A whole rule that is never asked."""
    others = {"kustomization": KUSTOMIZATION, "helm": HELM}[where]
    kept = ", ".join(other for other in others if other != function)
    return cut(property, name, f"engines.flux.{where}:", f"({', '.join(others)},)", f"({kept},)", *tests)


KUSTOMIZATION = (
    "_suspended",
    "_deleted",
    "_stalled",
    "_failed",
    "_no_path",
    "_not_ready",
    "_other_spec",
    "_in_a_pass",
    "_no_commit",
)
HELM = (
    "_suspended",
    "_deleted",
    "_stalled",
    "_remediated",
    "_failed",
    "_not_ready",
    "_other_spec",
    "_in_a_pass",
    "_not_released",
)
MUTANTS = (
    rule(
        "S2", "a suspended Kustomization looks green", "kustomization", "_suspended", JUDGE + "test_suspended_but_ready"
    ),
    cut(
        "S2",
        "suspended comes first",
        "engines.flux.kustomization:",
        f"({', '.join(KUSTOMIZATION)},)",
        f"({', '.join([*KUSTOMIZATION[1:6], '_suspended', *KUSTOMIZATION[6:]])},)",
        JUDGE + "test_suspended_comes_first",
    ),
    rule("S2", "a Kustomization that is being deleted", "kustomization", "_deleted", JUDGE + "test_being_deleted"),
    rule("S3", "what stalls a Kustomization", "kustomization", "_stalled", JUDGE + "test_stalled_is_an_end"),
    rule("S3", "an attempt that failed", "kustomization", "_failed", JUDGE + "test_failed_at_the_commit"),
    rule(
        "S3",
        "a path that the commit does not have",
        "kustomization",
        "_no_path",
        JUDGE + "test_a_path_that_the_commit_does_not_have",
    ),
    rule(
        "S3",
        "Ready has to be said",
        "kustomization",
        "_not_ready",
        JUDGE + "test_an_interval_pass_makes_ready_unknown",
        ANY_ORDER,
    ),
    rule("S2", "a Ready of an older spec", "kustomization", "_other_spec", JUDGE + "test_old_generation"),
    rule(
        "S2",
        "Ready beside a pass or another attempt",
        "kustomization",
        "_in_a_pass",
        JUDGE + "test_the_status_is_one_write_behind",
        ANY_ORDER,
    ),
    rule(
        "S3",
        "a revision that names no commit",
        "kustomization",
        "_no_commit",
        JUDGE + "test_a_revision_that_names_no_commit",
    ),
    cut(
        "S2",
        "a failure of the commit before is stale",
        "engines.flux.kustomization:_failed",
        "not seen.source.is_at(seen.attempted)",
        "False",
        JUDGE + "test_a_failure_of_the_commit_before_is_stale",
    ),
    cut(
        "S2",
        "a message about another revision",
        "engines.flux.kustomization:_no_path",
        "fetched is None or not seen.source.is_at(fetched[1]) or seen.source.commit is None",
        "fetched is None or seen.source.commit is None",
        JUDGE + "test_a_path_that_the_commit_does_not_have",
    ),
    cut(
        "S2",
        "which generation a condition is about",
        "engines.flux.status:Live.found",
        "condition and condition.status == status and self.is_of_now(type)",
        "condition and condition.status == status",
        JUDGE + "test_a_failure_of_an_older_spec_is_stale",
    ),
    cut(
        "S2",
        "a Ready about another revision",
        "engines.flux.kustomization:_in_a_pass",
        "about[1] if about else seen.applied",
        "seen.applied",
        ANY_ORDER,
    ),
    cut(
        "S3",
        "a whole id only",
        "engines.flux.revision:",
        're.compile(r"(?:.*@)?sha1:([0-9a-f]{40})")',
        're.compile(r"(?:.*@)?sha1:([0-9a-f]{12,40})")',
        JUDGE + "test_only_a_whole_id_is_a_commit",
    ),
    cut(
        "S2",
        "the branch is ours",
        "engines.flux.source:check_ours",
        "_check_branch(live, subject)",
        "pass",
        JUDGE + "test_another_branch_is_one_clear_line",
    ),
    cut(
        "S2",
        "the repository is ours",
        "engines.flux.source:_check_address",
        "not same_repository(found, repository)",
        "False",
        JUDGE + "test_another_repository_is_one_clear_line",
    ),
    rule("S2", "a suspended HelmRelease looks green", "helm", "_suspended", JUDGE + "test_a_suspended_release"),
    rule("S3", "what stalls a HelmRelease", "helm", "_stalled", JUDGE + "test_a_stalled_release"),
    rule("S3", "a HelmRelease that went back", "helm", "_remediated", JUDGE + "test_a_remediated_release"),
    rule("S3", "a HelmRelease that failed", "helm", "_failed", JUDGE + "test_a_failed_release"),
    rule(
        "S3",
        "a HelmRelease with no status",
        "helm",
        "_not_ready",
        JUDGE + "test_a_release_in_a_pass",
        JUDGE + "test_a_release_with_no_status",
    ),
    rule("S2", "a Ready of an older HelmRelease", "helm", "_other_spec", JUDGE + "test_a_release_of_an_older_spec"),
    rule("S2", "a HelmRelease in a pass", "helm", "_in_a_pass", JUDGE + "test_a_release_in_a_pass"),
    rule("S3", "Ready without a release", "helm", "_not_released", JUDGE + "test_ready_without_a_deployed_release"),
    cut(
        "S2",
        "a chart of an older commit",
        "engines.flux.helm:judge",
        "_other_chart(live, source, revision) or Reading(Health.HEALTHY, f'{live} is released')",
        "Reading(Health.HEALTHY, f'{live} is released')",
        JUDGE + "test_a_chart_from_our_own_repository",
    ),
    cut(
        "S3",
        "applied is not healthy",
        "engines.flux.tree:_whole",
        "worst([said.reading, *_below(live, from_, said.revision, walk)])",
        "said.reading",
        TREE + "test_without_wait_each_object_is_judged",
    ),
    cut(
        "S2",
        "a Kustomization below is as far",
        "engines.flux.tree:_kustomization",
        "not same or said.revision == revision or reading.health not in (Health.HEALTHY, Health.DEGRADED)",
        "True",
        BELOW,
    ),
    cut(
        "S3",
        "what those below made",
        "engines.flux.tree:_below",
        "owners += [taken(read)] if reading.health is Health.HEALTHY else []",
        "pass",
        TREE + "test_what_those_below_made_counts_too",
    ),
    cut(
        "S3",
        "what a HelmRelease lists",
        "engines.flux.tree:_release",
        "owners.append(live)",
        "pass",
        TREE + "test_what_a_release_lists_is_judged",
    ),
    cut(
        "S3",
        "Helm that does not wait",
        "engines.flux.tree:_release",
        "not helm.waits(live)",
        "False",
        TREE + "test_what_a_release_lists_is_judged",
    ),
    cut(
        "S3",
        "nothing applied",
        "engines.flux.tree:_below",
        "owner is top and not made",
        "False",
        TREE + "test_nothing_applied_is_not_healthy",
    ),
    cut(
        "S3",
        "another cluster",
        "engines.flux.tree:_below",
        "refs and owner.spec.get('kubeConfig')",
        "False",
        TREE + "test_another_cluster_is_not_asked",
    ),
    cut(
        "S3",
        "an inventory is read as a whole",
        "engines.flux.inventory:_entry",
        "not first or len(parts) != 3 or not all((parts[0], parts[2])) or not isinstance(version, str) or not version",
        "len(parts) != 3",
        JUDGE + "test_an_inventory_that_cannot_be_read",
    ),
    cut(
        "S3",
        "releases are ours to judge where Flux waits, too",
        "engines.flux.inventory:left",
        "ref.what in OWN or (covered is not None and ref.what not in LIFELESS and (ref not in covered))",
        "covered is not None and ref.what not in LIFELESS and (ref not in covered)",
        TREE + "test_a_release_below_is_judged_by_us",
        BELOW,
    ),
    cut(
        "S3",
        "an object that is gone",
        "engines.flux.tree:_below",
        "Reading(Health.MISSING, f'{ref}, which {owner} made, is not there')",
        "Reading(Health.HEALTHY, '')",
        TREE + "test_an_object_that_is_gone",
    ),
    cut(
        "S2",
        "failed at what is expected has failed",
        "engines.contract:agreed",
        "failed and expected",
        "False",
        JUDGE + "test_several_must_agree",
    ),
)
