"""The crate arrow-flight."""

import pytest

from tests.clients.suites import Suite, check

SUITE = Suite("rust", "tests/*.rs", r'#\[tokio::test\]\nasync fn (\w+)\(')


@pytest.fixture(scope="module")
def outcomes(server):
    return SUITE.run(server)


@pytest.mark.timeout(240)  # the first one waits for all
@pytest.mark.parametrize("case", SUITE.cases())
def test_rust(outcomes, case):
    check(outcomes, case)
