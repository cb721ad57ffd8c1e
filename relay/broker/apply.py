"""Make a plan real: new before old, rights before use, and success only when no confirmed message can be lost.

A quorum queue younger than about a second loses everything in it when the broker crashes, and has no leader afterwards
(its name reaches the disk once a second). So new queues stay without a binding until that second is over and each of
them has answered, which only a queue with a leader does. Asking takes a consumer, not a message.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import pika
from pika import exceptions

from relay.broker.connection import (
    FAILURES,
    Endpoint,
    as_broker_error,
    call,
    close_quietly,
    open_channel,
    open_connection,
)
from relay.broker.management import Management
from relay.broker.plan import Change, Live, What
from relay.broker.topology import Binding, Desired, Policy, Rights
from relay.broker.wire import Foreign, WireConnection
from relay.errors import BrokerError, Code, ConfigurationError, OperationError

SETTLE: Final = 1.5  # seconds after the last new queue
PROBE: Final = 5.0  # seconds for one queue's answer
_CONNECTS: Final = 3  # tries to connect for the probe
_BATCH: Final = 200  # bindings between two answers
_BATCH_TIME: Final = 60.0
_AT_ONCE: Final = 32  # queues that are asked at the same time


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done."""

    done: tuple[Change, ...]
    reported: tuple[Change, ...]
    closed: tuple[str, ...] = ()  # users whose connections were closed


def apply(
    changes: Sequence[Change],
    desired: Desired,
    live: Live,
    management: Management,
    endpoint: Endpoint,
    *,
    prune: bool = False,
    reset_passwords: bool = False,
    settle: float = SETTLE,
    probe: float = PROBE,
    sleep: Callable[[float], None] = time.sleep,
    on_change: Callable[[Change], None] = lambda _change: None,
) -> Applied:
    """Make the changes of ``plan``. ``endpoint`` logs in as a user that may configure the vhost.

    Not inside a running event loop. With ``prune`` what was only reported goes too: queues (empty ones alone), policies,
    bindings, the rights of users. ``reset_passwords`` gives existing users the passwords of ``desired``.

    Raises:
        OperationError: TOPOLOGY-NOT-READY: the named queues have no leader; all the rest is done.
        ConfigurationError: CONFIG-INVALID: a user is to be made and has no password.
        BrokerError: unreachable or refused; call again, what is done is done.
    """
    work = _Work(desired, live, management, endpoint, on_change)
    work.check_passwords(changes)
    todo = [change for change in changes if change.what is not What.REPORT]
    for change in todo:
        if change.kind == "vhost":
            management.put_vhost()
            management.put_permissions(management.user, ".*", ".*", ".*")
            work.note(change)
    stuck: list[str] = []
    try:
        work.exchanges(todo)
        work.policies(todo)
        made = work.queues(todo)
        unbound = _never_bound(todo, live)
        if made:
            sleep(settle)
        stuck = stuck_queues(endpoint, sorted(made | unbound), probe) if made | unbound else []
        work.bind(todo, frozenset(stuck))
        work.users(todo, reset_passwords=reset_passwords)
        work.unbind(todo, frozenset(stuck))
        if prune:
            work.prune(changes)
    except FAILURES as error:
        raise as_broker_error(error) from error
    finally:
        work.close()
    if stuck:
        raise OperationError(Code.TOPOLOGY_NOT_READY, f"without a leader: {', '.join(stuck)}")
    done = set(map(id, work.done))  # twenty thousand changes compared with each other would take a minute
    reported = tuple(change for change in changes if id(change) not in done)
    return Applied(tuple(work.done), reported, tuple(work.closed))


def _never_bound(todo: Iterable[Change], live: Live) -> set[str]:
    """Return queues that stand but were never bound: an earlier apply may have found them stuck."""
    bound = {binding.queue for binding in live.bindings}
    wanted = {
        change.subject.queue for change in todo if change.kind == "binding" and change.what is What.CREATE
    }
    return {queue for queue in wanted if queue in live.queues and queue not in bound}


class _Work:
    """The hands of ``apply``: management API and one AMQP connection, opened when first needed."""

    def __init__(
        self,
        desired: Desired,
        live: Live,
        management: Management,
        endpoint: Endpoint,
        on_change: Callable[[Change], None],
    ) -> None:
        self.done: list[Change] = []
        self.closed: list[str] = []
        self._desired = desired
        self._live = live
        self._management = management
        self._endpoint = endpoint
        self._on_change = on_change
        self._connection: Foreign = None
        self._open: Foreign = None

    def note(self, change: Change) -> None:
        self.done.append(change)
        self._on_change(change)

    def check_passwords(self, changes: Iterable[Change]) -> None:
        lacking = [
            change.name
            for change in changes
            if change.kind == "user"
            and change.what is What.CREATE
            and change.name not in self._desired.by_certificate
            and not self._desired.passwords.get(change.name)
        ]
        if lacking:
            raise ConfigurationError(
                Code.CONFIG_INVALID, f"no password for the new users {', '.join(lacking)}"
            )

    def close(self) -> None:
        try:
            if self._connection is not None and self._connection.is_open:
                self._connection.close()
        except exceptions.AMQPError:
            pass

    @property
    def _channel(self) -> Foreign:
        if self._connection is None or not self._connection.is_open:
            self._connection = pika.BlockingConnection(
                self._endpoint.parameters("truc topology", blocked_timeout=30)
            )
        if self._open is None or not self._open.is_open:
            self._open = self._connection.channel()
        return self._open

    def exchanges(self, todo: Iterable[Change]) -> None:
        for change in todo:
            if change.kind == "exchange":
                self._channel.exchange_declare(change.name, change.subject, durable=True)
                self.note(change)

    def policies(self, todo: Iterable[Change]) -> None:
        for change in todo:
            if change.kind == "policy":
                self._put_policy(change.subject)
                self.note(change)

    def _put_policy(self, policy: Policy) -> None:
        self._management.put_policy(
            policy.name, policy.pattern, "queues", dict(policy.definition), policy.priority
        )

    def queues(self, todo: Iterable[Change]) -> set[str]:
        made = set()
        for change in todo:
            if change.kind == "queue":
                arguments = dict(self._desired.queue_arguments)
                self._channel.queue_declare(change.name, durable=True, arguments=arguments)
                made.add(change.name)
                self.note(change)
        return made

    def bind(self, todo: Iterable[Change], stuck: frozenset[str]) -> None:
        wanted = [
            change
            for change in todo
            if change.kind == "binding" and change.what is What.CREATE and change.subject.queue not in stuck
        ]
        if len(wanted) > _BATCH:
            asyncio.run(_bind_many(self._endpoint, wanted, self.note))
            return
        for change in wanted:
            one: Binding = change.subject
            self._channel.queue_bind(one.queue, one.exchange, one.key)
            self.note(change)

    def unbind(self, todo: Iterable[Change], stuck: frozenset[str]) -> None:
        # An agency whose new queue is stuck keeps its old binding: late is better than returned.
        kept = {(one.exchange, one.key) for one in self._desired.bindings if one.queue in stuck}
        for change in todo:
            if change.kind == "binding" and change.what is What.REMOVE:
                one: Binding = change.subject
                if (one.exchange, one.key) not in kept:
                    self._channel.queue_unbind(one.queue, one.exchange, one.key)
                    self.note(change)

    def users(self, todo: Iterable[Change], *, reset_passwords: bool) -> None:
        narrowed: set[str] = set()
        for change in todo:
            if change.kind == "user" and change.what is What.REMOVE:
                self._management.delete_user(change.name)
                self._management.close_connections(change.name)
                self.closed.append(change.name)
                self.note(change)
            elif change.kind == "user":
                self._make_user(change.name)
                self.note(change)
            elif change.kind in {"permissions", "topic-permissions"}:
                wanted, narrows = change.subject
                self._put_right(change.kind, change.name, wanted)
                if narrows:
                    narrowed.add(change.name)
                self.note(change)
        if reset_passwords:
            for user, password in self._desired.passwords.items():
                if password and user in self._live.users:
                    self._management.put_user(user, password, self._live.users[user])
        for user in sorted(narrowed):
            self._management.close_connections(user)
            self.closed.append(user)

    def _make_user(self, user: str) -> None:
        password = self._desired.passwords.get(user)
        if password and user not in self._desired.by_certificate:
            self._management.put_user(user, password)
        else:
            self._management.put_user_without_password(user)

    def _put_right(self, kind: str, user: str, wanted: Rights) -> None:
        if kind == "permissions":
            self._management.put_permissions(user, wanted.configure, wanted.write, wanted.read)
        elif wanted.topic is not None:
            self._management.put_topic_permissions(user, "ingress", wanted.topic, "^$")

    def prune(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.what is not What.REPORT or change.subject is None:
                continue
            if change.kind == "queue":
                try:
                    self._channel.queue_delete(change.name, if_unused=True, if_empty=True)
                except exceptions.ChannelClosedByBroker:
                    continue  # not empty or in use: documents are never thrown away
            elif change.kind == "binding":
                one: Binding = change.subject
                self._channel.queue_unbind(one.queue, one.exchange, one.key)
            elif change.kind == "policy":
                self._management.delete_policy(change.name)
            elif change.kind == "permissions":
                self._management.delete_permissions(change.name)
                self._management.close_connections(change.name)
                self.closed.append(change.name)
            else:
                continue
            self.note(change)


def stuck_queues(endpoint: Endpoint, queues: Sequence[str], timeout: float = PROBE) -> list[str]:
    """Return the queues that do not answer within ``timeout`` seconds each; nothing is put into any of them.

    Each is asked to register a consumer, which takes its leader. Meant for queues that are empty and unbound: a
    message at the head of another one would be delivered and given back. Raises ``BrokerError``.
    """
    return asyncio.run(_stuck(endpoint, queues, timeout))


async def _bind_many(endpoint: Endpoint, changes: Sequence[Change], note: Callable[[Change], None]) -> None:
    """Bind by batches of which only the last one asks for an answer: some five times as many in a second."""
    connection = await _connected(endpoint)
    try:
        channel = await open_channel(connection, lambda _error: None, 15.0)
        for batch in (changes[start : start + _BATCH] for start in range(0, len(changes), _BATCH)):
            for change in batch[:-1]:
                one: Binding = change.subject
                channel.queue_bind(one.queue, one.exchange, one.key)
            last: Binding = batch[-1].subject
            # What is wrong with one before ends the channel, so an answer to this one is an answer for all.
            await call(
                channel.queue_bind, last.queue, last.exchange, last.key, channel=channel, timeout=_BATCH_TIME
            )
            for change in batch:
                note(change)
    finally:
        await _closed(connection)


async def _connected(endpoint: Endpoint) -> WireConnection:
    """Connect for the probe; a broker that has just been given many queues may not answer the first time."""
    for _ in range(_CONNECTS - 1):
        try:
            return await open_connection(endpoint, "truc topology probe", lambda _error: None, 15.0)
        except BrokerError as error:
            if error.code is not Code.BROKER_UNREACHABLE:
                raise
        await asyncio.sleep(1.0)
    return await open_connection(endpoint, "truc topology probe", lambda _error: None, 15.0)


async def _stuck(endpoint: Endpoint, queues: Sequence[str], timeout: float) -> list[str]:
    connection = await _connected(endpoint)
    gate = asyncio.Semaphore(_AT_ONCE)
    try:
        answers = await asyncio.gather(*(_answers(connection, gate, queue, timeout) for queue in queues))
        return [queue for queue, answer in zip(queues, answers, strict=True) if not answer]
    finally:
        await _closed(connection)


async def _closed(connection: WireConnection) -> None:
    """Close, and cut the line where the broker does not answer: a stuck queue holds up its channel's end too."""
    close_quietly(connection)
    for _ in range(50):
        await asyncio.sleep(0.01)
        if connection.is_closed:
            return
    if connection._transport is not None:  # noqa: SLF001 - the library has no word for it
        connection._transport.abort()  # noqa: SLF001
        await asyncio.sleep(0.01)


async def _answers(connection: WireConnection, gate: asyncio.Semaphore, queue: str, timeout: float) -> bool:
    async with gate:
        try:
            channel = await open_channel(connection, lambda _error: None, timeout)
        except BrokerError:
            return False
        try:
            await call(channel.basic_qos, channel=channel, timeout=timeout, prefetch_count=1)
            await call(
                channel.basic_consume,
                queue,
                lambda *_delivery: None,
                channel=channel,
                timeout=timeout,
                arguments={"x-priority": -100},
            )
        except (BrokerError, exceptions.AMQPError):
            return False
        finally:
            if channel.is_open:
                channel.close()
        return True
