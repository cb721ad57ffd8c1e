"""The forger's workshop: an authority, keys of agencies, a clock and a good document; and every liberty with them.

In: the folder of a development CA (keys included, as only a sandbox has them) and what signs for the agencies. Out:
bytes. Nothing is kept: keys and signed files are made at run time.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from adapters.edxml.facts import AttachedFile, DocumentFields, Organ, StatusFields
from adapters.edxml.writer import document_package, status_package
from relay.model.verdict import EXC_C14N, XMLDSIG
from relay.sandbox.attacks.canonical import canonical
from relay.sandbox.attacks.papers import Authority, Papers, Signer

SENDER: Final = "H97"
RECIPIENT: Final = "H98"
THIRD: Final = "H98.01"
SUSPENDED: Final = "H97.01"
"""Known to the inner world alone: an agency that may not send."""
AGENCIES: Final = (SENDER, RECIPIENT, THIRD)
"""Codes of the agencies that the attacks play with; no other's mail is touched."""

DS: Final = XMLDSIG
MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
ENC: Final = "http://www.w3.org/2001/04/xmlenc#"
EXC: Final = EXC_C14N
ENVELOPED: Final = DS + "enveloped-signature"
EDXML: Final = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
T_ENVELOPED: Final = f'<Transform Algorithm="{ENVELOPED}"></Transform>'
T_EXC: Final = f'<Transform Algorithm="{EXC}"></Transform>'
SUBJECT: Final = "Về việc phối hợp rà soát thủ tục hành chính"

_HASHES: Final[dict[str, Any]] = {
    "md5": hashes.MD5(),  # noqa: S303 -- what must be refused has to be made
    "sha1": hashes.SHA1(),  # noqa: S303
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_DIGEST_URIS: Final = {
    "md5": MORE + "md5",
    "sha1": DS + "sha1",
    "sha224": MORE + "sha224",
    "sha256": ENC + "sha256",
    "sha384": MORE + "sha384",
    "sha512": ENC + "sha512",
}


def rsa_value(key: Any, octets: bytes, name: str) -> bytes:  # noqa: ANN401
    """Sign by RSA PKCS#1 v1.5."""
    return bytes(key.sign(octets, padding.PKCS1v15(), _HASHES[name]))


def ecdsa_value(key: Any, octets: bytes, name: str) -> bytes:  # noqa: ANN401
    """Sign by ECDSA, r and s side by side (RFC 4050, section 3.3)."""
    size = (key.curve.key_size + 7) // 8
    r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(_HASHES[name])))
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def value_of(key: Any, octets: bytes, name: str) -> bytes:  # noqa: ANN401
    """Sign by whatever the key is for."""
    if isinstance(key, rsa.RSAPrivateKey):
        return rsa_value(key, octets, name)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(octets)
    return ecdsa_value(key, octets, name)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to sign. Pieces of XML stand in the signature as they are given; everything else is true and holds."""

    digest: str = "sha256"
    hash: str = "sha256"
    method: str = ""  # URI; by default the one that fits key and hash
    method_inside: str = ""
    digest_uri: str = ""
    c14n: str = f'<CanonicalizationMethod Algorithm="{EXC}"></CanonicalizationMethod>'
    reference: str = ' URI=""'  # attributes of Reference
    transforms: str = f"<Transforms>{T_ENVELOPED}{T_EXC}</Transforms>"
    more_references: str = ""
    no_reference: bool = False
    more_info: str = ""  # in front of Reference
    info_attributes: str = ""  # of SignedInfo
    key_info: str | None = None
    more_children: str = ""  # behind KeyInfo
    attributes: str = ""  # of Signature
    prefix: str = ""  # for the namespace of signatures
    content: bytes | None = None  # what the digest is over; by default the canonical form of the document
    value: Callable[[Any, bytes, str], bytes] = value_of
    digest_text: Callable[[str], str] = str
    value_text: Callable[[str], str] = str


def b64(octets: bytes) -> str:
    """Return base64."""
    return base64.b64encode(octets).decode()


def key_info(chain: Sequence[bytes]) -> str:
    """Return the KeyInfo of the profile."""
    inner = "".join(f"<X509Certificate>{b64(each)}</X509Certificate>" for each in chain)
    return f"<KeyInfo><X509Data>{inner}</X509Data></KeyInfo>"


def signature(content: bytes, signer: Signer, recipe: Recipe) -> bytes:
    """Return the signature element over some octets."""
    digest = recipe.digest_text(b64(hashlib.new(recipe.digest, content, usedforsecurity=False).digest()))
    kind = "rsa" if isinstance(signer.key, rsa.RSAPrivateKey) else "ecdsa"
    method = recipe.method or (f"{DS}rsa-sha1" if recipe.hash == "sha1" else f"{MORE}{kind}-{recipe.hash}")
    reference = (
        f"<Reference{recipe.reference}>{recipe.transforms}"
        f'<DigestMethod Algorithm="{recipe.digest_uri or _DIGEST_URIS[recipe.digest]}"></DigestMethod>'
        f"<DigestValue>{digest}</DigestValue></Reference>"
    )
    info = (
        f'<SignedInfo{recipe.info_attributes}>{recipe.c14n}<SignatureMethod Algorithm="{method}">{recipe.method_inside}</SignatureMethod>'
        f"{recipe.more_info}{'' if recipe.no_reference else reference}{recipe.more_references}</SignedInfo>"
    )
    shown = key_info(signer.chain) if recipe.key_info is None else recipe.key_info
    whole = (
        f'<Signature xmlns="{DS}"{recipe.attributes}>{info}<SignatureValue>@@</SignatureValue>'
        f"{shown}{recipe.more_children}</Signature>"
    )
    alone = info.replace("<SignedInfo", f'<SignedInfo xmlns="{DS}"', 1)
    if recipe.prefix:
        whole, alone = _prefixed(whole, recipe.prefix), _prefixed(alone, recipe.prefix)
    value = recipe.value(signer.key, canonical(alone.encode()), recipe.hash)
    return whole.replace("@@", recipe.value_text(b64(value)), 1).encode()


def _prefixed(xml: str, prefix: str) -> str:
    marked = xml.replace("</", "\0").replace("<", f"<{prefix}:").replace("\0", f"</{prefix}:")
    return marked.replace("xmlns=", f"xmlns:{prefix}=", 1)


HEADER_END: Final = b"</edXML:edXMLHeader>"


def replaced(body: bytes, old: str | bytes, new: str | bytes, count: int = 1) -> bytes:
    """Return the bytes with the first occurrence of a piece replaced, which must be there."""
    was, becomes = (each.encode() if isinstance(each, str) else each for each in (old, new))
    if was not in body:
        raise ValueError(f"{was!r} is not in the document")
    return body.replace(was, becomes, count)


def inserted(body: bytes, before: str | bytes, piece: str | bytes) -> bytes:
    """Return the bytes with a piece in front of the first occurrence of another."""
    mark, new = (each.encode() if isinstance(each, str) else each for each in (before, piece))
    return replaced(body, mark, new + mark)


def between(body: bytes, start: bytes, end: bytes) -> bytes:
    """Return the first stretch from ``start`` to ``end``, both included."""
    at = body.index(start)
    return body[at : body.index(end, at) + len(end)]


def spliced(body: bytes, element: bytes, before: bytes = HEADER_END) -> bytes:
    """Return the package with an element as last child of its (last) header."""
    at = body.rindex(before)
    return body[:at] + element + body[at:]


def signature_of(body: bytes) -> bytes:
    """Return the (first) signature element of a package."""
    return between(body, b"<Signature ", b"</Signature>")


@dataclass(frozen=True, slots=True)
class Letter:
    """What a document says, as far as attacks vary it."""

    sender: str = SENDER
    to: tuple[str, ...] = (RECIPIENT,)
    subject: str = SUBJECT
    document_id: str = field(default_factory=lambda: f"{SENDER},2026/03/02,{uuid.uuid4()}")
    files: tuple[tuple[str, bytes], ...] = (("Công văn.txt", "Kính gửi: các cơ quan".encode()),)
    priority: int = 0


class Forge:
    """Builds documents, signatures and certificates, right or wrong.

    Args:
        papers: the certificate office.
        keys: by agency code, what signs in its name.
        now: the time of the attack, aware.
    """

    def __init__(self, papers: Papers, keys: dict[str, Signer], now: datetime) -> None:
        self.papers = papers
        self.now = now
        self._keys = keys
        self.rsa = cache(self._rsa)

    def signer(self, code: str = SENDER) -> Signer:
        """Return what signs in an agency's name, certificate and all."""
        return self._keys[code]

    def _rsa(self) -> Signer:
        """An RSA key of the sender's own, in the directory where the forge may write one."""
        key = rsa.generate_private_key(65537, 2048)
        return self.papers.signer(key=key)

    @property
    def issuing(self) -> Authority:
        """The authority under which agencies have their certificates."""
        return self.papers.issuing

    # --- packages

    def unsigned(self, letter: Letter | None = None, **changes: Any) -> bytes:  # noqa: ANN401
        """Return an unsigned document."""
        facts = replace(letter or Letter(), **changes)
        fields = DocumentFields(
            sender=Organ(facts.sender, name="Cơ quan gửi (mẫu)"),
            recipients=tuple(Organ(code, name="Cơ quan nhận (mẫu)") for code in facts.to),
            document_id=facts.document_id,
            number="215",
            notation="UBND-VX",
            place="Nơi ban hành",
            promulgated_on=date(2026, 3, 2),
            type_number=18,
            type_name="Công văn",
            subject=facts.subject,
            signer_name="Người ký (mẫu)",
            traced_at=datetime(2026, 3, 2, 1, 30, tzinfo=UTC),
            priority=facts.priority,
            attachments=tuple(AttachedFile(name, content, "text/plain") for name, content in facts.files),
        )
        return document_package(fields, checked=False)

    def status(
        self,
        letter: Letter,
        code: str,
        reporter: str,
        addressee: str | None = None,
        description: str = "",
    ) -> bytes:
        """Return an unsigned status about a document; it goes to the document's sender unless told."""
        fields = StatusFields(
            reporter=Organ(reporter, name="Cơ quan báo (mẫu)"),
            addressee=addressee or letter.sender,
            document_id=letter.document_id,
            number="215/UBND-VX",
            promulgation_date="2026/03/02",
            status_code=code,
            reported_at=datetime(2026, 3, 2, 2, 0, tzinfo=UTC),
            description=description,
        )
        return status_package(fields, checked=False)

    def sign(
        self,
        unsigned: bytes,
        signer: Signer | None = None,
        recipe: Recipe | None = None,
        **changes: Any,  # noqa: ANN401
    ) -> bytes:
        """Return the package signed with the signature as last child of its header."""
        return spliced(unsigned, self.seal(unsigned, signer, recipe, **changes))

    def seal(
        self,
        unsigned: bytes,
        signer: Signer | None = None,
        recipe: Recipe | None = None,
        **changes: Any,  # noqa: ANN401
    ) -> bytes:
        """Return the signature element over a package."""
        chosen = replace(recipe or Recipe(), **changes)
        content = canonical(unsigned) if chosen.content is None else chosen.content
        return signature(content, signer or self.signer(), chosen)

    def good(self, letter: Letter | None = None, **changes: Any) -> bytes:  # noqa: ANN401
        """Return a document that nothing is wrong with."""
        return self.sign(self.unsigned(letter, **changes), self.signer((letter or Letter()).sender))

    def with_recipe(self, **changes: Any) -> bytes:  # noqa: ANN401
        """Return a good document signed in another way."""
        return self.sign(self.unsigned(), None, None, **changes)

    def edited(self, old: str | bytes, new: str | bytes, signer: Signer | None = None) -> bytes:
        """Return a document that was changed first and signed then: the forger is the sender."""
        return self.sign(replaced(self.unsigned(), old, new), signer)

    def with_insert(self, before: str | bytes, piece: str | bytes) -> bytes:
        """Return a document into which something was put before it was signed."""
        return self.sign(inserted(self.unsigned(), before, piece))


def der_of(certificate: x509.Certificate) -> bytes:
    """Return a certificate's DER."""
    return certificate.public_bytes(Encoding.DER)
