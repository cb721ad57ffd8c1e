"""The signed files beside the protocol page: several hands verify them, as of the day they are dated."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import datetime
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from relay.cli.main import main
from relay.errors.catalogue import entry
from relay.errors.codes import Code
from relay.model.receipt import LineState, ReceiptKind
from scripts import genexamples
from tests.support import jdk
from tests.support.stranger_xml import Receipt, read_facts, read_receipt, read_status, verified

FILES: Final = Path(__file__).parents[2] / "docs" / "examples" / "files"
SCHEMA: Final = Path(__file__).parents[2] / "schemas" / "receipt.xsd"
PACKAGES: Final = (FILES / "document.edxml", FILES / "status-01.edxml")
RECEIPTS: Final = tuple(sorted(FILES.glob("*.xml")))
DS: Final = "{http://www.w3.org/2000/09/xmldsig#}"
HEADER: Final = "/".join(
    f"{{http://www.mic.gov.vn/TBT/QCVN_102_2016}}{name}" for name in ("edXMLEnvelope", "edXMLHeader")
)
AT: Final = datetime.fromisoformat(genexamples.JUDGED)


def anchor() -> x509.Certificate:
    return x509.load_pem_x509_certificate((FILES / "root.pem").read_bytes())


def receipt(name: str) -> Receipt:
    return read_receipt((FILES / f"{name}.xml").read_bytes())


def name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", [*PACKAGES, *RECEIPTS], ids=name)
def test_the_command_of_the_page_finds_each_file_valid(path: Path) -> None:
    words = ["verify", str(path), "--config", str(FILES / "verify.yaml"), "--at", genexamples.JUDGED]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "2.5.4.5=" not in result.output


def test_people_read_the_serial_number_of_a_signer_and_programs_the_sealed_form() -> None:
    words = ["--config", str(FILES / "verify.yaml"), "--at", genexamples.JUDGED]
    package = str(PACKAGES[0])
    read = CliRunner().invoke(main, ["verify", package, *words]).output
    assert f"CN={genexamples.SENDER} (mẫu),serialNumber={genexamples.SENDER},O=" in read
    sealed = CliRunner().invoke(main, ["verify", package, *words, "--json"]).output
    assert f",2.5.4.5={genexamples.SENDER},O=" in sealed


@pytest.mark.parametrize("path", PACKAGES, ids=name)
def test_a_vendor_may_take_the_packages_for_the_standard(path: Path) -> None:
    result = CliRunner().invoke(main, ["package", "check", "--strict", str(path)])
    assert (result.exit_code, result.output.strip()) == (0, "passed: 0 faults, 0 warnings, 0 notes")


@pytest.mark.parametrize("path", [*PACKAGES, *RECEIPTS], ids=name)
def test_a_changed_character_is_found(path: Path, tmp_path: Path) -> None:
    body = path.read_bytes()
    changed = re.sub(rb"(OrganId>|document-id=\"|at=\")(.)", lambda found: found[1] + b"7", body, count=1)
    assert changed != body
    file = tmp_path / path.name
    file.write_bytes(changed)
    words = [
        "verify",
        str(file),
        "--config",
        str(FILES / "verify.yaml"),
        "--at",
        genexamples.JUDGED,
        "--json",
    ]
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, "DIGEST-MISMATCH" in result.output) == (1, True), result.output


def test_other_hands_find_each_file_valid() -> None:
    for path in (*PACKAGES, *RECEIPTS):
        body = path.read_bytes()
        leaf = verified(body, HEADER if path in PACKAGES else "", anchor(), AT)
        result = XMLVerifier().verify(
            body,
            x509_cert=leaf.public_bytes(Encoding.PEM).decode(),
            validate_schema=False,
            expect_config=SignatureConfiguration(verification_time=AT),
        )
        assert isinstance(result, VerifyResult)
        assert result.signed_xml is not None
        if path in RECEIPTS:
            names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            uris = names.get_values_for_type(x509.UniformResourceIdentifier)
            assert uris == [f"urn:truc:relay:{read_receipt(body).relay}"]


def test_the_canonical_form_is_the_one_that_the_page_names() -> None:
    page = (FILES.parents[1] / "protocol.md").read_text("utf-8")
    root = etree.parse(PACKAGES[0]).getroot()
    element = next(root.iter(f"{DS}Signature"))
    before = element.getprevious()
    before.tail = (before.tail or "") + (element.tail or "")
    element.getparent().remove(element)
    form = etree.tostring(root.getroottree(), method="c14n", exclusive=True, with_comments=False)
    digest = base64.b64encode(hashlib.sha256(form).digest()).decode()
    assert digest == element.findtext(f".//{DS}DigestValue")
    assert f"has\n{len(form)} bytes, from" in page
    assert f"SHA-256 in base64 is `{digest}`" in page


@pytest.mark.jdk
def test_the_jdk_finds_each_file_valid() -> None:
    files = [*PACKAGES, *RECEIPTS]
    assert jdk.verify(files) == dict.fromkeys(files, "valid")


def test_receipts_follow_the_schema() -> None:
    schema = etree.XMLSchema(etree.parse(SCHEMA))
    for path in RECEIPTS:
        schema.assertValid(etree.parse(path))


def test_they_tell_of_the_document_beside_them() -> None:
    body = PACKAGES[0].read_bytes()
    facts = read_facts(body)
    assert (facts.sender, facts.document_id) == ("H53", genexamples.NUMBER)
    assert read_status(PACKAGES[1].read_bytes()) == ("G22", "01", genexamples.NUMBER)
    told = receipt("acknowledgement-accepted")
    assert told.sha256 == hashlib.sha256(body).hexdigest()
    assert [line.code for line in told.lines] == list(facts.recipients)
    assert [line.state for line in told.lines] == ["queued", "deferred", "refused"]
    assert (receipt("acknowledgement-unproven").sender, receipt("acknowledgement-unproven").code) == (
        "",
        "DIGEST-MISMATCH",
    )


def test_each_kind_and_each_state_is_there() -> None:
    read = [read_receipt(path.read_bytes()) for path in RECEIPTS]
    assert {each.kind for each in read} == {each.value for each in ReceiptKind} - {"attachment-verdict"}
    assert {line.state for each in read for line in each.lines} == {each.value for each in LineState}
    assert {each.result for each in read} == {"accepted", "refused"}


def test_owner_and_retryable_are_those_of_the_catalogue() -> None:
    for path in RECEIPTS:
        for code, owner, retryable in read_receipt(path.read_bytes()).errors:
            known = entry(Code(code))
            assert (owner, retryable) == (known.owner, str(known.retryable).lower()), path.name


def test_no_key_is_kept() -> None:
    for path in FILES.iterdir():
        assert b"PRIVATE KEY" not in path.read_bytes()


def test_the_script_makes_these_files(tmp_path: Path) -> None:
    made = dict(genexamples.files(tmp_path))
    assert sorted(made) == sorted(path.name for path in FILES.iterdir())
    for path in RECEIPTS:
        assert shape(made[path.name]) == shape(path.read_bytes()), path.name
    settings = "verify.yaml"
    assert made[settings] == (FILES / settings).read_bytes()


def shape(body: bytes) -> list[tuple[str, list[tuple[str, str]]]]:
    """What a receipt says, without what follows from the keys of the run, and without its texts."""
    drawn = {"sha256", "certificate-sha256", "delivery-id", "bytes"}
    return [
        (str(each.tag), sorted((str(key), str(value)) for key, value in each.items() if key not in drawn))
        for each in etree.fromstring(body).iter()
        if DS not in each.tag
    ]
