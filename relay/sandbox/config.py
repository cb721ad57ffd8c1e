"""The configuration files of a sandbox: one for the relay as a whole, one for each process, password files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from relay.sandbox.ca import DevelopmentCa, Issued
from relay.sandbox.files import write_private
from relay.sandbox.home import Home, Kept
from relay.sandbox.node import ADMIN
from relay.sandbox.stamping import StampAuthority

RELAY_USER: Final = "relay"
KEEPER: Final = "keeper"
STAMP_SECONDS: Final = 60
_HEAD = "# Written by the sandbox at each start; what you want to change goes to `truc up`'s options.\n"


def worker_name(number: int) -> str:
    """Return the name of worker ``number``, from 1 on."""
    return f"w{number}"


def relay_settings(home: Home, kept: Kept, ca: DevelopmentCa, issued: Issued) -> dict[str, dict[str, Any]]:
    """Return the settings that all processes of the sandbox share, by section."""
    node = home.node(kept)
    anchor = {"ca_file": str(node.ca_file)} if node.ca_file else {}
    believed = [ca, *_others(kept)]
    return {
        "relay": {"name": kept.relay_name, "key": str(issued.key), "certificates": [str(issued.cert)]},
        "broker": {
            "url": node.amqp_url,
            "user": RELAY_USER,
            "password_file": str(home.password_file(RELAY_USER)),
            **anchor,
            "management_url": node.management_url,
            "management_user": ADMIN,
            "management_password_file": str(home.password_file(ADMIN)),
        },
        "registry": {"url": home.registry_url},
        "directory": {"file": str(home.directory_file)},
        "trust": {
            "anchors": [str(one.root_cert) for one in believed],
            "crls": [str(path) for one in believed for path in one.crls],
        },
        "evidence": {
            "authority": stamps_url(kept),
            "authority_anchors": [str(StampAuthority(home.stamps).root_cert)],
            "stamp_s": STAMP_SECONDS,
        },
    }


def _others(kept: Kept) -> list[DevelopmentCa]:
    """Return the authorities of the sandboxes that this one trusts; of one that was removed since, nothing."""
    found = [DevelopmentCa(Home(Path(folder)).ca) for folder in kept.trusts]
    return [ca for ca in found if all(path.exists() for path in (ca.root_cert, *ca.crls))]


def write_config(home: Home, kept: Kept, ca: DevelopmentCa, issued: Issued) -> None:
    """Write ``truc.yaml``, the files of keeper and workers, and the password files of the relay's own users."""
    for user in (ADMIN, RELAY_USER):
        write_private(home.password_file(user), home.password(user) + "\n")
    common = _merged(relay_settings(home, kept, ca, issued), kept.settings)
    _write(home, home.settings_file.stem, common)
    _write(home, KEEPER, _merged(common, {"http": {"host": "127.0.0.1", "port": kept.ports.keeper}}))
    for number in range(1, kept.workers + 1):
        name = worker_name(number)
        own: dict[str, dict[str, Any]] = {
            "worker": {"name": name},
            "http": {"host": "127.0.0.1", "port": kept.ports.worker(number)},
        }
        _write(home, name, _merged(common, own))


def stamps_url(kept: Kept) -> str:
    """Return the address of the time-stamp authority."""
    return f"http://127.0.0.1:{kept.ports.stamps}/"


def process_urls(kept: Kept) -> list[str]:
    """Return the base addresses of workers and keeper, which answer ``/ready`` and ``/metrics``."""
    ports = [*(kept.ports.worker(number) for number in range(1, kept.workers + 1)), kept.ports.keeper]
    return [f"http://127.0.0.1:{port}" for port in ports]


def metrics_urls(kept: Kept) -> list[str]:
    """Return the addresses to scrape: workers, keeper, broker."""
    bases = [*process_urls(kept), f"http://127.0.0.1:{kept.ports.prometheus}"]
    return [f"{base}/metrics" for base in bases]


def _write(home: Home, name: str, settings: Mapping[str, Any]) -> None:
    text = yaml.safe_dump(dict(settings), allow_unicode=True, sort_keys=False)
    write_private(home.process_settings(name), _HEAD + text)


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return both, section by section; ``over`` wins. A setting outside any section replaces as a whole."""
    merged: dict[str, Any] = dict(under)
    for section, values in over.items():
        merged[section] = {**merged.get(section, {}), **values} if isinstance(values, Mapping) else values
    return merged
