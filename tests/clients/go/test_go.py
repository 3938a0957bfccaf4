"""arrow-go's Flight SQL client and its driver of database/sql."""

import pytest

from tests.clients.suites import Suite, check

SUITE = Suite("go", "*_test.go", r'(?m)^func (Test\w+)\(')


@pytest.fixture(scope="module")
def outcomes(server):
    return SUITE.run(server)


@pytest.mark.timeout(240)  # the first one waits for all
@pytest.mark.parametrize("case", SUITE.cases())
def test_go(outcomes, case):
    check(outcomes, case)
