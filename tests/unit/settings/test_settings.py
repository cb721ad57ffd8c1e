"""The configuration: what loads, what is refused and how well the refusal points at the fault."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from relay.errors import Code, ConfigurationError
from relay.resources import shipped
from relay.settings import describe, keys, load
from relay.settings.docs import page

FILES = (
    "secrets/relay.key",
    "secrets/broker.password",
    "certs/relay.pem",
    "certs/root.pem",
    "certs/agencies.crl",
    "directory.yaml",
)
Write = Callable[[dict[str, Any]], Path]

MINIMAL: dict[str, Any] = {
    "relay": {"name": "truc-test", "key": "secrets/relay.key", "certificates": ["certs/relay.pem"]},
    "broker": {
        "url": "amqp://127.0.0.1:5699/truc",
        "user": "relay",
        "password_file": "secrets/broker.password",
    },
    "registry": {"url": "sqlite:///registry.db"},
    "directory": {"file": "directory.yaml"},
    "trust": {"anchors": ["certs/root.pem"]},
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("s3cret-word\n", encoding="utf-8")
        path.chmod(0o600)
    return tmp_path


@pytest.fixture
def write(home: Path) -> Write:
    def put(changes: dict[str, Any]) -> Path:
        content = {name: dict(body) for name, body in MINIMAL.items()}
        for key, value in changes.items():
            target: dict[str, Any] = content
            *above, last = key.split(".")
            for part in above:
                target = target.setdefault(part, {})
            target[last] = value
        path = home / "truc.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        return path

    return put


def test_the_shipped_example_loads(home: Path) -> None:
    text = shipped("config/truc.example.yaml").read_text(encoding="utf-8")
    path = home / "truc.yaml"
    path.write_text(text, encoding="utf-8")
    found = load(path)
    assert found.relay.name == "truc-dev"
    assert found.relay.key == str(home / "secrets" / "relay.key")
    assert found.http.port == 9464
    assert found.broker.vhost == "truc"


def test_what_the_example_shows_as_defaults_are_the_defaults(home: Path, write: Write) -> None:
    text = shipped("config/truc.example.yaml").read_text(encoding="utf-8")
    # Uncomment everything that looks like a setting.
    loud = re.sub(r"^( *)# ((?:  )?[a-z_]+:)", r"\1\2", text, flags=re.MULTILINE)
    shown = yaml.safe_load(loud)
    example = {
        "broker.ca_file",
        "broker.cert_file",
        "broker.key_file",
        "broker.password_file",
        "logging.file",
        "http.port",
        "broker.management_url",
        "broker.management_user",
    }
    example |= {"broker.management_password_file", "trust.crls", "relay.certificates"}
    defaults = load(write({}))
    seen = 0
    for key in set(keys()) - example:
        value: Any = shown
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None and not describe(key).required:
            assert value == _get(defaults, key), key
            seen += 1
    assert seen > 30


def _get(part: Any, key: str) -> Any:
    for name in key.split("."):
        part = getattr(part, name)
    return part


def test_defaults_are_those_of_the_protocol(write: Write) -> None:
    found = load(write({}))
    assert found.limits.body_bytes == 48 * 1024 * 1024
    assert found.limits.fanout_bytes == 1 << 30
    assert (found.deadlines.min_s, found.deadlines.max_s) == (600, 30 * 86_400)
    assert found.retry.seconds == (5, 60, 600, 3600)
    assert found.trust.crl_required is True
    assert (found.broker.host, found.broker.port, found.broker.tls) == ("127.0.0.1", 5699, False)


def test_relative_paths_and_the_registry_are_relative_to_the_file(
    home: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write({})
    monkeypatch.chdir("/")
    found = load(path)
    assert found.trust.anchors == (home / "certs" / "root.pem",)
    assert found.registry.url == f"sqlite:///{home / 'registry.db'}"
    again = load(write({"registry.url": "sqlite:////var/lib/truc/r.db"}))
    assert again.registry.url == "sqlite:////var/lib/truc/r.db"


def test_everything_is_frozen(write: Write) -> None:
    found = load(write({}))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.http.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("worker.windw", 1, "no such setting"),
        ("signatures", "optional", "no such setting"),
        ("http.port", "9000x", "an integer"),
        ("http.port", True, "an integer"),
        ("http.port", 65_536, "at most 65535"),
        ("http.port", {"a": 1}, "not a section"),
        ("http", 3, "section"),
        ("broker.publish_timeout_s", 0, "at least 0.1"),
        ("broker.publish_timeout_s", float("nan"), "a number"),
        ("relay.name", "Trục", "match"),
        ("relay.name", 3, "a text"),
        ("relay.certificates", "certs/relay.pem", "a list"),
        ("relay.certificates", [], "at least one"),
        ("trust.anchors", ["certs/none.pem"], "not a readable file"),
        ("directory.file", "certs", "not a readable file"),
        ("trust.crl_required", "no", "true or false"),
        ("worker.verify.mode", "magic", "inline, threads, processes"),
        ("worker.window_bytes", 1024 * 1024, "limits.body_bytes"),
        ("broker.publish_window_bytes", 1024 * 1024, "limits.body_bytes"),
        ("deadlines.min_s", 2_592_001, "deadlines.max_s"),
        ("retry.rungs", ["1m", "5s"], "in this order"),
        ("retry.rungs", ["2m"], "in this order"),
        ("retry.rungs", [], "in this order"),
        ("broker.url", "amqp://relay:pw@127.0.0.1/truc", "do not belong"),
        ("broker.url", "amqp://broker.example.vn:5672/truc", "only amqps"),
        ("broker.password_file", None, "is missing, and there is no broker.cert_file"),
        ("broker.cert_file", "certs/relay.pem", "needs broker.key_file"),
        ("broker.key_file", "secrets/relay.key", "needs broker.cert_file"),
        ("broker.url", "http://127.0.0.1/truc", "amqp://"),
        ("broker.url", "amqp://127.0.0.1:port/truc", "not a URL"),
        ("broker.management_url", "http://broker.example.vn:15672", "only https"),
        ("registry.url", "postgresql+psycopg://truc:pw@db/truc", "password"),
        ("registry.url", "mysql://db/truc", "sqlite"),
        ("registry.url", "sqlite://", "sqlite"),
        ("format", "docx", "edxml"),
        ("trust.policies", ["1.2.x"], "dotted numbers"),
        ("trust.key_purposes", ["serverAuth"], "dotted numbers"),
        ("trust.revocation", "none", "one of either, crl, ocsp"),
        ("trust.fetch.lists", ["ftp://x.vn/a.crl"], "http://"),
        ("trust.fetch.lists", ["http:///a.crl"], "http://"),
        ("trust.fetch.lists", ["file://host/a.crl"], "file://"),
        ("trust.fetch.lists", ["http://x.vn:port/a.crl"], "no URL"),
        ("trust.fetch.lists", ["http://me:pw@x.vn/a.crl"], "do not belong"),
        ("trust.fetch.responder", "file:///a", "http://"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(write: Write, key: str, value: object, reason: str) -> None:
    path = write({key: value})
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert caught.value.code is Code.CONFIG_INVALID
    match = re.match(r"(.*?):(\d+): ([a-z_.]+): ", caught.value.detail)
    assert match, caught.value.detail
    assert match[1] == str(path)
    assert match[3] == key
    assert (
        path.read_text(encoding="utf-8")
        .splitlines()[int(match[2]) - 1]
        .strip()
        .startswith(key.rpartition(".")[2])
    )
    assert reason in caught.value.detail
    assert "pw" not in caught.value.detail.removeprefix(str(path)), "a secret in an error"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lists", ["http://x.vn/a.crl"]),
        ("responder", "http://x.vn"),
        ("hosts", ["x.vn"]),
    ],
)
def test_fetching_needs_a_folder(write: Write, key: str, value: object) -> None:
    with pytest.raises(ConfigurationError, match=r"trust\.fetch\.folder: is missing"):
        load(write({f"trust.fetch.{key}": value}))
    found = load(write({f"trust.fetch.{key}": value, "trust.fetch.folder": "fetched"}))
    assert found.trust.fetch.folder is not None
    assert found.trust.fetch.folder.is_absolute()


def test_a_client_certificate_takes_the_place_of_the_password_over_tls_alone(write: Write) -> None:
    login = {"broker.cert_file": "certs/relay.pem", "broker.key_file": "secrets/relay.key"}
    found = load(
        write({**login, "broker.url": "amqps://broker.example.vn/truc", "broker.password_file": None})
    )
    assert (found.broker.tls, found.broker.port, found.broker.password()) == (True, 5671, "")
    with pytest.raises(ConfigurationError, match="needs amqps"):
        load(write(login))


LOOPBACK = ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.10", "[::1]", "[::ffff:127.0.0.1]"]
ELSEWHERE = [
    "broker.example.vn",
    "localhost.example.vn",
    "localhost.",
    "localhost.localdomain",
    "ip6-localhost",
    "127.1",
    "2130706433",
    "0x7f.0.0.1",
    "0.0.0.0",
    "[::]",
    "10.0.0.1",
    "[::ffff:10.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[fe80::1]",
    "[64:ff9b::127.0.0.1]",
    "127.0.0.1.example.vn",
]


@pytest.mark.parametrize("host", LOOPBACK)
def test_plain_amqp_is_for_this_machine(write: Write, host: str) -> None:
    urls = {"broker.url": f"amqp://{host}:5672/truc", "broker.management_url": f"http://{host}:15672"}
    assert load(write(urls)).broker.tls is False


@pytest.mark.parametrize("host", ELSEWHERE)
def test_outside_this_machine_only_tls_is_taken(write: Write, host: str) -> None:
    for key, plain, safe in (
        ("broker.url", f"amqp://{host}:5672/truc", f"amqps://{host}:5671/truc"),
        ("broker.management_url", f"http://{host}:15672", f"https://{host}:15671"),
    ):
        with pytest.raises(ConfigurationError, match=rf"{re.escape(key)}: outside this machine only"):
            load(write({key: plain}))
        load(write({key: safe}))


def test_names_that_lead_to_loopback_are_names(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a name resolves to may change between the check and the connection, so none is looked up."""
    import socket

    def resolve(*_arguments: object, **_named: object) -> list[object]:
        raise AssertionError("looked up")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(ConfigurationError, match="only amqps"):
        load(write({"broker.url": "amqp://broker.local/truc"}))


def test_nothing_switches_the_check_of_the_broker_off() -> None:
    words = re.compile("verif|insecure|skip|trust_all|check_host|hostname")
    assert [key for key in keys() if key.startswith("broker.") and words.search(key)] == []


@pytest.mark.parametrize("key", [key for key in keys() if describe(key).required])
def test_each_required_setting_is_missed(write: Write, key: str) -> None:
    path = write({})
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    name, _, last = key.partition(".")
    del content[name][last]
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=rf"{re.escape(key)}: is missing"):
        load(path)


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "a: [", "relay: {name: a, name: b}", "relay.name: a", "\x00", "? [a]\n: 1"]
)
def test_a_file_that_is_no_configuration(tmp_path: Path, text: str) -> None:
    path = tmp_path / "truc.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert str(path) in caught.value.detail


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"relay: \xe9\xff")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(tmp_path / "latin.yaml")


@pytest.mark.parametrize("name", ["secrets/broker.password", "secrets/relay.key"])
def test_secrets_that_are_open_to_others_are_refused(home: Path, write: Write, name: str) -> None:
    path = write({})
    (home / name).chmod(0o640)
    with pytest.raises(ConfigurationError, match="mode 0640"):
        load(path)
    assert load(path, files=False).relay.name == "truc-test"


def test_passwords_are_read_when_they_are_used(home: Path, write: Write) -> None:
    found = load(write({"broker.management_password_file": "secrets/topology.password"}))
    assert found.broker.password() == "s3cret-word"
    with pytest.raises(ConfigurationError, match="management_password_file"):
        found.broker.management_password()
    (home / "secrets/topology.password").write_text("other\n", encoding="utf-8")
    (home / "secrets/topology.password").chmod(0o600)
    assert found.broker.management_password() == "other"
    assert "s3cret" not in repr(found)
    (home / "secrets/broker.password").write_text("", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="empty"):
        found.broker.password()


def test_overrides_win_and_are_checked(write: Write) -> None:
    path = write({"http.port": 9000})
    found = load(path, {"http.port": "0", "worker.name": "w7", "worker.verify.mode": "inline"})
    assert (found.http.port, found.worker.name, found.worker.verify.mode) == (0, "w7", "inline")
    assert load(path, {"http.port": 9001}).http.port == 9001
    with pytest.raises(ConfigurationError, match=r"^CONFIG-INVALID: http\.port: "):
        load(path, {"http.port": "many"})
    with pytest.raises(ConfigurationError, match="no such setting"):
        load(path, {"http": 3})


def test_keys_and_descriptions_are_complete() -> None:
    found = keys()
    assert len(found) == len(set(found)) > 60
    for key in found:
        described = describe(key)
        assert described.text.endswith(".")
        assert described.required or described.default is not None or "path" in described.type
    with pytest.raises(KeyError):
        describe("worker")


def test_the_page_is_current() -> None:
    path = Path(__file__).parents[3] / "docs" / "configuration.md"
    assert path.read_text(encoding="utf-8") == page(), (
        "run `python -m relay.settings.docs > docs/configuration.md`"
    )
    assert all(f"### `{key}`\n" in page() for key in keys())


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@hypothesis_settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(key=st.sampled_from(keys()), value=json_like)
def test_any_value_either_loads_or_is_a_configuration_error(write: Write, key: str, value: object) -> None:
    try:
        found = load(write({key: value}))
    except ConfigurationError as fault:
        found = None
        detail = fault.detail
    else:
        detail = ""
    assert (found is None) == bool(detail)
