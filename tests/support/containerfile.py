"""A reader of Containerfiles that is strict about what people regret: root, secrets, moving bases, shells."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

WORDS: Final = frozenset(
    {
        *("ARG", "FROM", "WORKDIR", "COPY", "RUN", "LABEL", "ENV", "USER", "VOLUME", "EXPOSE"),
        *("STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
    }
)
_SECRET: Final = re.compile(r"(?i)(passw|secret|token|private|credential|\.key\b|\.pem\b)")


@dataclass(frozen=True)
class Instruction:
    """One instruction with its line, continuation lines joined."""

    line: int
    word: str
    text: str


def read(text: str) -> list[Instruction]:
    """Return the instructions. Raises ``ValueError`` for a word that is none."""
    found: list[Instruction] = []
    gathered, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if not gathered and (not line.strip() or line.startswith("#")):
            continue
        first = first if gathered else number
        gathered += line.strip()
        if gathered.endswith("\\"):
            gathered = gathered[:-1].rstrip() + " "
            continue
        word, _, rest = gathered.partition(" ")
        if word not in WORDS:
            raise ValueError(f"line {first}: {word!r} is no instruction that is used here")
        found.append(Instruction(first, word, rest.strip()))
        gathered = ""
    return found


def faults(instructions: list[Instruction]) -> list[str]:
    """Return what is wrong, each with its line."""
    wrong: list[str] = []
    arguments: dict[str, str] = {}
    last = {one.word: one for one in instructions}
    for one in instructions:
        where = f"line {one.line}: "
        if one.word == "ARG":
            name, _, value = one.text.partition("=")
            arguments[name] = value
        if one.word == "FROM":
            base = re.sub(r"\$\{(\w+)\}", lambda m: arguments.get(m[1], ""), one.text.split()[0])
            if "@sha256:" not in base and not re.search(r":\d+\.\d+\.\d+", base):
                wrong.append(where + f"{base!r} is pinned neither by digest nor by a full version")
        if one.word == "COPY" and not one.text.startswith("--from="):
            wrong += [
                where + f"{path!r} copies too much"
                for path in one.text.split()[:-1]
                if path in {".", "./", "*", "/"}
            ]
        if one.word in {"COPY", "ENV", "ARG", "LABEL"} and _SECRET.search(one.text):
            wrong.append(where + "a secret in an image")
        if one.word == "RUN":
            if re.search(r"\bsudo\b|curl[^|]*\|\s*(ba)?sh|--no-verify|trusted-host", one.text):
                wrong.append(where + "sudo, or a script from the network")
            if "apt-get install" in one.text and "--no-install-recommends" not in one.text:
                wrong.append(where + "recommended packages come along")
            if re.search(r"pip install(?!.*(--require-hashes|--no-deps))", one.text):
                wrong.append(where + "packages without hashes")
        if one.word in {"ENTRYPOINT", "CMD"}:
            try:
                json.loads(one.text)
            except ValueError:
                wrong.append(where + "a shell stands between the engine and the process: no signal arrives")
    for word in ("USER", "HEALTHCHECK", "ENTRYPOINT", "STOPSIGNAL"):
        if word not in last:
            wrong.append(f"no {word}")
    if "USER" in last and last["USER"].text.partition(":")[0] in {"0", "root"}:
        wrong.append("runs as root")
    return wrong


def stage(instructions: list[Instruction], number: int) -> list[Instruction]:
    """Return the instructions of one stage, from 0 on."""
    starts = [place for place, one in enumerate(instructions) if one.word == "FROM"]
    end = starts[number + 1] if number + 1 < len(starts) else len(instructions)
    return instructions[starts[number] : end]
