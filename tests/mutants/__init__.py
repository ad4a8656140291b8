"""Guards, and the tests that must notice when one is gone: `make mutants`. The lists name properties as docs/safety.md does."""

from tests.mutants import (
    argocd,
    asking,
    clusters,
    deciding,
    flows,
    flux,
    fooled,
    health,
    landing,
    measuring,
    operator,
    people,
    proposals,
    records,
    undoing,
    values,
)

MUTANTS = (
    *deciding.MUTANTS,
    *people.MUTANTS,
    *asking.MUTANTS,
    *argocd.MUTANTS,
    *flows.MUTANTS,
    *flux.MUTANTS,
    *fooled.MUTANTS,
    *clusters.MUTANTS,
    *health.MUTANTS,
    *landing.MUTANTS,
    *measuring.MUTANTS,
    *operator.MUTANTS,
    *proposals.MUTANTS,
    *records.MUTANTS,
    *undoing.MUTANTS,
    *values.MUTANTS,
)
