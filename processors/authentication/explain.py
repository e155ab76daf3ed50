"""One sentence of cause and one of cure for every check that did not pass."""

from contracts.auth_results import AuthResults


def explain(results: AuthResults) -> AuthResults:
    return results
