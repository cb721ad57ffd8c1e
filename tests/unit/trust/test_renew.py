"""Outages of lists and responders, with a real server and a clock that is set by hand.

Each outage: nothing false is taken, what was there stays in force for as long as it may, the answer turns to
REVOCATION-UNKNOWN (which puts documents off) and to nothing worse, and with the server's return all is well by itself.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from relay.errors import Code
from relay.trust.certificate import read_certificate
from relay.trust.chain import ChainResult, PathRules, Purpose, TrustStore
from relay.trust.fetch import Fetcher, FetchRules
from relay.trust.outcome import Outcome
from relay.trust.renew import FIRST_AGAIN, LAST_AGAIN, Renewer, RenewPolicy, Signer
from relay.trust.shelf import Shelf, answer_name, list_name
from relay.trust.standing import State, counts, lefts, standings
from tests.support import pki
from tests.support.authority import HOUR, Mode, Server, answer, nonce_in, points_to, responder, serving
from tests.support.pki import DAY, NOW, Entity
from tests.support.rewriting import rewrite


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_crl(pem).public_bytes(Encoding.DER)


class House:
    """An authority with a server, and a relay that trusts it; time is set by hand."""

    def __init__(self, server: Server, folder: Path, **settings: Any) -> None:
        self.server = server
        self.folder = folder
        self.now = NOW
        self.ticks = 1000.0
        self.number = 1
        self.root = pki.issue("Root", ca=True, not_after=NOW + 900 * DAY)
        (folder / "root.pem").write_bytes(self.root.pem)
        (folder / "root.crl").write_bytes(pki.crl(self.root, next_update=NOW + 1000 * DAY))
        where = points_to(lists=[server.url("/issuing.crl")], responders=[server.url("/ocsp")])
        self.issuing = pki.issue("Issuing", self.root, ca=True, not_after=NOW + 900 * DAY)
        self.leaf = pki.issue("Leaf", self.issuing, extra=where, not_after=NOW + 900 * DAY)
        (folder / "issuing.pem").write_bytes(self.issuing.pem)
        rules = settings.pop("rules", PathRules(grace=2 * HOUR, skew=dt.timedelta(minutes=5)))
        self.hosts = settings.pop("hosts", frozenset({server.host}))
        self.shelf = Shelf(folder / "fetched")
        self.store = TrustStore.from_files(
            [folder / "root.pem"],
            [folder / "root.crl"],
            intermediates=[folder / "issuing.pem"],
            fetched=self.shelf.folder,
            rules=rules,
            monotonic=lambda: self.ticks,
        )
        self.settings = settings
        self.renewer = self.again()

    def again(self) -> Renewer:
        """A keeper that has just begun."""
        return Renewer(
            self.store,
            self.shelf,
            self.fetcher(60.0),
            RenewPolicy(**self.settings),
            nonce=lambda size: b"n" * size,
            monotonic=lambda: self.ticks,
        )

    def fetcher(self, seconds: float) -> Fetcher:
        return Fetcher(FetchRules(self.hosts, seconds=seconds, max_bytes=1 << 20))

    @property
    def signers(self) -> list[Signer]:
        return [(Purpose.DOCUMENT, [read_certificate(self.leaf.der)])]

    def later(self, by: dt.timedelta) -> None:
        self.now += by
        self.ticks += by.total_seconds()

    def round(self) -> dict[str, Outcome]:
        """One batch of the keeper; what came of each, by kind."""
        wanted = self.renewer.wanted(self.signers, self.now)
        results = [self.renewer.renew(one, self.now) for one in self.renewer.due(wanted, self.now)]
        self.renewer.publish(results)
        self.ticks += 1.1
        return {one.wanted.source: one.outcome for one in results}

    def until_quiet(self) -> dict[str, Outcome]:
        """Go on for half an hour; the last outcome of each kind."""
        seen: dict[str, Outcome] = {}
        for _ in range(60):
            self.later(dt.timedelta(seconds=30))
            seen |= self.round()
        return seen

    def check(self, entity: Entity | None = None) -> ChainResult:
        self.ticks += 1.1
        leaf = (entity or self.leaf).certificate.public_bytes(Encoding.DER)
        return self.store.check([read_certificate(leaf)], self.now)

    def offer_list(
        self, *revoked: tuple[Entity, dt.datetime], life: dt.timedelta = DAY, **more: Any
    ) -> bytes:
        self.number += 1
        extra = more.pop("extra", [(x509.CRLNumber(self.number), False)])
        made = more.pop("made", self.now)
        body = der(
            pki.crl(
                more.pop("issuer", self.issuing),
                revoked,
                this_update=made,
                next_update=made + life,
                extra=extra,
            )
        )
        self.server.lists["/issuing.crl"] = body
        return body

    def offer_answer(self, life: dt.timedelta = DAY, **more: Any) -> None:
        made = more.pop("made", self.now)
        with_nonce = more.pop("with_nonce", True)

        def reply(request: ocsp.OCSPRequest) -> bytes:
            chosen: dict[str, Any] = {"this_update": made, "next_update": made + life, **more}
            if with_nonce and "nonce" not in chosen:
                chosen["nonce"] = nonce_in(request)
            return answer(chosen.pop("entity", self.leaf), chosen.pop("issuer", self.issuing), **chosen)

        self.server.answers = reply

    def only(self, source: str) -> None:
        """Let one kind be everything there is: the other is not asked for any more."""
        wanted = self.renewer.wanted

        def fewer(signers: Any, now: dt.datetime) -> Any:
            return [one for one in wanted(signers, now) if one.source == source]

        self.renewer.wanted = fewer  # type: ignore[method-assign]


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as found:
        yield found


@pytest.fixture
def house(server: Server, tmp_path: Path) -> House:
    return House(server, tmp_path)


def test_both_are_fetched_and_vouch(house: House) -> None:
    house.offer_list()
    house.offer_answer()
    assert house.check().code is Code.REVOCATION_UNKNOWN
    assert house.round() == {"crl": Outcome.TAKEN, "ocsp": Outcome.TAKEN}
    result = house.check()
    assert (result.code, result.made_at) == (Code.OK, NOW)
    assert house.round() == {}, "nothing is due"
    assert counts(standings(house.store, NOW))["ocsp", "fresh"] == 1


@pytest.mark.parametrize("source", ["crl", "ocsp"])
def test_half_of_its_life(house: House, source: str) -> None:
    house.only(source)
    house.settings["every"] = 30 * DAY
    house.renewer = house.again()
    house.only(source)
    house.offer_list()
    house.offer_answer()
    assert house.round() == {source: Outcome.TAKEN}
    house.later(dt.timedelta(hours=11, minutes=59))
    assert house.round() == {}
    house.offer_list()
    house.offer_answer()
    house.later(dt.timedelta(minutes=2))
    assert house.round() == {source: Outcome.TAKEN}
    result = house.check()
    assert result.made_at is not None
    assert result.made_at > NOW


def test_a_list_is_looked_for_more_often(house: House) -> None:
    """One that was made before its time, because something was revoked."""
    house.only("crl")
    house.offer_list()
    assert house.round() == {"crl": Outcome.TAKEN}
    house.later(dt.timedelta(minutes=61))
    assert house.round() == {"crl": Outcome.UNCHANGED}
    house.offer_list((house.leaf, house.now))
    assert house.round() == {}
    house.later(dt.timedelta(minutes=61))
    assert house.round() == {"crl": Outcome.TAKEN}
    assert house.check().code is Code.CERTIFICATE_REVOKED


@pytest.mark.parametrize("source", ["crl", "ocsp"])
@pytest.mark.parametrize("mode", ["down", "error", "truncated", "huge", "endless", "zipped", "drip"])
def test_an_outage_from_grace_to_recovery(house: House, source: str, mode: Mode) -> None:
    house.server.patience = 5.0
    house.only(source)
    house.offer_list()
    house.offer_answer()
    house.round()
    assert house.check().code is Code.OK
    house.server.mode = mode
    patient = house.renewer._fetcher
    if mode == "drip":
        house.renewer._fetcher = house.fetcher(0.5)
    house.later(dt.timedelta(hours=13))
    outcome = house.round()[source]
    assert not outcome.good
    assert house.check().code is Code.OK
    assert not house.check().stale
    house.later(dt.timedelta(hours=12))  # an hour past its date: in grace
    assert not house.round()[source].good
    result = house.check()
    assert (result.code, result.stale) == (Code.OK, True)
    states = counts(standings(house.store, house.now))
    assert states[source, State.GRACE.value] == 1
    assert lefts(standings(house.store, house.now), house.now)[source,] < 0
    house.later(dt.timedelta(hours=1, minutes=5))  # and beyond
    assert house.check().code is Code.REVOCATION_UNKNOWN
    assert counts(standings(house.store, house.now))[source, State.OVER.value] == 1
    house.server.mode, house.renewer._fetcher = "good", patient
    house.offer_list()
    house.offer_answer()
    assert house.until_quiet()[source] is Outcome.TAKEN
    assert house.check().code is Code.OK
    assert not house.check().stale


def test_a_revoked_one_stays_revoked_through_an_outage(house: House) -> None:
    house.only("crl")
    house.offer_list((house.leaf, NOW))
    house.round()
    house.server.mode = "down"
    house.later(100 * DAY)
    house.round()
    assert house.check().code is Code.CERTIFICATE_REVOKED


def lists_that_are_wrong() -> dict[str, tuple[Callable[[House], Any], Outcome]]:
    other = pki.issue("Other", ca=True)
    namesake = pki.issue("Issuing", ca=True)
    no_right = pki.usage(certs=True)
    return {
        "another issuer": (lambda h: h.offer_list(issuer=other), Outcome.OTHER_ISSUER),
        "another key": (lambda h: h.offer_list(issuer=namesake), Outcome.BAD_SIGNATURE),
        "expired": (lambda h: h.offer_list(made=h.now - 2 * DAY), Outcome.EXPIRED),
        "future": (lambda h: h.offer_list(made=h.now + HOUR), Outcome.FUTURE),
        "older": (lambda h: h.offer_list(made=NOW - HOUR, life=9 * DAY), Outcome.ROLLBACK),
        "number": (lambda h: h.offer_list(extra=[(x509.CRLNumber(1), False)]), Outcome.ROLLBACK),
        "no number": (lambda h: h.offer_list(extra=[]), Outcome.ROLLBACK),
        "delta": (lambda h: h.offer_list(extra=[(x509.DeltaCRLIndicator(1), True)]), Outcome.UNREADABLE),
        "garbage": (lambda h: h.server.lists.update({"/issuing.crl": b"<html>"}), Outcome.UNREADABLE),
        "cut": (lambda h: h.server.lists.update({"/issuing.crl": h.offer_list()[:-9]}), Outcome.UNREADABLE),
        "more": (
            lambda h: h.server.lists.update({"/issuing.crl": h.offer_list() + b"0"}),
            Outcome.UNREADABLE,
        ),
        "an answer": (
            lambda h: h.server.lists.update({"/issuing.crl": answer(h.leaf, h.issuing)}),
            Outcome.UNREADABLE,
        ),
        "no right": (
            lambda h: (
                rewrite(
                    h.folder / "issuing.pem",
                    pki.issue("Issuing", h.root, ca=True, key=h.issuing.key, key_usage=no_right).pem,
                ),
                h.offer_list(),
            ),
            Outcome.BAD_SIGNATURE,
        ),
    }


@pytest.mark.parametrize("name", lists_that_are_wrong())
def test_a_wrong_list_changes_nothing(house: House, name: str) -> None:
    spoil, wanted = lists_that_are_wrong()[name]
    house.only("crl")
    house.offer_list()
    house.round()
    before = house.shelf.octets(list_name(house.server.url("/issuing.crl")))
    house.later(dt.timedelta(hours=13))
    house.check()
    spoil(house)
    house.check()
    assert house.round() == {"crl": wanted}
    assert house.shelf.octets(list_name(house.server.url("/issuing.crl"))) == before
    if name == "no right":
        return
    assert house.check().code is Code.OK
    house.offer_list()
    assert house.until_quiet()["crl"] is Outcome.TAKEN


def answers_that_are_wrong() -> dict[str, tuple[Callable[[House], Any], Outcome]]:
    namesake = pki.issue("Issuing", ca=True)
    return {
        "another serial": (
            lambda h: h.offer_answer(entity=pki.issue("Leaf", h.issuing)),
            Outcome.OTHER_CERTIFICATE,
        ),
        "another issuer": (lambda h: h.offer_answer(issuer=namesake), Outcome.OTHER_CERTIFICATE),
        "unsigned": (
            lambda h: h.offer_answer(responder=namesake, shown=False, by_name=True),
            Outcome.BAD_SIGNATURE,
        ),
        "no delegate": (
            lambda h: h.offer_answer(responder=responder(h.issuing, purpose=False)),
            Outcome.NO_RIGHT,
        ),
        "another nonce": (lambda h: h.offer_answer(nonce=b"m" * 32), Outcome.NONCE),
        "expired": (lambda h: h.offer_answer(made=h.now - 2 * DAY), Outcome.EXPIRED),
        "future": (lambda h: h.offer_answer(made=h.now + HOUR), Outcome.FUTURE),
        "older": (lambda h: h.offer_answer(made=NOW - HOUR, life=9 * DAY), Outcome.ROLLBACK),
        "unknown": (lambda h: h.offer_answer(status=ocsp.OCSPCertStatus.UNKNOWN), Outcome.UNKNOWN),
        "for ever": (lambda h: h.offer_answer(next_update=None), Outcome.EXPIRED),
        "error": (
            lambda h: setattr(
                h.server,
                "answers",
                lambda _r: ocsp.OCSPResponseBuilder.build_unsuccessful(
                    ocsp.OCSPResponseStatus.TRY_LATER
                ).public_bytes(Encoding.DER),
            ),
            Outcome.RESPONDER_ERROR,
        ),
        "garbage": (lambda h: setattr(h.server, "answers", lambda _r: b"<html>"), Outcome.UNREADABLE),
        "too large": (lambda h: setattr(h.server, "answers", lambda _r: b"0" * 70_000), Outcome.TOO_LARGE),
    }


@pytest.mark.parametrize("name", answers_that_are_wrong())
def test_a_wrong_answer_changes_nothing(house: House, name: str) -> None:
    spoil, wanted = answers_that_are_wrong()[name]
    house.only("ocsp")
    house.offer_answer()
    house.round()
    name_there = answer_name(read_certificate(house.leaf.der).sha256)
    before = house.shelf.octets(name_there)
    assert before is not None
    house.later(dt.timedelta(hours=13))
    spoil(house)
    assert house.round() == {"ocsp": wanted}
    assert house.shelf.octets(name_there) == before
    assert house.check().code is Code.OK
    house.offer_answer()
    assert house.until_quiet()["ocsp"] is Outcome.TAKEN


@pytest.mark.parametrize(
    ("nonce", "with_nonce", "wanted"),
    [
        ("try", True, Outcome.TAKEN),
        ("try", False, Outcome.TAKEN),
        ("require", True, Outcome.TAKEN),
        ("require", False, Outcome.NONCE),
        ("off", False, Outcome.TAKEN),
    ],
)
def test_nonces(house: House, nonce: Any, with_nonce: bool, wanted: Outcome) -> None:
    house.settings["nonce"] = nonce
    house.renewer = house.again()
    house.only("ocsp")
    house.offer_answer(with_nonce=with_nonce)
    assert house.round() == {"ocsp": wanted}


def test_a_clock_that_is_ahead(house: House) -> None:
    """By two days all is out of date and what is offered too; set right again, all is well at once."""
    house.offer_list()
    house.offer_answer()
    house.round()
    house.now += 2 * DAY
    assert house.check().code is Code.REVOCATION_UNKNOWN
    house.ticks += 3600
    assert house.round() == {"crl": Outcome.EXPIRED, "ocsp": Outcome.EXPIRED}
    house.now -= 2 * DAY
    assert house.check().code is Code.OK


def test_a_clock_that_is_behind(house: House) -> None:
    """What is offered was made in the future: not taken, and fetched again once the clock is right."""
    house.now -= 2 * DAY
    house.offer_list(made=NOW)
    house.offer_answer(made=NOW)
    assert house.round() == {"crl": Outcome.FUTURE, "ocsp": Outcome.FUTURE}
    assert house.check().code is Code.REVOCATION_UNKNOWN
    house.now += 2 * DAY
    assert house.until_quiet() == {"crl": Outcome.TAKEN, "ocsp": Outcome.TAKEN}
    assert house.check().code is Code.OK


def test_who_fails_is_asked_less_and_less_often(house: House) -> None:
    house.only("crl")
    house.server.mode = "error"
    tried = []
    for _ in range(2 * 3600 // 10):
        if house.round():
            tried.append(house.ticks)
        house.later(dt.timedelta(seconds=10))
    gaps = [later - earlier for earlier, later in pairwise(tried)]
    assert FIRST_AGAIN <= gaps[0] < FIRST_AGAIN + 15
    assert gaps[-1] >= LAST_AGAIN
    assert max(gaps) < LAST_AGAIN + 15
    assert gaps == sorted(gaps) or max(abs(a - b) for a, b in zip(gaps, sorted(gaps), strict=True)) < 15


def test_what_one_source_calls_revoked_is_revoked(server: Server, tmp_path: Path) -> None:
    house = House(server, tmp_path)
    house.offer_list((house.leaf, NOW))
    house.offer_answer()
    house.round()
    assert house.check().code is Code.CERTIFICATE_REVOKED
    house.offer_list(made=NOW + HOUR)
    house.later(dt.timedelta(hours=13))
    house.offer_list()
    house.offer_answer(revoked_at=NOW)
    house.round()
    result = house.check()
    assert (result.code, result.source) == (Code.CERTIFICATE_REVOKED, "ocsp")


@pytest.mark.parametrize(
    ("needed", "source", "code"),
    [
        ("either", "crl", Code.OK),
        ("either", "ocsp", Code.OK),
        ("crl", "crl", Code.OK),
        ("crl", "ocsp", Code.REVOCATION_UNKNOWN),
        ("ocsp", "crl", Code.REVOCATION_UNKNOWN),
        ("ocsp", "ocsp", Code.OK),
    ],
)
def test_what_has_to_vouch(server: Server, tmp_path: Path, needed: Any, source: str, code: Code) -> None:
    house = House(server, tmp_path, rules=PathRules(needed={"": needed}))
    house.only(source)
    house.offer_list()
    house.offer_answer()
    house.round()
    result = house.check()
    assert result.code is code
    if code is Code.OK:
        assert result.source == source


def test_by_anchor(server: Server, tmp_path: Path) -> None:
    house = House(server, tmp_path)
    house.only("crl")
    house.offer_list()
    house.round()
    files = ([tmp_path / "root.pem"], [tmp_path / "root.crl"])
    more: dict[str, Any] = {
        "intermediates": [tmp_path / "issuing.pem"],
        "fetched": house.shelf.folder,
    }
    leaf = [read_certificate(house.leaf.der)]
    lists = TrustStore.from_files(*files, by_list=files[0], rules=PathRules(needed={"": "ocsp"}), **more)
    assert lists.check(leaf, NOW).code is Code.OK
    answers = TrustStore.from_files(*files, by_answer=files[0], **more)
    assert answers.check(leaf, NOW).code is Code.REVOCATION_UNKNOWN


def test_addresses_that_nobody_allowed_are_not_asked(server: Server, tmp_path: Path) -> None:
    house = House(server, tmp_path, hosts=frozenset({"127.0.0.1:1"}))
    house.offer_list()
    house.offer_answer()
    assert house.round() == {}
    assert server.asked == []


def test_lists_and_a_responder_of_the_settings(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "by hand.crl"
    house = House(server, tmp_path, hosts=frozenset(), lists=(path.as_uri(),), responder=server.url("/mine"))
    path.write_bytes(house.offer_list())

    def reply(request: ocsp.OCSPRequest) -> bytes:
        if request.serial_number == house.leaf.certificate.serial_number:
            return answer(house.leaf, house.issuing)
        return answer(house.issuing, house.root)

    server.answers = reply
    assert house.round() == {"crl": Outcome.TAKEN, "ocsp": Outcome.TAKEN}
    assert server.asked == ["/mine", "/mine"], "about the leaf and its issuer"
    assert house.check().code is Code.OK


def test_a_second_address_is_asked_where_the_first_is_gone(server: Server, tmp_path: Path) -> None:
    house = House(server, tmp_path)
    where = points_to(lists=[server.url("/gone.crl"), server.url("/issuing.crl")])
    house.leaf = pki.issue("Leaf", house.issuing, extra=where)
    house.offer_list()
    assert house.round() == {"crl": Outcome.TAKEN}
    assert server.asked == ["/gone.crl", "/issuing.crl"]


def test_a_folder_that_cannot_be_written(house: House) -> None:
    house.only("crl")
    house.offer_list()
    house.shelf.folder.write_bytes(b"a file")
    assert house.round() == {"crl": Outcome.NOT_STORED}
    house.shelf.folder.unlink()
    assert house.until_quiet()["crl"] is Outcome.TAKEN


def test_a_damaged_file_stops_nothing_and_is_replaced(house: House) -> None:
    house.offer_list()
    house.offer_answer()
    house.round()
    name = list_name(house.server.url("/issuing.crl"))
    (house.shelf.folder / name).write_bytes(b"half")
    house.shelf.publish()
    result = house.check()
    assert (result.code, result.source) == (Code.OK, "ocsp")
    assert house.store.damaged() == (name,)
    house.renewer = house.again()
    assert house.round() == {"crl": Outcome.TAKEN}
    house.check()
    assert house.store.damaged() == ()


def test_new_answers_drop_no_other_assessment(house: House) -> None:
    other = pki.issue("Other", house.issuing)
    house.offer_list()
    house.offer_answer()
    house.round()
    kept, again = house.check(other), house.check()
    house.later(dt.timedelta(hours=13))
    house.only("ocsp")
    house.offer_answer()
    assert house.round() == {"ocsp": Outcome.TAKEN}
    assert house.check(other) is kept
    assert house.check() is not again
    assert house.check().made_at == house.now


def test_tidying(house: House) -> None:
    house.offer_list()
    house.offer_answer()
    house.round()
    assert house.renewer.tidy([], NOW) == 0, "still good for something"
    stray = house.shelf.folder / ".x.new"
    stray.write_bytes(b"x")
    assert house.renewer.tidy(house.renewer.wanted(house.signers, NOW), NOW + 9 * DAY) == 0
    assert house.renewer.tidy([], NOW + 9 * DAY) == 2
    assert house.shelf.read().lists == {}
    assert not stray.exists(), "what a writer that died left behind"
