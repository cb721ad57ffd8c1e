"""A small directory and a vhost of its own on the shared node, made by the real topology code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from relay.broker.apply import Applied, apply
from relay.broker.connection import Endpoint
from relay.broker.management import Management
from relay.broker.plan import Change, plan, read_live
from relay.broker.topology import Desired, TopologyConfig, desired_topology
from relay.model.agency import Admission, Agency
from relay.model.levels import Level
from tests.support.node import Node

RELAY = "relay"


def agency(
    code: str,
    level: Level = Level.PROVINCE,
    *,
    gateway: str | None = None,
    own_queue: bool = True,
    admission: Admission = Admission.ADMITTED,
) -> Agency:
    """Build an agency; its own gateway unless another is named."""
    return Agency(
        code, f"Agency {code}", level, gateway=gateway or code, own_queue=own_queue, admission=admission
    )


# Prefixes overlap on purpose.
AGENCIES = (
    agency("H5"),
    agency("H53"),
    agency("H530", Level.DISTRICT),
    agency("H53.1", Level.COMMUNE, gateway="H53"),
    agency("H53.2", Level.COMMUNE, gateway="H53", own_queue=False),
    agency("G14", Level.CENTRAL),
)


@dataclass(frozen=True)
class Ground:
    """One vhost of the node with the topology of some agencies."""

    node: Node
    vhost: str

    @property
    def management(self) -> Management:
        return Management(self.node.management_url, self.node.admin, self.node.password, self.vhost)

    @property
    def admin(self) -> Endpoint:
        return Endpoint(self.node.host, self.node.port, self.node.admin, self.node.password, self.vhost)

    def endpoint(self, user: str) -> Endpoint:
        """Log in as one of the users that ``apply`` made."""
        return Endpoint(self.node.host, self.node.port, user, password_of(user), self.vhost)

    def desired(self, agencies: Iterable[Agency] = AGENCIES) -> Desired:
        listed = list(agencies)
        gateways = {one.gateway: password_of(one.gateway) for one in listed if one.gateway is not None}
        return desired_topology(
            TopologyConfig.load(), listed, RELAY, gateways, relay_password=password_of(RELAY)
        )

    def plan(self, agencies: Iterable[Agency] = AGENCIES) -> list[Change]:
        return plan(self.desired(agencies), read_live(self.management))

    def apply(
        self, agencies: Iterable[Agency] = AGENCIES, *, settle: float = 0.0, prune: bool = False
    ) -> Applied:
        desired = self.desired(agencies)
        live = read_live(self.management)
        return apply(
            plan(desired, live),
            desired,
            live,
            self.management,
            self.admin,
            settle=settle,
            prune=prune,
            reset_passwords=True,
        )


def password_of(user: str) -> str:
    return f"password-of-{user}"


def passwords(users: Iterable[str]) -> Mapping[str, str]:
    return {user: password_of(user) for user in users}
