"""The licence of everything that runs with the relay, from the metadata of the installed packages."""

from __future__ import annotations

import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.house

# Permissive, or a copyleft no stronger than the LGPL. SPDX names, and the spellings that older metadata use for them.
ALLOWED = {
    "0BSD": (),
    "Apache-2.0": (
        "apache 2.0",
        "apache license 2.0",
        "apache software license",
        "apache license, version 2.0",
    ),
    "BSD-2-Clause": ("bsd 2-clause license", "simplified bsd"),
    "BSD-3-Clause": ("bsd license", "bsd", "3-clause bsd license", "bsd 3-clause license"),
    "ISC": ("isc license (iscl)", "isc license"),
    "LGPL-2.1-or-later": ("gnu lesser general public license v2 or later (lgplv2+)",),
    "LGPL-3.0-or-later": ("gnu lesser general public license v3 or later (lgplv3+)",),
    "MIT": ("mit license",),
    "MIT-CMU": ("hpnd",),
    "MIT-0": (),
    "MPL-2.0": ("mozilla public license 2.0 (mpl 2.0)", "mozilla public license 2.0"),
    "PSF-2.0": ("python software foundation license",),
    "Unlicense": ("the unlicense (unlicense)",),
}
_SPDX = {spelling.lower(): name for name, others in ALLOWED.items() for spelling in (name, *others)}

# Classifiers that only say that somebody approves.
_NO_LICENCES = ("License :: OSI Approved", "License :: DFSG approved")

# Packages whose metadata say nothing that a program can read; a person looked at their licence file.
READ_BY_A_PERSON: dict[str, str] = {"atheris": "Apache-2.0"}


def licence_of(package: str) -> str:
    """Return the licence expression of an installed package, as SPDX names where they are known."""
    if package in READ_BY_A_PERSON:
        return READ_BY_A_PERSON[package]
    info = metadata.metadata(package)
    if "License-Expression" in info:
        return str(info["License-Expression"])
    classified = [
        value.rpartition(" :: ")[2]
        for value in info.get_all("Classifier") or []
        if value.startswith("License ::") and value not in _NO_LICENCES
    ]
    free_text = str(info["License"]).strip() if "License" in info else ""
    stated = classified or free_text.splitlines()[:1]
    return " AND ".join(_SPDX.get(text.lower(), text) for text in stated) or "unknown"


def allowed(expression: str) -> bool:
    """Tell whether an SPDX expression of AND and OR can be met by allowed licences alone."""
    return any(
        all(term.strip(" ()").lower() in _SPDX for term in re.split(r"\bAND\b", choice))
        for choice in re.split(r"\bOR\b", expression)
    )


def closure(package: str, extras: frozenset[str] = frozenset()) -> set[str]:
    """Return the names of all installed packages that a package needs, itself excluded."""
    seen: set[tuple[str, frozenset[str]]] = set()
    queue = [(package, extras)]
    names: set[str] = set()
    while queue:
        name, wanted = queue.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        for text in metadata.requires(name) or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker and not any(marker.evaluate({"extra": extra}) for extra in ("", *wanted)):
                continue
            needed = canonicalize_name(requirement.name)
            names.add(needed)
            queue.append((needed, frozenset(requirement.extras)))
    return names - {package}


def _report(names: set[str]) -> dict[str, str]:
    found = {name: licence_of(name) for name in sorted(names)}
    for name, licence in found.items():
        print(f"  {name:<24} {metadata.version(name):<18} {licence}")
    return found


@pytest.mark.parametrize(
    "extras", [pytest.param(frozenset[str](), id="runtime"), pytest.param(frozenset({"test"}), id="tests")]
)
def test_no_dependency_has_a_copyleft_stronger_than_the_lgpl(
    extras: frozenset[str], capsys: pytest.CaptureFixture[str]
) -> None:
    names = closure("truc", extras)
    if extras:
        names |= {"hatchling", "editables", *closure("hatchling")}
    assert {"lxml", "xmlsec", "pika"} <= names
    with capsys.disabled():
        print(f"\nlicences ({'tests' if extras else 'runtime'}):")
        found = _report(names)
    wrong = {name: licence for name, licence in found.items() if not allowed(licence)}
    assert not wrong, f"not in the table of allowed licences: {wrong}"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("MIT AND BSD-3-Clause", True),
        ("(Apache-2.0 OR BSD-3-Clause)", True),
        ("GPL-3.0-or-later", False),
        ("AGPL-3.0-only", False),
        ("MIT AND GPL-2.0-only", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_the_table_tells_them_apart(expression: str, expected: bool) -> None:
    assert allowed(expression) is expected
