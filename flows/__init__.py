"""Prefect around `reconcile`: runs, schedules, pages and the round loop; decides nothing, and no promotion needs it."""
