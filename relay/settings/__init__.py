"""One typed, frozen, validated configuration for worker, keeper and topology, from one YAML file.

``load(path)`` gives ``Settings``; ``keys()`` and ``describe(key)`` tell what there is, and ``docs/configuration.md`` is
written from them.
"""

from __future__ import annotations

from relay.settings.fields import Description
from relay.settings.model import (
    RUNGS,
    BrokerSettings,
    DeadlineSettings,
    DirectorySettings,
    HttpSettings,
    KeeperSettings,
    LimitSettings,
    LoggingSettings,
    PrefetchSettings,
    RegistrySettings,
    RelaySettings,
    RetrySettings,
    Settings,
    TrustSettings,
    VerifySettings,
    WeightSettings,
    WorkerSettings,
)
from relay.settings.reader import Complaint, describe, is_loopback, keys, load, survey

__all__ = [
    "RUNGS",
    "BrokerSettings",
    "Complaint",
    "DeadlineSettings",
    "Description",
    "DirectorySettings",
    "HttpSettings",
    "KeeperSettings",
    "LimitSettings",
    "LoggingSettings",
    "PrefetchSettings",
    "RegistrySettings",
    "RelaySettings",
    "RetrySettings",
    "Settings",
    "TrustSettings",
    "VerifySettings",
    "WeightSettings",
    "WorkerSettings",
    "describe",
    "is_loopback",
    "keys",
    "load",
    "survey",
]
