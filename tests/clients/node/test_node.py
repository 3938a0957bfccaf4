"""A Flight SQL client from npm."""

import pytest

from tests.clients.suites import Suite, check

SUITE = Suite("node", "*.test.mjs", r'(?m)^test\("([^"]+)"')


@pytest.fixture(scope="module")
def outcomes(server):
    return SUITE.run(server)


@pytest.mark.timeout(240)  # the first one waits for all
@pytest.mark.parametrize("case", SUITE.cases())
def test_node(outcomes, case):
    check(outcomes, case)
