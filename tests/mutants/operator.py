"""What our operator must not do to a cluster, and not say of it: S2, S3, S7, S15, operator."""

from __future__ import annotations

from tests.mutants.mutant import cut

PLACE = "engines.kubernetes"
KILL = "test_operator_rounds::test_a_kill_at_any_request_is_made_good_by_the_next_round"
TWO = "test_operator_rounds::test_two_operators_do_no_harm"
HEALTHY = "test_operator_rounds::test_healthy_is_what_is_applied_whole_untouched_and_well"
BAD = "test_operator_rounds::test_it_goes_on_after_a_bad_object_and_says_which"
STAYS = "test_operator_steps::test_what_may_not_be_pruned_stays"
MUCH = "test_operator_rounds::test_suspiciously_much_is_pruned_only_when_somebody_allows_it"
FOREIGN = "test_operator_steps::test_what_is_not_ours_is_not_pruned"
AGAIN = "test_operator_rounds::test_an_object_is_deleted_only_to_be_made_again"
LEAVES = "test_operator_rounds::test_what_is_being_deleted_is_looked_after_until_it_is_gone"
INVENTORY = "test_operator_rounds::test_an_inventory_is_no_object_of_any_revision"
FETCHES = "test_operator_documents::test_kustomize_fetches_nothing"

SEEN = (
    cut(
        "operator",
        "installations of equal names in two namespaces are told apart",
        f"{PLACE}.objects:owner",
        "f'{application}.{environment}.{namespace}'",
        "f'{application}.{environment}'",
        "test_operator_rounds::test_two_installations_of_equal_names_do_not_share_what_is_cluster_wide",
    ),
    cut(
        "operator",
        "what the server only said it would delete is not forgotten",
        f"{PLACE}.work:delete_all",
        "left and (why := leaving(left))",
        "False",
        LEAVES,
    ),
    cut(
        "operator",
        "what is being deleted is not forgotten in a later round",
        f"{PLACE}.work:delete_all",
        "ref not in failed and ref not in leaves",
        "ref not in failed",
        LEAVES,
    ),
    cut(
        "operator",
        "what is being deleted is not counted as what is there",
        f"{PLACE}.steps:too_much",
        "not item.kept and ref not in todo.leaving",
        "not item.kept",
        "test_operator_steps::test_what_is_being_deleted_already_is_not_counted_again",
    ),
    cut(
        "S2",
        "a reading of the operator's objects is of one state",
        f"{PLACE}.watch:observe",
        "inventory.load(target).version != stored.version",
        "False",
        "test_operator_rounds::test_a_reading_is_of_one_state",
    ),
    cut(
        "S2",
        "a revision that is being applied is not healthy",
        f"{PLACE}.watch:observe",
        "if found.applying:",
        "False",
        "test_operator_rounds::test_an_object_waits_for_its_definition",
    ),
    cut(
        "S2",
        "a revision that could not be applied is not healthy",
        f"{PLACE}.watch:observe",
        "if found.failure:",
        "False",
        BAD,
    ),
    cut(
        "S2",
        "what was changed since it was applied is not healthy",
        f"{PLACE}.watch:_readings",
        "if is_untouched(item, found):",
        "True",
        HEALTHY,
    ),
    cut(
        "S2",
        "a write of another operator shows",
        f"{PLACE}.rounds:deploy",
        "_disown(target, todo)",
        "pass",
        "test_operator_rounds::test_what_an_operator_did_beside_another_one_is_known_to_nobody",
    ),
    cut(
        "S3",
        "no objects are not healthy",
        f"{PLACE}.watch:_judged",
        'Reading(Health.UNKNOWN, "no objects, so nothing says that it is healthy")',
        'Reading(Health.HEALTHY, "")',
        "test_operator_rounds::test_no_objects_are_never_healthy",
    ),
    cut(
        "S3",
        "an object that is gone is missing",
        f"{PLACE}.watch:_readings",
        'Reading(Health.MISSING, "is gone")',
        'Reading(Health.HEALTHY, "")',
        HEALTHY,
    ),
)

KILLED = (
    cut(
        "S7",
        "an object is in the inventory before it is made",
        f"{PLACE}.rounds:_widened",
        "{**before.items, **new}",
        "before.items",
        KILL,
    ),
    cut(
        "S7",
        "what is about to be changed is not known to be as it was",
        f"{PLACE}.rounds:_unknown",
        'replace(item, digest="")',
        "item",
        KILL,
    ),
    cut(
        "S7",
        "the inventory is only written by whoever read it last",
        f"{PLACE}.inventory:save",
        '{"resourceVersion": stored.version}',
        "{}",
        TWO,
    ),
    cut(
        "S7",
        "a revision counts when all of it was applied",
        f"{PLACE}.rounds:_after",
        "if outcome.errors:",
        "False",
        BAD,
    ),
    cut(
        "S15",
        "kustomize fetches nothing",
        f"{PLACE}.render:_kustomized",
        "NOWHERE",
        "{}",
        FETCHES,
    ),
)

OPERATOR = (
    cut(
        "operator",
        "an inventory is no object of its own environment",
        f"{PLACE}.rounds:_placed",
        "m.ref == own",
        "False",
        INVENTORY,
    ),
    cut("operator", "nor of another one", f"{PLACE}.apply:put", "is_inventory(live)", "False", INVENTORY),
    cut(
        "operator",
        "what came from Git is no inventory",
        f"{PLACE}.inventory:load",
        '(found["metadata"].get("labels") or {}).get(OWNER)',
        "None",
        "test_operator_rounds::test_an_inventory_that_came_from_git_is_none",
    ),
    cut(
        "operator",
        "nothing is pruned beside another operator",
        f"{PLACE}.rounds:_check_alone",
        "inventory.load(target).version != stored.version",
        "False",
        "test_operator_rounds::test_nothing_is_pruned_that_another_operator_may_want",
    ),
    cut(
        "operator",
        "a link is not left out",
        f"{PLACE}.render:_plain",
        "sorted(files.keys() - wanted.keys())",
        "()",
        "test_operator_documents::test_a_manifest_that_becomes_a_link_is_told",
    ),
    cut(
        "operator",
        "what could not be put back is no fight",
        f"{PLACE}.rounds:_unrecorded",
        "ref not in pending or inventory.named(ref, path) not in said",
        "True",
        "test_operator_rounds::test_what_cannot_be_put_back_yet_is_no_fight",
    ),
    cut(
        "S3",
        "a proxy's 404 is no API server's",
        "kube.refusals:_missing",
        "not told and body.strip() != NO_PATH",
        "False",
        "test_operator_rounds::test_a_proxy_that_has_lost_its_cluster_says_nothing_of_it",
    ),
    cut(
        "operator",
        "nothing is pruned while something could not be applied",
        f"{PLACE}.rounds:deploy",
        "not (outcome.errors or outcome.waits)",
        "True",
        BAD,
    ),
    cut(
        "operator",
        "all at once, or most, is suspicious",
        f"{PLACE}.steps:too_much",
        "less == have",
        "False",
        "test_operator_steps::test_suspiciously_much_is_not_pruned",
    ),
    cut(
        "operator",
        "only this revision may prune so much",
        f"{PLACE}.rounds:_check",
        "revision.startswith(allowed)",
        "True",
        MUCH,
    ),
    cut(
        "operator",
        "what is pruned is exactly what was looked at",
        f"{PLACE}.apply:remove",
        "cluster.delete(kind, ref.name, ref.namespace or None, uid=uid)",
        "cluster.delete(kind, ref.name, ref.namespace or None)",
        "test_operator_rounds::test_an_object_made_again_while_it_is_pruned_is_not_deleted",
    ),
    cut(
        "operator",
        "what somebody made in its place is not pruned",
        f"{PLACE}.steps:is_ours",
        "labelled == label and bool(fields.ours(live))",
        "True",
        FOREIGN,
        "test_operator_rounds::test_only_what_is_ours_is_pruned",
    ),
    cut(
        "operator",
        "what another environment took over is not pruned",
        f"{PLACE}.steps:is_ours",
        "labelled in (None, label)",
        "True",
        FOREIGN,
    ),
    cut("operator", "prune: disabled is kept", f"{PLACE}.steps:keeps", 'said == "disabled"', "False", STAYS),
    cut(
        "operator",
        "data and definitions are only pruned where they say so",
        f"{PLACE}.steps:keeps",
        "item.ref.kind in CAREFUL",
        "False",
        STAYS,
    ),
    cut(
        "operator",
        "another namespace is refused",
        f"{PLACE}.objects:placed",
        'written not in (None, "", namespace)',
        "False",
        "test_operator_documents::test_another_namespace_is_refused",
    ),
    cut(
        "operator",
        "another environment's object is refused",
        f"{PLACE}.apply:put",
        "not target.force",
        "False",
        "test_operator_rounds::test_an_object_of_another_environment_is_refused",
    ),
    cut(
        "operator",
        "fields of controllers are not forced",
        f"{PLACE}.conflicts:may_take",
        "not is_loop(manager)",
        "True",
        "test_operator_rounds::test_what_a_controller_has_is_left_to_it",
    ),
    cut(
        "operator",
        "nothing is forced unless all of it may be taken",
        f"{PLACE}.apply:_applied",
        "all(may_take(manager) for manager, _ in exc.causes)",
        "any(may_take(manager) for manager, _ in exc.causes)",
        "test_operator_rounds::test_nothing_is_forced_when_one_of_several_is_a_controllers",
    ),
    cut(
        "operator",
        "a fight is noticed",
        f"{PLACE}.conflicts:may_take",
        "len(again) < FOUGHT",
        "True",
        "test_operator_rounds::test_a_fight_is_noticed",
    ),
    cut(
        "operator",
        "an object is deleted only where Git allows it",
        f"{PLACE}.apply:put",
        'manifest.annotations.get(RECREATE) == "enabled"',
        "True",
        AGAIN,
    ),
    cut(
        "operator",
        "an object is deleted only where a new one would be taken",
        f"{PLACE}.apply:put",
        "_would_be_new(cluster, kind, manifest)",
        "True",
        AGAIN,
    ),
    cut(
        "operator",
        "the inventory of another environment is not used",
        f"{PLACE}.inventory:load",
        "whose != (subject.application, subject.environment)",
        "False",
        "test_operator_rounds::test_an_inventory_of_somebody_else_is_not_used",
    ),
    cut(
        "operator",
        "an object that cannot be seen is not thought to be gone",
        f"{PLACE}.conflicts:put_back",
        "ref not in unseen",
        "True",
        "test_operator_rounds::test_what_we_may_not_do_is_said_and_is_no_drift",
    ),
    cut(
        "operator",
        "an object stands in a revision once",
        f"{PLACE}.rounds:_placed",
        "problems += doubles(found)",
        "pass",
        "test_operator_rounds::test_an_object_that_stands_there_twice_is_refused",
    ),
)

MUTANTS = (*SEEN, *KILLED, *OPERATOR)
