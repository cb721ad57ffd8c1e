from __future__ import annotations

import pytest

from relay.errors import Code, RefusedError
from relay.model.agency import Admission
from relay.model.codes import normal_form
from relay.model.levels import Level
from relay.sandbox import agencies

BY_CODE = {agency.code: agency for agency in agencies.sample_agencies()}


def test_each_sample_is_its_own_gateway_with_its_own_queue() -> None:
    for code in [
        "G22",
        "G14",
        "G18",
        "H26",
        "H26.15",
        "H26.15.01",
        "H29",
        "H29.20",
        "H53",
        "H53.31",
        "H53.31.20",
    ]:
        agency = BY_CODE[code]
        assert (agency.gateway, agency.own_queue, agency.admission) == (code, True, Admission.ADMITTED)
        assert agency.valid_to is None


def test_all_four_levels_receive() -> None:
    assert {agency.level for agency in BY_CODE.values() if agency.own_queue} == set(Level)
    assert BY_CODE["H53.31"].level is Level.DISTRICT
    assert BY_CODE["H53.31.20"].level is Level.COMMUNE


def test_one_gateway_serves_several_one_of_them_without_a_queue() -> None:
    served = [agency for agency in BY_CODE.values() if agency.gateway == agencies.SHARED_GATEWAY]
    assert {agency.code for agency in served} == {"H30", "H30.10", "H30.10.01"}
    assert [agency.code for agency in served if not agency.own_queue] == [agencies.SERVED_WITHOUT_QUEUE]


def test_closed_and_suspended_samples() -> None:
    one, two = BY_CODE[agencies.CLOSED_ONE_SUCCESSOR], BY_CODE[agencies.CLOSED_TWO_SUCCESSORS]
    assert (len(one.successors), len(two.successors)) == (1, 2)
    for closed in (one, two):
        assert closed.admission is Admission.CLOSED
        assert closed.valid_to is not None
        assert closed.gateway is None
        assert set(closed.successors) <= set(BY_CODE)
    assert BY_CODE[agencies.SUSPENDED].admission is Admission.SUSPENDED


def test_names_say_that_they_are_samples_and_codes_and_parents_are_sound() -> None:
    for agency in BY_CODE.values():
        assert agency.name.endswith(" (mẫu)")
        assert normal_form(agency.code) == agency.code
        assert all(normal_form(alias) == agency.code for alias in agency.aliases)
        assert agency.parent is None or agency.parent in BY_CODE


def test_a_new_agency_gets_its_level_by_rule_and_the_nearest_known_parent() -> None:
    made = agencies.new_agency("007.01.32.H53", frozenset(BY_CODE))
    assert (made.code, made.level, made.parent) == ("H53.32.01.007", Level.COMMUNE, "H53.32")
    assert (made.gateway, made.own_queue, made.level_defaulted) == ("H53.32.01.007", True, True)
    assert agencies.new_agency("H77.01.05", frozenset(BY_CODE)).parent is None
    with pytest.raises(RefusedError) as raised:
        agencies.new_agency("h77", frozenset())
    assert raised.value.code is Code.BAD_CODE
