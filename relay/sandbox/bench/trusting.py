"""What trust costs: from raw bytes to a frozen verdict and a signed view, beside libxmlsec1 and SHA-256 in the same run.

``python -m relay.sandbox.bench.trusting [--json] [--quick]``, on one core of a quiet machine. Every document is
different and verified once in a round; 60 signers take turns; chains are known, as they are in a worker after its first
minute; nothing is kept by document. Times are CPU time of this process; the competitors take turns within each round,
the ratio is taken from the best round of each.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from adapters.edxml.facts import AttachedFile, Organ
from adapters.edxml.format import EdxmlFormat
from adapters.edxml.samples import sample_document
from adapters.edxml.writer import document_package
from relay.model.message import Kind
from relay.model.verdict import MANIFEST, WHOLE, ParseLimits, SignaturePlace
from relay.sandbox.ca import DevelopmentCa
from relay.trust import canonical, content, written
from relay.trust.chain import TrustStore
from relay.trust.cut import around, cut
from relay.trust.engine import XmlsecEngine, value_holds
from relay.trust.libxml import xmlsec_with_chain
from relay.trust.parse import parse, scan
from relay.trust.payload import is_plain
from relay.trust.sign import PrivateKey, load_chain, load_key, sign_document
from relay.trust.signature import locate, signatures
from relay.trust.verifier import DocumentVerifier
from relay.trust.view import Views

SIGNERS: Final = 60
_LIMITS: Final = ParseLimits(max_bytes=256 * 1024 * 1024)
_PLACE: Final = EdxmlFormat().place(Kind.EDOC)


@dataclass(frozen=True, slots=True)
class Whole:
    """One size of package, signed as a whole, by one kind of key. Microseconds for each document."""

    kind: str
    bytes: int
    documents: int
    relay_us: float
    xmlsec_chain_us: float  # libxmlsec1 alone: parser, signature, chain to the anchor; no limits, no view
    ratio: float
    xmlsec_engine_us: float  # the relay's verifier with libxmlsec1 for its arithmetic
    stages_us: dict[str, float]


@dataclass(frozen=True, slots=True)
class ByManifest:
    """One size of package, signed by manifest. Milliseconds."""

    bytes: int
    relay_ms: float
    sha256_ms: float  # of the same bytes
    ratio: float
    whole_ms: float  # the same package signed as a whole
    peak_mib: float  # memory that one verification took at most, beside the body


@dataclass(frozen=True, slots=True)
class Trusting:
    """All of it."""

    load_average: float
    whole: tuple[Whole, ...]
    manifest: tuple[ByManifest, ...]


@dataclass(frozen=True, slots=True)
class _Signer:
    code: str
    key: PrivateKey
    chain: bytes


class _Bench:
    def __init__(self, folder: Path, now: datetime) -> None:
        self.ca = DevelopmentCa(folder / "ca")
        self.ca.ensure(now)
        self.now = now
        self.folder = folder
        self.store = TrustStore.from_files([self.ca.root_cert], self.ca.crls)
        self.rng = random.Random(28)

    def signers(self, kind: Any, count: int) -> list[_Signer]:  # noqa: ANN401 -- a literal of the authority's
        found = []
        for number in range(count):
            code = f"H{40 + number // 20}.{number % 20 + 1:02}"
            issued = self.ca.agency(self.folder / kind, code, f"Cơ quan {code} (mẫu)", self.now, kind=kind)
            found.append(_Signer(code, load_key(issued.key), load_chain(issued.cert)))
        return found

    def package(self, signer: _Signer, size: int, profile: str) -> bytes:
        """Return a signed package of about that many bytes, unlike every other."""
        recipients = [Organ("G22", "Cơ quan G22 (mẫu)"), Organ("H53", "Cơ quan H53 (mẫu)")]
        fields = sample_document(self.rng, Organ(signer.code, "Cơ quan gửi (mẫu)"), recipients, self.now)

        def signed(octets: int) -> bytes:
            file = AttachedFile("văn bản.pdf", self.rng.randbytes(octets), "application/pdf")
            unsigned = document_package(replace(fields, attachments=(file,)))
            return sign_document(unsigned, _PLACE, signer.key, signer.chain, profile=profile, limits=_LIMITS)

        room = (size - len(signed(3))) * 3 // 4
        return signed(max(room, 3))


def _timed(work: Callable[[bytes], object], bodies: Sequence[bytes]) -> float:
    """Return the CPU seconds of one body, over all of them."""
    gc.collect()
    started = time.process_time()
    for body in bodies:
        work(body)
    return (time.process_time() - started) / len(bodies)


def _whole(bench: _Bench, kind: str, size: int, count: int, rounds: int) -> Whole:
    signers = bench.signers(kind, SIGNERS)
    bodies = [bench.package(signers[number % SIGNERS], size, WHOLE) for number in range(count)]
    relay = DocumentVerifier(bench.store, _LIMITS)
    judge = DocumentVerifier(bench.store, _LIMITS, XmlsecEngine())
    bare = xmlsec_with_chain(bench.ca.root_cert)
    for body in bodies[:SIGNERS]:  # chains are known from here on
        for one in (relay, judge):
            assert one.verify(body, _PLACE, bench.now).verdict.accepted
        bare(body)
    contenders: dict[str, Callable[[bytes], object]] = {
        "relay": lambda body: relay.verify(body, _PLACE, bench.now),
        "bare": bare,
        "engine": lambda body: judge.verify(body, _PLACE, bench.now),
    }
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for name, work in contenders.items():
            best[name] = min(best[name], _timed(work, bodies))
    return Whole(
        kind,
        sum(map(len, bodies)) // len(bodies),
        count,
        best["relay"] * 1e6,
        best["bare"] * 1e6,
        best["relay"] / best["bare"],
        best["engine"] * 1e6,
        _stages(relay, bench, bodies, rounds),
    )


def _stages(
    verifier: DocumentVerifier, bench: _Bench, bodies: Sequence[bytes], rounds: int
) -> dict[str, float]:
    """Return what each stage takes, by the clock: the tenth percentile of all documents, for other work interrupts.

    The rest of a whole run is what holds the stages together, and giving the tree back.
    """
    taken: dict[str, list[float]] = {}
    views = Views()
    for _ in range(rounds):
        for body in bodies:
            for name, seconds in _one(verifier, bench, views, body).items():
                taken.setdefault(name, []).append(seconds)
    found = {name: sorted(each)[len(each) // 10] * 1e6 for name, each in taken.items()}
    found["parse"] -= found["limits"]  # parsing begins with a look at the raw bytes
    return found


def _one(verifier: DocumentVerifier, bench: _Bench, views: Views, body: bytes) -> dict[str, float]:
    clock = time.perf_counter
    marks = [clock()]
    bulk = cut(body)
    source = body if bulk is None else bulk.skeleton
    plain = bulk is None or all(map(is_plain, bulk.texts.values()))
    marks.append(clock())
    scan(source, _LIMITS)
    marks.append(clock())
    root = parse(source, _PLACE.root, _PLACE.opaque, _LIMITS)
    marks.append(clock())
    element = locate(root, _PLACE, signatures(root, _PLACE))
    marks.append(clock())
    octets, beside = written.apart(source, element)
    view = views.as_written(octets, _PLACE.opaque)
    marks.append(clock())
    parts, chain = verifier.signature(element, by_manifest=True, octets=b"" if view is None else beside)
    marks.append(clock())
    if view is None:  # the first one of its form
        canonical.detach(parts.element)
        view = views.view(canonical.document_octets(root), _PLACE.opaque, octets)
    marks.append(clock())
    made = hashlib.sha256()
    for piece in around(octets, bulk.texts) if bulk is not None and plain else (octets,):
        made.update(piece)
    hashlib.sha256(body).hexdigest()
    marks.append(clock())
    value_holds(parts, chain[0].key, parts.signed_info)
    marks.append(clock())
    bench.store.check(chain, bench.now)
    marks.append(clock())
    attributes = view.attributes
    content.check_ids(attributes)
    content.check_types(attributes)
    marks.append(clock())
    spent = [after - before for before, after in pairwise(marks)]
    names = (
        "bulk",
        "limits",
        "parse",
        "place",
        "view",
        "parts",
        "c14n",
        "digest",
        "signature",
        "chain",
        "ids",
    )
    return dict(zip(names, spent, strict=True))


def _by_manifest(bench: _Bench, size: int, rounds: int) -> ByManifest:
    (signer,) = bench.signers("rsa-2048", 1)
    bodies = [bench.package(signer, size, MANIFEST) for _ in range(2)]
    wholes = [bench.package(signer, size, WHOLE) for _ in range(2)]
    verifier = DocumentVerifier(bench.store, _LIMITS)

    def verify(body: bytes) -> None:
        assert verifier.verify(body, _PLACE, bench.now).verdict.accepted

    best = {"relay": float("inf"), "sha": float("inf"), "whole": float("inf")}
    for _ in range(rounds):
        best["relay"] = min(best["relay"], _timed(verify, bodies))
        best["sha"] = min(best["sha"], _timed(lambda body: hashlib.sha256(body).digest(), bodies))
        best["whole"] = min(best["whole"], _timed(verify, wholes))
    return ByManifest(
        len(bodies[0]),
        best["relay"] * 1e3,
        best["sha"] * 1e3,
        best["relay"] / best["sha"],
        best["whole"] * 1e3,
        peak_mib(bodies[0], verifier, _PLACE, bench.now),
    )


def peak_mib(body: bytes, verifier: DocumentVerifier, place: SignaturePlace, at: datetime) -> float:
    """Return how much the memory of a process grows at most, in MiB, when it verifies one body that it holds.

    Measured in a child of this process, by the kernel's high-water mark.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        before = _status("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the mark begins anew
        verifier.verify(body, place, at)
        os.write(writing, f"{max(_status('VmHWM') - before, 0)}".encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return int(told) / 1024


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    return 0


def measure(*, quick: bool = False) -> Trusting:
    """Measure all of it; ``quick`` for a look that takes seconds."""
    rounds, count = (3, 120) if quick else (9, 600)
    with tempfile.TemporaryDirectory() as folder:
        bench = _Bench(Path(folder), datetime.now(UTC))
        load = os.getloadavg()[0]
        whole = tuple(
            _whole(bench, kind, size, count if size < 10_000 else count // 2, rounds)
            for kind in ("rsa-2048", "ec-p256")
            for size in (5_000, 64_000)
        )
        sizes = (64_000, 256_000, 1_000_000, 10_000_000) + (() if quick else (100_000_000,))
        return Trusting(load, whole, tuple(_by_manifest(bench, size, rounds // 2 + 1) for size in sizes))


def markdown(found: Trusting) -> str:
    """Return the figures as they stand in docs/benchmarks.md."""
    rows = [
        f"Load average before the run: {found.load_average:.2f}.",
        "",
        "| key | bytes | relay | libxmlsec1 with chain | ratio | relay with libxmlsec1 as engine |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    rows += [
        f"| {one.kind} | {one.bytes:,} | {one.relay_us:.0f} µs | {one.xmlsec_chain_us:.0f} µs | **{one.ratio:.2f}** "
        f"| {one.xmlsec_engine_us:.0f} µs |"
        for one in found.whole
    ]
    stages = list(found.whole[0].stages_us)
    rows += ["", "| µs in | " + " | ".join(stages) + " |", "| --- |" + " ---: |" * len(stages)]
    rows += [
        f"| {one.kind}, {one.bytes:,} | "
        + " | ".join(f"{one.stages_us[stage]:.0f}" for stage in stages)
        + " |"
        for one in found.whole
    ]
    rows += [
        "",
        "| bytes, by manifest | relay | SHA-256 of the same bytes | ratio | signed as a whole | memory beside the body |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    rows += [
        f"| {one.bytes:,} | {one.relay_ms:.2f} ms | {one.sha256_ms:.2f} ms | **{one.ratio:.2f}** | {one.whole_ms:.2f} ms "
        f"| {one.peak_mib:.0f} MiB |"
        for one in found.manifest
    ]
    return "\n".join(rows) + "\n"


def main(arguments: list[str]) -> int:
    """Print a table, or JSON."""
    found = measure(quick="--quick" in arguments)
    sys.stdout.write(json.dumps(asdict(found), indent=2) + "\n" if "--json" in arguments else markdown(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
