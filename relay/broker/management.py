"""A small client of RabbitMQ's management API: bulk reads, and the writes that AMQP has no word for."""

from __future__ import annotations

import base64
import http.client
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from relay.broker.tls import as_tls_error, client_context
from relay.errors import BrokerError, Code, ConfigurationError
from relay.settings import is_loopback

Row = dict[str, Any]
"""One object of an answer, as JSON gives it."""

_TIMEOUT: Final = 30.0
_FORBIDDEN: Final = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Management:
    """The management API of one vhost. ``url`` is ``http://`` on loopback, else ``https://``.

    Errors of each method: ``BrokerError`` BROKER-UNREACHABLE, BROKER-UNTRUSTED (the certificate does not hold), or
    BROKER-REFUSED with the status in the detail.
    """

    url: str
    user: str
    password: str = field(repr=False)
    vhost: str = "truc"
    ca_file: Path | None = None
    timeout: float = _TIMEOUT  # seconds

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigurationError(
                Code.CONFIG_INVALID, "the management URL starts with http:// or https://"
            )
        if parts.scheme == "http" and not is_loopback(parts.hostname):
            raise ConfigurationError(
                Code.CONFIG_INVALID, "outside loopback management is reached by https only"
            )

    # --- reads

    def definitions(self) -> Row:
        """Return all that is defined in the broker: users, permissions, policies, exchanges, queues, bindings."""
        return self._row("/api/definitions")

    def vhost_definitions(self) -> Row:
        """Return exchanges, queues, bindings and policies of the vhost in one cheap read."""
        return self._row(f"/api/definitions/{self._vhost}")

    def queues(self, columns: str = "") -> list[Row]:
        """Return the queues of the vhost with their state; ``columns`` narrows it (``name,messages``)."""
        query = f"?columns={columns}" if columns else ""
        return self._rows(f"/api/queues/{self._vhost}{query}")

    def exchanges(self) -> list[Row]:
        """Return the exchanges of the vhost."""
        return self._rows(f"/api/exchanges/{self._vhost}")

    def bindings(self) -> list[Row]:
        """Return the bindings of the vhost, in one read."""
        return self._rows(f"/api/bindings/{self._vhost}")

    def users(self) -> list[Row]:
        """Return the users, without what belongs to their passwords."""
        rows = self._rows("/api/users")
        return [{key: value for key, value in row.items() if "password" not in key} for row in rows]

    def users_with_password(self) -> dict[str, bool]:
        """Return all users, and of each whether it has a password; without one only a certificate lets it in."""
        return {str(row["name"]): bool(row.get("password_hash")) for row in self._rows("/api/users")}

    def permissions(self) -> list[Row]:
        """Return the permissions on the vhost."""
        return [row for row in self._rows("/api/permissions") if row.get("vhost") == self.vhost]

    def topic_permissions(self) -> list[Row]:
        """Return the topic permissions on the vhost."""
        return [row for row in self._rows("/api/topic-permissions") if row.get("vhost") == self.vhost]

    def policies(self) -> list[Row]:
        """Return the policies of the vhost."""
        return self._rows(f"/api/policies/{self._vhost}")

    def vhosts(self) -> list[str]:
        """Return the names of the vhosts."""
        return [str(row["name"]) for row in self._rows("/api/vhosts")]

    def connections(self, user: str | None = None) -> list[Row]:
        """Return the open connections, of one user if given."""
        rows = self._rows("/api/connections")
        return [row for row in rows if user is None or row.get("user") == user]

    def connections_of(self, user: str) -> list[str]:
        """Return the names of a user's open connections, as the broker tracks them: no younger one is missing.

        ``connections`` is made from statistics, which come some seconds later.
        """
        rows = self._rows(f"/api/connections/username/{_quoted(user)}")
        return [str(row["name"]) for row in rows if "name" in row]

    def overview(self) -> Row:
        """Return versions and totals."""
        return self._row("/api/overview")

    def nodes(self) -> list[Row]:
        """Return the nodes of the broker with their limits, alarms and plugins."""
        return self._rows("/api/nodes")

    def feature_flags(self) -> list[Row]:
        """Return the feature flags with ``state`` and ``stability``."""
        return self._rows("/api/feature-flags")

    def deprecated_in_use(self) -> list[str]:
        """Return the deprecated features in use; none on versions that do not tell (before 3.13)."""
        status, answer = self._call(
            "GET", "/api/deprecated-features/used", None, allowed=frozenset({404, 405})
        )
        rows = answer if status == http.client.OK and isinstance(answer, list) else []
        return [str(row["name"]) for row in rows if isinstance(row, dict) and "name" in row]

    def permissions_elsewhere(self) -> list[Row]:
        """Return the permissions on all other vhosts."""
        return [row for row in self._rows("/api/permissions") if row.get("vhost") != self.vhost]

    def connection_states(self) -> list[Row]:
        """Return each open connection with no more than its name, user, state and when it was accepted."""
        columns = "name,user,state,user_provided_name,connected_at"
        return self._rows(f"/api/connections?columns={columns}")

    def alarms(self) -> bool:
        """Whether a memory or disk alarm is in force."""
        status, _ = self._call("GET", "/api/health/checks/alarms", None, allowed=frozenset({503}))
        return status != http.client.OK

    def alarms_in_force(self) -> list[tuple[str, str]]:
        """Return (node, resource) of each alarm, resource ``memory`` or ``disk``; nodes tell of theirs seconds later."""
        _, answer = self._call("GET", "/api/health/checks/alarms", None, allowed=frozenset({503}))
        rows = answer.get("alarms", ()) if isinstance(answer, dict) else ()
        return [
            (str(row.get("node")), str(row.get("resource")).partition(" ")[0])  # 3.10 says "disk space"
            for row in rows
            if isinstance(row, dict)
        ]

    def healthy(self) -> bool:
        """Whether the vhosts are up. Green also while queues have no leader."""
        status, _ = self._call("GET", "/api/health/checks/virtual-hosts", None, allowed=frozenset({503}))
        return status == http.client.OK

    # --- writes

    def put_vhost(self) -> None:
        """Make the vhost."""
        self._call("PUT", f"/api/vhosts/{self._vhost}", {})

    def put_user(self, user: str, password: str, tags: str = "") -> None:
        """Make a user, or give it another password."""
        self._call("PUT", f"/api/users/{_quoted(user)}", {"password": password, "tags": tags})

    def put_user_without_password(self, user: str, tags: str = "") -> None:
        """Make a user that can log in by client certificate alone, or take its password away."""
        self._call("PUT", f"/api/users/{_quoted(user)}", {"password_hash": "", "tags": tags})

    def delete_user(self, user: str) -> None:
        """Delete a user; its connections are closed by the broker."""
        self._call("DELETE", f"/api/users/{_quoted(user)}", None, allowed=frozenset({404}))

    def put_permissions(self, user: str, configure: str, write: str, read: str) -> None:
        """Set a user's permissions on the vhost."""
        self._call(
            "PUT",
            f"/api/permissions/{self._vhost}/{_quoted(user)}",
            {"configure": configure, "write": write, "read": read},
        )

    def delete_permissions(self, user: str) -> None:
        """Take a user's rights on the vhost away."""
        self._call(
            "DELETE", f"/api/permissions/{self._vhost}/{_quoted(user)}", None, allowed=frozenset({404})
        )

    def put_topic_permissions(self, user: str, exchange: str, write: str, read: str) -> None:
        """Set a user's topic permission on one exchange."""
        self._call(
            "PUT",
            f"/api/topic-permissions/{self._vhost}/{_quoted(user)}",
            {"exchange": exchange, "write": write, "read": read},
        )

    def put_policy(self, name: str, pattern: str, apply_to: str, definition: Row, priority: int) -> None:
        """Set a policy."""
        self._call(
            "PUT",
            f"/api/policies/{self._vhost}/{_quoted(name)}",
            {"pattern": pattern, "apply-to": apply_to, "definition": definition, "priority": priority},
        )

    def delete_policy(self, name: str) -> None:
        """Delete a policy."""
        self._call("DELETE", f"/api/policies/{self._vhost}/{_quoted(name)}", None, allowed=frozenset({404}))

    def close_connections(self, user: str) -> int:
        """Close what a user has open, so that rights that were taken away hold from now on. Returns how many.

        Rights are cached for each channel: without this a gateway goes on publishing as long as it likes.
        """
        rows = self._rows(f"/api/connections/username/{_quoted(user)}")
        for row in rows:
            self._call(
                "DELETE", f"/api/connections/{_quoted(str(row['name']))}", None, allowed=frozenset({404})
            )
        return len(rows)

    # --- inside

    @property
    def _vhost(self) -> str:
        return _quoted(self.vhost)

    def _rows(self, path: str) -> list[Row]:
        _, answer = self._call("GET", path, None)
        return [row for row in answer if isinstance(row, dict)] if isinstance(answer, list) else []

    def _row(self, path: str) -> Row:
        _, answer = self._call("GET", path, None)
        return answer if isinstance(answer, dict) else {}

    def _call(
        self, method: str, path: str, body: Row | None, allowed: frozenset[int] = frozenset()
    ) -> tuple[int, object]:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = client_context(self.ca_file)
            connection = http.client.HTTPSConnection(host, parts.port, timeout=self.timeout, context=context)
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=self.timeout)
        token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException) as error:
            if (failure := as_tls_error([error])) is not None:
                raise BrokerError(failure.code, f"management API: {failure.detail}") from error
            raise BrokerError(Code.BROKER_UNREACHABLE, f"management API: {type(error).__name__}") from error
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST and answer.status not in allowed:
            known = "refuses user or password" if answer.status in _FORBIDDEN else f"answers {answer.status}"
            raise BrokerError(Code.BROKER_REFUSED, f"management API {known} at {method} {path}")
        try:
            return answer.status, json.loads(data) if data else None
        except ValueError:
            raise BrokerError(Code.BROKER_UNREACHABLE, "management API: not JSON") from None


def _quoted(name: str) -> str:
    return quote(name, safe="")
