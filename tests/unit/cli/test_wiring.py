"""What a process reads when it starts, so that files which an upgrade puts in place later do not reach it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from relay import settings
from relay.cli.wiring import common
from relay.errors import ConfigurationError
from relay.errors.catalogue import catalogue
from relay.evidence.attachments import texts
from tests.support import pki


def test_texts_are_read_when_a_process_starts(tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(pki.issue("Root", ca=True).pem)
    (tmp_path / "truc.yaml").write_text(
        yaml.safe_dump(
            {
                "relay": {"name": "truc-dev", "key": "missing", "certificates": ["missing.pem"]},
                "broker": {"url": "amqp://127.0.0.1/truc", "user": "relay", "password_file": "p"},
                "registry": {"url": "sqlite:///registry.db"},
                "directory": {"file": "directory.yaml"},
                "trust": {"anchors": ["root.pem"]},
            }
        )
    )
    chosen = settings.load(tmp_path / "truc.yaml", files=False)
    catalogue.cache_clear()
    texts.cache_clear()
    with pytest.raises(ConfigurationError):
        common(chosen, "w1", "worker")
    assert catalogue.cache_info().currsize == texts.cache_info().currsize == 1
