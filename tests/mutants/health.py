"""What a live object proves of its health: generations, deletion, contradictions, kinds without a rule: S2, S3."""

from __future__ import annotations

from tests.mutants.mutant import cut

GENERATION = "test_health::test_a_status_about_another_generation_proves_nothing"
PROOF = "test_health::test_without_the_proof_nothing_is_healthy"
DELETED = "test_health::test_what_is_being_deleted_is_progressing"
DATA = "test_health::test_a_rule_of_data_never_judges_an_older_generation"
CONDITION = "test_health::test_a_condition_of_an_older_generation_is_not_there"
TWICE = "test_health::test_a_condition_that_is_said_twice_proves_nothing"
DEPLOYMENTS = "test_health::test_deployments"
WORKLOADS = "test_health::test_other_workloads"
KINDS = "test_health::test_other_kinds"
EXPRESSIONS = "test_health::test_expressions"
RAISES = "test_health::test_nothing_that_is_written_raises"
OWN = "test_health::test_a_rule_of_users_waits_for_the_generation"
DEEP = "test_health::test_what_is_nested_too_deeply_is_unknown"
REFERRED = "test_health::test_a_rollout_waits_for_its_workload"

JUDGE, ASK, WORK = "health.judging", "health.expressions", "health.workloads"

MUTANTS = (
    cut(
        "S2",
        "a status without a generation",
        f"{WORK}:unseen",
        "now is None or now == seen",
        "seen is None or now == seen",
        GENERATION,
        PROOF,
    ),
    cut(
        "S2",
        "a status of another generation",
        f"{WORK}:unseen",
        "now is None or now == seen",
        "now is None or seen is not None",
        GENERATION,
        PROOF,
    ),
    cut(
        "S2",
        "an object that is being deleted",
        f"{JUDGE}:_judge",
        "value(live, 'metadata', 'deletionTimestamp') is not None",
        "False",
        DELETED,
    ),
    cut(
        "S2",
        "a rule of data and an older generation",
        f"{JUDGE}:_stale",
        "None in (now, seen) or now == seen",
        "True",
        DATA,
        OWN,
    ),
    cut(
        "S2",
        "an older generation leaves only suspended",
        f"{ASK}:judged",
        "not expression or (stale and word != 'suspended')",
        "not expression",
        DATA,
        OWN,
    ),
    cut(
        "S2",
        "a condition of an older generation",
        "health.live:stated",
        "seen is None or now is None or seen >= now",
        "True",
        CONDITION,
    ),
    cut(
        "S2",
        "a Rollout's generation",
        "health.rollouts:_unseen",
        "now is not None and str(seen) != str(now) and not hashed",
        "False",
        GENERATION,
        PROOF,
    ),
    cut(
        "S2",
        "a Rollout's workload",
        "health.rollouts:_unseen",
        "value(live, 'spec', 'workloadRef') is not None and workload != observed",
        "False",
        REFERRED,
    ),
    cut(
        "S2",
        "an aborted Rollout serves the old version",
        "health.rollouts:_unfinished",
        "None if stable == pods else progressing('the new pods are not the stable ones yet')",
        "None",
        WORKLOADS,
    ),
    cut(
        "S2",
        "old replicas of a Deployment",
        f"{WORK}:deployment",
        "has > wanted or has > updated",
        "False",
        DEPLOYMENTS,
    ),
    cut(
        "S2",
        "a rollout that is not complete",
        f"{WORK}:deployment",
        "limited and number(live, 'spec', 'progressDeadlineSeconds') != NEVER and not _complete(rollout)",
        "False",
        DEPLOYMENTS,
    ),
    cut(
        "S3",
        "a condition that is said twice",
        "health.live:conditions",
        "found.setdefault(each.type, each).status != each.status",
        "False",
        TWICE,
    ),
    cut(
        "S3",
        "a kind without a rule",
        f"{JUDGE}:_judge",
        "unknown(f\"there is no rule for {f'{group}/' if group else ''}{kind or 'no kind'}\")",
        "builtin.there(live, now)",
        KINDS,
    ),
    cut(
        "S3",
        "a job that runs again",
        "health.pods:job",
        "'Complete' in said and said['Complete'].status == 'True'",
        "said",
        WORKLOADS,
    ),
    cut(
        "S3",
        "an answer that is neither true nor false",
        f"{ASK}:judged",
        "not isinstance(got, bool)",
        "False",
        EXPRESSIONS,
    ),
    cut("S3", "a question that could not be answered", f"{ASK}:answer", "if asked.malformed:", "False", EXPRESSIONS),
    cut(
        "S3",
        "what is malformed is unknown",
        f"{JUDGE}:judge",
        "unknown(f'it cannot be read: {exc}')",
        "builtin.there(live, now)",
        DEPLOYMENTS,
    ),
    cut(
        "S3",
        "a number that is a boolean",
        "health.live:number",
        "isinstance(found, bool) or not isinstance(found, int | float) or found != found // 1",
        "not isinstance(found, int | float) or found != found // 1",
        DEPLOYMENTS,
    ),
    cut(
        "S3",
        "what is nested too deeply",
        f"{ASK}:_shallow",
        "raise MalformedError(f'it is nested deeper than {DEPTH} levels')",
        "pass",
        DEEP,
    ),
)
