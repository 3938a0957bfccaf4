"""Superset's dialect, in an environment of its own: it needs a SQLAlchemy before 2."""

import pytest

from tests.clients.suites import Suite, check

SUITE = Suite("sqlalchemy", "superset_cases.py", r"(?m)^def (test_\w+)\(")


@pytest.fixture(scope="module")
def outcomes(server):
    return SUITE.run(server)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("case", SUITE.cases())
def test_superset(outcomes, case):
    check(outcomes, case)
