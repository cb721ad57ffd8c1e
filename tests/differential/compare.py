"""Finds the differences between the three judges, and explains each by its name or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from tests.differential.cases import Case, Truth
from tests.differential.judges import Words

EXPECTED: Final = Path(__file__).with_name("expected.yaml")
_OTHERS: Final = ("xmlsec", "jdk")


@dataclass(frozen=True)
class Explanation:
    """One entry of ``expected.yaml``."""

    name: str
    cases: tuple[str, ...]
    codes: frozenset[str]  # empty for what we take
    others: frozenset[str]  # who may differ
    reason: str

    def covers(self, case: str, code: str, others: frozenset[str]) -> bool:
        return case in self.cases and (not self.codes or code in self.codes) and others <= self.others


@dataclass(frozen=True)
class Expected:
    """All that is expected to differ."""

    stricter: tuple[Explanation, ...]
    laxer: tuple[Explanation, ...]


def read_expected(path: Path = EXPECTED) -> Expected:
    """Read the file; each entry has to be whole."""
    read = yaml.safe_load(path.read_text())
    return Expected(
        tuple(_entry(name, one, "takers", {"rule", "codes"}) for name, one in read["stricter"].items()),
        tuple(_entry(name, one, "refusers", set()) for name, one in read["laxer"].items()),
    )


def _entry(name: str, one: dict[str, Any], others: str, more: set[str]) -> Explanation:
    assert one.keys() == {"cases", others, "reason", *more}, name
    assert set(one[others]) <= set(_OTHERS), name
    assert all(one.values()), name
    return Explanation(
        name, tuple(one["cases"]), frozenset(one.get("codes", ())), frozenset(one[others]), one["reason"]
    )


@dataclass
class Report:
    """What came of a run."""

    kinds: Counter[str] = field(default_factory=Counter)
    agreed: Counter[str] = field(default_factory=Counter)  # "all take", "all refuse"
    explained: Counter[str] = field(default_factory=Counter)  # by name of the explanation
    codes: Counter[str] = field(default_factory=Counter)
    wrong: list[tuple[Case, str]] = field(default_factory=list)  # unexplained: fails
    idle: list[str] = field(default_factory=list)  # explanations that explain nothing

    @property
    def total(self) -> int:
        return self.kinds.total()

    def table(self) -> str:
        """The counts as people read them."""
        lines = [f"{self.total} documents, {len(self.kinds)} kinds of change"]
        lines += [f"  {kind:<20} {count:>6}  {count / self.total:6.1%}" for kind, count in self.kinds.items()]
        lines.append("three judges: ours, xmlsec, JDK")
        lines += [f"  {which:<44} {count:>6}" for which, count in sorted(self.agreed.items())]
        lines += [f"  differs: {name:<35} {count:>6}" for name, count in self.explained.most_common()]
        lines.append(f"  {'differs, not explained':<44} {len(self.wrong):>6}")
        lines.append("our reasons")
        lines += [f"  {code:<44} {count:>6}" for code, count in self.codes.most_common()]
        return "\n".join(lines)


def compare(cases: Sequence[Case], words: Sequence[Words], expected: Expected) -> Report:
    """Compare all; nothing is raised, ``Report.wrong`` says what is."""
    report = Report()
    seen = {case.name for case in cases}
    for case, word in zip(cases, words, strict=True):
        report.kinds[case.kind] += 1
        report.codes[word.ours.why] += 1
        for complaint in _complaints(case, word, expected, report):
            report.wrong.append((case, complaint))
    for one in (*expected.stricter, *expected.laxer):
        met = not seen.isdisjoint(one.cases)
        if met and not report.explained[one.name]:
            report.idle.append(one.name)
    return report


def _complaints(case: Case, word: Words, expected: Expected, report: Report) -> list[str]:
    found = []
    ours, others = word.ours, {"xmlsec": word.xmlsec, "jdk": word.jdk}
    if case.truth is Truth.BROKEN and ours.accepts:
        found.append("taken, though it is not what was signed, or not by who is trusted")
    if case.truth is Truth.HOLDS and not (ours.accepts or word.xmlsec.accepts or word.jdk.accepts):
        found.append(f"made as it should be, and nobody takes it: {word}")
    if ours != word.slow:
        found.append(f"our two engines differ: {ours.why}, {word.slow.why}")
    if ours.accepts and word.jdk.reads and ours.reads != word.jdk.reads:
        found.append("the JDK reads something else in it than we do")
    differ = frozenset(name for name, other in others.items() if other.accepts != ours.accepts)
    if not differ:
        report.agreed["all take" if ours.accepts else "all refuse"] += 1
        return found
    entries = expected.laxer if ours.accepts else expected.stricter
    entry = next((one for one in entries if one.covers(case.name, ours.why, differ)), None)
    if entry is None:
        what = "we take, refused by" if ours.accepts else f"we refuse with {ours.why}, taken by"
        whys = "; ".join(f"{name}: {others[name].why}" for name in sorted(differ) if others[name].why)
        found.append(f"{what} {', '.join(sorted(differ))} {whys}".rstrip())
    else:
        report.explained[entry.name] += 1
    return found
