"""What Argo CD says, and what counts of it; what several objects say together: S2, S3."""

from __future__ import annotations

from tests.mutants.mutant import cut

AGREE = "test_watching::test_several_objects_agree_or_are_on_their_way"

MUTANTS = (
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
