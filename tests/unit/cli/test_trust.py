"""``truc trust``: what an operator sees of lists and answers, and fetching them by hand."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from tests.support import pki
from tests.support.authority import Server, answer, nonce_in, points_to, serving
from tests.unit.cli.conftest import Truc

DAY = dt.timedelta(days=1)


class Place:
    """A configuration with one agency, whose authority has a server."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.now = dt.datetime.now(dt.UTC).replace(microsecond=0)
        self.folder, self.server = folder, server
        life: dict[str, Any] = {"not_before": self.now - DAY, "not_after": self.now + 30 * DAY}
        self.root = pki.issue("Root", ca=True, **life)
        self.issuing = pki.issue("Issuing", self.root, ca=True, **life)
        where = points_to(lists=[server.url("/issuing.crl")], responders=[server.url("/ocsp")])
        self.leaf = pki.issue("Leaf", self.issuing, extra=where, **life)
        relay = pki.issue("Relay", self.issuing, relay="truc-dev", **life)
        for name, octets in {
            "root.pem": self.root.pem,
            "root.crl": pki.crl(self.root, this_update=self.now, next_update=self.now + 9 * DAY),
            "relay.pem": relay.chain_pem,
        }.items():
            (folder / name).write_bytes(octets)
        pem = self.leaf.chain_pem.decode()
        agencies = [{"code": "H26", "name": "Hà Nội", "gateway": "H26", "certificates": [pem]}]
        (folder / "directory.yaml").write_text(yaml.safe_dump({"agencies": agencies}, allow_unicode=True))
        self.configure()
        self.offer()

    def configure(self, **trust: Any) -> None:
        fetch = {"folder": "fetched", "hosts": [self.server.host]}
        settings = {
            "relay": {"name": "truc-dev", "key": "k", "certificates": ["relay.pem"]},
            "broker": {"url": "amqp://127.0.0.1/truc", "user": "relay", "password_file": "p"},
            "registry": {"url": "sqlite:///registry.db"},
            "directory": {"file": "directory.yaml"},
            "trust": {"anchors": ["root.pem"], "crls": ["root.crl"], "fetch": fetch, **trust},
        }
        (self.folder / "truc.yaml").write_text(yaml.safe_dump(settings))

    def offer(self, life: dt.timedelta = DAY) -> None:
        made, end = self.now - DAY, self.now - DAY + life
        self.server.lists["/issuing.crl"] = pki.crl(self.issuing, this_update=made, next_update=end + DAY)
        self.server.answers = lambda request: answer(
            self.leaf, self.issuing, this_update=made, next_update=end + DAY, nonce=nonce_in(request)
        )

    @property
    def config(self) -> Path:
        return self.folder / "truc.yaml"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with serving() as server:
        yield Place(tmp_path, server)


def test_fetching_and_looking(truc: Truc, place: Place) -> None:
    planned = truc("trust", "fetch", "--config", place.config, "--dry-run", "--json")
    assert planned.exit_code == 0, planned.output
    assert [(one["source"], one["about"]) for one in json.loads(planned.stdout)] == [
        ("crl", place.server.url("/issuing.crl")),
        ("ocsp", "H26"),
    ]
    assert place.server.asked == []
    assert not (place.folder / "fetched").exists()
    got = truc("trust", "fetch", "--config", place.config, "--json")
    assert got.exit_code == 0, got.output
    assert [one["outcome"] for one in json.loads(got.stdout)] == ["taken", "taken"]
    again = truc("trust", "fetch", "--config", place.config)
    assert "unchanged" in again.stdout
    shown = truc("trust", "status", "--config", place.config, "--json")
    assert shown.exit_code == 0, shown.output
    facts = json.loads(shown.stdout)
    assert [one["subject"] for one in facts["anchors"]] == ["CN=Root"]
    assert [one["subject"] for one in facts["authorities"]] == ["CN=Issuing"], "from the directory"
    material = {(one["source"], one["agency"] or one["subject"]): one["state"] for one in facts["material"]}
    assert material == {
        ("crl", "CN=Root"): "fresh",
        ("crl", "CN=Issuing"): "due",
        ("ocsp", "H26"): "due",
    }
    people = truc("trust", "status", "--config", place.config, "--lang", "vi")
    assert "đến hạn làm mới" in people.stdout
    assert "+07:00" in people.stdout


def test_whose_way_is_not_known_is_told(truc: Truc, place: Place) -> None:
    text = yaml.safe_load((place.folder / "directory.yaml").read_text())
    text["agencies"][0]["certificates"] = [place.leaf.pem.decode()]
    (place.folder / "directory.yaml").write_text(yaml.safe_dump(text))
    planned = truc("trust", "fetch", "--config", place.config, "--dry-run")
    assert planned.stdout == "nothing is wanted\n"
    assert "no way to an anchor is known here for H26" in planned.stderr
    facts = json.loads(truc("trust", "status", "--config", place.config, "--json").stdout)
    assert facts["without_way"] == ["H26"]
    assert "no way to an anchor" in truc("trust", "status", "--config", place.config).stderr
    place.configure(fetch={})
    told = truc("trust", "status", "--config", place.config)
    assert "no way to an anchor" not in told.output, "where nothing is fetched it says nothing to anybody"
    (place.folder / "issuing.pem").write_bytes(place.issuing.pem)
    place.configure(intermediates=["issuing.pem"])
    planned = truc("trust", "fetch", "--config", place.config, "--dry-run")
    assert "H26" in planned.stdout
    assert planned.stderr == ""
    facts = json.loads(truc("trust", "status", "--config", place.config, "--json").stdout)
    assert facts["without_way"] == []


def test_an_outage_is_told(truc: Truc, place: Place) -> None:
    place.server.mode = "error"
    got = truc("trust", "fetch", "--config", place.config, "--json")
    assert got.exit_code == 1
    assert {one["outcome"] for one in json.loads(got.stdout)} == {"http-error"}


def test_what_is_out_of_date_or_damaged_is_told(truc: Truc, place: Place) -> None:
    assert truc("trust", "fetch", "--config", place.config).exit_code == 0
    old = pki.crl(place.root, this_update=place.now - 2 * DAY, next_update=place.now - DAY)
    (place.folder / "root.crl").write_bytes(old)
    shown = truc("trust", "status", "--config", place.config)
    assert shown.exit_code == 1
    assert "OUT OF DATE" in shown.stdout
    place.configure(hard_fail_after_s=2 * 86_400)
    assert "in grace" in truc("trust", "status", "--config", place.config).stdout
    (place.folder / "root.crl").write_bytes(
        pki.crl(place.root, this_update=place.now, next_update=place.now + DAY)
    )
    name = next(path.name for path in (place.folder / "fetched").glob("answer-*"))
    (place.folder / "fetched" / name).write_bytes(b"half")
    damaged = truc("trust", "status", "--config", place.config)
    assert damaged.exit_code == 1
    assert f"damaged: {name}" in damaged.stdout


def test_nothing_to_fetch_to(truc: Truc, place: Place) -> None:
    place.configure(fetch={})
    got = truc("trust", "fetch", "--config", place.config)
    assert got.exit_code == 3
    assert truc("trust", "status", "--config", place.config).exit_code == 0


def test_a_certificate_of_the_relay_counts_too(truc: Truc, place: Place) -> None:
    made = pki.issue(
        "Relay",
        place.issuing,
        relay="truc-dev",
        not_before=place.now - DAY,
        not_after=place.now + DAY,
        extra=points_to(lists=[place.server.url("/relay.crl")]),
    )
    assert isinstance(made.certificate, x509.Certificate)
    (place.folder / "relay.pem").write_bytes(made.chain_pem)
    planned = truc("trust", "fetch", "--config", place.config, "--dry-run")
    assert "/relay.crl" in planned.stdout
