"""The signed directory: sealed, read, led on from, and how long it holds."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.directory.edition import ANCESTORS, Edition, next_edition, seal, seal_difference
from relay.directory.file import Checked
from relay.directory.follow import Follower, SignedReader, Standing
from relay.directory.watch import DirectoryWatch
from relay.errors import Code, ConfigurationError
from relay.model.agency import Agency, AgencyCertificate
from relay.model.levels import Level
from relay.trust.chain import TrustStore
from tests.support.pki import DAY, NOW, Entity, issue, rsa_key


@dataclass
class Hand:
    """A clock that stands where it is put."""

    at: datetime = NOW

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


@dataclass
class Place:
    """A publisher and one who follows it."""

    folder: Path
    relay: Entity
    other: Entity
    store: TrustStore
    clock: Hand

    def follower(self, publisher: str = "") -> Follower:
        return Follower(self.folder / "kept.signed", self.store, self.clock, publisher)

    def seal(self, edition: Edition) -> bytes:
        return seal(edition, self.relay.key, self.relay.chain_pem)

    @property
    def file(self) -> Path:
        return self.folder / "agencies.signed"

    def put(self, content: bytes) -> None:
        new = self.folder / "new"
        new.write_bytes(content)
        new.replace(self.file)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    root = issue("root", ca=True, not_after=NOW + 400 * DAY)
    (tmp_path / "root.pem").write_bytes(root.pem)
    relay = issue("relay", root, relay="truc-a", not_after=NOW + 300 * DAY)
    other = issue("relay", root, relay="truc-b", key=rsa_key(), not_after=NOW + 300 * DAY)
    store = TrustStore.from_files([], anchors_without_crl=[tmp_path / "root.pem"])
    return Place(tmp_path, relay, other, store, Hand())


def agency(code: str, name: str = "Đơn vị", **more: Any) -> Agency:
    return Agency(code=code, name=name, level=Level.PROVINCE, gateway=code, own_queue=True, **more)


def edition(
    before: Edition | None, *agencies: Agency, days: float = 30, at: datetime = NOW, relay: str = "truc-a"
) -> Edition:
    return next_edition(agencies, before, relay, at, at + timedelta(days=days), "ghi chú")


def refused(follower: Follower, content: bytes) -> str:
    with pytest.raises(ConfigurationError) as caught:
        follower.judge(content)
    assert caught.value.code is Code.DIRECTORY_INVALID
    return caught.value.detail


def test_whole_and_difference_lead_to_the_same(place: Place) -> None:
    certificate = AgencyCertificate("", place.other.pem.decode())
    first = edition(None, agency("H01"), agency("H02"))
    second = edition(first, agency("H02", "Tên mới", certificates=(certificate,)), agency("H03"))
    assert (second.serial, second.ancestors) == (2, (first.name,))
    one, two = SignedReader(place.follower()), SignedReader(place.follower())
    place.put(place.seal(first))
    assert [a.code for a in one.check(place.file).directory.agencies()] == ["H01", "H02"]  # type: ignore[union-attr]
    place.put(seal_difference(first, second, place.relay.key, place.relay.chain_pem))
    by_difference = one.check(place.file)
    assert by_difference.directory is not None, by_difference.findings
    assert one.check(place.file).directory == by_difference.directory  # the same file again
    kept = place.follower().last()
    assert kept is not None
    assert kept.name == second.name
    (place.folder / "kept.signed").unlink()
    place.put(place.seal(second))
    assert two.check(place.file).directory == by_difference.directory
    assert by_difference.directory.by_code["H02"].name == "Tên mới"
    assert by_difference.directory.version == second.name[:16]


def test_what_does_not_lead_on_is_refused_and_the_last_one_stays(place: Place) -> None:
    first = edition(None, agency("H01"))
    second = edition(first, agency("H02"))
    third = edition(second, agency("H03"))
    fork = edition(first, agency("H66"))
    after_fork = edition(fork, agency("H67"))
    follower = place.follower()
    follower.keep(follower.judge(place.seal(second))[1])
    assert "roll-back" in refused(follower, place.seal(first))
    assert "fork" in refused(follower, place.seal(fork))
    assert "fork" in refused(follower, place.seal(after_fork))
    other = seal_difference(fork, after_fork, place.relay.key, place.relay.chain_pem)
    assert "leads on from another" in refused(follower, other)
    assert follower.judge(place.seal(third))[0].name == third.name
    far = third
    for _ in range(ANCESTORS + 1):
        far = edition(far, agency("H03"))
    assert "too far" in refused(follower, place.seal(far))
    assert follower.last() == second


def test_some_that_were_missed_do_not_matter(place: Place) -> None:
    follower = place.follower()
    first = edition(None, agency("H01"))
    follower.keep(follower.judge(place.seal(first))[1])
    later = first
    for number in range(ANCESTORS):
        later = edition(later, agency("H01", f"Tên {number}"))
    assert follower.judge(place.seal(later))[0].serial == ANCESTORS + 1


def test_who_signed_and_when(place: Place) -> None:
    first = edition(None, agency("H01"))
    follower = place.follower("truc-a")
    assert "names the relay" in refused(follower, seal(first, place.other.key, place.other.chain_pem))
    by_other = edition(None, agency("H01"), relay="truc-b")
    assert "not by truc-a" in refused(follower, seal(by_other, place.other.key, place.other.chain_pem))
    assert place.follower().judge(seal(by_other, place.other.key, place.other.chain_pem))[0].serial == 1
    agent = issue("agency", issue("stranger", ca=True))
    assert "UNKNOWN-CA" in refused(
        follower, seal(first, agent.key, agent.chain_pem)
    ) or "BAD-CERTIFICATE" in refused(follower, seal(first, agent.key, agent.chain_pem))
    assert "expired" in refused(follower, place.seal(edition(None, agency("H01"), at=NOW - 31 * DAY)))
    assert "future" in refused(follower, place.seal(edition(None, agency("H01"), at=NOW + DAY)))
    with pytest.raises(ConfigurationError) as caught:
        seal(first, place.other.key, place.relay.chain_pem)
    assert caught.value.code is Code.KEY_UNUSABLE


def test_standing_by_age(place: Place) -> None:
    first = edition(None, agency("H01"), days=10)
    follower = place.follower()
    for days, wanted in (
        (4.9, "fresh"),
        (5, "ageing"),
        (9.9, "ageing"),
        (10, "expired"),
        (16.9, "expired"),
        (17, "over"),
    ):
        place.clock.at = NOW + timedelta(days=days)
        assert follower.standing(first) is Standing(wanted), days


def test_a_running_relay_goes_on_with_its_last_good_one_also_over_a_restart(place: Place) -> None:
    first = edition(None, agency("H01"), days=10)
    place.put(place.seal(first))
    reader = SignedReader(place.follower())
    watch = DirectoryWatch(place.file, reader=reader)
    assert "H01" in watch.current().by_code
    place.put(b"{}\n{}")
    look = watch.poll()
    assert look is not None
    assert look.result == "invalid"
    assert "H01" in watch.current().by_code
    place.clock.at = NOW + 12 * DAY
    assert reader.standing() is Standing.EXPIRED
    place.put(place.seal(first))  # expired now: not taken anew, yet it is what was kept
    again = SignedReader(place.follower())
    assert "H01" in DirectoryWatch(place.file, reader=again).current().by_code
    assert again.standing() is Standing.EXPIRED
    place.clock.at = NOW + 18 * DAY
    assert again.standing() is Standing.OVER
    second = edition(first, agency("H02"), at=place.clock.at)
    place.put(place.seal(second))
    look = watch.poll()
    assert look is not None
    assert look.result == "taken"
    assert reader.standing() is Standing.FRESH


def test_an_edition_is_judged_once_and_one_that_could_not_be_taken_yet_again_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = edition(None, agency("H01"), days=10)
    place.put(place.seal(first))
    reader = SignedReader(place.follower())
    watch = DirectoryWatch(place.file, reader=reader)
    read = 0
    check = SignedReader.check

    def counted(self: SignedReader, path: Path) -> Checked:
        nonlocal read
        read += 1
        return check(self, path)

    monkeypatch.setattr(SignedReader, "check", counted)
    for _ in range(5):
        watch.poll(force=True)
    assert read <= 1, "a message that comes back costs no reading of a whole country"
    place.put(place.seal(edition(first, agency("H02"), at=NOW + DAY)))
    look = watch.poll()
    assert look is not None
    assert look.result == "invalid"
    place.clock.at = NOW + DAY
    look = watch.poll(again=True)
    assert look is not None
    assert look.result == "taken"
    assert "H02" in watch.current().by_code


def test_nothing_to_begin_with_is_an_error(place: Place) -> None:
    place.put(b"no")
    with pytest.raises(ConfigurationError):
        DirectoryWatch(place.file, reader=SignedReader(place.follower()))


def test_a_damaged_kept_edition_is_told(place: Place) -> None:
    follower = place.follower()
    follower.keep(place.seal(edition(None, agency("H01"))).replace(b"H01", b"H02"))
    with pytest.raises(ConfigurationError):
        follower.last()


def test_agencies_that_contradict_each_other_are_not_kept(place: Place) -> None:
    wrong = edition(None, replace(agency("H01"), parent="H77"))
    place.put(place.seal(wrong))
    checked = SignedReader(place.follower()).check(place.file)
    assert checked.directory is None
    assert place.follower().last() is None


def test_a_signed_directory_names_no_files(place: Place) -> None:
    first = edition(None, agency("H01"))
    for certificates in (["/etc/hostname"], [{"file": "x.pem"}]):
        wrong = replace(first, agencies=({**first.agencies[0], "certificates": certificates},))
        assert "not a directory" in refused(place.follower(), place.seal(wrong))


def line_of(content: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(content.partition(b"\n")[0])
    return found


def test_every_byte_is_signed_and_the_line_has_one_spelling(place: Place) -> None:
    content = place.seal(edition(None, agency("H01")))
    line, _, payload = content.partition(b"\n")
    follower = place.follower()
    for at in range(0, len(payload), 7):
        changed = bytearray(payload)
        changed[at] ^= 1
        assert "SIGNATURE-INVALID" in refused(follower, line + b"\n" + bytes(changed))
    parts = line_of(content)
    header = json.loads(base64.urlsafe_b64decode(parts["protected"] + "=="))
    for member, value in (
        ("alg", "none"), ("alg", "HS256"), ("alg", "ES384"), ("b64", True), ("crit", []), ("typ", "JWT"), ("x5c", []), ("x5c", ["AA=="]),
    ):  # fmt: skip
        other = base64.urlsafe_b64encode(json.dumps({**header, member: value}).encode()).decode().rstrip("=")
        refused(follower, json.dumps({**parts, "protected": other}).encode() + b"\n" + payload)
    for spelled in (parts["signature"] + "=", parts["signature"] + "A", "+" + parts["signature"][1:], ""):
        refused(follower, json.dumps({**parts, "signature": spelled}).encode() + b"\n" + payload)
    refused(follower, json.dumps({**parts, "header": {}}).encode() + b"\n" + payload)
    twice = b'{"protected":"x",' + line[1:]
    assert "one JSON object" in refused(follower, twice + b"\n" + payload)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_whatever_comes_is_refused_by_its_own_error(place: Place, content: bytes) -> None:
    refused(place.follower(), content)
    refused(place.follower(), content + b"\n" + place.seal(edition(None, agency("H01"))))
