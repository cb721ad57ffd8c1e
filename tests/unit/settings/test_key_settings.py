"""``relay.key`` and what belongs to it: files, tokens, and a second key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relay.errors import Code, ConfigurationError
from relay.settings import load
from relay.settings.keyplace import KeyPlace
from tests.unit.settings.test_settings import Write, home, write

__all__ = ["home", "write"]


def uri(home: Path, **others: str) -> str:
    source = others.get("pin", str(home / "secrets" / "relay.key"))
    return f"pkcs11:token=t;object=o?module-path=/usr/lib/m.so&pin-source=file:{source}"


def test_a_file_is_taken_from_where_the_configuration_is(home: Path, write: Write) -> None:
    assert load(write({})).relay.place() == KeyPlace(
        str(home / "secrets" / "relay.key"), (home / "certs" / "relay.pem",)
    )


def test_a_uri_is_taken_as_it_stands(home: Path, write: Write) -> None:
    found = load(write({"relay.key": uri(home)}))
    assert found.relay.key == uri(home)
    assert found.relay.place().secrets() == (home / "secrets" / "relay.key",)
    assert load(write({}), {"relay.key": uri(home)}).relay.key == uri(home)


def test_a_pkcs12_file_needs_no_certificates(home: Path, write: Write) -> None:
    path = home / "secrets" / "relay.p12"
    path.write_text("x")
    path.chmod(0o600)
    password = {"relay.key_password_file": "secrets/broker.password"}
    found = load(write({"relay.key": "secrets/relay.p12", "relay.certificates": [], **password}))
    assert found.relay.place() == KeyPlace(str(path), (), home / "secrets" / "broker.password")


def test_a_second_key(home: Path, write: Write) -> None:
    assert load(write({})).relay.second.place() is None
    second = {"relay.second.key": "secrets/relay.key", "relay.second.certificates": ["certs/root.pem"]}
    found = load(write(second)).relay.second.place()
    assert found == KeyPlace(str(home / "secrets" / "relay.key"), (home / "certs" / "root.pem",))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"relay.key": 7}, r"truc.yaml:\d+: relay.key: has to be a path or a PKCS#11 URI"),
        ({"relay.key": ""}, "relay.key: has to be a path"),
        ({"relay.key": "secrets/none"}, "relay.key: .*none is not a readable file"),
        ({"relay.certificates": []}, "relay.certificates: needs at least one file"),
        ({"relay.second.key": "secrets/relay.key"}, "relay.second.certificates: needs at least one file"),
        (
            {"relay.key": "pkcs11:token=t;object=o?pin-value=s3cret-word"},
            "relay.key: .*pin-value is not taken",
        ),
        ({"relay.key": uri(Path("/none"))}, "relay.key: /none/.* is not a readable file"),
    ],
)
def test_what_is_refused_names_the_key_and_no_secret(
    write: Write, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        load(write(changes))
    assert caught.value.code is Code.CONFIG_INVALID
    assert "s3cret" not in str(caught.value)


def test_a_pin_belongs_to_the_uri_and_to_its_owner(home: Path, write: Write) -> None:
    with pytest.raises(ConfigurationError, match=r"relay\.key_password_file: a token's PIN"):
        load(write({"relay.key": uri(home), "relay.key_password_file": "secrets/broker.password"}))
    (home / "secrets" / "relay.key").chmod(0o640)
    with pytest.raises(ConfigurationError, match=r"relay\.key: .*mode 0640"):
        load(write({"relay.key": uri(home)}))
