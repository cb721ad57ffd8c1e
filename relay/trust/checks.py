"""Every check of the verifier by name, with the codes that it may give: the map of the room, and what tests switch off.

A check is a function of this room that returns nothing, or raises ``RefusedError`` with one of its codes. It is called
through its module, so replacing it there by a function that does nothing takes exactly this check away; no other check
may lean on it for its safety. A *lookup* returns what it finds in a table of ``relay.trust.names`` and refuses the rest:
it is weakened by a larger table. What the parser of libxml2 refuses by itself (NOT-XML) is no check of ours.

The order is the order in which a document meets them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from relay.errors import Code


@dataclass(frozen=True, slots=True)
class Check:
    """One check: ``module.function`` inside ``relay.trust``, and the codes by which it refuses."""

    name: str
    codes: frozenset[Code]
    lookup: str = ""
    """For a lookup: the table in ``relay.trust.names``."""

    @property
    def module(self) -> str:
        """Full name of its module."""
        return f"relay.trust.{self.name.partition('.')[0]}"

    @property
    def function(self) -> str:
        """Name of its function in that module."""
        return self.name.partition(".")[2]


def _check(name: str, *codes: Code, lookup: str = "") -> Check:
    return Check(name, frozenset(codes), lookup)


CHECKS: Final = (
    # the raw bytes
    _check("parse.check_size", Code.EMPTY_BODY, Code.TOO_LARGE),
    _check("parse.check_byte_order", Code.NOT_UTF8),
    _check("parse.check_declaration", Code.NOT_UTF8, Code.NOT_XML),
    _check("parse.check_letters", Code.NOT_UTF8),
    _check("parse.check_prolog", Code.DTD_FORBIDDEN, Code.ENTITY_FORBIDDEN, Code.NOT_XML),
    _check("parse.check_markup", Code.TOO_COMPLEX),
    _check("parse.check_equals", Code.TOO_COMPLEX),
    # the tree
    _check("parse.check_root", Code.WRONG_ROOT),
    _check("parse.check_elements", Code.TOO_COMPLEX),
    _check("parse.check_depth", Code.TOO_DEEP),
    _check("parse.check_attributes", Code.TOO_COMPLEX),
    _check("parse.check_instructions", Code.PI_FORBIDDEN),
    _check("parse.check_comments", Code.COMMENT_IN_TEXT),
    _check("parse.check_texts", Code.TOO_COMPLEX),
    # where the signature stands
    _check("signature.check_signed", Code.UNSIGNED),
    _check("signature.check_one_signature", Code.MANY_SIGNATURES),
    _check("signature.check_place", Code.SIGNATURE_MISPLACED),
    _check("cdata.check_no_section", Code.SIGNATURE_MALFORMED),
    # what it consists of
    _check("signature.check_bare", Code.SIGNATURE_MALFORMED, Code.KEYINFO_MALFORMED),
    _check("signature.check_children", Code.SIGNATURE_MALFORMED),
    _check("signature.check_one_reference", Code.FOREIGN_REFERENCE),
    _check("signature.check_canonicalization", Code.FOREIGN_TRANSFORM),
    _check("signature.check_no_parameters", Code.SIGNATURE_MALFORMED),
    _check("signature.signature_algorithm", Code.WEAK_ALGORITHM, lookup="SIGNATURES"),
    _check("signature.check_uri", Code.FOREIGN_REFERENCE),
    _check("signature.check_transforms", Code.FOREIGN_TRANSFORM, Code.SIGNATURE_MALFORMED),
    _check("signature.digest_algorithm", Code.WEAK_ALGORITHM, lookup="DIGESTS"),
    _check("signature.check_digest_size", Code.SIGNATURE_MALFORMED),
    _check("signature.check_base64_holder", Code.SIGNATURE_MALFORMED, Code.KEYINFO_MALFORMED),
    _check("signature.check_base64_length", Code.SIGNATURE_MALFORMED, Code.KEYINFO_MALFORMED),
    _check("signature.check_base64_spelling", Code.SIGNATURE_MALFORMED, Code.KEYINFO_MALFORMED),
    # its key
    _check("signature.check_key_info", Code.KEYINFO_MALFORMED),
    _check("signature.check_x509_data", Code.KEYINFO_MALFORMED),
    _check("signature.check_one_structure", Code.KEYINFO_MALFORMED),
    _check("verifier.check_key_kind", Code.SIGNATURE_INVALID),
    _check("verifier.check_value_size", Code.SIGNATURE_INVALID),
    # the manifest profile: where the signed part stands, and what may stand beside it
    _check("manifest.check_envelope", Code.FOREIGN_REFERENCE),
    _check("manifest.check_one_id", Code.FOREIGN_ID),
    _check("manifest.check_no_comments", Code.UNSIGNED_CONTENT),
    _check("manifest.check_root_children", Code.UNSIGNED_CONTENT),
    _check("manifest.check_attachment", Code.UNSIGNED_CONTENT),
    _check("manifest.check_no_text", Code.UNSIGNED_CONTENT),
    _check("manifest.check_no_attributes", Code.UNSIGNED_CONTENT),
    # the arithmetic
    _check("verifier.check_digest", Code.DIGEST_MISMATCH),
    _check("verifier.check_value", Code.SIGNATURE_INVALID),
    # the content, both profiles
    _check("content.check_ids", Code.FOREIGN_ID),
    _check("content.check_types", Code.HIDDEN_NAMESPACE),
    # the manifest profile: attachments
    _check("manifest.check_one_list", Code.MANIFEST_MALFORMED),
    _check("manifest.check_line", Code.MANIFEST_MALFORMED),
    _check("manifest.check_line_digest", Code.MANIFEST_MALFORMED),
    _check("manifest.check_lines", Code.MANIFEST_MALFORMED),
    _check("manifest.check_pairs", Code.ATTACHMENT_MISMATCH),
    _check("manifest.check_description", Code.ATTACHMENT_MISMATCH),
    _check("manifest.check_payload", Code.ATTACHMENT_ALTERED),
)
"""The table. The chain's checks stand in ``relay.trust.path``, those of sender and gateway in ``relay.pipeline.verify``."""
