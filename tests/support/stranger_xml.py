"""What a third party's gateway knows of edXML, XML signatures and receipts, written from the published protocol alone.

Imports nothing of the relay or its adapters: an error that we make on both sides must not cancel itself out here. The
arithmetic is lxml's canonicalisation and ``cryptography``; no XML security library is involved.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from lxml import etree

EDXML: Final = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
DSIG: Final = "http://www.w3.org/2000/09/xmldsig#"
RECEIPT: Final = "urn:truc:receipt:1"
EXC_C14N: Final = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED: Final = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
RELAY_URN: Final = "urn:truc:relay:"

_XMLENC: Final = "http://www.w3.org/2001/04/xmlenc#"
_MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
DIGESTS: Final[dict[str, hashes.HashAlgorithm]] = {
    _XMLENC + "sha256": hashes.SHA256(),
    _MORE + "sha384": hashes.SHA384(),
    _XMLENC + "sha512": hashes.SHA512(),
}
METHODS: Final[dict[str, hashes.HashAlgorithm]] = {
    _MORE + "rsa-sha256": hashes.SHA256(),
    _MORE + "rsa-sha384": hashes.SHA384(),
    _MORE + "rsa-sha512": hashes.SHA512(),
    _MORE + "ecdsa-sha256": hashes.SHA256(),
    _MORE + "ecdsa-sha384": hashes.SHA384(),
    _MORE + "ecdsa-sha512": hashes.SHA512(),
}
SHA1_DIGEST: Final = DSIG + "sha1"
SHA1_METHOD: Final = _MORE + "ecdsa-sha1"
_WEAK: Final[dict[str, hashes.HashAlgorithm]] = {SHA1_DIGEST: hashes.SHA1(), SHA1_METHOD: hashes.SHA1()}

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class DoesNotHoldError(Exception):
    """A signature, certificate or structure is not what the protocol promises."""


# --- packages --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """What a document says."""

    sender: str
    recipients: tuple[str, ...]
    document_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    number: str = "215"
    notation: str = "UBND-VX"
    date: str = "2026/03/02"
    subject: str = "Về việc phối hợp rà soát thủ tục hành chính"
    priority: int = 0
    business: str = "0"
    files: tuple[tuple[str, bytes], ...] = (("Công văn 215.txt", "Kính gửi: các cơ quan".encode()),)

    @property
    def code(self) -> str:
        return f"{self.number}/{self.notation}"


def document(facts: Facts) -> bytes:
    """Return an unsigned document as a national encoder writes it."""
    to = "".join(_organ("To", code) for code in facts.recipients)
    references = "".join(
        f"<edXML:Reference><edXML:ContentId>cid:{number}</edXML:ContentId>"
        f"<edXML:ContentType>application/octet-stream</edXML:ContentType>"
        f"<edXML:AttachmentName>{escape(name)}</edXML:AttachmentName></edXML:Reference>"
        for number, (name, _) in enumerate(facts.files)
    )
    header = (
        f"{_organ('From', facts.sender)}{to}"
        f"<edXML:DocumentId>{escape(facts.document_id)}</edXML:DocumentId>"
        f"<edXML:Code><edXML:CodeNumber>{escape(facts.number)}</edXML:CodeNumber>"
        f"<edXML:CodeNotation>{escape(facts.notation)}</edXML:CodeNotation></edXML:Code>"
        f"<edXML:PromulgationInfo><edXML:Place>Nơi ban hành</edXML:Place>"
        f"<edXML:PromulgationDate>{facts.date}</edXML:PromulgationDate></edXML:PromulgationInfo>"
        "<edXML:DocumentType><edXML:Type>18</edXML:Type><edXML:TypeName>Công văn</edXML:TypeName></edXML:DocumentType>"
        f"<edXML:Subject>{escape(facts.subject)}</edXML:Subject>"
        "<edXML:SignerInfo><edXML:FullName>Người ký (mẫu)</edXML:FullName></edXML:SignerInfo>"
        f"<edXML:OtherInfo><edXML:Priority>{facts.priority}</edXML:Priority></edXML:OtherInfo>"
    )
    trace = (
        f"<edXML:TraceHeader><edXML:OrganId>{facts.sender}</edXML:OrganId>"
        "<edXML:Timestamp>2026/03/02 08:30:00</edXML:Timestamp></edXML:TraceHeader>"
        f"<edXML:Bussiness><edXML:BussinessDocType>{facts.business}</edXML:BussinessDocType></edXML:Bussiness>"
    )
    envelope = (
        f'<edXML:edXMLEnvelope xmlns:edXML="{EDXML}"><edXML:edXMLHeader>'
        f"<edXML:MessageHeader>{header}</edXML:MessageHeader>"
        f"<edXML:TraceHeaderList>{trace}</edXML:TraceHeaderList></edXML:edXMLHeader>"
        f'<edXML:edXMLBody><edXML:edXMLManifest version="1.0">{references}</edXML:edXMLManifest></edXML:edXMLBody>'
        "</edXML:edXMLEnvelope>"
    )
    parts = [f'<?xml version="1.0" encoding="UTF-8"?>\n<edXML xmlns="{EDXML}">{envelope}'.encode()]
    if facts.files:
        parts.append(b"<AttachmentEncoded>")
        for number, (name, content) in enumerate(facts.files):
            parts += [
                f"<Attachment><ContentId>cid:{number}</ContentId><AttachmentName>{escape(name)}</AttachmentName>"
                "<ContentTransferEncoded>".encode(),
                base64.b64encode(content),
                b"</ContentTransferEncoded></Attachment>",
            ]
        parts.append(b"</AttachmentEncoded>")
    return b"".join([*parts, b"</edXML>\n"])


def status(
    facts: Facts,
    reporter: str,
    code: str,
    *,
    addressee: str | None = None,
    description: str = "",
    when: str = "",
) -> bytes:
    """Return an unsigned status of ``reporter`` about a document; it goes to the document's sender unless told."""
    about = f"<edXML:Description>{escape(description)}</edXML:Description>" if description else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<edXML xmlns="{EDXML}">'
        f'<edXML:edXMLEnvelope xmlns:edXML="{EDXML}"><edXML:edXMLHeader><edXML:MessageHeader>'
        f"{_organ('From', reporter)}<edXML:ResponseFor><edXML:OrganId>{addressee or facts.sender}</edXML:OrganId>"
        f"<edXML:Code>{escape(facts.code)}</edXML:Code>"
        f"<edXML:PromulgationDate>{facts.date}</edXML:PromulgationDate>"
        f"<edXML:DocumentId>{escape(facts.document_id)}</edXML:DocumentId></edXML:ResponseFor>"
        f"<edXML:StatusCode>{code}</edXML:StatusCode>{about}"
        f"<edXML:Timestamp>{when or '2026/03/02 09:00:00'}</edXML:Timestamp>"
        "</edXML:MessageHeader></edXML:edXMLHeader></edXML:edXMLEnvelope></edXML>\n"
    ).encode()


def _organ(name: str, code: str) -> str:
    return f"<edXML:{name}><edXML:OrganId>{code}</edXML:OrganId><edXML:OrganName>Cơ quan (mẫu)</edXML:OrganName></edXML:{name}>"


def read_facts(body: bytes) -> Facts:
    """Return what a received document says, as far as an answer to it needs it."""
    header = parsed(body).find(f"{_e('edXMLEnvelope')}/{_e('edXMLHeader')}/{_e('MessageHeader')}")

    def text(*path: str) -> str:
        return header.findtext("/".join(_e(name) for name in path)) or ""

    return Facts(
        sender=text("From", "OrganId"),
        recipients=tuple(to.findtext(_e("OrganId")) for to in header.findall(_e("To"))),
        document_id=text("DocumentId"),
        number=text("Code", "CodeNumber"),
        notation=text("Code", "CodeNotation"),
        date=text("PromulgationInfo", "PromulgationDate"),
        subject=text("Subject"),
    )


def read_status(body: bytes) -> tuple[str, str, str]:
    """Return reporter, status code and the DocumentId of the document meant."""
    header = parsed(body).find(f"{_e('edXMLEnvelope')}/{_e('edXMLHeader')}/{_e('MessageHeader')}")
    return (
        header.findtext(f"{_e('From')}/{_e('OrganId')}"),
        header.findtext(_e("StatusCode")),
        header.findtext(f"{_e('ResponseFor')}/{_e('DocumentId')}"),
    )


def _e(local: str) -> str:
    return f"{{{EDXML}}}{local}"


def _d(local: str) -> str:
    return f"{{{DSIG}}}{local}"


def parsed(body: bytes) -> Any:
    """Parse without DTD, entities and network."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True, strip_cdata=False
    )
    return etree.fromstring(body, parser)


# --- signing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Signer:
    """A private key and its certificates, leaf first."""

    key: PrivateKey
    chain: tuple[x509.Certificate, ...]

    @classmethod
    def load(cls, key: str | Path, cert: str | Path) -> Signer:
        loaded = load_pem_private_key(Path(key).read_bytes(), None)
        assert isinstance(loaded, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
        return cls(loaded, tuple(x509.load_pem_x509_certificates(Path(cert).read_bytes())))

    def value(self, data: bytes, algorithm: hashes.HashAlgorithm) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(data, padding.PKCS1v15(), algorithm)
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(algorithm)))
        size = (self.key.curve.key_size + 7) // 8
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


@dataclass(frozen=True)
class Recipe:
    """How to sign: the ``whole`` profile unless changed by who wants a wrong one."""

    method: str = ""  # by the key's kind
    digest: str = _XMLENC + "sha256"
    transforms: tuple[str, ...] = (ENVELOPED, EXC_C14N)
    uri: str = ""


WHOLE: Final = Recipe()


def signature(package: bytes, signer: Signer, recipe: Recipe = WHOLE) -> bytes:
    """Return the signature element over an unsigned package."""
    canonical = etree.tostring(
        parsed(package).getroottree(), method="c14n", exclusive=True, with_comments=False
    )
    method = recipe.method or _MORE + (
        "rsa-sha256" if isinstance(signer.key, rsa.RSAPrivateKey) else "ecdsa-sha256"
    )
    digester = hashlib.new({**DIGESTS, **_WEAK}[recipe.digest].name, canonical, usedforsecurity=False)
    transforms = "".join(f'<Transform Algorithm="{each}"></Transform>' for each in recipe.transforms)
    inside = (
        f'<CanonicalizationMethod Algorithm="{EXC_C14N}"></CanonicalizationMethod>'
        f'<SignatureMethod Algorithm="{method}"></SignatureMethod>'
        f'<Reference URI="{recipe.uri}"><Transforms>{transforms}</Transforms>'
        f'<DigestMethod Algorithm="{recipe.digest}"></DigestMethod>'
        f"<DigestValue>{base64.b64encode(digester.digest()).decode()}</DigestValue></Reference></SignedInfo>"
    )
    value = signer.value(f'<SignedInfo xmlns="{DSIG}">{inside}'.encode(), {**METHODS, **_WEAK}[method])
    certificates = "".join(
        f"<X509Certificate>{base64.b64encode(each.public_bytes(Encoding.DER)).decode()}</X509Certificate>"
        for each in signer.chain
    )
    return (
        f'<Signature xmlns="{DSIG}"><SignedInfo>{inside}'
        f"<SignatureValue>{base64.b64encode(value).decode()}</SignatureValue>"
        f"<KeyInfo><X509Data>{certificates}</X509Data></KeyInfo></Signature>"
    ).encode()


def spliced(package: bytes, element: bytes) -> bytes:
    """Return the package with an element as last child of ``edXMLHeader``; no other byte changes."""
    end = package.rindex(b"</", 0, package.rindex(b"edXMLHeader"))
    return package[:end] + element + package[end:]


def sign(package: bytes, signer: Signer, recipe: Recipe = WHOLE) -> bytes:
    """Return the signed package."""
    return spliced(package, signature(package, signer, recipe))


# --- verifying -------------------------------------------------------------------------------------------------------


def verified(
    body: bytes, parent: str, root_cert: x509.Certificate, at: datetime | None = None
) -> x509.Certificate:
    """Check the one enveloped signature of a body, which stands last in the element ``parent`` (path below the root).

    Returns the signer's certificate, chained to ``root_cert``. Raises ``DoesNotHoldError``.
    """
    root = parsed(body)
    found = list(root.iter(_d("Signature")))
    holder = root.find(parent) if parent else root
    if len(found) != 1 or holder is None or holder[-1] is not found[0]:
        raise DoesNotHoldError("not exactly one signature at its place")
    element = found[0]
    if [child.tag for child in element] != [_d("SignedInfo"), _d("SignatureValue"), _d("KeyInfo")]:
        raise DoesNotHoldError("the signature has other children than the profile's")
    info, value, key_info = element
    info_bytes = etree.tostring(info, method="c14n", exclusive=True, with_comments=False)
    if info.find(_d("CanonicalizationMethod")).get("Algorithm") != EXC_C14N:
        raise DoesNotHoldError("another canonicalisation")
    references = info.findall(_d("Reference"))
    if len(references) != 1 or references[0].get("URI") != "":
        raise DoesNotHoldError("not one reference to the whole document")
    reference = references[0]
    if [each.get("Algorithm") for each in reference.find(_d("Transforms"))] != [ENVELOPED, EXC_C14N]:
        raise DoesNotHoldError("other transforms")
    chain = [
        x509.load_der_x509_certificate(base64.b64decode(each.text))
        for each in key_info.iter(_d("X509Certificate"))
    ]
    _take_out(element)
    canonical = etree.tostring(root.getroottree(), method="c14n", exclusive=True, with_comments=False)
    digest = DIGESTS[reference.find(_d("DigestMethod")).get("Algorithm")]
    if hashlib.new(digest.name, canonical).digest() != base64.b64decode(
        reference.findtext(_d("DigestValue"))
    ):
        raise DoesNotHoldError("the digest differs")
    _check_value(
        chain[0], info_bytes, base64.b64decode(value.text), info.find(_d("SignatureMethod")).get("Algorithm")
    )
    _check_chain(chain, root_cert, at or datetime.now(UTC))
    return chain[0]


def _take_out(element: Any) -> None:
    """Remove an element, keep the text behind it."""
    before, parent = element.getprevious(), element.getparent()
    if element.tail:
        if before is not None:
            before.tail = (before.tail or "") + element.tail
        else:
            parent.text = (parent.text or "") + element.tail
    parent.remove(element)


def _check_value(leaf: x509.Certificate, data: bytes, value: bytes, method: str) -> None:
    key, algorithm = leaf.public_key(), METHODS[method]
    try:
        if isinstance(key, rsa.RSAPublicKey) and "#rsa-" in method:
            key.verify(value, data, padding.PKCS1v15(), algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and "#ecdsa-" in method:
            half = len(value) // 2
            pair = encode_dss_signature(
                int.from_bytes(value[:half], "big"), int.from_bytes(value[half:], "big")
            )
            key.verify(pair, data, ec.ECDSA(algorithm))
        else:
            raise DoesNotHoldError(f"{method} with a key of another kind")
    except InvalidSignature as error:
        raise DoesNotHoldError("the signature value does not hold") from error


def _check_chain(chain: Sequence[x509.Certificate], root: x509.Certificate, at: datetime) -> None:
    for certificate, issuer in zip(chain, [*chain[1:], root], strict=True):
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            raise DoesNotHoldError("a certificate is out of its time")
        if certificate is root or certificate == root:
            return
        try:
            certificate.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise DoesNotHoldError("the chain does not lead to the anchor") from error


# --- receipts --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One recipient of a receipt."""

    code: str
    resolved: str
    state: str
    outcome_code: str
    delivery_id: str
    at: str


@dataclass(frozen=True)
class Receipt:
    """A receipt as read; ``check_receipt`` says whether it is to be believed."""

    body: bytes
    kind: str
    result: str
    relay: str
    number: str
    at: str
    code: str
    transport_id: str
    sender: str
    type: str
    sha256: str
    document_id: str
    lines: tuple[Line, ...]
    errors: tuple[tuple[str, str, str], ...]  # code, owner, retryable
    texts: tuple[str, ...]
    correlation_id: str | None = None
    duplicate: bool = False
    queue: str = ""
    arrived: float = 0.0

    def line(self, code: str) -> Line:
        return next(line for line in self.lines if code in {line.code, line.resolved})


def read_receipt(body: bytes) -> Receipt:
    root = parsed(body)
    if root.tag != f"{{{RECEIPT}}}receipt":
        raise DoesNotHoldError("not a receipt")
    about = root.find(f"{{{RECEIPT}}}document")
    errors = root.findall(f"{{{RECEIPT}}}error")
    return Receipt(
        body=body,
        **{name: root.get(name) for name in ("kind", "result", "relay", "number", "at", "code")},
        transport_id=about.get("transport-id", ""),
        sender=about.get("sender", ""),
        type=about.get("type", ""),
        sha256=about.get("sha256", ""),
        document_id=about.get("document-id", ""),
        lines=tuple(
            Line(
                *(
                    line.get(name)
                    for name in ("code", "resolved", "state", "outcome-code", "delivery-id", "at")
                )
            )
            for line in root.findall(f"{{{RECEIPT}}}recipient")
        ),
        errors=tuple((each.get("code"), each.get("owner"), each.get("retryable")) for each in errors),
        texts=tuple(text.text for each in errors for text in each),
    )


def check_receipt(receipt: Receipt, root_cert: x509.Certificate) -> None:
    """Raise ``DoesNotHoldError`` unless the relay that the receipt names has signed it."""
    leaf = verified(receipt.body, "", root_cert)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if RELAY_URN + receipt.relay not in names.get_values_for_type(x509.UniformResourceIdentifier):
        raise DoesNotHoldError("the certificate is not that of the relay named")


def hint(receipt: Receipt, **hints: Any) -> Receipt:
    """Return the receipt with what stood outside of it."""
    return replace(receipt, **hints)
