"""What keeps revocation data fresh, put together from the settings: for the keeper and for ``truc trust``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from relay.directory.authorities import signers_of
from relay.errors import ConfigurationError
from relay.model.agency import Agency
from relay.settings import Settings
from relay.trust.chain import Purpose, TrustStore
from relay.trust.fetch import Fetcher, FetchRules
from relay.trust.keys import chain_of
from relay.trust.renew import Renewer, RenewPolicy, Signer
from relay.trust.shelf import Shelf


def renewer_of(settings: Settings, store: TrustStore) -> Renewer | None:
    """Return what fetches; None where the settings name no folder."""
    fetch = settings.trust.fetch
    if fetch.folder is None:
        return None
    rules = FetchRules(frozenset(one.lower() for one in fetch.hosts), fetch.timeout_s, fetch.max_bytes)
    policy = RenewPolicy(
        lists=fetch.lists,
        responder=fetch.responder,
        nonce=fetch.nonce,
        every=timedelta(seconds=fetch.every_s),
        skew=timedelta(seconds=settings.trust.clock_skew_s),
    )
    return Renewer(store, Shelf(fetch.folder), Fetcher(rules), policy)


def signers(settings: Settings, agencies: Callable[[], Iterable[Agency]], now: datetime) -> Iterator[Signer]:
    """Yield the certificates in use: the relay's own, then those that may sign now for agencies and gateways."""
    for place in filter(None, (settings.relay.place(), settings.relay.second.place())):
        with suppress(ConfigurationError):  # watched elsewhere, and no reason to fetch nothing for the others
            yield Purpose.RECEIPT, chain_of(place)
    for certificate in signers_of(agencies(), now):
        yield Purpose.DOCUMENT, (certificate,)
