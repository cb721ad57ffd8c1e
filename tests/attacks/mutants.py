"""A verifier with one check taken out: found in the source, removed from the syntax tree, compiled into its module.

A check is an ``if`` whose body refuses: raises ``RefusedError``, or returns a code. Whatever is written tomorrow is
found as well. Beside them stand the checks that the room of trust lists itself (``relay.trust.checks``), each replaced
whole, and a few that are no ``if``.
"""

from __future__ import annotations
import __future__

import ast
import copy
import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from types import FunctionType, ModuleType
from typing import Any, Final

from relay.errors import Code
from relay.trust import names
from relay.trust.checks import CHECKS, Check
from tests.support.virtual import START

MODULES: Final = (
    "relay.trust.parse",
    "relay.trust.signature",
    "relay.trust.manifest",
    "relay.trust.content",
    "relay.trust.payload",
    "relay.trust.cut",
    "relay.trust.cdata",
    "relay.trust.verifier",
    "relay.trust.certificate",
    "relay.trust.path",
    "relay.trust.constraints",
    "relay.trust.ocsp",
    "relay.model.codes",
    "adapters.edxml.fields",
    "adapters.edxml.format",
    "relay.pipeline.accept",
    "relay.pipeline.verify",
)
_ANNOTATIONS: Final = __future__.annotations.compiler_flag


@dataclass(frozen=True)
class Mutant:
    """One check that can be switched off. ``codes``: what it refuses by."""

    name: str
    where: str  # module.function, without the name of the package
    codes: frozenset[str]
    apply: Callable[[], list[tuple[Any, str, Any]]]  # what to set: owner, attribute, value

    @contextmanager
    def off(self) -> Iterator[None]:
        """Switch it off for a while."""
        undo = []
        try:
            for owner, attribute, value in self.apply():
                undo.append((owner, attribute, vars(owner)[attribute]))
                setattr(owner, attribute, value)
            yield
        finally:
            for owner, attribute, value in reversed(undo):
                setattr(owner, attribute, value)


def everywhere(original: object, value: object) -> list[tuple[Any, str, Any]]:
    """Every module of ours that has a function under some name, imported or with its answers kept (``lru_cache``)."""
    return [
        (module, attribute, value)
        for name, module in list(sys.modules.items())
        if name.startswith(("relay.", "adapters."))
        for attribute, found in list(vars(module).items())
        if found is original or getattr(found, "__wrapped__", None) is original
    ]


_NOT_VERIFYING: Final = (
    "manifest.open_unsigned",  # these two belong to signing
    "manifest.unsigned_lines",
    "signature._child",  # a guard that is reached only where a check was switched off
)


_SILENT: Final = ("ocsp._about", "ocsp._signed", "ocsp._vouched")
"""Functions that refuse by a word that is none: their answer about revocation is then not believed."""


@cache
def mutants() -> tuple[Mutant, ...]:
    """Return all, in the order of the source."""
    found = [*_switched(), *(each for module in MODULES for each in _of(module)), *_by_hand()]
    found = [each for each in found if each.where not in _NOT_VERIFYING]
    assert len({each.name for each in found}) == len(found)
    return tuple(found)


# --- checks that are functions


def _switched() -> Iterator[Mutant]:
    for check in CHECKS:
        yield Mutant(
            f"{check.name} (whole)",
            check.name,
            frozenset(code.value for code in check.codes),
            lambda check=check: _without(check),  # type: ignore[misc]
        )


_MORE: Final = "http://www.w3.org/2001/04/xmldsig-more#"
_DS: Final = "http://www.w3.org/2000/09/xmldsig#"
_WIDER: Final[dict[str, dict[str, Any]]] = {
    "DIGESTS": {f"{_DS}sha1": "sha1", f"{_MORE}md5": "md5", f"{_MORE}sha224": "sha224"},
    "SIGNATURES": {
        f"{_DS}rsa-sha1": names.SignatureAlgorithm("rsa-sha1", "rsa", "sha1"),  # type: ignore[arg-type]
        f"{_MORE}rsa-md5": names.SignatureAlgorithm("rsa-md5", "rsa", "md5"),  # type: ignore[arg-type]
        f"{_MORE}ecdsa-sha1": names.SignatureAlgorithm("ecdsa-sha1", "ecdsa", "sha1"),  # type: ignore[arg-type]
        f"{_MORE}ecdsa-sha224": names.SignatureAlgorithm("ecdsa-sha224", "ecdsa", "sha224"),  # type: ignore[arg-type]
    },
}


def _without(check: Check) -> list[tuple[Any, str, Any]]:
    if check.lookup:
        wider = [(names, check.lookup, {**getattr(names, check.lookup), **_WIDER[check.lookup]})]
        sizes: dict[Any, int] = {**names.DIGEST_SIZES, "sha1": 20, "md5": 16, "sha224": 28}
        return [*wider, (names, "DIGEST_SIZES", sizes)]
    original = getattr(importlib.import_module(check.module), check.function)
    return everywhere(original, lambda *_args, **_how: None)


# --- checks that are an ``if``


def _of(name: str) -> Iterator[Mutant]:
    module = importlib.import_module(name)
    short = name.rpartition(".")[2]
    seen: dict[str, int] = {}
    tree = ast.parse(inspect.getsource(module))
    for owner, function in _functions(tree):
        for node in ast.walk(function):
            if not isinstance(node, ast.If):
                continue
            where = f"{short}.{owner + '.' if owner else ''}{function.name}"
            word = ast.unparse(node.test)[:70] if where in _SILENT and _silent(node) else _refuses(node)
            if word is None:
                continue
            label = f"{where}: {word}"
            seen[label] = seen.get(label, 0) + 1
            label += f" ({seen[label]})" if seen[label] > 1 else ""
            yield Mutant(label, where, _codes(node), _cut(module, owner, function, node))


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.decorator_list:
            yield "", node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and not inner.decorator_list:
                    yield node.name, inner


def _refuses(node: ast.If) -> str | None:
    """Return what an ``if`` says when it refuses; None where it does something else."""
    last = node.body[-1]
    if isinstance(last, ast.Raise) and last.exc is not None and "Ambiguous" in ast.unparse(last.exc):
        return ast.unparse(node.test)[:70]  # not refused, but read again without the short way
    if isinstance(last, ast.Raise) and isinstance(last.exc, ast.Call):
        if "Refused" in ast.unparse(last.exc.func) or "NotBase64" in ast.unparse(last.exc.func):
            texts = [_text(each) for each in last.exc.args[-1:]]
            return texts[0] if texts else "raises"
        return None
    if isinstance(last, ast.Return) and last.value is not None:
        said = ast.unparse(last.value)
        if "Outcome." in said:  # why an answer about revocation is not believed
            return said
        # what hands a refusal on decides nothing
        return _text(last.value) if "Code." in said and "unreadable" not in said else None
    return None


def _silent(node: ast.If) -> bool:
    last = node.body[-1]
    return isinstance(last, ast.Return) and ast.unparse(last) in {"return None", "return False"}


def _text(node: ast.expr) -> str:
    written = [
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    ]
    return (" … ".join(each.strip() for each in written if each.strip()) or ast.unparse(node))[:70]


def _codes(node: ast.If) -> frozenset[str]:
    found = {
        Code[each.attr].value
        for each in ast.walk(node.body[-1])
        if isinstance(each, ast.Attribute)
        and ast.unparse(each.value) == "Code"
        and each.attr in Code.__members__
    }
    if "Outcome." in ast.unparse(node.body[-1]) or _silent(node):
        found.add(Code.REVOCATION_UNKNOWN.value)
    if "Ambiguous" in ast.unparse(node.body[-1]):
        found |= {Code.DIGEST_MISMATCH.value, Code.ATTACHMENT_ALTERED.value, Code.BAD_VALUE.value}
    if "NotBase64" in ast.unparse(node.body[-1]):
        found.add(Code.ATTACHMENT_ALTERED.value)
    return frozenset(found)


def _cut(
    module: ModuleType, owner: str, function: ast.FunctionDef, check: ast.If
) -> Callable[[], list[tuple[Any, str, Any]]]:
    def apply() -> list[tuple[Any, str, Any]]:
        holder = getattr(module, owner) if owner else module
        original = vars(holder)[function.name]
        assert isinstance(original, FunctionType)
        dropper = _Dropper((check.lineno, check.col_offset))
        tree = ast.Module([dropper.visit(copy.deepcopy(function))], [])
        assert dropper.dropped == 1
        made: dict[str, Any] = {}
        code = compile(
            ast.fix_missing_locations(tree),
            f"<{function.name}>",
            "exec",
            flags=_ANNOTATIONS,
            dont_inherit=True,
        )
        exec(code, original.__globals__, made)
        value = made[function.name]
        return [(holder, function.name, value)] if owner else everywhere(original, value)

    return apply


class _Dropper(ast.NodeTransformer):
    def __init__(self, place: tuple[int, int]) -> None:
        self._place = place
        self.dropped = 0

    def visit_If(self, node: ast.If) -> Any:
        if (node.lineno, node.col_offset) == self._place:
            self.dropped += 1
            return node.orelse or ast.Pass()
        self.generic_visit(node)
        return node


# --- checks that are neither


def _by_hand() -> Iterator[Mutant]:
    from relay.directory.snapshot import AgencyDirectory
    from relay.pipeline import accept
    from relay.trust import constraints, crl, ocsp, path

    def issued_by_name(child: Any, issuer: Any) -> bool:
        """``issued_by`` without the arithmetic: names are enough."""
        return bool(child.x509.issuer == issuer.x509.subject)

    def at_any_time(self: Any, moment: Any, rules: Any) -> Any:
        return _at(path.Path((), self.links), moment, rules)

    def never_revoked(self: Any, moment: Any) -> bool:
        return False

    _at = path.Path.at
    far = datetime.max.replace(tzinfo=UTC)
    perfect = crl.Listing(datetime.min.replace(tzinfo=UTC), far, None)
    yield Mutant(
        "path: the signature of a certificate",
        "path.issued_by",
        frozenset({"UNKNOWN-CA"}),
        lambda: everywhere(path.issued_by, issued_by_name),
    )
    yield Mutant(
        "path: dates",
        "path.Path.at",
        frozenset({"CERTIFICATE-EXPIRED", "CERTIFICATE-NOT-YET-VALID"}),
        lambda: [(path.Path, "at", at_any_time)],
    )
    yield Mutant(
        "crl: what a list revokes",
        "crl.Listing.revoked",
        frozenset({"CERTIFICATE-REVOKED"}),
        lambda: [(crl.Listing, "revoked", never_revoked)],
    )
    yield Mutant(
        "crl: how old a list is",
        "crl.Listing.usable",
        frozenset({"REVOCATION-UNKNOWN"}),
        lambda: [(crl.Listing, "usable", lambda *_args: True)],
    )
    yield Mutant(
        "crl: who signed a list",
        "crl.list_signed_by",
        frozenset({"REVOCATION-UNKNOWN"}),
        lambda: everywhere(crl.list_signed_by, lambda *_args: True),
    )
    yield Mutant(
        "path: a link without any list",
        "path.Link.good",
        frozenset({"REVOCATION-UNKNOWN"}),
        lambda: [(path.Link, "good", lambda *_args: perfect)],
    )
    yield Mutant(
        "ocsp: who signed an answer",
        "ocsp._signed",
        frozenset({"REVOCATION-UNKNOWN"}),
        lambda: everywhere(ocsp._signed, lambda *_args: True),
    )
    yield Mutant(
        "ocsp: who may answer for an authority",
        "ocsp._vouched",
        frozenset({"REVOCATION-UNKNOWN"}),
        lambda: everywhere(ocsp._vouched, lambda *_args: perfect),
    )
    yield Mutant(
        "constraints: names",
        "constraints.check_names",
        frozenset({"BAD-CERTIFICATE"}),
        lambda: everywhere(constraints.check_names, lambda _path: None),
    )
    yield Mutant(
        "accept: properties",
        "accept._refusal",
        frozenset({"WRONG-TYPE", "WRONG-LANE", "CC-FORBIDDEN", "FORBIDDEN-HEADER"}),
        lambda: everywhere(accept._refusal, lambda *_args: (None, "")),
    )
    yield Mutant(
        "accept: the deadline",
        "accept.accept",
        frozenset({"BAD-DEADLINE"}),
        lambda: everywhere(accept._deadline, lambda _value: START + timedelta(hours=1)),
    )
    yield Mutant(
        "accept: the transport id",
        "accept.transport_id_fault",
        frozenset({"MISSING-TRANSPORT-ID", "BAD-TRANSPORT-ID"}),
        lambda: everywhere(accept.transport_id_fault, lambda _value: None),
    )
    yield Mutant(
        "directory: who signs for whom",
        "verify._speaker_fault",
        frozenset({"WRONG-SIGNER"}),
        lambda: [(AgencyDirectory, "signers", _everybody)],
    )


def _everybody(self: Any, _sender: str) -> list[Any]:
    return [each for agency in self.agencies() for each in agency.certificates]
