"""One libxml2 for both libraries, or a clear error."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from relay.errors import Code, ConfigurationError
from relay.trust import libxml

V = (2, 14, 6)
W = (2, 15, 1)


def test_this_installation_agrees() -> None:
    libxml.check_libxml()


@pytest.mark.parametrize(("lxml", "xmlsec"), [((V, V), (W, W)), ((V, W), (V, V)), ((V, V), (V, W))])
def test_versions_that_differ(lxml: Any, xmlsec: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"2\.15\.1") as caught:
        libxml.compare(lxml, xmlsec)
    assert caught.value.code is Code.LIBXML_MISMATCH


def test_an_import_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise RuntimeError("lxml & xmlsec libxml2 library version mismatch")

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ConfigurationError, match="reinstall") as caught:
        libxml.check_libxml()
    assert caught.value.code is Code.LIBXML_MISMATCH
