"""Every code that Trục puts on the wire, into a receipt, a log line or a message to a person.

A code is a fact with an owner; texts, owner, retryability and remedy stand in ``config/errors.yaml``, under the same
name. The two lists are compared by a test, and so is each member with a place in the code that uses it.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """The closed list of codes."""

    OK = "OK"  # a verdict without fault

    # accept: what the AMQP properties say
    MISSING_TRANSPORT_ID = "MISSING-TRANSPORT-ID"
    BAD_TRANSPORT_ID = "BAD-TRANSPORT-ID"
    WRONG_TYPE = "WRONG-TYPE"  # the property `type` is neither edoc nor status
    WRONG_CONTENT_TYPE = "WRONG-CONTENT-TYPE"
    NOT_PERSISTENT = "NOT-PERSISTENT"
    CC_FORBIDDEN = "CC-FORBIDDEN"
    EXPIRATION_FORBIDDEN = "EXPIRATION-FORBIDDEN"
    REPLY_TO_FORBIDDEN = "REPLY-TO-FORBIDDEN"
    CONTENT_ENCODING_FORBIDDEN = "CONTENT-ENCODING-FORBIDDEN"
    FORBIDDEN_HEADER = "FORBIDDEN-HEADER"  # a truc-* or x-* header of the sender's own
    BAD_DEADLINE = "BAD-DEADLINE"
    BAD_ROUTING_KEY = "BAD-ROUTING-KEY"  # not <lane>.<signed sender in normal form>
    WRONG_LANE = "WRONG-LANE"
    TOO_LARGE = "TOO-LARGE"
    EMPTY_BODY = "EMPTY-BODY"

    # verify: the bytes
    NOT_XML = "NOT-XML"
    NOT_UTF8 = "NOT-UTF8"
    DTD_FORBIDDEN = "DTD-FORBIDDEN"
    ENTITY_FORBIDDEN = "ENTITY-FORBIDDEN"
    PI_FORBIDDEN = "PI-FORBIDDEN"
    COMMENT_IN_TEXT = "COMMENT-IN-TEXT"
    TOO_DEEP = "TOO-DEEP"
    TOO_COMPLEX = "TOO-COMPLEX"
    WRONG_ROOT = "WRONG-ROOT"
    HIDDEN_NAMESPACE = "HIDDEN-NAMESPACE"  # a prefix in a value, whose meaning no signature covers

    # verify: the signature
    UNSIGNED = "UNSIGNED"
    MANY_SIGNATURES = "MANY-SIGNATURES"
    SIGNATURE_MISPLACED = "SIGNATURE-MISPLACED"
    SIGNATURE_MALFORMED = "SIGNATURE-MALFORMED"
    FOREIGN_REFERENCE = "FOREIGN-REFERENCE"
    FOREIGN_TRANSFORM = "FOREIGN-TRANSFORM"
    FOREIGN_ID = "FOREIGN-ID"  # an id that is not the signed part's, or the same one twice
    WEAK_ALGORITHM = "WEAK-ALGORITHM"
    KEYINFO_MALFORMED = "KEYINFO-MALFORMED"
    DIGEST_MISMATCH = "DIGEST-MISMATCH"
    SIGNATURE_INVALID = "SIGNATURE-INVALID"
    MANIFEST_MALFORMED = "MANIFEST-MALFORMED"  # its lines do not name each attachment with one digest
    UNSIGNED_CONTENT = (
        "UNSIGNED-CONTENT"  # manifest profile: something beside the signed part that a reader could see
    )
    ATTACHMENT_MISMATCH = "ATTACHMENT-MISMATCH"  # attachments and signed manifest do not pair one to one
    ATTACHMENT_ALTERED = "ATTACHMENT-ALTERED"

    # verify: the signer
    BAD_CERTIFICATE = "BAD-CERTIFICATE"
    UNKNOWN_CA = "UNKNOWN-CA"
    CERTIFICATE_EXPIRED = "CERTIFICATE-EXPIRED"
    CERTIFICATE_NOT_YET_VALID = "CERTIFICATE-NOT-YET-VALID"
    CERTIFICATE_REVOKED = "CERTIFICATE-REVOKED"
    REVOCATION_UNKNOWN = "REVOCATION-UNKNOWN"  # no usable list: fail closed
    WRONG_SIGNER = "WRONG-SIGNER"  # the certificate is neither the sender's nor its gateway's
    UNKNOWN_SENDER = "UNKNOWN-SENDER"
    SENDER_SUSPENDED = "SENDER-SUSPENDED"
    SENDER_NOT_ALLOWED = "SENDER-NOT-ALLOWED"  # the broker user may not speak for the sender

    # read: what the signed package says
    TYPE_MISMATCH = "TYPE-MISMATCH"  # property `type` and package disagree
    MISSING_VALUE = "MISSING-VALUE"
    DUPLICATE_VALUE = "DUPLICATE-VALUE"
    BAD_CODE = "BAD-CODE"
    BAD_VALUE = "BAD-VALUE"  # elements inside, control characters, or far too long
    BAD_DOCUMENT_TYPE = "BAD-DOCUMENT-TYPE"
    EMPTY_DOCUMENT_ID = "EMPTY-DOCUMENT-ID"
    NO_RECIPIENT = "NO-RECIPIENT"
    STATE_SECRET = "STATE-SECRET"

    # statuses and take-back
    STATUS_HAS_TO = "STATUS-HAS-TO"
    BAD_STATUS_CODE = "BAD-STATUS-CODE"
    STATUS_UNKNOWN_DOCUMENT = "STATUS-UNKNOWN-DOCUMENT"
    STATUS_AMBIGUOUS = "STATUS-AMBIGUOUS"
    STATUS_NOT_A_PARTY = "STATUS-NOT-A-PARTY"
    STATUS_WITHOUT_REQUEST = "STATUS-WITHOUT-REQUEST"
    STATUS_AFTER_WITHDRAWAL = "STATUS-AFTER-WITHDRAWAL"
    TAKE_BACK_NOT_YOURS = "TAKE-BACK-NOT-YOURS"

    # route: one recipient
    UNKNOWN_RECIPIENT = "UNKNOWN-RECIPIENT"
    RECIPIENT_CLOSED = "RECIPIENT-CLOSED"  # no successor, or several: the candidates are named
    RECIPIENT_SUSPENDED = "RECIPIENT-SUSPENDED"
    TRIAL_ONLY = "TRIAL-ONLY"
    RECIPIENT_NOT_SERVED = "RECIPIENT-NOT-SERVED"  # in the directory, but behind no gateway

    # replay
    ID_REUSED = "ID-REUSED"
    SAME_CONTENT = "SAME-CONTENT"

    # deliver: why a delivery is deferred
    QUEUE_FULL = "QUEUE-FULL"
    UNROUTABLE = "UNROUTABLE"
    NO_CONFIRM = "NO-CONFIRM"
    ATTACHMENT_PENDING = "ATTACHMENT-PENDING"  # it waits for the verdict on signatures inside attachments

    # how a delivery ends, or is late
    OVERDUE = "OVERDUE"
    BODY_LOST = "BODY-LOST"
    UNDELIVERABLE = "UNDELIVERABLE"
    WITHDRAWN = "WITHDRAWN"
    ATTACHMENT_REFUSED = "ATTACHMENT-REFUSED"  # by the relay's policy on signatures inside attachments
    ATTACHMENT_UNCHECKED = "ATTACHMENT-UNCHECKED"  # no verdict came in the time that a delivery waits for it

    # held: quarantine
    HELD = "HELD"  # a surprise of ours
    SET_ASIDE = "SET-ASIDE"  # seen too often, unparsed
    NO_USER = "NO-USER"
    EXPIRED_IN_QUEUE = "EXPIRED-IN-QUEUE"
    REJECTED_BY_GATEWAY = "REJECTED-BY-GATEWAY"
    DELIVERY_DROPPED = "DELIVERY-DROPPED"  # by an operator, out of quarantine
    SUBMISSION_DROPPED = "SUBMISSION-DROPPED"

    # our own trouble, met at the command line and in logs
    CONFIG_INVALID = "CONFIG-INVALID"
    DIRECTORY_INVALID = "DIRECTORY-INVALID"
    KEY_UNUSABLE = "KEY-UNUSABLE"
    KEY_NOT_VALID = "KEY-NOT-VALID"  # the relay's certificate does not hold now: heads wait
    KEY_AWAY = "KEY-AWAY"  # a token that does not answer: what is to be signed waits
    LIBXML_MISMATCH = "LIBXML-MISMATCH"
    BROKER_UNREACHABLE = "BROKER-UNREACHABLE"
    BROKER_REFUSED = "BROKER-REFUSED"
    BROKER_UNTRUSTED = "BROKER-UNTRUSTED"  # no TLS that can be trusted: authority, name, dates, version
    BROKER_BLOCKED = "BROKER-BLOCKED"
    BROKER_MISSING = "BROKER-MISSING"  # rabbitmq-server is not installed
    PUBLISH_RETURNED = "PUBLISH-RETURNED"
    PUBLISH_REFUSED = "PUBLISH-REFUSED"
    TOPOLOGY_NOT_READY = "TOPOLOGY-NOT-READY"
    REGISTRY_BUSY = "REGISTRY-BUSY"
    REGISTRY_UNUSABLE = "REGISTRY-UNUSABLE"
    REGISTRY_IN_USE = "REGISTRY-IN-USE"  # a restore while workers live
    REGISTRY_BACKUP = "REGISTRY-BACKUP"  # a copy that cannot be made, or cannot be trusted
    SANDBOX_LOCKED = "SANDBOX-LOCKED"
    SANDBOX_BROKEN = "SANDBOX-BROKEN"
    NOT_FOUND = "NOT-FOUND"
    NOT_PERMITTED = "NOT-PERMITTED"  # the operating system does not let this user do it
    FILE_UNUSABLE = "FILE-UNUSABLE"  # a file that a command was given cannot be read or written
    USER_EXISTS = "USER-EXISTS"
    UNSAFE_CHANGE = "UNSAFE-CHANGE"  # it would cut somebody off, or strand what is waiting
    PROOF_INVALID = "PROOF-INVALID"  # possession of a certificate's key is not shown
    CERTIFICATE_TAKEN = "CERTIFICATE-TAKEN"  # registered for another agency
    RECEIPT_TIMEOUT = "RECEIPT-TIMEOUT"
    RECEIPT_INVALID = "RECEIPT-INVALID"  # a receipt whose signature or relay does not hold
    EVIDENCE_MALFORMED = "EVIDENCE-MALFORMED"  # bytes that are no record, batch, head or proof
    EVIDENCE_BROKEN = "EVIDENCE-BROKEN"  # evidence whose parts do not fit one another
    EVIDENCE_PENDING = "EVIDENCE-PENDING"  # on record, and under no signed head yet
    NOT_ON_RECORD = "NOT-ON-RECORD"  # evidence that does not show that this very file was accepted
    TIME_STAMP_INVALID = "TIME-STAMP-INVALID"  # a token, or an authority's answer, that shows nothing
    TIME_STAMP_AWAY = "TIME-STAMP-AWAY"  # the authority does not answer
    WITNESS_REFUSED = "WITNESS-REFUSED"  # a file of heads or statements that nothing can be learnt from
    WITNESS_FORK = "WITNESS-FORK"  # another relay has signed two histories
    DEMO_FAILED = "DEMO-FAILED"
