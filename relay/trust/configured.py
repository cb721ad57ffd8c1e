"""The trust store that the settings describe."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from relay.settings.model import TrustSettings
from relay.trust.chain import TrustStore
from relay.trust.path import PathRules


def configured_store(settings: TrustSettings, monotonic: Callable[[], float] = time.monotonic) -> TrustStore:
    """Return the store that a worker judges by.

    Raises:
        ConfigurationError: CONFIG-INVALID: a file is missing or cannot be read, or there is no anchor.
    """
    return TrustStore.from_files(
        settings.anchors,
        settings.crls,
        anchors_without_crl=() if settings.crl_required else settings.anchors,
        intermediates=settings.intermediates,
        by_list=settings.crl_anchors,
        by_answer=settings.ocsp_anchors,
        fetched=settings.fetch.folder,
        rules=PathRules(
            policies=frozenset(settings.policies),
            purposes=frozenset(settings.key_purposes),
            needed={"": settings.revocation},
            grace=timedelta(seconds=settings.hard_fail_after_s),
            skew=timedelta(seconds=settings.clock_skew_s),
        ),
        monotonic=monotonic,
    )
