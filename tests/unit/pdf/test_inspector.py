"""The judging process: bounded, replaceable, without a network; a hostile file harms nobody but itself."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from adapters.pdf import child
from adapters.pdf.inspector import PdfInspector
from adapters.pdf.judge import Judged
from adapters.pdf.material import JudgePolicy, Material, MaterialFiles
from relay.errors import Code, ConfigurationError
from relay.model.inspection import CertificateState, Finding
from tests.support import pdfs, pki
from tests.unit.pdf.cases import good


@pytest.fixture
def inspector(tmp_path: Path) -> Iterator[PdfInspector]:
    made = pdfs.inspector(tmp_path)
    yield made
    made.close()


def process_of(inspector: PdfInspector) -> int:
    assert inspector._process is not None
    return inspector._process._process.pid


def test_a_process_that_was_killed_is_replaced(inspector: PdfInspector) -> None:
    first = inspector.inspect(good(), "a.pdf", pdfs.NOW)
    os.kill(process_of(inspector), signal.SIGKILL)
    second = inspector.inspect(good(), "a.pdf", pdfs.NOW)
    assert first == second
    assert second.finding is Finding.SIGNED


def test_a_process_that_cannot_work_makes_the_file_unreadable_for_now(
    inspector: PdfInspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    verdict = inspector.inspect(good(), "a.pdf", pdfs.NOW)
    assert (verdict.finding, verdict.reason) == (Finding.UNREADABLE, "inspector-failed")
    monkeypatch.undo()
    assert inspector.inspect(good(), "a.pdf", pdfs.NOW).finding is Finding.SIGNED


def test_closing_ends_the_process(inspector: PdfInspector) -> None:
    inspector.inspect(good(), "a.pdf", pdfs.NOW)
    pid = process_of(inspector)
    inspector.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_is_no_pdf_starts_no_process(inspector: PdfInspector) -> None:
    assert inspector.inspect(b"chu", "a.txt", pdfs.NOW).finding is Finding.NOT_INSPECTED
    assert inspector._process is None


def test_a_file_beyond_the_limit_is_not_handed_over(tmp_path: Path) -> None:
    small = pdfs.inspector(tmp_path, max_bytes=1000)
    verdict = small.inspect(good(), "a.pdf", pdfs.NOW)
    assert (verdict.finding, verdict.reason) == (Finding.UNREADABLE, "too-large")
    assert small._process is None


def test_changed_lists_are_taken_and_damaged_ones_change_nothing(tmp_path: Path) -> None:
    inspector = pdfs.inspector(tmp_path)
    try:
        assert inspector.inspect(good(), "a.pdf", pdfs.NOW).signatures[0].good
        lists = tmp_path / "issuing.crl"
        kept = lists.read_bytes()
        lists.write_bytes(b"no list")
        assert inspector.inspect(good(), "a.pdf", pdfs.NOW).signatures[0].good
        office = pdfs.office()
        revoking = pki.crl(
            office.issuing,
            [(office.agency, pdfs.NOW - 5 * pdfs.DAY)],
            this_update=pdfs.NOW - pdfs.DAY,
            next_update=pdfs.NOW + pdfs.DAY,
        )
        assert revoking != kept
        lists.write_bytes(revoking)
        (signature,) = inspector.inspect(good(), "a.pdf", pdfs.NOW).signatures
        assert signature.certificate is CertificateState.REVOKED
    finally:
        inspector.close()


def test_a_file_of_certificates_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        PdfInspector(MaterialFiles((tmp_path / "none.pem",)), JudgePolicy(pdfs.NOW))
    assert caught.value.code is Code.CONFIG_INVALID


def test_the_process_knows_no_secret_of_our_environment(
    inspector: PdfInspector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRUC_SECRET", "bi-mat")
    inspector.inspect(good(), "a.pdf", pdfs.NOW)
    known = Path(f"/proc/{process_of(inspector)}/environ").read_bytes()
    assert b"bi-mat" not in known


# --- the copy of the process that judges one file


def apart(monkeypatch: pytest.MonkeyPatch, deed: object, **policy: float) -> dict[str, object]:
    """Let a copy of this process do something instead of judging; return the answer."""

    async def judged(content: bytes, *_: object) -> Judged:
        deed()  # type: ignore[operator]
        return Judged(Finding.NO_SIGNATURE)

    monkeypatch.setattr(child, "judged", judged)
    chosen = JudgePolicy(
        pdfs.NOW, seconds=policy.get("seconds", 30.0), memory=int(policy.get("memory", 1 << 28))
    )
    return child._apart(b"", Material(()), chosen, pdfs.NOW)


def refused(deed: object) -> object:
    """Make a deed that judges well only if the deed was refused."""

    def tried() -> None:
        try:
            deed()  # type: ignore[operator]
        except PermissionError:
            return
        raise SystemExit(7)

    return tried


def write_a_file() -> None:
    Path("/dev/shm/truc-test").write_text("x", encoding="ascii")


def connect() -> None:
    with socket.socket() as made:
        made.connect(("127.0.0.1", 9))


@pytest.mark.parametrize(
    "deed",
    [
        connect,
        lambda: socket.getaddrinfo("localhost", 80),
        lambda: subprocess.run(["/bin/true"], check=False),
        lambda: os.system("true"),
        os.fork,
        write_a_file,
        lambda: Path("/dev/shm/truc-none").unlink(),
        lambda: os.kill(os.getppid(), 0),
    ],
    ids=["connect", "resolve", "start", "shell", "fork", "write", "remove", "kill"],
)
def test_what_judging_does_not_need_is_refused(monkeypatch: pytest.MonkeyPatch, deed: object) -> None:
    assert apart(monkeypatch, refused(deed))["finding"] == "no-signature"


def test_what_this_process_has_open_is_no_matter_to_the_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as end:
        for _ in range(100):
            end.enter_context(Path("/dev/null").open("rb"))
        assert apart(monkeypatch, refused(connect))["finding"] == "no-signature"


def test_the_copy_has_an_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found = apart(monkeypatch, lambda: time.sleep(3600), seconds=1.0)
    assert (found["finding"], found["reason"]) == ("unreadable", "too-slow")


def test_the_copy_has_an_end_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    found = apart(monkeypatch, lambda: bytearray(1 << 30))
    assert (found["finding"], found["reason"]) == ("unreadable", "too-large")


def test_a_copy_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = apart(monkeypatch, lambda: signal.raise_signal(signal.SIGKILL))
    assert (found["finding"], found["reason"]) == ("unreadable", "crashed")


def test_a_copy_that_ends_without_an_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = apart(monkeypatch, lambda: os._exit(0))
    assert (found["finding"], found["reason"]) == ("unreadable", "crashed")


def test_the_process_itself_starts_without_a_loop_of_its_own() -> None:
    # the copy starts one; two would share their wake-up pipe
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
