"""What the standard asks of packages that are sent: due facts, lengths, lists. What others send is read more kindly."""

from __future__ import annotations

from typing import Final

from adapters.edxml.facts import DocumentFields, Organ, StatusFields
from adapters.edxml.secrecy import shipped_rule
from relay.errors import Code, RefusedError
from relay.model.codes import normal_form
from relay.model.envelope import StatusCode

# Most characters that the standard allows; what is met in traffic is longer now and then, what is sent is not.
_ORGAN_LENGTHS: Final = {
    "in_charge": 200,
    "name": 200,
    "address": 250,
    "email": 100,
    "telephone": 20,
    "fax": 20,
    "website": 100,
}
_LENGTHS: Final = {
    "document_id": 200,
    "number": 11,
    "notation": 30,
    "place": 50,
    "type_name": 100,
    "subject": 500,
    "content": 500,
    "signer_competence": 100,
    "signer_position": 100,
    "signer_name": 50,
    "sphere": 100,
    "typist": 10,
    "business_reason": 500,
    "business_document_id": 200,
}
_DUE: Final = ("number", "notation", "place", "type_name", "subject", "signer_name")


def check_document(fields: DocumentFields) -> None:
    """Hold a document against the standard before it is built.

    Raises:
        RefusedError: BAD-CODE, NO-RECIPIENT, EMPTY-DOCUMENT-ID, MISSING-VALUE, BAD-VALUE, BAD-DOCUMENT-TYPE,
            STATE-SECRET.
    """
    _check_organ(fields.sender)
    if not fields.recipients:
        raise RefusedError(Code.NO_RECIPIENT, "a document needs a recipient")
    for recipient in fields.recipients:
        _check_organ(recipient)
    if not fields.document_id.strip():
        raise RefusedError(Code.EMPTY_DOCUMENT_ID, "a document needs a DocumentId")
    for name in _DUE:
        if not getattr(fields, name).strip():
            raise RefusedError(Code.MISSING_VALUE, f"a document needs a {name}")
    for name, limit in _LENGTHS.items():
        _check_length(name, getattr(fields, name), limit)
    for place in fields.to_places:
        _check_length("to_places", place, 150)
    for file in fields.attachments:
        if not file.name.strip():
            raise RefusedError(Code.MISSING_VALUE, "an attachment needs a name")
        _check_length("attachment name", file.name, 500)
    if fields.business_type not in {0, 1, 2, 3}:
        raise RefusedError(Code.BAD_DOCUMENT_TYPE, "business_type is none of 0, 1, 2, 3")
    if fields.priority not in {0, 1, 2, 3, 4} or fields.steering_type not in {1, 2, 3}:
        raise RefusedError(Code.BAD_VALUE, "priority is none of 0 to 4 or steering_type none of 1 to 3")
    for text in (fields.subject, fields.type_name, *(file.description for file in fields.attachments)):
        _check_secrecy(text)
    for file in fields.attachments:
        _check_secrecy(file.name, file_name=True)


def check_status(fields: StatusFields) -> None:
    """Hold a status against the standard before it is built.

    Raises:
        RefusedError: BAD-CODE, MISSING-VALUE, BAD-STATUS-CODE, BAD-VALUE, STATE-SECRET.
    """
    _check_organ(fields.reporter)
    normal_form(fields.addressee)
    if not fields.document_id.strip() and not fields.number.strip():
        raise RefusedError(Code.MISSING_VALUE, "a status names its document by DocumentId or number")
    if fields.status_code not in {code.value for code in StatusCode}:
        raise RefusedError(Code.BAD_STATUS_CODE, "status_code is none of 01 to 06, 13, 15, 16")
    _check_length("description", fields.description, 500)
    _check_secrecy(fields.description)


def _check_organ(organ: Organ) -> None:
    normal_form(organ.code)
    for name, limit in _ORGAN_LENGTHS.items():
        _check_length(name, getattr(organ, name), limit)


def _check_secrecy(text: str, *, file_name: bool = False) -> None:
    if shipped_rule().marks_text(text, file_name=file_name):
        raise RefusedError(Code.STATE_SECRET, "state secrets may not travel on the axis")


def _check_length(name: str, value: str, limit: int) -> None:
    if len(value) > limit:
        raise RefusedError(Code.BAD_VALUE, f"{name} has more than the {limit} characters of the standard")
