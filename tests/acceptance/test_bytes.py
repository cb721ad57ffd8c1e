"""Bytes in are bytes out: by SHA-256 at each recipient, for odd but legal spellings, three signing hands, 1 KB to 20 MB."""

from __future__ import annotations

import base64
import hashlib
import random
import subprocess
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import xmlsec as _xmlsec
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from tests.acceptance.conftest import Axis
from tests.support.packages import build_document, kinds_of_attachments
from tests.support.spelling import SPELLINGS, oddities
from tests.support.stranger import Stranger
from tests.support.stranger_xml import DSIG, EDXML, Facts, document, parsed, signature, spliced, status

xmlsec: Any = _xmlsec  # it names its types, not its constants
JAVA = Path(__file__).parent.parent / "support" / "java" / "Sign.java"
SENDER, RECIPIENTS = "H53.31", ("G22", "H26.15")
HANDS = ("xmlsec", "jdk", "lxml")
SIZES = {"1 KB": 0, "64 KB": 48_000, "1 MB": 780_000, "5 MB": 3_900_000, "20 MB": 15_700_000}
HAND_OF_SIZE = {"1 KB": "jdk", "64 KB": "xmlsec", "1 MB": "jdk", "5 MB": "xmlsec", "20 MB": "lxml"}


@dataclass(frozen=True)
class Sent:
    """What was published, and who has to get it."""

    transport_id: str
    body: bytes
    kind: str
    recipients: tuple[str, ...]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True)
class Traffic:
    axis: Axis
    sent: Mapping[str, Sent]

    def check(self, name: str) -> None:
        one = self.sent[name]
        if one.kind == "edoc":
            receipt = self.axis.gateway(SENDER).acknowledgement(one.transport_id, 40)
            assert (receipt.result, receipt.code) == ("accepted", "")
        for code in one.recipients:
            gateway = self.axis.gateway(code)
            received = gateway.arrival(one.transport_id, 40, kind=one.kind)
            assert received.sha256 == one.sha256 == received.headers["truc-sha256"]
            assert received.body == one.body
            gateway.check(received)
            assert len(gateway.arrivals(one.transport_id, one.kind)) == 1


def unsigned_packages() -> dict[str, tuple[str, bytes]]:
    """Return the hand that signs and the package, by name."""
    packages = {
        f"{hand}: {name}": (hand, package)
        for hand in HANDS
        for name, package in oddities(_fresh(subject=f"Về việc <rà soát> & hợp nhất, ký bằng {hand}")).items()
    }
    rng = random.Random(2818)
    for name, size in SIZES.items():
        files = (("Hồ sơ quét.bin", rng.randbytes(size)),) if size else ()
        packages[name] = HAND_OF_SIZE[name], _fresh(files=files)
    for name, file in kinds_of_attachments().items():
        packages[f"attachment: {name}"] = "lxml", build_document(SENDER, RECIPIENTS, attachments=(file,))
    return packages


def _fresh(**facts: object) -> bytes:
    return document(Facts(SENDER, RECIPIENTS, **facts))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def traffic(axis: Axis, tmp_path_factory: pytest.TempPathFactory) -> Traffic:
    sender = axis.gateway(SENDER)
    for code in RECIPIENTS:
        axis.gateway(code)
    packages = unsigned_packages()
    by_jdk = _signed_by_jdk(
        {name: package for name, (hand, package) in packages.items() if hand == "jdk"},
        axis.sandbox.raw["agencies"][SENDER],
        tmp_path_factory.mktemp("jdk"),
    )
    hands: Mapping[str, Callable[[str, bytes], bytes]] = {
        "jdk": lambda name, package: spliced(package, by_jdk[name]),
        "xmlsec": lambda name, package: spliced(package, _signature_by_xmlsec(package, sender)),
        "lxml": lambda name, package: spliced(package, signature(package, sender.signer())),
    }
    sent = {}
    for name, (hand, package) in packages.items():
        sent[name] = Sent(str(uuid.uuid4()), hands[hand](name, package), "edoc", RECIPIENTS)
        assert sender.publish(sent[name].body, message_id=sent[name].transport_id) == "ack"
    about = sent[f"lxml: {next(iter(SPELLINGS))}"]
    sender.acknowledgement(about.transport_id, 40)
    sent.update(_statuses(axis, about))
    return Traffic(axis, sent)


def _statuses(axis: Axis, about: Sent) -> dict[str, Sent]:
    """A recipient's statuses, one in each spelling."""
    reporter = axis.gateway(RECIPIENTS[0])
    facts = Facts(SENDER, RECIPIENTS, document_id=_document_id(about.body))
    spelled = oddities(status(facts, reporter.code, "05", description="Đang xử lý & chờ <ý kiến>"))
    sent = {}
    for name, package in spelled.items():
        one = Sent(
            str(uuid.uuid4()), spliced(package, signature(package, reporter.signer())), "status", (SENDER,)
        )
        word = reporter.publish(
            one.body, kind="status", message_id=one.transport_id, correlation_id=about.transport_id
        )
        assert word == "ack"
        sent[f"status: {name}"] = one
    return sent


def _document_id(body: bytes) -> str:
    return str(next(parsed(body).iter(f"{{{EDXML}}}DocumentId")).text)


def _signed_by_jdk(
    packages: Mapping[str, bytes], agency: Mapping[str, str], folder: Path
) -> dict[str, bytes]:
    lines = []
    for number, package in enumerate(packages.values()):
        (folder / f"{number}.xml").write_bytes(package)
        lines.append(f"{folder}/{number}.xml\t{folder}/{number}.sig\t{agency['key']}\t{agency['cert']}")
    (folder / "list").write_text("\n".join(lines) + "\n", encoding="utf-8")
    subprocess.run(["java", "-Xmx768m", str(JAVA), str(folder / "list")], check=True, timeout=240)
    return {name: (folder / f"{number}.sig").read_bytes() for number, name in enumerate(packages)}


def _signature_by_xmlsec(package: bytes, sender: Stranger) -> bytes:
    root = parsed(package)
    header = next(root.iter(f"{{{EDXML}}}edXMLHeader"))
    template = xmlsec.template
    made = template.create(root, xmlsec.Transform.EXCL_C14N, xmlsec.Transform.ECDSA_SHA256, ns="ds")
    header.append(made)
    reference = template.add_reference(made, xmlsec.Transform.SHA256, uri="")
    template.add_transform(reference, xmlsec.Transform.ENVELOPED)
    template.add_transform(reference, xmlsec.Transform.EXCL_C14N)
    context = xmlsec.SignatureContext()
    context.key = xmlsec.Key.from_file(
        sender.sandbox.raw["agencies"][sender.code]["key"], xmlsec.KeyFormat.PEM
    )
    context.sign(made)
    data = etree.SubElement(etree.SubElement(made, f"{{{DSIG}}}KeyInfo"), f"{{{DSIG}}}X509Data")
    for certificate in sender.signer().chain:
        text = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()
        etree.SubElement(data, f"{{{DSIG}}}X509Certificate").text = text
    # not in ASCII: a prefix of other letters, declared above, is repeated here and knows no character references
    return bytes(etree.tostring(made, encoding="UTF-8", xml_declaration=False, with_tail=False))


@pytest.mark.jdk
@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_odd_spellings_arrive_as_they_were_signed(traffic: Traffic, spelling: str, hand: str) -> None:
    traffic.check(f"{hand}: {spelling}")


@pytest.mark.parametrize("size", SIZES)
def test_sizes_arrive_as_they_were_signed(traffic: Traffic, size: str) -> None:
    traffic.check(size)


@pytest.mark.parametrize("name", sorted(kinds_of_attachments()))
def test_kinds_of_attachments_arrive_as_they_were_signed(traffic: Traffic, name: str) -> None:
    traffic.check(f"attachment: {name}")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_statuses_arrive_as_they_were_signed(traffic: Traffic, spelling: str) -> None:
    traffic.check(f"status: {spelling}")


def test_the_sizes_are_what_they_say(traffic: Traffic) -> None:
    sizes = {name: len(traffic.sent[name].body) for name in SIZES}
    assert sizes["1 KB"] < 8_000
    assert 19_000_000 < sizes["20 MB"] <= 24 * 1024 * 1024
    assert len({one.sha256 for one in traffic.sent.values()}) == len(traffic.sent)
