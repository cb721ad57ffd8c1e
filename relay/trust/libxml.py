"""lxml and xmlsec hand each other their trees in memory, so both must be built against one libxml2."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lxml import etree

from relay.errors import Code, ConfigurationError
from relay.model.verdict import XMLDSIG

_REMEDY = "reinstall the locked versions of lxml and xmlsec"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


def load_xmlsec() -> Any:  # noqa: ANN401 -- an engine without types of its own
    """Import xmlsec, compare its libxml2 with that of lxml, and return the module.

    Raises:
        ConfigurationError: LIBXML-MISMATCH: the two differ, or xmlsec cannot be loaded at all.
    """
    try:
        xmlsec = importlib.import_module("xmlsec")
    except (
        Exception
    ) as error:  # xmlsec raises an error class of its own, which cannot be named before the import
        raise ConfigurationError(
            Code.LIBXML_MISMATCH, f"xmlsec cannot be loaded ({error}); {_REMEDY}"
        ) from error
    compare(
        lxml=(tuple(etree.LIBXML_VERSION), tuple(etree.LIBXML_COMPILED_VERSION)),
        xmlsec=(tuple(xmlsec.get_libxml_version()), tuple(xmlsec.get_libxml_compiled_version())),
    )
    return xmlsec


def compare(
    lxml: tuple[tuple[int, ...], tuple[int, ...]], xmlsec: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    """Compare (running, compiled) libxml2 versions of both libraries.

    Raises:
        ConfigurationError: LIBXML-MISMATCH: they do not all agree.
    """
    if len({*lxml, *xmlsec}) != 1:
        raise ConfigurationError(
            Code.LIBXML_MISMATCH,
            f"lxml runs libxml2 {_dotted(lxml[0])} (built with {_dotted(lxml[1])}), xmlsec runs {_dotted(xmlsec[0])} "
            f"(built with {_dotted(xmlsec[1])}); {_REMEDY}",
        )


def xmlsec_with_chain(anchor: Path) -> Callable[[bytes], None]:
    """Return libxmlsec1 used as most use it, for comparison: parse, verify, chain to an anchor by its own means.

    What it returns raises on a document whose signature or chain does not hold; it looks at no structure, no
    revocation and no limits, and says nothing about what is signed.
    """
    xmlsec = load_xmlsec()
    manager = xmlsec.KeysManager()
    manager.load_cert(str(anchor), xmlsec.KeyFormat.PEM, xmlsec.KeyDataType.TRUSTED)

    def verify(body: bytes) -> None:
        root = etree.fromstring(body)
        context = xmlsec.SignatureContext(manager)
        context.verify(next(root.iter(f"{{{XMLDSIG}}}Signature")))

    return verify


def check_libxml() -> None:
    """Check at start that signatures can be verified at all. Raises as ``load_xmlsec``."""
    load_xmlsec()
