"""The Flight SQL JDBC driver, as DBeaver and Metabase have it."""

import pytest

from tests.clients.suites import Suite, check

SUITE = Suite("jdbc", "src/test/java/flightsql/*Test.java", r'@Test\n  void (\w+)\(')


@pytest.fixture(scope="module")
def outcomes(server):
    return SUITE.run(server)


@pytest.mark.timeout(240)  # the first one waits for all
@pytest.mark.parametrize("case", SUITE.cases())
def test_jdbc(outcomes, case):
    check(outcomes, case)
