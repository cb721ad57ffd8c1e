"""Exclusive canonical XML without comments (W3C, exc-c14n of 2002), of what an attacker writes.

Written on expat and on nothing that the verifier uses: a fault of the one must not hide in the other. Good for whole
documents and for single elements that bind all prefixes that they use.
"""

from __future__ import annotations

from xml.parsers import expat

_TEXT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"})
_ATTRIBUTE = str.maketrans(
    {"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#x9;", "\n": "&#xA;", "\r": "&#xD;"}
)


def canonical(xml: bytes) -> bytes:
    """Return the canonical form of well-formed bytes. Raises ``ExpatError``."""
    writer = _Writer()
    parser = expat.ParserCreate("utf-8")
    parser.ordered_attributes = True
    parser.buffer_text = True
    parser.StartElementHandler = writer.start
    parser.EndElementHandler = writer.end
    parser.CharacterDataHandler = writer.text
    parser.ProcessingInstructionHandler = writer.instruction
    parser.Parse(xml, True)
    return "".join(writer.parts).encode()


class _Writer:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self._bound: list[dict[str, str]] = [{"": "", "xml": "http://www.w3.org/XML/1998/namespace"}]
        self._rendered: list[dict[str, str]] = [{"": ""}]
        self._begun = False

    def start(self, name: str, attributes: list[str]) -> None:
        pairs = list(zip(attributes[::2], attributes[1::2], strict=True))
        bound = dict(self._bound[-1])
        for key, value in pairs:
            if key == "xmlns":
                bound[""] = value
            elif key.startswith("xmlns:"):
                bound[key[6:]] = value
        own = [(key, value) for key, value in pairs if key != "xmlns" and not key.startswith("xmlns:")]
        rendered = dict(self._rendered[-1])
        used = {_prefix(name), *(_prefix(key) for key, _ in own if ":" in key)} - {"xml"}
        spaces = []
        for prefix in sorted(used):
            uri = bound.get(prefix, "")
            if rendered.get(prefix) != uri:
                rendered[prefix] = uri
                spaces.append(f' xmlns{":" if prefix else ""}{prefix}="{uri.translate(_ATTRIBUTE)}"')
        own.sort(key=lambda pair: (bound[_prefix(pair[0])] if ":" in pair[0] else "", pair[0].split(":")[-1]))
        self.parts.append(f"<{name}" + "".join(spaces))
        self.parts.extend(f' {key}="{value.translate(_ATTRIBUTE)}"' for key, value in own)
        self.parts.append(">")
        self._bound.append(bound)
        self._rendered.append(rendered)
        self._begun = True

    def end(self, name: str) -> None:
        self.parts.append(f"</{name}>")
        self._bound.pop()
        self._rendered.pop()

    def text(self, data: str) -> None:
        self.parts.append(data.translate(_TEXT))

    def instruction(self, target: str, data: str) -> None:
        inside, before = len(self._bound) > 1, not self._begun
        word = f"<?{target} {data}?>" if data else f"<?{target}?>"
        self.parts.append(word if inside else word + "\n" if before else "\n" + word)


def _prefix(name: str) -> str:
    return name.partition(":")[0] if ":" in name else ""
