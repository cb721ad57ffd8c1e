"""Name constraints on a path (RFC 5280, 4.2.1.10 and 6.1): which names an authority lets those below it carry.

Names of a kind that is not understood here (otherName, registeredID, …) are refused where a constraint speaks of that
kind. Distinguished names are compared without case and with single spaces (RFC 5280, 7.1), attribute by attribute.
"""

from __future__ import annotations

import ipaddress
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from relay.errors import Code, RefusedError
from relay.trust.certificate import Certificate


def check_names(path: Sequence[Certificate]) -> None:
    """Hold each certificate of a path (leaf first, anchor last) to the constraints of those above it.

    Raises:
        RefusedError: BAD-CERTIFICATE: a name is excluded or not permitted, or a constraint cannot be understood.
    """
    layers: list[tuple[str, x509.NameConstraints]] = []
    for depth in range(len(path) - 1, -1, -1):
        certificate = path[depth]
        self_issued = certificate.x509.subject == certificate.x509.issuer
        if layers and (depth == 0 or not self_issued):
            for name in names_of(certificate):
                for authority, layer in layers:
                    if fault := _against(name, layer):
                        raise RefusedError(
                            Code.BAD_CERTIFICATE, f"{certificate.subject}: {fault} by {authority}"
                        )
        found = _constraints(certificate)
        if found is not None and depth > 0:
            layers.append((certificate.subject, found))


def names_of(certificate: Certificate) -> Iterator[x509.GeneralName]:
    """Yield all that constraints speak of: the subject, its mail addresses, the alternative names."""
    subject = certificate.x509.subject
    if subject.rdns:
        yield x509.DirectoryName(subject)
    for attribute in subject.get_attributes_for_oid(NameOID.EMAIL_ADDRESS):
        # also beside alternative names: another address there makes this one no better
        try:
            yield x509.RFC822Name(str(attribute.value))
        except ValueError as error:
            raise RefusedError(
                Code.BAD_CERTIFICATE, f"{certificate.subject}: a mail address that is none"
            ) from error
    try:
        yield from certificate.x509.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return


def _constraints(certificate: Certificate) -> x509.NameConstraints | None:
    try:
        value = certificate.x509.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None
    # The library drops a subtree's minimum and maximum, which have to be absent: then its own encoding stands there.
    if value.public_bytes() not in certificate.x509.tbs_certificate_bytes:
        raise RefusedError(
            Code.BAD_CERTIFICATE, f"{certificate.subject}: name constraints in a form that is not understood"
        )
    return value


def _against(name: x509.GeneralName, layer: x509.NameConstraints) -> str:
    """Return what one layer of constraints has against a name; empty: nothing."""
    kind = type(name)
    permitted = [each for each in layer.permitted_subtrees or () if type(each) is kind]
    excluded = [each for each in layer.excluded_subtrees or () if type(each) is kind]
    if not permitted and not excluded:
        return ""
    match = _MATCH.get(kind)
    if match is None:
        return f"a name of the kind {kind.__name__} is constrained"
    value: Any = name.value
    try:
        if any(match(value, each.value, True) for each in excluded):
            return f"the name {_shown(value)} is excluded"
        if permitted and not any(match(value, each.value, False) for each in permitted):
            return f"the name {_shown(value)} is not permitted"
    except ValueError:
        return f"the name {_shown(value)} cannot be judged"
    return ""


def _shown(value: object) -> str:
    return value.rfc4514_string() if isinstance(value, x509.Name) else str(value)


# --- one rule for each kind: whether a name lies in a subtree. ``widely``: where in doubt say yes (exclusion)


def _directory(name: x509.Name, tree: x509.Name, _widely: bool) -> bool:
    wanted, given = _rdns(tree), _rdns(name)
    return given[: len(wanted)] == wanted


def _rdns(name: x509.Name) -> list[frozenset[tuple[str, str]]]:
    return [frozenset((each.oid.dotted_string, _folded(each.value)) for each in rdn) for rdn in name.rdns]


def _folded(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def _dns(name: str, tree: str, widely: bool) -> bool:
    name, tree = _host(name), tree.lower().rstrip(".")
    below = tree.removeprefix(".")
    if not below:
        return True
    if name.startswith("*.") and widely and (below == name[2:] or below.endswith("." + name[2:])):
        return True  # the wildcard reaches into the subtree
    return name.endswith("." + below) or (name == below and (widely or not tree.startswith(".")))


def _mail(name: str, tree: str, widely: bool) -> bool:
    local, at, host = name.rpartition("@")
    if not at or not local:
        raise ValueError("no mail address")
    if "@" in tree:
        wanted, _, domain = tree.rpartition("@")
        same = local.lower() == wanted.lower() if widely else local == wanted
        return same and _host(host) == _host(domain)
    return _under(_host(host), tree.lower(), widely)


def _uri(name: str, tree: str, widely: bool) -> bool:
    host = urlsplit(name).hostname
    if not host:
        raise ValueError("no host")  # RFC 5280: then it has to be refused
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _under(_host(host), tree.lower(), widely)
    raise ValueError("an address and no host")


def _under(host: str, tree: str, widely: bool) -> bool:
    """A constraint with a leading dot means what lies below; without one that host alone."""
    if tree.startswith("."):
        return host.endswith(tree) or (widely and host == tree[1:])
    return host == tree


def _host(text: str) -> str:
    found = text.lower().rstrip(".")
    if not found or ".." in found or found.startswith("."):
        raise ValueError("no host")
    return found


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _address(name: object, tree: object, _widely: bool) -> bool:
    if not isinstance(tree, _Network) or not isinstance(name, ipaddress.IPv4Address | ipaddress.IPv6Address):
        raise ValueError("neither address nor network")  # noqa: TRY004 - a name that cannot be judged
    return name.version == tree.version and name in tree


_MATCH: Final[dict[type[x509.GeneralName], Callable[[Any, Any, bool], bool]]] = {
    x509.DirectoryName: _directory,
    x509.DNSName: _dns,
    x509.RFC822Name: _mail,
    x509.UniformResourceIdentifier: _uri,
    x509.IPAddress: _address,
}
