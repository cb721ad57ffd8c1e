"""``truc verify --evidence``: the file judged as of the time at which a case, or a proof, shows that it was accepted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from relay.cli.options import people_time, words

if TYPE_CHECKING:
    from relay.cli.client import Reader
    from relay.evidence.vouching import Vouching


def opened(
    evidence: Path, settings_file: Path, engine: str, tsa: tuple[Path, ...], sha256: str
) -> tuple[Reader, Vouching]:
    """Return what judges the file, and the time as of which it does.

    Raises:
        RefusedError: EVIDENCE-MALFORMED, EVIDENCE-BROKEN and others: it does not hold. NOT-ON-RECORD: it does not show that
            the file was accepted.
    """
    from functools import partial

    from relay import settings
    from relay.cli.client import open_reader
    from relay.cli.evidence_judges import read_json
    from relay.cli.evidence_wiring import token_judge
    from relay.evidence.case import FORMAT, case_from_json
    from relay.evidence.headlist import HeadReader
    from relay.evidence.judging import check_case, check_proof
    from relay.evidence.proof import from_json
    from relay.evidence.vouching import vouching
    from relay.trust.chain import Purpose, read_certificates
    from relay.trust.timestamp import TokenJudge

    value = read_json(evidence)
    case = case_from_json(value) if isinstance(value, dict) and value.get("format") == FORMAT else None
    reader = open_reader(settings_file, engine, case)
    tokens = (
        TokenJudge([one for path in tsa for one in read_certificates(path)])
        if tsa
        else token_judge(settings.load(settings_file, files=False))
    )
    stamps = None if tokens is None else tokens.judge
    heads = HeadReader(partial(reader.store.check, purpose=Purpose.RECEIPT), stamps=stamps)
    if case is not None:
        checked = check_case(case, heads, stamps=stamps)
    else:
        checked = check_proof(from_json(value), heads, stamps=stamps)
    return reader, vouching(checked, sha256)


def facts_of(vouched: Vouching) -> dict[str, Any]:
    """Return it for ``--json``."""
    return {
        "relay": vouched.relay,
        "transport_id": vouched.transport_id,
        "record": vouched.kind,
        "accepted_at": vouched.accepted_at,
        "existed_at": vouched.at,
        "authority": vouched.authority,
        "unjudged_time_stamps": vouched.unjudged,
    }


def lines_of(facts: dict[str, Any]) -> list[str]:
    """Return it for people."""
    when = people_time(facts["accepted_at"])
    found = words(
        f"on record: {facts['relay']} accepted these very bytes at {when}, transport id {facts['transport_id']}",
        f"ghi nhận: {facts['relay']} đã tiếp nhận đúng tệp này lúc {when}, mã gửi {facts['transport_id']}",
    )
    if not facts["unjudged_time_stamps"]:
        return [found]
    return [
        found,
        words(
            "a time-stamp over it was not judged: give the roots of its authority by --tsa, or in the configuration",
            "có dấu thời gian chưa được kiểm tra: nêu chứng thư gốc của cơ quan cấp bằng --tsa, hoặc trong cấu hình",
        ),
    ]


def time_line(verdict: dict[str, Any], authority: str) -> str:
    """Return for people as of when a verdict was made, and whose time that is."""
    vouching = {
        "clock": words("this machine's clock", "đồng hồ của máy này"),
        "given": words(
            "the time that was given, nothing vouches for it", "thời điểm được nêu, không có gì bảo đảm"
        ),
        "record": words(
            "the relay's sealed record of its clock", "bản ghi đã niêm phong của trục, theo đồng hồ của trục"
        ),
        "time-stamp": words(f"a time-stamp of {authority}", f"dấu thời gian của {authority}"),
    }[verdict["vouched_by"]]
    at = people_time(verdict["verified_at"])
    return words(f"judged as of: {at} ({vouching})", f"xét tại: {at} ({vouching})")
