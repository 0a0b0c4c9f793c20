from tests.fault_table import ELSEWHERE, FAULTS, marked

MISSING: set[str] = set()
"""Promised and not written yet."""


def test_every_fault_has_a_test_or_belongs_elsewhere():
    elsewhere = {number for numbers in ELSEWHERE.values() for number in numbers}
    without = {number for number, tests in marked().items() if not tests}
    assert without - elsewhere == MISSING
    assert elsewhere < set(FAULTS)
