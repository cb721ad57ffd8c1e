"""The reorganisations of 2025, province by province and ministry by ministry, against lists written by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from relay.directory.file import load
from relay.directory.snapshot import AgencyDirectory
from relay.errors import Code
from relay.model.codes import normal_form
from relay.model.delivery import State
from relay.model.envelope import Envelope, Recipient
from relay.model.levels import Level
from relay.model.message import Kind, Lane
from relay.pipeline.route import Route, RouteLimits, route
from relay.resources import shipped
from scripts import gennational

# Resolution 202/2025/QH15 and Decision 09/2025/QĐ-TTg, copied from the lists by hand: closed code, its one successor.
MERGED = {
    "H02": "H05", "H03": "H55", "H04": "H12", "H06": "H29", "H07": "H61", "H08": "H21", "H09": "H29", "H10": "H19",
    "H11": "H36", "H16": "H36", "H22": "H60", "H23": "H24", "H25": "H42", "H28": "H44", "H30": "H13", "H33": "H01",
    "H34": "H48", "H39": "H53", "H40": "H42", "H43": "H32", "H45": "H15", "H46": "H50", "H47": "H17", "H51": "H13",
    "H54": "H31", "H58": "H20", "H59": "H61", "H62": "H44", "H63": "H38",
}  # fmt: skip
RESERVED = ("G04", "G05", "G07", "G13", "G14", "G23", "G24", "G25", "G26", "G34", "G36")
EVE, DAY = datetime(2025, 6, 30, 16, 59, 59, tzinfo=UTC), datetime(2025, 6, 30, 17, 0, tzinfo=UTC)
"""The last second of 30 June and the first of 1 July in Vietnam."""
EVE_OF_DECISION, DAY_OF_DECISION = (
    datetime(2025, 4, 13, 16, 59, 59, tzinfo=UTC),
    datetime(2025, 4, 13, 17, 0, tzinfo=UTC),
)


@pytest.fixture(scope="module")
def national() -> AgencyDirectory:
    """The national data with a gateway for everybody, and two sub-codes of which one was re-hung."""
    agencies = [
        replace(one, gateway=one.code, own_queue=True)
        for one in load(shipped("config/directory/national.yaml")).agencies()
    ]
    sub = replace(agencies[0], level=Level.PROVINCE, parent=None)
    agencies += [
        replace(sub, code="H02.01", gateway="H02.01", name="Đơn vị thử A", valid_to=date(2025, 6, 30)),
        replace(sub, code="H05.01", gateway="H05.01", name="Đơn vị thử B"),
    ]
    return AgencyDirectory.of(agencies, "test")


def routed(directory: AgencyDirectory, code: str, at: datetime) -> Route:
    """Route a document to one recipient that is accepted at that moment."""
    envelope = Envelope(
        kind=Kind.EDOC,
        sender="G22",
        sender_written="G22",
        recipients=(Recipient(code, normal_form(code)),),
        document_id="1",
    )
    return route(envelope, "0" * 64, 1000, Lane.NORMAL, directory, RouteLimits(), at)


def test_the_lists_are_of_the_size_that_the_decrees_give(national: AgencyDirectory) -> None:
    assert len(MERGED) == 29
    provinces = [one for one in national.agencies() if one.code[0] == "H" and "." not in one.code]
    assert len(provinces) == 63
    assert {one.code for one in provinces if one.valid_to is not None} == set(MERGED)
    assert {one.code for one in national.agencies() if one.code[0] == "G" and one.valid_to} == set(RESERVED)


@pytest.mark.parametrize(("code", "body"), [("H57", "Ủy ban nhân dân"), ("K57", "Hội đồng nhân dân")])
def test_hue_was_a_province_of_another_name(national: AgencyDirectory, code: str, body: str) -> None:
    (one,) = (agency for agency in national.agencies() if agency.code == code)
    assert one.name == f"{body} thành phố Huế"
    assert [(was.name, was.until) for was in one.former_names] == [
        (f"{body} tỉnh Thừa Thiên Huế", date(2024, 12, 31))
    ]


@pytest.mark.parametrize("closed", sorted(MERGED))
@pytest.mark.parametrize("form", ["{}", "000.00.00.{}"])
def test_a_merged_province(national: AgencyDirectory, closed: str, form: str) -> None:
    for code, heir in ((closed, MERGED[closed]), ("K" + closed[1:], "K" + MERGED[closed][1:])):
        (before,) = routed(national, form.format(code), EVE).deliveries
        assert (before.recipient, before.state) == (code, State.PLANNED)
        (after,) = routed(national, form.format(code), DAY).deliveries
        assert (after.recipient, after.state, after.written) == (heir, State.PLANNED, form.format(code))


@pytest.mark.parametrize("code", RESERVED)
def test_a_reserved_ministry(national: AgencyDirectory, code: str) -> None:
    (before,) = routed(national, code, EVE_OF_DECISION).deliveries
    assert (before.recipient, before.state) == (code, State.PLANNED)
    after = routed(national, code, DAY_OF_DECISION)
    assert after.refusal is Code.RECIPIENT_CLOSED
    assert [(one.recipient, one.state, one.detail) for one in after.deliveries] == [(code, State.REFUSED, "")]


def test_a_number_that_never_had_a_holder_is_unknown_not_closed(national: AgencyDirectory) -> None:
    """One source lists G37 as reserved again, and no table ever gave it out: the sources' page says what holds."""
    for at in (EVE_OF_DECISION, DAY_OF_DECISION):
        assert routed(national, "G37", at).refusal is Code.UNKNOWN_RECIPIENT


def test_a_successor_that_the_directory_names_for_a_ministry_is_followed(national: AgencyDirectory) -> None:
    one = replace(national.by_code["G14"], successors=("G06",))
    two = replace(national.by_code["G05"], successors=("G12", "G09"))
    named = AgencyDirectory.of(
        [*(a for a in national.agencies() if a.code not in {"G14", "G05"}), one, two], "2"
    )
    assert routed(named, "G14", DAY_OF_DECISION).deliveries[0].recipient == "G06"
    refused = routed(named, "G05", DAY_OF_DECISION)
    assert refused.refusal is Code.RECIPIENT_CLOSED
    assert refused.deliveries[0].detail == "G12, G09"


def test_a_sub_code_is_never_moved_by_its_prefix(national: AgencyDirectory) -> None:
    assert routed(national, "H02.01", EVE).deliveries[0].recipient == "H02.01"
    assert routed(national, "H02.01", DAY).refusal is Code.RECIPIENT_CLOSED
    assert routed(national, "H02.02", DAY).refusal is Code.UNKNOWN_RECIPIENT


def test_the_name_of_a_day(national: AgencyDirectory) -> None:
    ministry = national.by_code["G10"]
    assert ministry.name_on(date(2025, 4, 13)) == "Bộ Nông nghiệp và Phát triển nông thôn"
    assert ministry.name_on(date(2025, 4, 14)) == "Bộ Nông nghiệp và Môi trường"
    assert not national.by_code["G38"].valid_on(date(2025, 4, 13))


def test_shipped_data_are_what_the_script_makes_of_its_sources() -> None:
    assert gennational.main(["--check"]) == 0
