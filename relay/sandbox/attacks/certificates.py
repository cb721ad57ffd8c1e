"""Certificate games: a chain that leads to the anchor and must not be believed, and what KeyInfo is made to say."""

# ruff: noqa: PLW0108 -- builders stand below what names them

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from relay.errors import Code
from relay.sandbox.attacks import der
from relay.sandbox.attacks.case import Family, Where
from relay.sandbox.attacks.forge import RECIPIENT, SENDER, Forge, b64, der_of, key_info
from relay.sandbox.attacks.papers import DAY, Authority, Signer, name_of, usage

CHAINS: Final = Family("certificates", "RFC 5280, section 6.1; Frankencerts, Brubaker and others (2014)")
REVOCATION: Final = Family("revocation", "RFC 5280, sections 5 and 6.3")
KEY_INFO: Final = Family("key information", "XML Signature 1.1, sections 4.5 and 8.1.3")

_BAD: Final = Code.BAD_CERTIFICATE
_UNKNOWN: Final = Code.UNKNOWN_CA
_OID: Final = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
_DEEP: Final = bytes.fromhex("300ca00a30088203782e79810105")  # permitted: the host x.y, to a depth of five
_STRANGE: Final = x509.UnrecognizedExtension(_OID, b"\x05\x00")


def _leaf(**how: Any) -> Callable[[Forge], bytes]:  # noqa: ANN401
    """A leaf under the true authority, wrong in itself."""
    return lambda forge: forge.sign(forge.unsigned(), forge.papers.signer(**how))


def _under(make: Callable[[Forge], Authority], **how: Any) -> Callable[[Forge], bytes]:  # noqa: ANN401
    """A good leaf under an authority that is none, or not for it."""
    return lambda forge: forge.sign(forge.unsigned(), forge.papers.signer(make(forge), **how))


def _agency_as_authority(forge: Forge) -> Authority:
    """The attack on basic constraints: an agency issues a certificate for another one with its own key."""
    agency = forge.papers.signer(code=RECIPIENT)
    return Authority(agency.key, x509.load_der_x509_certificate(agency.chain[0]), agency.chain)


def _false_root(forge: Forge) -> Authority:
    made = forge.papers.authority("", subject=forge.papers.root.certificate.subject, listed=False)
    return Authority(made.key, made.certificate, made.chain)


def _false_issuing(forge: Forge) -> Authority:
    """The name of the true issuing authority, under a root that has the true root's name."""
    return forge.papers.authority(
        "", _false_root(forge), subject=forge.issuing.certificate.subject, listed=False
    )


def _self_signed(forge: Forge) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = forge.papers.certificate(name_of(SENDER), key.public_key(), signing_key=key)
    return forge.sign(forge.unsigned(), forge.papers.enrolled(Signer(key, (der_of(leaf),)), SENDER))


def _long_way(forge: Forge) -> Authority:
    issuer = forge.papers.root
    for step in range(7):
        issuer = forge.papers.authority(f"Step {step}", issuer)
    return issuer


def _circle(forge: Forge) -> bytes:
    papers = forge.papers
    one = papers.authority("One", listed=False)
    two = papers.authority("Two", one, listed=False)
    again = papers.certificate(
        one.certificate.subject, one.key.public_key(), two, ca=True, signing_key=two.key
    )
    chain = (der_of(two.certificate), der_of(again), der_of(one.certificate))
    return forge.sign(forge.unsigned(), papers.signer(two, shown=chain))


def _all_issue_all(forge: Forge) -> bytes:
    """Authorities of one name and many keys, all under one another: the search for a path never ends."""
    papers = forge.papers
    subject = name_of("Maze")
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(7)]
    made = [
        papers.certificate(subject, key.public_key(), ca=True, signing_key=keys[(at + 1) % len(keys)])
        for at, key in enumerate(keys)
    ]
    maze = Authority(keys[0], made[0], ())
    return forge.sign(forge.unsigned(), papers.signer(maze, shown=[der_of(each) for each in made]))


def _rebuilt(change: Callable[[der.Value], der.Value]) -> Callable[[Forge], bytes]:
    def build(forge: Forge) -> bytes:
        good = forge.papers.signer(enrol=False)
        leaf = forge.papers.rebuilt(good.chain[0], change)
        signer = forge.papers.enrolled(Signer(good.key, (leaf, *good.chain[1:])), SENDER)
        return forge.sign(forge.unsigned(), signer)

    return build


def _twice_an_extension(inner: der.Value) -> der.Value:
    """The first extension (basic constraints) stands twice."""
    place = len(inner.content) - 1
    extensions = inner[place][0]
    assert not isinstance(extensions.content, bytes)
    doubled = der.Value(der.SEQUENCE, (*extensions.content, extensions.content[0]))
    return inner.but((place, 0), lambda _: doubled)


def _other_algorithm(forge: Forge) -> bytes:
    """Inner and outer signature algorithm differ."""
    good = forge.papers.signer(enrol=False)
    whole = der.read(good.chain[0])
    other = der.sequence(der.Value(6, bytes.fromhex("2a8648ce3d040303")))
    leaf = der.sequence(whole[0], other, whole[2]).octets()
    signer = forge.papers.enrolled(Signer(good.key, (leaf, *good.chain[1:])), SENDER)
    return forge.sign(forge.unsigned(), signer)


def _broken_signature(forge: Forge) -> bytes:
    """A leaf that the authority never signed: names right, value wrong."""
    return forge.sign(
        forge.unsigned(), forge.papers.signer(signing_key=ec.generate_private_key(ec.SECP256R1()))
    )


def _named(tree: x509.GeneralName, *, excluded: bool = False) -> Sequence[tuple[x509.ExtensionType, bool]]:
    permitted, out = (None, [tree]) if excluded else ([tree], None)
    return [(x509.NameConstraints(permitted, out), True)]


def _directory_name(common: str) -> x509.DirectoryName:
    return x509.DirectoryName(name_of(common))


def _intermediate(**how: Any) -> Callable[[Forge], Authority]:  # noqa: ANN401
    return lambda forge: forge.papers.authority("Intermediate", forge.papers.root, **how)


def _urn(name: str) -> Sequence[tuple[x509.ExtensionType, bool]]:
    return [(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name)]), False)]


def _uses(*oids: x509.ObjectIdentifier) -> Sequence[tuple[x509.ExtensionType, bool]]:
    return [(x509.ExtendedKeyUsage(oids), True)]


CHAINS.add("an agency's certificate as authority", _BAD, "path.check_authority", "an agency that issues itself whatever it wants", _under(_agency_as_authority), source="CVE-2002-0862; CVE-2021-3450")  # fmt: skip
CHAINS.add("the authority's own certificate signs a document", _BAD, "path.check_no_authority", "an authority that speaks for an agency", lambda forge: _authority_signs(forge), source="docs/protocol.md, Signing")  # fmt: skip
CHAINS.add("an authority below one of path length 0", _BAD, "path.check_path_length", "more authorities than were meant", _under(lambda forge: forge.papers.authority("Below", forge.issuing)), source="RFC 5280, section 4.2.1.9")  # fmt: skip
CHAINS.add("an authority without basic constraints", _BAD, "path.check_authority", "version 3 without the flag is no authority", _under(_intermediate(basic=False, ca=False, key_usage=usage(certs=True, lists=True))), source="CVE-2002-0862")  # fmt: skip
CHAINS.add("an authority that may not sign certificates", _BAD, "path.check_authority_usage", "a key for lists that issues certificates", _under(_intermediate(key_usage=usage(lists=True))), source="RFC 5280, section 4.2.1.3")  # fmt: skip
CHAINS.add("outside of the permitted names", _BAD, "constraints.check_names", "an authority of one body that issues for another", _under(_intermediate(extra=_named(_directory_name("H01")))), source="RFC 5280, section 4.2.1.10")  # fmt: skip
CHAINS.add("inside the excluded names", _BAD, "constraints.check_names", "an authority that issues what it was forbidden", _under(_intermediate(extra=_named(_directory_name(SENDER), excluded=True))), source="RFC 5280, section 4.2.1.10")  # fmt: skip
CHAINS.add("the name of the true authority, another key, the same root", _UNKNOWN, "path.issued_by", "readers that compare names", lambda forge: forge.sign(forge.unsigned(), forge.papers.signer(_false_issuing(forge), shown=forge.issuing.chain)), source="RFC 5280, section 6.1.3 (a)")  # fmt: skip
CHAINS.add("the names of the whole true chain, other keys", _UNKNOWN, "path.issued_by", "readers that compare names", _under(_false_issuing), source="CVE-2015-1793")  # fmt: skip
CHAINS.add("a certificate that nobody signed", _UNKNOWN, "path.issued_by", "readers that compare names", _broken_signature)  # fmt: skip
CHAINS.add("self-signed", _UNKNOWN, "path._Builder.paths", "anybody", _self_signed)
CHAINS.add("an authority that nobody knows", _UNKNOWN, "path._Builder.paths", "anybody", _under(lambda forge: forge.papers.authority("Stranger", listed=False)))  # fmt: skip
CHAINS.add("without the intermediate certificate", _UNKNOWN, "path._Builder.paths", "a chain that cannot be shown", lambda forge: forge.sign(forge.unsigned(), forge.papers.signer(shown=())))  # fmt: skip
CHAINS.add("a way that is too long", Code.UNKNOWN_CA, "path._Builder.paths", "time, and authorities without end", _under(_long_way), source="RFC 5280, section 6.1.1; RFC 4158, section 2.4")  # fmt: skip
CHAINS.add("a circle", _UNKNOWN, "path._Builder.paths", "a search without an end", _circle, source="RFC 4158, section 2.4.2")  # fmt: skip
CHAINS.add("a maze of authorities of one name", _UNKNOWN, "path._Builder.paths", "a search that takes an hour", _all_issue_all, source="RFC 4158, section 2.4.2; CVE-2023-0464")  # fmt: skip
CHAINS.add("a key for agreement alone", _BAD, "path.check_usage", "a key that was not issued to sign", _leaf(key_usage=usage(agree=True)), source="RFC 5280, section 4.2.1.3")  # fmt: skip
CHAINS.add("a key for time-stamps alone", _BAD, "path.check_no_other_work", "a key of a time-stamper", _leaf(extra=_uses(ExtendedKeyUsageOID.TIME_STAMPING)), source="RFC 3161, section 2.3")  # fmt: skip
CHAINS.add("a key for revocation answers alone", _BAD, "path.check_no_other_work", "a key of a responder", _leaf(extra=_uses(ExtendedKeyUsageOID.OCSP_SIGNING)), source="RFC 6960, section 4.2.2.2")  # fmt: skip
CHAINS.add("a critical extension that nobody knows", _BAD, "path.check_extensions", "a condition that is not understood", _leaf(extra=[(_STRANGE, True)]), source="RFC 5280, section 4.2")  # fmt: skip
CHAINS.add("the same in the authority", _BAD, "path.check_extensions", "a condition that is not understood", _under(_intermediate(extra=[(_STRANGE, True)])), source="RFC 5280, section 4.2")  # fmt: skip
CHAINS.add("an extension that stands twice", Code.BAD_CERTIFICATE, "path.check_extensions", "which of the two is read", _rebuilt(_twice_an_extension), source="RFC 5280, section 4.2")  # fmt: skip
CHAINS.add("two names for one algorithm", Code.UNKNOWN_CA, "path.issued_by", "which of the two is read", _other_algorithm, source="CVE-2014-8275; RFC 5280, section 4.1.1.2")  # fmt: skip
CHAINS.add("a certificate signed with SHA-224", _BAD, "path.check_hash", "less than 128 bits", _leaf(hash_algorithm=hashes.SHA224()), source="CVE-2004-2761 (the same with MD5)")  # fmt: skip
CHAINS.add("the relay's name in an agency's certificate", _BAD, "path.check_relay", "an agency that issues receipts", _leaf(extra=_urn("urn:truc:relay:truc-dev")), source="docs/protocol.md, What a receipt says")  # fmt: skip
CHAINS.add("the relay's name in capitals", _BAD, "path.check_relay", "readers that compare letter by letter", _leaf(extra=_urn("URN:TRUC:RELAY:truc-dev")), source="RFC 8141, section 3.1")  # fmt: skip
CHAINS.add("two relays' names in one certificate", _BAD, "certificate.relay_name", "which of the names is read", _leaf(extra=[(x509.SubjectAlternativeName([x509.UniformResourceIdentifier("urn:truc:relay:a"), x509.UniformResourceIdentifier("urn:truc:relay:b")]), False)]), source="docs/protocol.md, What a receipt says")  # fmt: skip
CHAINS.add("constrained names of a kind that is not understood", _BAD, "constraints.check_names", "a condition that is passed over", _under(_intermediate(extra=_named(x509.RegisteredID(_OID)) ), extra=[(x509.SubjectAlternativeName([x509.RegisteredID(_OID)]), False)]), source="RFC 5280, section 4.2.1.10")  # fmt: skip
CHAINS.add("an authority of the right name for mail alone", _BAD, "constraints.check_names", "an authority of one domain that issues for another", _under(_intermediate(extra=_named(x509.RFC822Name("other.example"))), extra=[(x509.SubjectAlternativeName([x509.RFC822Name("a@mau.example")]), False)]), source="RFC 5280, section 4.2.1.10")  # fmt: skip
CHAINS.add("a constraint with a depth", _BAD, "constraints._constraints", "a condition that is read in part", _under(_intermediate(extra=[(x509.UnrecognizedExtension(x509.NameConstraints.oid, _DEEP), True)])), source="RFC 5280, section 4.2.1.10 (minimum and maximum)")  # fmt: skip
CHAINS.add("a serial number of zero", _BAD, "certificate.read_certificate", "a certificate that no list can name", _rebuilt(lambda inner: inner.but((1,), lambda _: der.integer(0))), source="RFC 5280, section 4.1.2.2")  # fmt: skip
CHAINS.add("an expired authority", Code.CERTIFICATE_EXPIRED, "path.Path.at", "an authority that has ended", _under(_intermediate(begin=-20 * DAY, end=-DAY)), source="RFC 5280, section 6.1.3 (a) (2)")  # fmt: skip
CHAINS.add("an authority of tomorrow", Code.CERTIFICATE_NOT_YET_VALID, "path.Path.at", "an authority that has not begun", _under(_intermediate(begin=DAY)), source="RFC 5280, section 6.1.3 (a) (2)")  # fmt: skip


def _authority_signs(forge: Forge) -> bytes:
    """An authority whose key may sign documents too, by its own word."""
    made = forge.papers.authority(
        "Signing", forge.papers.root, key_usage=usage(sign=True, certs=True, lists=True)
    )
    return forge.sign(forge.unsigned(), forge.papers.enrolled(Signer(made.key, made.chain), SENDER))


# --- revocation


def _listed(
    make: Callable[[Forge, Authority], x509.CertificateRevocationList | None],
) -> Callable[[Forge], bytes]:
    """A good leaf under an authority of its own, whose list is made so."""

    def build(forge: Forge) -> bytes:
        authority = forge.papers.authority("Listed", forge.papers.root, listed=False)
        lists = make(forge, authority)
        if lists is not None:
            forge.papers.office.publish(lists)
        return forge.sign(forge.unsigned(), forge.papers.signer(authority))

    return build


def _revoked(forge: Forge) -> bytes:
    signer = forge.papers.signer()
    leaf = x509.load_der_x509_certificate(signer.chain[0])
    forge.papers.office.revoke(leaf, forge.now - timedelta(hours=1))
    return forge.sign(forge.unsigned(), signer)


def _revoked_authority(forge: Forge) -> bytes:
    authority = forge.papers.authority("Revoked", forge.papers.root)
    forge.papers.office.revoke(authority.certificate, forge.now - timedelta(hours=1))
    return forge.sign(forge.unsigned(), forge.papers.signer(authority))


_NO_LIST: Final = Code.REVOCATION_UNKNOWN
REVOCATION.add(
    "a revoked certificate", Code.CERTIFICATE_REVOKED, "crl.Listing.revoked", "a key that was lost", _revoked
)
REVOCATION.add("a revoked authority", Code.CERTIFICATE_REVOKED, "crl.Listing.revoked", "an authority whose key was lost", _revoked_authority)  # fmt: skip
REVOCATION.add("no list of the issuer", _NO_LIST, "crl.list_signed_by", "an issuer that says nothing", _listed(lambda _forge, _authority: None))  # fmt: skip
REVOCATION.add("a list out of date", _NO_LIST, "crl.Listing.usable", "an old list played again", _listed(lambda forge, authority: forge.papers.revocations(authority, made=-30 * DAY, until=-20 * DAY)), where=Where.INSIDE)  # fmt: skip
REVOCATION.add("a list with the issuer's name by another key", _NO_LIST, "crl.list_signed_by", "a list that the attacker wrote", _listed(lambda forge, authority: forge.papers.revocations(authority, key=ec.generate_private_key(ec.SECP256R1()))), where=Where.INSIDE)  # fmt: skip
REVOCATION.add("a list of an agency", _NO_LIST, "crl.list_signed_by", "an agency that clears itself", _listed(lambda forge, _authority: forge.papers.revocations(_agency_as_authority(forge))), where=Where.INSIDE)  # fmt: skip


# --- KeyInfo


def _info(inner: Callable[[Forge], str]) -> Callable[[Forge], bytes]:
    return lambda forge: forge.with_recipe(key_info=f"<KeyInfo>{inner(forge)}</KeyInfo>")


def _data(forge: Forge) -> str:
    return key_info(forge.signer().chain)[len("<KeyInfo>") : -len("</KeyInfo>")]


def _key_value(forge: Forge) -> str:
    numbers = forge.rsa().key.public_key().public_numbers()
    modulus, exponent = (
        b64(each.to_bytes((each.bit_length() + 7) // 8, "big")) for each in (numbers.n, numbers.e)
    )
    return f"<KeyValue><RSAKeyValue><Modulus>{modulus}</Modulus><Exponent>{exponent}</Exponent></RSAKeyValue></KeyValue>"


_INFO: Final = Code.KEYINFO_MALFORMED
KEY_INFO.add("a bare key", _INFO, "signature.check_key_info", "a key that nobody vouches for", _info(_key_value), source="On Breaking SAML, section 3")  # fmt: skip
KEY_INFO.add("a bare key beside the certificates", _INFO, "signature.check_key_info", "which key the engine takes", _info(lambda forge: _key_value(forge) + _data(forge)))  # fmt: skip
KEY_INFO.add("a RetrievalMethod", _INFO, "signature.check_key_info", "the relay fetches what the attacker names (SSRF)", _info(lambda _forge: '<RetrievalMethod URI="http://127.0.0.1:9/x"></RetrievalMethod>'), source="CVE-2021-40690")  # fmt: skip
KEY_INFO.add("a RetrievalMethod with XSLT", _INFO, "signature.check_key_info", "code inside KeyInfo, run before anything is verified", _info(lambda forge: _data(forge) + '<RetrievalMethod URI="#x"><Transforms><Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"></Transform></Transforms></RetrievalMethod>'), source="CVE-2007-3716")  # fmt: skip
KEY_INFO.add("a key name", _INFO, "signature.check_key_info", "a key looked up by what the attacker says", _info(lambda _forge: f"<KeyName>{SENDER}</KeyName>"))  # fmt: skip
KEY_INFO.add("names of a certificate alone", _INFO, "signature.check_x509_data", "a certificate looked up by what the attacker says", _info(lambda _forge: f"<X509Data><X509SubjectName>CN={SENDER}</X509SubjectName></X509Data>"))  # fmt: skip
KEY_INFO.add("a revocation list of the attacker's", _INFO, "signature.check_x509_data", "a list that is believed because it came along", _info(lambda forge: _data(forge).replace("</X509Data>", f"<X509CRL>{b64(forge.issuing.chain[0])}</X509CRL></X509Data>")))  # fmt: skip
KEY_INFO.add("a certificate of twenty kilobytes", _INFO, "signature.check_base64_length", "memory and time", lambda forge: forge.sign(forge.unsigned(), forge.papers.signer(extra=[(x509.UnrecognizedExtension(_OID, bytes(20_000)), False)])), source="CWE-400")  # fmt: skip
KEY_INFO.add(
    "two X509Data",
    _INFO,
    "signature.check_key_info",
    "which of them is verified",
    _info(lambda forge: _data(forge) * 2),
)
KEY_INFO.add("no KeyInfo", Code.SIGNATURE_MALFORMED, "signature.check_children", "a key that the reader has to guess", lambda forge: forge.with_recipe(key_info=""))  # fmt: skip
KEY_INFO.add("an empty X509Data", _INFO, "signature.check_x509_data", "a key that the reader has to guess", _info(lambda _forge: "<X509Data></X509Data>"))  # fmt: skip
KEY_INFO.add("hundreds of certificates", _INFO, "signature.check_x509_data", "memory and time", _info(lambda forge: _data(forge).replace("</X509Data>", _data(forge)[10:-11] * 100 + "</X509Data>")), source="CVE-2023-0464")  # fmt: skip
KEY_INFO.add("the authority first, the leaf second", Code.SIGNATURE_INVALID, "verifier.check_value", "which certificate names the signer", lambda forge: forge.with_recipe(key_info=key_info(tuple(reversed(forge.signer().chain)))), source="docs/protocol.md, Signing")  # fmt: skip
KEY_INFO.add("a certificate that is none", _INFO, "certificate.read_certificate", "readers of bytes", _info(lambda _forge: "<X509Data><X509Certificate>MAA=</X509Certificate></X509Data>"))  # fmt: skip
KEY_INFO.add("a key agreement from the older encryption", _INFO, "signature.check_key_info", "decryption asked of the relay", _info(lambda forge: _data(forge) + '<EncryptedKey xmlns="http://www.w3.org/2001/04/xmlenc#"></EncryptedKey>'), source="Jager and Somorovsky, How to Break XML Encryption (2011)")  # fmt: skip
