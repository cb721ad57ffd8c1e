"""Checks behind which another stands, and why. Each entry is held: what is no longer so fails a test."""

from __future__ import annotations

from typing import Final

SAME_CODE: Final = {
    # switched off, nothing changes: another check refuses the same bytes by the same code
    "parse.check_size": "the worker refuses both before it verifies (accept); here it is for files and gateways",
    "parse.check_byte_order": "UTF-16 and UTF-32 are no UTF-8 and declare another encoding: check_letters and "
    "check_declaration refuse them; this one says so first, whatever comes behind",
    "parse._behind_declaration": "libxml2 refuses a declaration without an end as well",
    "parse.check_prolog: a comment or processing instruction has no end": "so does libxml2",
    "signature.check_one_structure": "cryptography refuses bytes behind a certificate as well; this one does not hang on "
    "its version",
    "payload.pieces: its length is none": "the decoder refuses it as well; this one does not hang on its version",
    "cut.around: at < 0": "a sign that is not there leaves another digest",
    "verifier.DocumentVerifier._check_plain": "what is hashed as it stands reads as it was signed; without the check good "
    "documents would be refused",
    "verifier.DocumentVerifier._of_tree: next(signed.iter(*place.opaque), None) is not None": "a payload inside the "
    "envelope is hashed with it, not its sign: without the check good documents would be refused",
    "verifier._attached: without is not None": "read again whole, it is refused by the same code",
    "ocsp._told: Outcome.UNREADABLE (2)": "the syntax has no answer that says revoked and not when",
    "ocsp._vouched: not listings": "without a list there is no latest one: fails closed",
    "path.check_purposes": "asked for by settings alone (trust.key_purposes); its own tests are in tests/unit/trust",
    "fields.required": "Parts.need is the way of the relay; this one is the gateways'",
    "fields.text_in": "text_of is the way of the relay; this one is the gateways'",
    "format.EdxmlFormat.read: the root is not edXML": "the parser was told the root (parse.check_root)",
    "format._recipients": "the route of a document without recipients is refused by the same code",
    "format._status: MessageHeader has no StatusCode": "its code is asked for once more; this one tells a document from a "
    "status that says nothing",
    "verify._speaker_fault: Code.SENDER_SUSPENDED": "the route asks the directory once more who may send to whom",
}

SECOND: Final = {
    # switched off, the code is another one, and nothing gets through
    "parse.check_letters (whole)": "libxml2 refuses what is no UTF-8 too (NOT-XML)",
    "parse.check_root": "the path to the signature begins at the root, and the format asks for it once more",
    "signature.check_signed": "without a signature there is nothing to read: fails closed as a surprise",
    "signature.check_one_reference": "check_children takes exactly one Reference",
    "signature.signature_algorithm: signature method": "without an algorithm nothing can be computed: fails closed",
    "signature.digest_algorithm: digest method": "without an algorithm nothing can be computed: fails closed",
    "signature.check_digest_size": "a digest of another length differs",
    "signature.check_base64_spelling: is empty": "an empty value does not hold",
    "signature.check_bare: a comment in": "most elements may hold named children alone, and a comment is none",
    "signature.check_place: elements": "what the second header says is signed along or breaks the digest; the format takes "
    "one header",
    "parse.parse: the parser gave up": "tells a limit of the parser from text that is no XML",
    "parse.check_prolog: markup that is no element": "taken for a document type, and refused as one",
    "parse.check_prolog: the document declares entities": "tells entities from a bare document type",
    "parse.check_instructions": "the signed view knows none inside its root: fails closed as a surprise",
    "manifest.check_one_list": "lines of another list do not pair with the attachments",
    "manifest.check_line: a line describes its attachment twice": "the attachment cannot equal both",
    "manifest.check_line_digest": "a digest of another length differs",
    "manifest.check_lines": "two lines of one name do not pair one to one",
    "manifest.check_attachment: elements where": "markup is no base64",
    "certificate._key: RSA of … bits, at most": "a matter of time: the value is checked, slowly",
    "path.check_relay: not a relay's certificate": "the relay that the receipt names is compared as well",
    "ocsp._told: Outcome.EXPIRED": "without an end there is nothing to compare with: fails closed as a surprise",
    "codes.normal_form: an identifier code has": "no agency has so long a code",
    "fields.Parts.need": "what is not there cannot be read: fails closed as a surprise",
    "fields.organ_code: OrganId holds elements": "what is inside is looked at as well",
    "format._document: a package with a StatusCode": "a status has no To",
    "format._status: a package without a StatusCode": "it has no StatusCode",
    "accept.accept: published without user_id": "nobody speaks for an agency without being somebody",
    "accept.transport_id_fault: Code.MISSING_TRANSPORT_ID": "an empty id is no UUID",
    "verify._speaker_fault: Code.UNKNOWN_SENDER": "an agency that nobody knows has no certificate",
}


def reason(table: dict[str, str], name: str) -> str | None:
    """Return why a mutant stands in a table, by the longest beginning of its name."""
    found = [key for key in table if name.startswith(key)]
    return table[max(found, key=len)] if found else None
