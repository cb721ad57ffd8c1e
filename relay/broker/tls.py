"""TLS to the broker: one way to make a connection safe, and the words for one that is not.

Every connection of the relay (AMQP and management) takes its context from here. Nothing switches the check of the
broker's certificate or of its name off, and nothing goes below TLS 1.2 (RFC 8996).
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from relay.errors import BrokerError, Code, ConfigurationError

# What a peer says of us in an alert (RFC 8446, section 6), as OpenSSL spells it.
_OUR_CERTIFICATE: Final = re.compile(
    r"ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_(REVOKED|EXPIRED|UNKNOWN|REQUIRED)"
    r"|ACCESS_DENIED|DECRYPT_ERROR)"
)
_WENT_AWAY: Final = frozenset({"UNEXPECTED_EOF_WHILE_READING", "SHUTDOWN_WHILE_IN_INIT"})
_SSL_ERROR: Final = re.compile(r"\[SSL: ([A-Z0-9_]+)\]")
_WORDS: Final = {
    "WRONG_VERSION_NUMBER": "what answers there does not speak TLS",
    "HTTP_REQUEST": "what answers there does not speak TLS",
    "UNSUPPORTED_PROTOCOL": "it offers nothing newer than TLS 1.1",
    "TLSV1_ALERT_PROTOCOL_VERSION": "it offers nothing newer than TLS 1.1",
}


def client_context(
    ca_file: Path | None, cert_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext:
    """Return a context that accepts a broker only with a valid certificate for the very name that is connected to.

    The files are read at each call, so that a renewed one holds from the next connection on.

    Args:
        ca_file: PEM, the authorities of the broker's certificate; None: those of the system.
        cert_file: PEM, the client's own certificate, leaf first.
        key_file: PEM, its key, unencrypted; None: it stands in ``cert_file``.

    Raises:
        ConfigurationError: CONFIG-INVALID (no authority can be read), KEY-UNUSABLE (certificate and key).
    """
    # The verifying kind: certificate and name are required; SSLKEYLOGFILE of the environment is not heard.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False  # RFC 9525: names stand in subjectAltName
    try:
        if ca_file is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            context.load_verify_locations(cafile=ca_file)
    except OSError as error:
        raise ConfigurationError(Code.CONFIG_INVALID, f"{ca_file}: {_reason(error)}") from error
    if cert_file is not None:
        try:
            context.load_cert_chain(cert_file, key_file, password=_no_password)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                Code.KEY_UNUSABLE, f"{cert_file}, {key_file or cert_file}: {_reason(error)}"
            ) from error
    return context


def _no_password() -> str:
    """Stop OpenSSL from asking at the terminal: keys of services are not encrypted."""
    raise ValueError("the key is encrypted")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no PEM").lower().replace("_", " ")
    return (error.strerror if isinstance(error, OSError) else "") or str(error)


def as_tls_error(causes: Iterable[BaseException]) -> BrokerError | None:
    """Return what a failure of TLS means, from the errors that led to it; None if TLS had no part in it.

    BROKER-UNTRUSTED: the broker's certificate does not hold (authority, name, dates), or no TLS 1.2 is spoken there.
    BROKER-REFUSED: the broker does not take our certificate. With TLS 1.3 it says so only after the handshake, where
    the library keeps nothing but the text of the failure, so texts are read here too.
    """
    # The errors of TLS themselves tell more than those that quote them.
    for error in sorted(causes, key=lambda one: not isinstance(one, ssl.SSLError)):
        if isinstance(error, ssl.SSLCertVerificationError):
            return BrokerError(
                Code.BROKER_UNTRUSTED, f"the broker's certificate does not hold: {error.verify_message}"
            )
        found = _SSL_ERROR.search(str(error))
        reason = (error.reason if isinstance(error, ssl.SSLError) else None) or (found[1] if found else "")
        if not reason or reason in _WENT_AWAY:
            continue
        if _OUR_CERTIFICATE.search(reason):
            return BrokerError(Code.BROKER_REFUSED, f"the broker does not take our certificate ({reason})")
        return BrokerError(Code.BROKER_UNTRUSTED, f"no TLS with the broker: {_WORDS.get(reason, reason)}")
    return None
