"""PDF files for tests, made at run time: signed, stamped, changed afterwards, forged. Nothing is kept."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import datetime as dt
import hashlib
import io
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from asn1crypto import cms, core
from asn1crypto import keys as asn1_keys
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyhanko.pdf_utils import generic, writer
from pyhanko.pdf_utils.generic import pdf_name, pdf_string
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields, signers
from pyhanko.sign.timestamps import DummyTimeStamper
from pyhanko_certvalidator.registry import SimpleCertificateStore

from adapters.pdf.inspector import PdfInspector
from adapters.pdf.material import JudgePolicy, MaterialFiles
from relay.model.times import VIETNAM
from tests.support import pki

NOW: Final = dt.datetime(2026, 3, 2, 3, 0, tzinfo=dt.UTC)
THEN: Final = dt.datetime(2017, 6, 5, 2, 0, tzinfo=dt.UTC)  # before SHA-1 was given up
DAY: Final = dt.timedelta(days=1)
YEAR: Final = dt.timedelta(days=365)


def name_of(common: str, *others: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common),
            *(x509.NameAttribute(oid, value) for oid, value in others),
        ]
    )


def issue(
    subject: x509.Name,
    issuer: pki.Entity | None = None,
    *,
    key: Any = None,
    ca: bool = False,
    not_before: dt.datetime = NOW - 12 * YEAR,
    not_after: dt.datetime = NOW + 2 * YEAR,
    stamps: bool = False,
    usage: x509.KeyUsage | None = None,
) -> pki.Entity:
    """Issue a certificate with a full subject."""
    key = key or pki.ec_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            usage or (pki.usage(certs=True, crls=True) if ca else pki.usage(sign=True, commit=True)),
            critical=True,
        )
    )
    if stamps:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True
        )
    certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    chain = () if issuer is None or issuer.certificate.issuer == issuer.certificate.subject else issuer.chain
    return pki.Entity(key, certificate, (certificate, *chain))


@dataclass(frozen=True)
class Office:
    """An authority, a time-stamp authority, and those who sign: an agency, its leader, and some whom nobody trusts."""

    root: pki.Entity
    issuing: pki.Entity
    tsa: pki.Entity
    agency: pki.Entity
    leader: pki.Entity
    rsa: pki.Entity
    expired: pki.Entity
    future: pki.Entity
    revoked: pki.Entity
    stranger: pki.Entity
    encrypting: pki.Entity

    def write(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Write anchor and lists; return their files."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "root.pem").write_bytes(self.root.pem)
        lists = {
            "root.crl": pki.crl(self.root, this_update=NOW - pki.DAY, next_update=NOW + YEAR),
            "issuing.crl": pki.crl(
                self.issuing,
                [(self.revoked, NOW - 100 * pki.DAY)],
                this_update=NOW - pki.DAY,
                next_update=NOW + YEAR,
            ),
        }
        for name, octets in lists.items():
            (folder / name).write_bytes(octets)
        return [folder / "root.pem"], [folder / name for name in lists]


AGENCY: Final = "Ủy ban nhân dân tỉnh Mẫu"
LEADER: Final = "Trần Thị Mẫu"


@cache
def office() -> Office:
    root = issue(name_of("Root (mẫu)"), ca=True, not_before=NOW - 15 * YEAR, not_after=NOW + 10 * YEAR)
    issuing = issue(
        name_of("Issuing (mẫu)"), root, ca=True, not_before=NOW - 14 * YEAR, not_after=NOW + 8 * YEAR
    )
    body = (NameOID.ORGANIZATION_NAME, AGENCY)
    return Office(
        root=root,
        issuing=issuing,
        tsa=issue(name_of("TSA (mẫu)"), issuing, key=pki.rsa_key(2048, 7), stamps=True),
        agency=issue(name_of(AGENCY, body), issuing),
        leader=issue(name_of(LEADER, body, (NameOID.TITLE, "Chủ tịch")), issuing),
        rsa=issue(
            name_of(AGENCY, body, (NameOID.USER_ID, "MST:0100000000")), issuing, key=pki.rsa_key(2048, 8)
        ),
        expired=issue(name_of(AGENCY, body), issuing, not_after=NOW - YEAR),
        future=issue(name_of(AGENCY, body), issuing, not_before=NOW - pki.DAY),
        revoked=issue(name_of(AGENCY, body), issuing),
        stranger=issue(name_of(AGENCY, body)),
        encrypting=issue(name_of(AGENCY, body), issuing, usage=pki.usage(crls=True)),
    )


def certificate(entity: pki.Entity) -> asn1.Certificate:
    return asn1.Certificate.load(entity.der)


def key_info(entity: pki.Entity) -> asn1_keys.PrivateKeyInfo:
    return asn1_keys.PrivateKeyInfo.load(
        entity.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    )


# --- plain files


def plain(
    text: str = "Quyết định",
    *,
    field: bool = False,
    pages: int = 1,
    streams: bool = False,
    password: str = "",
) -> bytes:
    """A PDF of some pages; with a text field of a form where asked for.

    ``streams``: with cross-reference streams instead of tables.
    """
    out = writer.PdfFileWriter(stream_xrefs=streams)
    if password:
        out.encrypt(password)
    font = out.add_object(
        generic.DictionaryObject(
            {
                pdf_name("/Type"): pdf_name("/Font"),
                pdf_name("/Subtype"): pdf_name("/Type1"),
                pdf_name("/BaseFont"): pdf_name("/Helvetica"),
            }
        )
    )
    for number in range(pages):
        content = generic.StreamObject(
            stream_data=f"BT /F1 12 Tf 20 {100 + number} Td ({number}) Tj ET".encode()
        )
        page = writer.PageObject(
            contents=out.add_object(content),
            media_box=generic.ArrayObject(map(generic.NumberObject, (0, 0, 200, 200))),
            resources=generic.DictionaryObject(
                {pdf_name("/Font"): generic.DictionaryObject({pdf_name("/F1"): font})}
            ),
        )
        out.insert_page(page)
    out.root["/Lang"] = pdf_string(text)
    if field:
        _add_text_field(out)
    stream = io.BytesIO()
    out.write(stream)
    return stream.getvalue()


def _add_text_field(out: Any) -> None:
    page = out.root["/Pages"]["/Kids"][0]
    text = generic.DictionaryObject(
        {
            pdf_name("/FT"): pdf_name("/Tx"),
            pdf_name("/T"): pdf_string("ghichu"),
            pdf_name("/Type"): pdf_name("/Annot"),
            pdf_name("/Subtype"): pdf_name("/Widget"),
            pdf_name("/Rect"): generic.ArrayObject(map(generic.NumberObject, (10, 10, 100, 30))),
            pdf_name("/V"): pdf_string("trước"),
        }
    )
    reference = out.add_object(text)
    page["/Annots"] = generic.ArrayObject([reference])
    out.root["/AcroForm"] = out.add_object(
        generic.DictionaryObject({pdf_name("/Fields"): generic.ArrayObject([reference])})
    )


# --- signing


class Signer(signers.SimpleSigner):
    """Signs at a time of its own choice, and may write its CMS in BER."""

    def __init__(
        self, entity: pki.Entity, at: dt.datetime | None, *, ber: bool = False, others: Sequence[bytes] = ()
    ) -> None:
        kept = [asn1.Certificate.load(each) for each in others] or [certificate(office().issuing)]
        super().__init__(
            signing_cert=certificate(entity),
            signing_key=key_info(entity),
            cert_registry=SimpleCertificateStore.from_certs(kept),
        )
        self._at = at
        self._ber = ber

    async def signed_attrs(self, *args: Any, **more: Any) -> Any:
        made = await super().signed_attrs(*args, **more)
        kept = [one for one in made if one["type"].native != "signing_time"]
        if self._at is not None:
            time = cms.Time({"utc_time": core.UTCTime(self._at)})
            kept.append(cms.CMSAttribute({"type": "signing_time", "values": (time,)}))
        return cms.CMSAttributes(kept)

    async def async_sign(self, *args: Any, **more: Any) -> Any:
        made = await super().async_sign(*args, **more)
        return _Ber(made) if self._ber else made


class _Ber:
    """A CMS whose outer layers are written with indefinite lengths."""

    def __init__(self, made: Any) -> None:
        self._made = made

    def dump(self) -> bytes:
        return in_ber(self._made.dump())


def in_ber(der: bytes) -> bytes:
    """Write ContentInfo, its content and SignedData with indefinite lengths (X.690, 8.1.3.6)."""
    outer, _ = _inside(der)
    oid_end = 2 + outer[1]
    explicit, _ = _inside(outer[oid_end:])
    data, _ = _inside(explicit)
    inner = b"\x30\x80" + data + b"\0\0"
    return b"\x30\x80" + outer[:oid_end] + b"\xa0\x80" + inner + b"\0\0" + b"\0\0"


def _inside(der: bytes) -> tuple[bytes, bytes]:
    """Return what stands in the first value, and what stands behind it."""
    length, at = der[1], 2
    if length & 0x80:
        count = length & 0x7F
        length, at = int.from_bytes(der[2 : 2 + count]), 2 + count
    return der[at : at + length], der[at + length :]


def signed(
    content: bytes,
    entity: pki.Entity | None = None,
    *,
    at: dt.datetime | None = NOW - pki.DAY,
    stamp: dt.datetime | None = None,
    field: str = "Sig1",
    digest: str = "sha256",
    ber: bool = False,
    certify: fields.MDPPerm | None = None,
    subfilter: fields.SigSeedSubFilter | None = None,
    tsa: pki.Entity | None = None,
    others: Sequence[bytes] = (),
) -> bytes:
    """Sign once more, as an incremental update. ``stamp``: with an RFC 3161 time-stamp of that time."""
    meta = signers.PdfSignatureMetadata(
        field_name=field,
        md_algorithm=digest,
        certify=certify is not None,
        docmdp_permissions=certify or fields.MDPPerm.FILL_FORMS,
        subfilter=subfilter or fields.SigSeedSubFilter.ADOBE_PKCS7_DETACHED,
    )
    out = signers.sign_pdf(
        IncrementalPdfFileWriter(io.BytesIO(content), strict=False),
        meta,
        Signer(entity or office().agency, at, ber=ber, others=others),
        timestamper=stamper(stamp, tsa) if stamp is not None else None,
        bytes_reserved=16384,
    )
    return bytes(out.getvalue())


def stamper(at: dt.datetime, tsa: pki.Entity | None = None) -> DummyTimeStamper:
    authority = tsa or office().tsa
    return DummyTimeStamper(
        certificate(authority),
        key_info(authority),
        certs_to_embed=SimpleCertificateStore.from_certs([certificate(office().issuing)]),
        fixed_dt=at,
    )


def stamped(content: bytes, at: dt.datetime) -> bytes:
    """Add a time-stamp over the document."""
    made = signers.PdfTimeStamper(stamper(at)).timestamp_pdf(
        IncrementalPdfFileWriter(io.BytesIO(content), strict=False),
        md_algorithm="sha256",
        bytes_reserved=16384,
    )
    return bytes(made.getvalue())


# --- changes after signing


def updated(content: bytes, change: Any) -> bytes:
    """Append an incremental update that ``change(writer)`` makes."""
    out = IncrementalPdfFileWriter(io.BytesIO(content), strict=False)
    change(out)
    stream = io.BytesIO()
    out.write(stream)
    return stream.getvalue()


def filled_in(content: bytes) -> bytes:
    """Fill in the text field."""

    def change(out: Any) -> None:
        field = out.root["/AcroForm"]["/Fields"][0]
        field["/V"] = pdf_string("sau")
        out.update_container(field)

    return updated(content, change)


def other_content(content: bytes) -> bytes:
    """Give the first page other content."""

    def change(out: Any) -> None:
        page = out.root["/Pages"]["/Kids"][0]
        page["/Contents"] = out.add_object(generic.StreamObject(stream_data=b"BT (khac) Tj ET"))
        out.update_container(page)

    return updated(content, change)


def with_comment(content: bytes) -> bytes:
    """Put a comment on the first page, which is a change of what it shows."""

    def change(out: Any) -> None:
        page = out.root["/Pages"]["/Kids"][0]
        note = generic.DictionaryObject(
            {
                pdf_name("/Type"): pdf_name("/Annot"),
                pdf_name("/Subtype"): pdf_name("/FreeText"),
                pdf_name("/Rect"): generic.ArrayObject(map(generic.NumberObject, (0, 0, 200, 200))),
                pdf_name("/Contents"): pdf_string("Số tiền: 9.000.000.000 đồng"),
            }
        )
        page["/Annots"] = generic.ArrayObject([*page.get("/Annots", ()), out.add_object(note)])
        out.update_container(page)

    return updated(content, change)


def other_letters(content: bytes) -> bytes:
    """Let the font show other letters for the same text."""

    def change(out: Any) -> None:
        font = out.root["/Pages"]["/Kids"][0]["/Resources"]["/Font"]["/F1"]
        font["/Encoding"] = generic.DictionaryObject(
            {
                pdf_name("/Type"): pdf_name("/Encoding"),
                pdf_name("/Differences"): generic.ArrayObject([generic.NumberObject(48), pdf_name("/nine")]),
            }
        )
        out.update_container(font)

    return updated(content, change)


def other_pages(content: bytes) -> bytes:
    """Put another tree of pages in place of the one that was signed."""

    def change(out: Any) -> None:
        shown = out.add_object(generic.StreamObject(stream_data=b"BT (1.000.000.000) Tj ET"))
        page = generic.DictionaryObject(
            {
                pdf_name("/Type"): pdf_name("/Page"),
                pdf_name("/MediaBox"): generic.ArrayObject(map(generic.NumberObject, (0, 0, 200, 200))),
                pdf_name("/Contents"): shown,
                pdf_name("/Resources"): generic.DictionaryObject(),
            }
        )
        reference = out.add_object(page)
        pages = generic.DictionaryObject(
            {
                pdf_name("/Type"): pdf_name("/Pages"),
                pdf_name("/Count"): generic.NumberObject(1),
                pdf_name("/Kids"): generic.ArrayObject([reference]),
            }
        )
        tree = out.add_object(pages)
        page["/Parent"] = tree
        out.root["/Pages"] = tree
        out.update_root()

    return updated(content, change)


def without_fields(content: bytes) -> bytes:
    """Take the signatures out of the form, so that no viewer shows them."""

    def change(out: Any) -> None:
        del out.root["/AcroForm"]
        out.update_root()

    return updated(content, change)


def saved_again(content: bytes) -> bytes:
    """Save without a change that shows: only the title in the metadata."""

    def change(out: Any) -> None:
        out.set_info(out.add_object(generic.DictionaryObject({pdf_name("/Title"): pdf_string("lưu lại")})))

    return updated(content, change)


def freed(content: bytes, number: int) -> bytes:
    """Append a cross-reference table that declares one object free: what it drew is no longer shown."""
    before = re.findall(rb"startxref\s+(\d+)", content)[-1]
    root = re.findall(rb"/Root\s+(\d+ 0 R)", content)[-1]
    size = re.findall(rb"/Size\s+(\d+)", content)[-1]
    at = len(content) + 1
    return content + (
        b"\nxref\n%d 1\n0000000000 65535 f \ntrailer\n<< /Size %s /Root %s /Prev %s >>\nstartxref\n%d\n%%%%EOF\n"
        % (number, size, root, before, at)
    )


def hybrid(content: bytes) -> bytes:
    """Append cross-references of both kinds, table and stream, as word processors write them."""
    before = re.findall(rb"startxref\s+(\d+)", content)[-1]
    root = re.findall(rb"/Root\s+(\d+ 0 R)", content)[-1]
    size = int(re.findall(rb"/Size\s+(\d+)", content)[-1])
    at = len(content) + 1
    made = (
        b"%d 0 obj\n<< /Type /XRef /Size %d /W [1 4 2] /Index [%d 1] /Root %s /Length 7 >>\nstream\n%s\nendstream\nendobj\n"
        % (size, size + 1, size, root, b"\x01" + at.to_bytes(4, "big") + b"\0\0")
    )
    table = b"xref\n0 1\n0000000000 65535 f \ntrailer\n<< /Size %d /Root %s /Prev %s /XRefStm %d >>\nstartxref\n%d\n%%%%EOF\n"
    return content + b"\n" + made + table % (size + 1, root, before, at, at + len(made))


def appended(content: bytes, objects: bytes, *, trailer: bool = False) -> bytes:
    """Append raw objects without a cross-reference table, as the incremental saving attack does."""
    if not trailer:
        return content + objects
    return content + objects + b"trailer\n<< /Root 1 0 R >>\n%%EOF\n"


def with_byte_range(content: bytes, numbers: bytes) -> bytes:
    """Replace the numbers of the last byte range, keeping every offset."""
    last = list(re.finditer(rb"/ByteRange\s*\[[^\]]*\]", content))[-1]
    made = b"/ByteRange [" + numbers + b"]"
    room = last.end() - last.start()
    assert len(made) <= room, "no room"
    return content[: last.start()] + made.ljust(room) + content[last.end() :]


def without_value(content: bytes, value: bytes) -> bytes:
    """Replace the value of the last signature, keeping every offset."""
    last = list(re.finditer(rb"/Contents\s*<[0-9A-Fa-f]+>", content))[-1]
    made = b"/Contents " + value
    return content[: last.start()] + made.ljust(last.end() - last.start()) + content[last.end() :]


def flipped(content: bytes, mark: bytes, to: bytes) -> bytes:
    """Change signed bytes in place."""
    assert len(mark) == len(to)
    assert mark in content
    return content.replace(mark, to, 1)


def wrapped(content: bytes) -> bytes:
    """Signature wrapping: the second part of what is signed moves to the end, and the range points there, so that digest
    and signature hold; in its old place, where the cross-references lead, stands another one."""
    found = list(re.finditer(rb"/ByteRange\s*\[\s*0\s+(\d+)\s+(\d+)\s+(\d+)\s*\]", content))[-1]
    first, second, rest = (int(one) for one in found.groups())
    moved = content[second : second + rest]
    changed = with_byte_range(content, b"0 %d %d %d" % (first, len(content), rest))
    assert changed[:first] == content[:first], "the range stands before the signature"
    return changed + moved


def other_startxref(content: bytes) -> bytes:
    """Let the last startxref lead nowhere."""
    last = list(re.finditer(rb"startxref\s+(\d+)", content))[-1]
    return content[: last.start(1)] + b"7" * len(last.group(1)) + content[last.end(1) :]


def own_tsa() -> pki.Entity:
    """A time-stamp authority of nobody's."""
    return issue(name_of("TSA lạ (mẫu)"), key=pki.rsa_key(2048, 7), stamps=True)


def many_revisions(count: int) -> bytes:
    """A file that was saved over and over, by cross-reference tables alone."""
    content = plain()
    for _ in range(count):
        content = freed(content, 9000)
    return content


def bomb() -> bytes:
    """A file whose cross-references unpack to far more than it has bytes."""
    packed = zlib.compress(zlib.compress(b"\0" * (32 * 1024 * 1024), 9), 9)
    head = b"%PDF-1.7\n"
    table = (
        b"1 0 obj\n<< /Type /XRef /Size 99999999 /W [1 2 1] /Root 2 0 R /Filter [/FlateDecode /FlateDecode] /Length %d >>\nstream\n"
        % len(packed)
    )
    return head + table + packed + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % len(head)


def sha256(entity: pki.Entity) -> str:
    return hashlib.sha256(entity.der).hexdigest()


def inspector(
    folder: Path,
    *,
    lists: tuple[Path, ...] | None = None,
    signatures: int = 20,
    seconds: float = 60.0,
    memory: int = 512 * 1024 * 1024,
    max_bytes: int = 32 * 1024 * 1024,
) -> PdfInspector:
    """Return an inspector that trusts the office; its files are written to ``folder``."""
    anchors, written = office().write(folder)
    return PdfInspector(
        MaterialFiles(anchors=tuple(anchors), lists=tuple(written) if lists is None else lists),
        JudgePolicy(
            sha1_until=dt.datetime(2019, 1, 1, tzinfo=VIETNAM),
            max_bytes=max_bytes,
            max_signatures=signatures,
            seconds=seconds,
            memory=memory,
        ),
    )
