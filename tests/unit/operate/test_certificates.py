"""Certificates in life: who may register one, with what proof, and who is left to sign."""

from __future__ import annotations

import base64
import itertools
import subprocess
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from relay.directory.file import load
from relay.directory.write import dump
from relay.errors import Code, ConfigurationError, OperationError, RefusedError, TrucError
from relay.model.agency import Admission, Agency, AgencyCertificate
from relay.model.levels import Level
from relay.operate.certificates import LIFE, Certificates, Row
from relay.registry import SqlRegistry, memory_registry
from relay.trust.certificate import Certificate, read_certificate
from relay.trust.chain import TrustStore
from relay.trust.possession import prove
from tests.support import pki
from tests.support.pki import DAY, NOW, Entity

AGENCIES = (
    Agency("H53", "H53", Level.PROVINCE, gateway="H53", own_queue=True),
    Agency("H53.31", "H53.31", Level.DISTRICT, gateway="H53", parent="H53"),
    Agency("H29", "H29", Level.PROVINCE, gateway="H29", own_queue=True, admission=Admission.CLOSED),
    Agency("H26", "H26", Level.PROVINCE, gateway="H26", own_queue=True),
)


def chain_of(entity: Entity) -> tuple[Certificate, ...]:
    return tuple(read_certificate(one.public_bytes(Encoding.DER)) for one in entity.chain)


def request(entity: Entity) -> bytes:
    """A PKCS#10 request by the entity's key."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "any")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(entity.key, hashes.SHA256()).public_bytes(Encoding.PEM)


class Desk:
    """A directory, a registry, an authority, and the commands on them."""

    def __init__(self, folder: Path, registry: SqlRegistry) -> None:
        self.folder = folder
        self.file = folder / "directory.yaml"
        dump(self.file, AGENCIES)
        self.registry = registry
        self.house = pki.house(folder / "pki")
        for name, authority in (("root", self.house.root), ("issuing", self.house.issuing)):
            (folder / "pki" / f"{name}.crl").write_bytes(pki.crl(authority, next_update=NOW + 30 * DAY))
        self.time = NOW
        self._nonces = itertools.count(1)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return 0.0

    def commands(self, *, dry_run: bool = False) -> Certificates:
        return Certificates(
            directory_file=self.file,
            registry=self.registry,
            trust=TrustStore.from_files(self.house.anchors, self.house.crls),
            relay="truc-test",
            clock=self,
            who="nga",
            nonce=lambda: f"{next(self._nonces):032x}",
            dry_run=dry_run,
        )

    def issue(self, name: str = "H53 new", **more: object) -> Entity:
        return pki.issue(name, self.house.issuing, **more)  # type: ignore[arg-type]

    def answer(self, entity: Entity, code: str = "H53") -> bytes:
        return prove(entity.key_pem, self.commands().challenge(code).text)

    def add(self, entity: Entity, code: str = "H53", *, dry_run: bool = False) -> Row:
        return self.commands(dry_run=dry_run).add(code, chain_of(entity), proof=self.answer(entity, code))

    def registered(self, code: str = "H53") -> tuple[AgencyCertificate, ...]:
        agency = load(self.file).agency(code)
        assert agency
        return agency.certificates

    def signers(self, at: datetime, code: str = "H53") -> list[str]:
        return [one.sha256 for one in load(self.file).signers(code) if one.signs_at(at)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    registry = memory_registry()
    yield Desk(tmp_path, registry)
    registry.close()


def refusal(work: Callable[[], object]) -> tuple[Code, str]:
    with pytest.raises(TrucError) as caught:
        work()
    assert isinstance(caught.value, RefusedError | OperationError)
    return caught.value.code, caught.value.detail


def test_old_and_new_sign_side_by_side_until_the_old_one_is_retired(desk: Desk) -> None:
    old, new = desk.issue("old"), desk.issue("new", key=pki.rsa_key())
    assert desk.add(old).changed
    row = desk.add(new)
    assert (row.changed, row.state, row.subject) == (True, "valid", "CN=new")
    assert len(desk.signers(NOW)) == 2
    authority = desk.house.issuing.pem.decode()
    assert {one.chain for one in desk.registered()} == {(authority,)}, "what led to the anchor is kept"
    first = desk.registered()[0].sha256
    end = NOW + timedelta(hours=3)
    assert desk.commands().retire("H53", first, end).retired_at == end
    assert len(desk.signers(NOW)) == 2
    assert desk.signers(end) == [row.sha256]
    desk.time = end
    assert [one.state for one in desk.commands().ls("H53")] == ["retired", "valid"]
    acts = [(act.act, act.who) for act in desk.registry.acts("H53")]
    assert acts == [
        ("certificate.retire", "nga"),
        ("certificate.add", "nga"),
        ("certificate.challenge", "nga"),
        ("certificate.add", "nga"),
        ("certificate.challenge", "nga"),
    ]


def test_what_openssl_signs_is_a_proof(desk: Desk, tmp_path: Path) -> None:
    for name, key, digest in (("ec", None, "-sha256"), ("rsa", pki.rsa_key(), "-sha512")):
        entity = desk.issue(name, key=key)
        (tmp_path / "key.pem").write_bytes(entity.key_pem)
        (tmp_path / "challenge.txt").write_bytes(desk.commands().challenge("H53").text)
        subprocess.run(
            ["openssl", "dgst", digest, "-sign", "key.pem", "-out", "proof.bin", "challenge.txt"],
            cwd=tmp_path,
            check=True,
        )
        proof = (tmp_path / "proof.bin").read_bytes()
        assert desk.commands().add("H53", chain_of(entity), proof=proof).changed
    assert len(desk.registered()) == 2


def test_a_request_by_the_same_key_is_a_proof(desk: Desk) -> None:
    entity, other = desk.issue(), desk.issue()
    assert refusal(lambda: desk.commands().add("H53", chain_of(entity), request=request(other))) == (
        Code.PROOF_INVALID,
        "the request is for another key",
    )
    broken = bytearray(base64.b64decode(b"".join(request(entity).splitlines()[1:-1])))
    broken[-1] ^= 1
    assert (
        "signature" in refusal(lambda: desk.commands().add("H53", chain_of(entity), request=bytes(broken)))[1]
    )
    assert (
        refusal(lambda: desk.commands().add("H53", chain_of(entity), request=b"none"))[0]
        is Code.PROOF_INVALID
    )
    assert desk.registered() == ()
    assert desk.commands().add("H53", chain_of(entity), request=request(entity)).changed


def test_a_proof_is_for_one_agency_one_certificate_one_time_and_its_days(desk: Desk) -> None:
    entity, other = desk.issue(), desk.issue()
    assert refusal(lambda: desk.commands().add("H53", chain_of(entity)))[0] is Code.PROOF_INVALID
    for wrong in (b"", b"no signature", desk.answer(other), desk.answer(entity, "H26")):
        with pytest.raises(RefusedError) as caught:
            desk.commands().add("H53", chain_of(entity), proof=wrong)
        assert caught.value.code is Code.PROOF_INVALID
    late = desk.answer(entity)
    desk.time += LIFE + timedelta(seconds=1)
    assert "too old" in refusal(lambda: desk.commands().add("H53", chain_of(entity), proof=late))[1]
    desk.time = NOW
    assert desk.commands().add("H53", chain_of(entity), proof=late).changed
    # one key, two certificates: the challenge has proved the first one
    renewed = desk.issue("renewed", key=entity.key)
    assert "used" in refusal(lambda: desk.commands().add("H53", chain_of(renewed), proof=late))[1]
    # a command that died is given again; nothing comes back from retirement by it
    assert not desk.commands().add("H53", chain_of(entity), proof=late).changed
    desk.commands().retire("H53", desk.registered()[0].sha256, force=True)
    assert "used" in refusal(lambda: desk.commands().add("H53", chain_of(entity), proof=late))[1]
    assert desk.add(entity).changed
    assert desk.registered()[0].retired_at is None


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("expired", Code.CERTIFICATE_EXPIRED),
        ("early", Code.CERTIFICATE_NOT_YET_VALID),
        ("stranger", Code.UNKNOWN_CA),
        ("relay", Code.BAD_CERTIFICATE),
        ("authority", Code.BAD_CERTIFICATE),
        ("usage", Code.BAD_CERTIFICATE),
        ("revoked", Code.CERTIFICATE_REVOKED),
    ],
)
def test_what_a_worker_would_refuse_is_not_registered(desk: Desk, what: str, code: Code) -> None:
    makers: dict[str, Callable[[], Entity]] = {
        "expired": lambda: desk.issue(not_after=NOW - DAY),
        "early": lambda: desk.issue(not_before=NOW + DAY),
        "stranger": lambda: pki.issue("x", pki.issue("another root", ca=True)),
        "relay": lambda: desk.issue(relay="truc-test"),
        "authority": lambda: pki.issue("x", desk.house.root, ca=True),
        "usage": lambda: desk.issue(key_usage=pki.usage(crls=True)),
        "revoked": desk.issue,
    }
    made = makers[what]()
    if what == "revoked":
        desk.house.revoke(made)
    assert refusal(lambda: desk.add(made))[0] is code
    assert desk.registered() == ()


def test_nobody_registers_what_is_anothers(desk: Desk) -> None:
    theirs = desk.issue("theirs")
    desk.add(theirs, "H26")
    assert refusal(lambda: desk.add(theirs))[0] is Code.CERTIFICATE_TAKEN
    same_key = desk.issue("same key", key=theirs.key)
    assert refusal(lambda: desk.add(same_key))[0] is Code.CERTIFICATE_TAKEN
    assert desk.registered() == ()
    assert refusal(lambda: desk.add(desk.issue(), "H29"))[0] is Code.NOT_FOUND


def test_the_last_one_to_sign_with_is_kept(desk: Desk) -> None:
    first, second = desk.issue("first"), desk.issue("second")
    name = desk.add(first).sha256
    assert refusal(lambda: desk.commands().retire("H53", name)) == (
        Code.UNSAFE_CHANGE,
        "nothing would be left to sign for H53 H53.31",
    )
    desk.add(second, "H53.31")
    assert refusal(lambda: desk.commands().retire("H53", name))[1].endswith("sign for H53")
    assert desk.commands().retire("H53", name, force=True).changed
    assert desk.signers(NOW) == []
    assert not desk.commands().retire("H53", name).changed
    assert refusal(lambda: desk.commands().retire("H53", name[:7]))[0] is Code.NOT_FOUND
    assert refusal(lambda: desk.commands().retire("H26", name))[0] is Code.NOT_FOUND


def test_what_was_accepted_is_not_made_wrong_afterwards(desk: Desk) -> None:
    name = desk.add(desk.issue("first")).sha256
    desk.add(desk.issue("second"))
    past = NOW - timedelta(minutes=1)
    assert "has passed" in refusal(lambda: desk.commands().retire("H53", name, past))[1]
    assert desk.commands().retire("H53", name, past, force=True).state == "retired"


def test_days_of_the_directory_bind_beside_the_certificates_own(desk: Desk) -> None:
    entity = desk.issue()
    row = desk.commands().add("H53", chain_of(entity), request=request(entity), not_before=date(2030, 5, 10))
    assert row.state == "not-yet"
    assert desk.signers(NOW) == []
    assert desk.signers(NOW + 7 * DAY) == [row.sha256]
    desk.time = NOW + 7 * DAY
    assert desk.commands().ls()[0].state == "valid"


def test_a_dry_run_checks_everything_and_changes_nothing(desk: Desk) -> None:
    entity, content = desk.issue(), desk.file.read_bytes()
    proof = desk.answer(entity)
    assert desk.commands(dry_run=True).add("H53", chain_of(entity), proof=proof).changed
    assert (
        refusal(lambda: desk.commands(dry_run=True).add("H53", chain_of(entity), proof=b"x"))[0]
        is Code.PROOF_INVALID
    )
    assert desk.file.read_bytes() == content
    assert [act.act for act in desk.registry.acts("H53")] == ["certificate.challenge"]


def test_a_key_that_cannot_sign_is_said() -> None:
    with pytest.raises(ConfigurationError) as caught:
        prove(b"no key", b"text")
    assert caught.value.code is Code.KEY_UNUSABLE
