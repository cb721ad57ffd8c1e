"""Three judges of one document: ours, libxmlsec1 as a plain consumer calls it, and the JDK."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import xmlsec
from lxml import etree

from adapters.edxml import names
from adapters.edxml.format import EdxmlFormat
from relay.model.message import Kind
from relay.model.verdict import WHOLE, Node, Verdict
from relay.trust.chain import TrustStore
from relay.trust.engine import Engine, XmlsecEngine
from relay.trust.verifier import DocumentVerifier
from tests.differential.people import AT
from tests.support import jdk
from tests.support.xmlsign import DS

_PLACE: Final = EdxmlFormat().place(Kind.EDOC)
_MILLISECONDS_EACH: Final = 60  # of a JVM beside others' load; a bound, nothing waits for it


@dataclass(frozen=True)
class Word:
    """What a judge says of one document."""

    accepts: bool
    why: str
    reads: str = ""
    """SHA-256 over what the judge's parser reads: names, attributes and texts, without the signature."""


class Ours:
    """The relay's verifier; revocation is asked elsewhere."""

    def __init__(self, anchor: Path, engine: Engine | None = None) -> None:
        store = TrustStore.from_files([anchor], anchors_without_crl=[anchor])
        self._verifier = DocumentVerifier(store, engine=engine)

    def judge(self, body: bytes) -> Word:
        found = self._verifier.verify(body, _PLACE, AT, with_opaque=True)
        verdict: Verdict = found.verdict
        reads = "" if found.view is None else digest_of(_signed_part(found.view.root, verdict.profile))
        return Word(verdict.accepted, verdict.reason.value, reads)


def _signed_part(root: Node, profile: str) -> Node:
    """What the signature itself covers; attachments of the other profile are compared by their digests."""
    if profile == WHOLE:
        return root
    envelope = root.first(names.ENVELOPE)
    assert envelope is not None
    return envelope


def digest_of(root: Node) -> str:
    """Return the digest over a view that ``JudgeXml`` makes over a DOM."""
    digest = hashlib.sha256()

    def say(kind: str, text: str) -> None:
        octets = text.encode()
        digest.update(f"{kind}{len(octets)}:".encode() + octets)

    def walk(node: Node) -> None:
        say("<", node.tag)
        for key, value in sorted(node.attributes, key=lambda pair: pair[0].encode("utf-16-be")):
            say("@", key)
            say("=", value)
        say("t", node.text or "")
        for child in node.children:
            walk(child)
        say(">", "")

    walk(root)
    return digest.hexdigest()


class Plain:
    """libxmlsec1 as the examples of its binding show it: parse, find the signature, verify by the trusted certificate.

    Its clock is that of the machine; nobody's certificate in this test depends on the day.
    """

    def __init__(self, anchor: Path) -> None:
        self._manager = xmlsec.KeysManager()
        self._manager.load_cert(
            str(anchor), xmlsec.constants.KeyDataFormatPem, xmlsec.constants.KeyDataTypeTrusted
        )

    def judge(self, body: bytes) -> Word:
        try:
            root = etree.fromstring(body)
            xmlsec.tree.add_ids(root, ["Id"])
            signature = xmlsec.tree.find_node(root, "Signature", DS)
            if signature is None:
                return Word(False, "no signature")
            context = xmlsec.SignatureContext(self._manager)  # type: ignore[call-arg]
            context.verify(signature)
        except (etree.LxmlError, xmlsec.Error, ValueError) as error:
            return Word(False, f"{type(error).__name__}: {error}")
        return Word(True, "")


class Java:
    """The JDK's ``javax.xml.crypto`` with secure validation, one JVM for all documents."""

    def __init__(self, anchor: Path) -> None:
        self._anchor = anchor

    def judge_all(self, bodies: Sequence[bytes]) -> list[Word]:
        seconds = 90 + len(bodies) * _MILLISECONDS_EACH / 1000
        with tempfile.TemporaryDirectory(prefix="truc-differential-") as folder:
            told = jdk.judge(
                self._anchor, AT.strftime("%Y-%m-%dT%H:%M:%SZ"), bodies, Path(folder) / "bodies", seconds
            )
        assert len(told) == len(bodies)
        return [self._word(one) for one in told]

    @staticmethod
    def _word(told: dict[str, Any]) -> Word:
        why = told["error"] or ("" if told["chain"] else "no path" if told["valid"] else "does not hold")
        return Word(bool(told["valid"] and told["chain"]), why, told["reads"])


@dataclass(frozen=True)
class Words:
    """What the three say of one document."""

    ours: Word
    xmlsec: Word
    jdk: Word
    slow: Word
    """Ours once more, with libxmlsec1 in the place of our own arithmetic: has to say the same to the letter."""


def judge_all(bodies: Iterable[bytes], anchor: Path) -> list[Words]:
    """Return what the three say of each document."""
    listed = list(bodies)
    ours, plain, slow = Ours(anchor), Plain(anchor), Ours(anchor, XmlsecEngine())
    java = Java(anchor).judge_all(listed)
    return [
        Words(ours.judge(body), plain.judge(body), word, slow.judge(body))
        for body, word in zip(listed, java, strict=True)
    ]
