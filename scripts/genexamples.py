"""Makes docs/examples/files: a signed document, a signed status, and a receipt of each kind, as gateways meet them.

``python -m scripts.genexamples [FOLDER]`` writes them anew. Keys are made for the run and thrown away with it; of the
certificates the public part stays beside the files. Everything is dated by one fixed day, so the files verify as of then.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from adapters.edxml.format import EdxmlFormat
from relay.directory.write import dump
from relay.errors import Code
from relay.model.agency import Agency
from relay.model.delivery import Delivery, State, delivery_id
from relay.model.message import Kind
from relay.model.receipt import LineState, RecipientLine
from relay.model.record import Document, NewReceipt
from relay.model.verdict import ParseLimits, Verdict
from relay.pipeline.report import Numbers, Reporter, Subject
from relay.sandbox.agencies import sample_agencies
from relay.sandbox.ca import DevelopmentCa
from relay.sandbox.provision import certificate_of
from relay.trust.chain import TrustStore
from relay.trust.sign import ReceiptSealer, load_chain, load_key, sign_document
from relay.trust.verifier import DocumentVerifier

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "docs" / "examples" / "files"
ISSUED: Final = datetime(2026, 1, 5, 1, 0, tzinfo=UTC)
ACCEPTED: Final = datetime(2026, 1, 5, 3, 0, 0, 552000, tzinfo=UTC)
JUDGED: Final = "2026-01-05T10:30:00+07:00"
"""As of when the files verify."""

RELAY: Final = "truc-dev"
SENDER: Final = "H53"
RECIPIENT: Final = "G22"
NUMBER: Final = "H53,2026/01/05,12/BC-H53"
TRANSPORT_ID: Final = "152782a1-17b9-4672-8d7a-2a911a0e37ea"
AGAIN: Final = "5d3c6a3e-0b0c-4b57-9a54-0a9a3c8d4f11"

DOCUMENT: Final = f"""<?xml version="1.0" encoding="UTF-8"?>
<edXML xmlns="http://www.mic.gov.vn/TBT/QCVN_102_2016"><edXMLEnvelope><edXMLHeader><MessageHeader>
<From><OrganId>{SENDER}</OrganId><OrganName>Tỉnh số 53 (mẫu)</OrganName></From>
<To><OrganId>{RECIPIENT}</OrganId><OrganName>Văn phòng Chính phủ (mẫu)</OrganName></To>
<To><OrganId>000.01.15.H26</OrganId><OrganName>Chi cục số 01 thuộc Sở số 15 (mẫu)</OrganName></To>
<To><OrganId>H53.32</OrganId><OrganName>Huyện số 32 tỉnh số 53, đã chia tách (mẫu)</OrganName></To>
<DocumentId>{NUMBER}</DocumentId>
<Code><CodeNumber>12</CodeNumber><CodeNotation>BC-H53</CodeNotation></Code>
<PromulgationInfo><Place>Tỉnh số 53</Place><PromulgationDate>2026/01/05</PromulgationDate></PromulgationInfo>
<DocumentType><Type>14</Type><TypeName>Báo cáo</TypeName></DocumentType>
<Subject>Báo cáo tình hình kinh tế - xã hội (mẫu)</Subject>
<SignerInfo><FullName>Người ký (mẫu)</FullName></SignerInfo>
</MessageHeader>
<TraceHeaderList><TraceHeader><OrganId>{SENDER}</OrganId><Timestamp>2026/01/05 09:59:30</Timestamp></TraceHeader>
<Bussiness><BussinessDocType>0</BussinessDocType></Bussiness></TraceHeaderList></edXMLHeader>
<edXMLBody><edXMLManifest version="1.0"><Reference><ContentId>cid:attachment-1</ContentId>
<ContentType>text/plain</ContentType><AttachmentName>bao-cao.txt</AttachmentName></Reference></edXMLManifest></edXMLBody>
</edXMLEnvelope><AttachmentEncoded><Attachment><ContentId>cid:attachment-1</ContentId>
<AttachmentName>bao-cao.txt</AttachmentName><ContentType>text/plain</ContentType>
<ContentTransferEncoded>VHLhu6VjCg==</ContentTransferEncoded></Attachment></AttachmentEncoded></edXML>
"""
STATUS: Final = f"""<?xml version="1.0" encoding="UTF-8"?>
<edXML xmlns="http://www.mic.gov.vn/TBT/QCVN_102_2016"><edXMLEnvelope><edXMLHeader><MessageHeader>
<From><OrganId>{RECIPIENT}</OrganId></From>
<ResponseFor><OrganId>{SENDER}</OrganId><Code>12/BC-H53</Code><PromulgationDate>2026/01/05</PromulgationDate>\
<DocumentId>{NUMBER}</DocumentId></ResponseFor>
<StatusCode>01</StatusCode>
<Timestamp>2026/01/05 10:00:02</Timestamp>
</MessageHeader></edXMLHeader></edXMLEnvelope></edXML>
"""
SETTINGS: Final = """\
# For `truc verify --config`: of all that a relay is configured with only the anchors, the lists and the directory count.
relay: {name: truc-dev, key: none, certificates: [relay.pem]}
broker: {url: "amqp://127.0.0.1/truc", user: none, password_file: none}
registry: {url: "sqlite:///none"}
directory: {file: directory.json}
trust: {anchors: [root.pem], crls: [root.crl, issuing.crl]}
"""


def main(arguments: list[str]) -> int:
    """Write the files, into the folder named or into the repository's own."""
    folder = Path(arguments[0]) if arguments else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        for file, content in files(Path(name)):
            (folder / file).write_bytes(content)
            print(f"written: {file}")
    return 0


def files(secret: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of each file; the keys stay in ``secret``."""
    ca = DevelopmentCa(secret / "ca")
    ca.ensure(ISSUED)
    agencies = [_registered(one, ca, secret) for one in sample_agencies()]
    package_format = EdxmlFormat()
    signed = {
        (kind, code): sign_document(
            text.encode(),
            package_format.place(kind),
            load_key(secret / "keys" / f"{code}.key"),
            load_chain(secret / "keys" / f"{code}.pem"),
        )
        for kind, code, text in ((Kind.EDOC, SENDER, DOCUMENT), (Kind.STATUS, RECIPIENT, STATUS))
    }
    document, status = signed[Kind.EDOC, SENDER], signed[Kind.STATUS, RECIPIENT]
    yield "document.edxml", document
    yield "status-01.edxml", status

    store = TrustStore.from_files([ca.root_cert], ca.crls)
    verifier = DocumentVerifier(store, ParseLimits())

    def judge(body: bytes, kind: Kind) -> Verdict:
        return verifier.verify(body, package_format.place(kind), ACCEPTED).verdict

    relay = ca.relay(secret / "relay", RELAY, ISSUED)
    sealer = ReceiptSealer(load_key(relay.key), load_chain(relay.cert))
    reporter = Reporter(RELAY, Numbers("w1", 0), sealer)
    story = Story(reporter, document, status, judge(document, Kind.EDOC), judge(status, Kind.STATUS))
    altered = document.replace("Báo cáo".encode(), "Bản sao".encode())
    for name, receipt in story.receipts(altered, judge(altered, Kind.EDOC)):
        yield f"{name}.xml", receipt.receipt.body

    yield "root.pem", ca.root_cert.read_bytes()
    yield "relay.pem", relay.cert.read_bytes()
    for crl in ca.crls:
        yield crl.name, crl.read_bytes()
    listed = secret / "directory.json"
    dump(listed, agencies, "Sample agencies of these examples (mẫu), no national data.")
    yield listed.name, listed.read_bytes()
    yield "verify.yaml", SETTINGS.encode()


def _registered(agency: Agency, ca: DevelopmentCa, secret: Path) -> Agency:
    """Return a sample agency with the certificate of a key of this run."""
    if agency.gateway is None:
        return agency
    certificate = certificate_of(ca.agency(secret / "keys", agency.code, agency.name, ISSUED))
    return replace(agency, certificates=(certificate,))


@dataclass(frozen=True)
class Story:
    """What the relay tells the sender of one document, whatever becomes of it."""

    reporter: Reporter
    document: bytes
    status: bytes
    verdict: Verdict
    status_verdict: Verdict

    def receipts(self, altered: bytes, altered_verdict: Verdict) -> Iterator[tuple[str, NewReceipt]]:
        """Yield each receipt under the name of its file; a final outcome stands for each way that it can go."""
        told, at = self.reporter, ACCEPTED + timedelta(milliseconds=30)
        later, hours, days = (
            ACCEPTED + timedelta(seconds=4),
            ACCEPTED + timedelta(hours=24),
            ACCEPTED + timedelta(days=7),
        )
        here = self._submission(State.QUEUED, State.PLANNED)
        yield "acknowledgement-accepted", told.acknowledgement(here, (), at)
        yield "acknowledgement-refused", told.acknowledgement(self._refused(), (), at, self._refused_lines())
        subject = _subject(altered, Kind.EDOC, AGAIN)
        yield (
            "acknowledgement-unproven",
            told.refusal(subject, Code.DIGEST_MISMATCH, "", altered_verdict, at),
        )
        again = replace(here, row=2, transport_id=AGAIN)
        yield (
            "acknowledgement-same-content",
            told.same_content(again, self._submission(State.DELIVERED, State.QUEUED), later),
        )
        late = replace(here, kind=Kind.STATUS, body_sha256=_sha256(self.status), body_bytes=len(self.status))
        late = replace(late, sender=RECIPIENT, transport_id=AGAIN, verdict=self.status_verdict, deliveries=())
        late = replace(late, refusal=Code.STATUS_AFTER_WITHDRAWAL)
        yield "acknowledgement-status-refused", told.acknowledgement(late, (), later)

        ended = self._submission(State.DELIVERED, State.DELIVERED)
        yield "outcome", told.outcome(ended, (), later)[0]
        yield (
            "outcome-withdrawn",
            told.outcome(self._submission(State.DELIVERED, State.WITHDRAWN), (), later)[0],
        )
        waiting = self._submission(State.DELIVERED, State.QUEUED)
        slow = frozenset({waiting.deliveries[1].delivery_id})
        for name, code, state, when in (
            ("outcome-overdue", Code.OVERDUE, LineState.OVERDUE, hours),
            ("outcome-body-lost", Code.BODY_LOST, LineState.DEFERRED, hours),
            ("outcome-undeliverable", Code.UNDELIVERABLE, LineState.REFUSED, days),
        ):
            states = dict.fromkeys(slow, state)
            yield name, told.outcome(waiting, (), when, code=code, only=slow, states=states)[0]

        subject = _subject(self.document, Kind.EDOC, TRANSPORT_ID)
        yield "held", told.held(subject, SENDER, Code.HELD, "", at, None)
        one = waiting.deliveries[1]
        line = RecipientLine(
            one.recipient, one.recipient, LineState.HELD, Code.REJECTED_BY_GATEWAY, one.delivery_id, later
        )
        yield "held-rejected", told.held(subject, SENDER, Code.REJECTED_BY_GATEWAY, "", later, line)
        reason = "unreadable for the recipient's software (mẫu)"
        given = replace(one, state=State.REFUSED, code=Code.DELIVERY_DROPPED, at=hours, detail=reason)
        dropped = replace(waiting, deliveries=(waiting.deliveries[0], given, waiting.deliveries[2]))
        yield "outcome-dropped", told.outcome(dropped, (), hours, code=Code.DELIVERY_DROPPED)[0]
        yield (
            "acknowledgement-dropped",
            told.refusal(subject, Code.SUBMISSION_DROPPED, reason, None, hours),
        )

    def _submission(self, first: State, second: State) -> Document:
        """Return the document as the registry has it: two recipients on their way, and one that is refused."""
        at = ACCEPTED + timedelta(milliseconds=20)
        waits = Code.QUEUE_FULL if second is State.PLANNED else None
        return Document(
            row=1,
            sender=SENDER,
            transport_id=TRANSPORT_ID,
            kind=Kind.EDOC,
            user=SENDER,
            lane="normal",
            body_sha256=_sha256(self.document),
            body_bytes=len(self.document),
            accepted_at=ACCEPTED,
            deadline_at=ACCEPTED + timedelta(hours=24),
            document_id=NUMBER,
            code="12/BC-H53",
            promulgation_date="2026/01/05",
            business_type=0,
            verdict=self.verdict,
            directory_version="",
            deliveries=(
                self._delivery(RECIPIENT, RECIPIENT, first, at),
                self._delivery("000.01.15.H26", "H26.15.01", second, at, waits),
                self._closed(at),
            ),
        )

    def _refused(self) -> Document:
        there = self._submission(State.QUEUED, State.QUEUED)
        return replace(there, transport_id=AGAIN, refusal=Code.RECIPIENT_CLOSED, deliveries=())

    def _refused_lines(self) -> tuple[Delivery, ...]:
        return (self._closed(ACCEPTED),)

    def _closed(self, at: datetime) -> Delivery:
        detail = "H53.31, H53.31.20"
        refused = self._delivery("H53.32", "H53.32", State.REFUSED, at, Code.RECIPIENT_CLOSED)
        return replace(refused, detail=detail)

    def _delivery(
        self, written: str, recipient: str, state: State, at: datetime, code: Code | None = None
    ) -> Delivery:
        known = delivery_id(SENDER, _sha256(self.document), recipient)
        return Delivery(known, written, recipient, None, state, code, at)


def _subject(body: bytes, kind: Kind, transport_id: str) -> Subject:
    return Subject(SENDER, transport_id, transport_id, kind.value, _sha256(body), len(body))


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
