"""Packages of edXML: built, signed and verified with lxml and cryptography alone, by docs/protocol.md."""

import hashlib
import re
from base64 import b64decode, b64encode

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

EDXML = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
DSIG = "http://www.w3.org/2000/09/xmldsig#"
EXCLUSIVE = "http://www.w3.org/2001/10/xml-exc-c14n#"
ENVELOPED = DSIG + "enveloped-signature"
ENC = "http://www.w3.org/2001/04/xmlenc#"
MORE = "http://www.w3.org/2001/04/xmldsig-more#"
NS = {"e": EDXML, "d": DSIG, "r": "urn:truc:receipt:1"}
HEADER = "e:edXMLEnvelope/e:edXMLHeader"  # where a package holds its signature; a receipt's stands in its root: "."

# Already in canonical form, so that these very characters are what is signed.
SIGNED_INFO = (
    f'<SignedInfo xmlns="{DSIG}">'
    f'<CanonicalizationMethod Algorithm="{EXCLUSIVE}"></CanonicalizationMethod>'
    f'<SignatureMethod Algorithm="{MORE}%s-sha256"></SignatureMethod>'
    f'<Reference URI=""><Transforms><Transform Algorithm="{ENVELOPED}"></Transform>'
    f'<Transform Algorithm="{EXCLUSIVE}"></Transform></Transforms>'
    f'<DigestMethod Algorithm="{ENC}sha256"></DigestMethod><DigestValue>%s</DigestValue></Reference></SignedInfo>'
)


def canonical(element):
    return etree.tostring(element, method="c14n", exclusive=True, with_comments=False)


def signed(message, key, chain):
    """Return the package around the content of a MessageHeader; ``chain`` is the signer's certificates, leaf first."""
    root = etree.fromstring(
        f'<edXML xmlns="{EDXML}"><edXMLEnvelope><edXMLHeader><MessageHeader>{message}</MessageHeader>'
        "</edXMLHeader></edXMLEnvelope></edXML>"
    )
    digest = b64encode(hashlib.sha256(canonical(root)).digest()).decode()
    if isinstance(key, rsa.RSAPrivateKey):
        info = SIGNED_INFO % ("rsa", digest)
        value = key.sign(info.encode(), padding.PKCS1v15(), hashes.SHA256())
    else:
        info = SIGNED_INFO % ("ecdsa", digest)
        pair = utils.decode_dss_signature(key.sign(info.encode(), ec.ECDSA(hashes.SHA256())))
        value = b"".join(
            number.to_bytes((key.key_size + 7) // 8, "big") for number in pair
        )  # r and s, not DER
    certificates = "".join(
        f"<X509Certificate>{b64encode(each.public_bytes(Encoding.DER)).decode()}</X509Certificate>"
        for each in chain
    )
    signature = (
        f'<Signature xmlns="{DSIG}">{info}<SignatureValue>{b64encode(value).decode()}</SignatureValue>'
        f"<KeyInfo><X509Data>{certificates}</X509Data></KeyInfo></Signature>"
    )
    root.find(HEADER, NS).append(etree.fromstring(signature))
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def verified(body, place, anchor, at):
    """Return the root of what was signed, and the signer's certificate. Raises whatever stands against it."""
    root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))
    need(not root.getroottree().docinfo.doctype, "a document type")
    found = root.xpath("//d:Signature", namespaces=NS)
    parent = root.find(place, NS)
    need(len(found) == 1 and parent is not None and parent[-1] is found[0], "not one signature at its place")
    (info, value, key_info), before = found[0], found[0].getprevious()
    canonicalization, method, reference = info
    transforms = [each.get("Algorithm") for each in reference[0]]
    need(canonicalization.get("Algorithm") == EXCLUSIVE and reference.get("URI") == "", "another profile")
    need(transforms == [ENVELOPED, EXCLUSIVE], "other transforms")
    chain = [x509.load_der_x509_certificate(b64decode(each.text)) for each in key_info[0]]
    signed_bytes = canonical(info)

    # The document without its signature; lxml would take the text behind an element away with it.
    before.tail = (before.tail or "") + (found[0].tail or "")
    parent.remove(found[0])
    digest = re.fullmatch(f"(?:{ENC}|{MORE})(sha256|sha384|sha512)", reference[1].get("Algorithm"))[1]
    need(hashlib.new(digest, canonical(root)).digest() == b64decode(reference[2].text), "another content")
    _check_value(chain[0].public_key(), signed_bytes, b64decode(value.text), method.get("Algorithm"))
    _check_chain(chain, anchor, at)
    return root, chain[0]


def _check_value(key, data, value, method):
    kind, bits = re.fullmatch(f"{MORE}(rsa|ecdsa)-sha(256|384|512)", method).groups()
    algorithm = getattr(hashes, f"SHA{bits}")()
    if kind == "rsa":
        key.verify(value, data, padding.PKCS1v15(), algorithm)
    else:
        half = len(value) // 2
        r, s = (int.from_bytes(part, "big") for part in (value[:half], value[half:]))
        key.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(algorithm))


def _check_chain(chain, anchor, at):
    for each, issuer in zip(chain, [*chain[1:], anchor], strict=True):
        each.verify_directly_issued_by(issuer)
        need(
            issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca,
            "issued by no authority",
        )
        need(each.not_valid_before_utc <= at <= each.not_valid_after_utc, "a certificate is out of its time")


def need(condition, otherwise):
    if not condition:
        raise ValueError(otherwise)
