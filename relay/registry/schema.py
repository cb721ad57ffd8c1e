"""The tables of the registry, and the check that a database is ours and of this version.

Times are microseconds since 1970 UTC, flags 0 or 1: the same bits on every database. Partial indices keep what the
keeper looks for small, however many documents are stored.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    inspect,
    select,
    text,
)

from relay.errors import Code, RegistryError
from relay.registry import dialect

VERSION: Final = 1

metadata = MetaData()

_Row = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER is an alias of SQLite's rowid


def _flag(name: str) -> Column[int]:
    return Column(name, SmallInteger, nullable=False, server_default=text("0"))


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _partial(name: str, *columns: Column[object] | str, where: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


schema_version = Table(
    "schema_version", metadata, Column("version", Integer, primary_key=True, autoincrement=False)
)

documents = Table(
    "documents",
    metadata,
    Column("id", _Row, primary_key=True),
    _text("sender"),
    _text("transport_id"),
    _text("kind"),
    _text("user_name"),
    _text("lane"),
    _text("body_sha256"),
    Column("body_bytes", BigInteger, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column("deadline_at", BigInteger),
    _text("document_id"),
    _text("code"),
    _text("promulgation_date"),
    Column("business_type", Integer, nullable=False),
    _text("verdict"),  # JSON
    _text("directory_version"),
    Column("refusal", Text),
    _text("detail"),
    Column("same_content_as", _Row, ForeignKey("documents.id")),
    Column("refers_to", _Row, ForeignKey("documents.id")),
    _text("status_code"),
    _flag("settled"),
    _flag("finished"),
    Column("lease_owner", Text),
    Column("claimed_at", BigInteger, nullable=False),
    _flag("lost_told"),
    Column("watch_at", BigInteger),  # the deadline until it was told or cannot pass any more
    _flag("outcome_due"),  # every delivery has ended, the final outcome is not written
    Index("documents_key", "transport_id", "sender", unique=True),
    _partial(
        "documents_first",
        "body_sha256",
        "sender",
        where="same_content_as IS NULL AND refusal IS NULL",
        unique=True,
    ),
    _partial("documents_business", "document_id", "sender", where="kind = 'edoc'"),
    _partial("documents_numbered", "code", "sender", where="kind = 'edoc'"),
    _partial("documents_aliases", "same_content_as", where="same_content_as IS NOT NULL"),
    _partial("documents_unsettled", "accepted_at", where="settled = 0"),
    _partial("documents_watched", "watch_at", where="watch_at IS NOT NULL"),
    _partial("documents_outcome_due", "id", where="outcome_due = 1"),
    _partial(
        "documents_unfinished",
        "accepted_at",
        where="kind = 'edoc' AND finished = 0 AND refusal IS NULL AND same_content_as IS NULL",
    ),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("document", _Row, ForeignKey("documents.id"), nullable=False),
    _text("delivery_id"),
    Column("place", Integer, nullable=False),  # order of the recipients in the package
    _text("written"),
    _text("recipient"),
    Column("level", Text),
    _text("state"),
    Column("code", Text),
    Column("at", BigInteger),
    Column("queued_at", BigInteger),
    Column("due_at", BigInteger),
    Column("attempt", Integer, nullable=False),
    _text("detail"),
    Column("version", Integer, nullable=False),
    Column("change", Text),
    _flag("overdue_told"),
    _flag("lost"),
    _flag("lost_told"),
    # Clustered by document: an index over the ids alone would touch a random page for each delivery.
    PrimaryKeyConstraint("document", "delivery_id"),
    CheckConstraint(
        "state IN ('planned','queued','delivered','refused','withdrawn')", name="deliveries_state"
    ),
    _partial("deliveries_planned", "document", where="state = 'planned'"),
    sqlite_with_rowid=False,
)

statuses = Table(
    "statuses",
    metadata,
    Column("id", _Row, primary_key=True),
    Column("document", _Row, ForeignKey("documents.id"), nullable=False),  # the document meant
    _text("delivery_id"),
    Column("submission", _Row, ForeignKey("documents.id"), nullable=False),  # the status's own row
    _text("status"),
    _text("timestamp"),
    _text("reporter"),
    Column("refusal", Text),
    Column("at", BigInteger, nullable=False),
    Index("statuses_of", "document", "delivery_id"),
)

receipts = Table(
    "receipts",
    metadata,
    Column("id", _Row, primary_key=True),
    _text("series"),  # number = series-serial
    Column("serial", BigInteger, nullable=False),
    _text("kind"),
    Column("accepted", SmallInteger, nullable=False),
    _text("code"),
    _text("addressed_to"),
    Column("correlation_id", Text),
    _text("message_id"),
    Column("at", BigInteger, nullable=False),
    Column("document", _Row, ForeignKey("documents.id")),
    _flag("final"),
    _text("user_name"),
    _text("transport_id"),
    _text("body_sha256"),
    Column("published_at", BigInteger),
    Index("receipts_number", "series", "serial", unique=True),
    _partial("receipts_of", "document", where="document IS NOT NULL"),
    _partial("receipts_final", "document", where="final = 1", unique=True),
    _partial(
        "receipts_unproven",
        "body_sha256",
        "transport_id",
        "user_name",
        where="document IS NULL AND kind <> 'held'",
        unique=True,
    ),
    _partial("receipts_unpublished", "at", where="published_at IS NULL"),
    _partial("receipts_loose", "transport_id", where="document IS NULL"),
)

unproven_key: Final = next(index for index in receipts.indexes if index.name == "receipts_unproven")

# Apart, so that noting a publish does not write the receipt's bytes a second time.
receipt_bodies = Table(
    "receipt_bodies",
    metadata,
    Column("receipt", _Row, ForeignKey("receipts.id"), primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("worker", Text, primary_key=True),
    Column("heartbeat_at", BigInteger, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    _text("holder"),
    Column("expires_at", BigInteger, nullable=False),
)

broker_epochs = Table(
    "broker_epochs",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    _text("epoch"),
    _flag("declared"),
)

held = Table(
    "held",
    metadata,
    Column("held_id", Text, primary_key=True),
    _text("code"),
    _text("origin"),
    _text("user_name"),
    _text("transport_id"),
    _text("sender"),
    _text("recipient"),
    _text("delivery_id"),
    _text("body_sha256"),
    Column("at", BigInteger, nullable=False),
    _text("detail"),
    Column("released_at", BigInteger),
    Index("held_of", "transport_id"),
    _partial("held_waiting", "at", where="released_at IS NULL"),
)

acts = Table(
    "acts",
    metadata,
    Column("id", _Row, primary_key=True),
    Column("at", BigInteger, nullable=False),
    _text("who"),
    _text("act"),
    _text("subject"),
    _text("detail"),
    Index("acts_of", "subject", "id"),
)

restores = Table(
    "restores",
    metadata,
    Column("id", _Row, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("floor", BigInteger, nullable=False),  # of receipt numbers: none above it had been used before
)

# What an operator decided to drop out of quarantine, until the keeper has told it and after.
drops = Table(
    "drops",
    metadata,
    Column("held_id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    _text("reason"),
    _text("kind"),
    Column("body_bytes", BigInteger, nullable=False),
    Column("told_at", BigInteger),
    _partial("drops_untold", "at", where="told_at IS NULL"),
)

# What a revocation, update or replacement names: document ids of its own sender's.
mentions = Table(
    "mentions",
    metadata,
    Column("document", _Row, ForeignKey("documents.id"), nullable=False),
    Column("place", Integer, nullable=False),
    _text("document_id"),
    PrimaryKeyConstraint("document", "place"),
    sqlite_with_rowid=False,
)

# The processes that run now: written at their start, removed at a clean end.
processes = Table(
    "processes",
    metadata,
    Column("owner", Text, primary_key=True),  # as in workers
    _text("name"),
    _text("role"),
    _text("host"),
    _text("machine"),
    Column("pid", BigInteger, nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    _text("version"),
)

# What was found in a document's attachments; the receipts that tell it are stored in the same commit.
inspections = Table(
    "inspections",
    metadata,
    Column("document", _Row, ForeignKey("documents.id"), primary_key=True, autoincrement=False),
    _text("result"),
    Column("at", BigInteger, nullable=False),
)

# Evidence. What one commit puts on record stands in one row: a row for each record would cost more than the record.

evidence_chains = Table(
    "evidence_chains",
    metadata,
    Column("id", _Row, primary_key=True),
    Column("chain", Text, nullable=False, unique=True),  # UUID
    _text("owner"),  # as in workers
    Column("open", SmallInteger, nullable=False, server_default=text("1")),
    _partial("evidence_chains_open", "id", where="open = 1"),
)

evidence_frames = Table(
    "evidence_frames",
    metadata,
    Column("id", _Row, primary_key=True),  # in the order of commits, so that the file grows at its end
    Column("chain", _Row, ForeignKey("evidence_chains.id"), nullable=False),
    Column("first", BigInteger, nullable=False),  # seq of its first record
    Column("count", Integer, nullable=False),
    Column("at", BigInteger, nullable=False),  # of its last record
    Column("octets", LargeBinary, nullable=False),  # each record behind its length: four bytes, big-endian
    Index("evidence_frames_of", "chain", "first", unique=True),
    Index("evidence_frames_at", "at"),
)

evidence_batches = Table(
    "evidence_batches",
    metadata,
    Column("place", _Row, primary_key=True, autoincrement=False),  # in the main log, from 0
    Column("chain", _Row, ForeignKey("evidence_chains.id"), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("count", Integer, nullable=False),
    Column("header", LargeBinary, nullable=False),
    Index("evidence_batches_of", "chain", "number", unique=True),
)

evidence_heads = Table(
    "evidence_heads",
    metadata,
    Column("number", _Row, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("text", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)

evidence_stamps = Table(
    "evidence_stamps",
    metadata,
    Column("number", _Row, ForeignKey("evidence_heads.number"), nullable=False),
    _text("authority"),
    Column("at", BigInteger, nullable=False),
    Column("token", LargeBinary, nullable=False),
    PrimaryKeyConstraint("number", "authority"),
)

# Of this relay's heads, by its witnesses.
evidence_statements = Table(
    "evidence_statements",
    metadata,
    Column("number", _Row, ForeignKey("evidence_heads.number"), nullable=False),
    _text("witness"),
    Column("size", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("text", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    PrimaryKeyConstraint("number", "witness"),
)

# Other relays' heads.
evidence_known = Table(
    "evidence_known",
    metadata,
    Column("id", _Row, primary_key=True),
    _text("relay"),
    Column("number", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("text", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Index("evidence_known_of", "relay", "number"),
)

evidence_forks = Table(
    "evidence_forks",
    metadata,
    Column("id", _Row, primary_key=True),
    _text("relay"),
    _text("kind"),
    Column("at", BigInteger, nullable=False),
    Column("first_text", LargeBinary, nullable=False),
    Column("first_signature", LargeBinary, nullable=False),
    Column("second_text", LargeBinary, nullable=False),
    Column("second_signature", LargeBinary, nullable=False),
    _text("detail"),
)

evidence_lives = Table(
    "evidence_lives",
    metadata,
    Column("life", Integer, primary_key=True, autoincrement=False),
    Column("base", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)

evidence_asked = Table(
    "evidence_asked",
    metadata,
    Column("one", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
)

evidence_faults = Table(
    "evidence_faults",
    metadata,
    Column("place", Text, primary_key=True),
    _text("what"),
    Column("at", BigInteger, nullable=False),
)

EVIDENCE: Final = (
    evidence_chains,
    evidence_frames,
    evidence_batches,
    evidence_heads,
    evidence_stamps,
    evidence_statements,
    evidence_known,
    evidence_forks,
    evidence_lives,
    evidence_asked,
    evidence_faults,
)
"""In an order in which they can be made."""

ADDED: Final = (acts, restores, drops, processes, mentions, inspections, *EVIDENCE)
"""Tables that came after the first relay of this version was in use: made where they are missing. A relay that does not
know them works beside them, so machines can be upgraded, and set back, one after the other."""

ADDED_INDICES: Final = frozenset(
    {"documents_unfinished", "documents_numbered", "receipts_loose", "held_of", "held_waiting"}
)
"""The same, of indices on older tables."""


def create_or_check(connection: Connection) -> None:
    """Create the tables in an empty database; in another one check that they are ours, and add what came later.

    Raises:
        RegistryError: REGISTRY-UNUSABLE: the database holds foreign tables or those of another version.
    """
    dialect.serialise_schema(connection)
    there = set(inspect(connection).get_table_names())
    if not there:
        metadata.create_all(connection, checkfirst=False)
        connection.execute(schema_version.insert(), {"version": VERSION})
        return
    if schema_version.name not in there:
        raise RegistryError(Code.REGISTRY_UNUSABLE, "the database holds tables that are not the registry's")
    found = connection.execute(select(schema_version.c.version)).scalars().all()
    if list(found) != [VERSION]:
        raise RegistryError(
            Code.REGISTRY_UNUSABLE, f"registry schema {list(found)}, this relay knows {VERSION}"
        )
    metadata.create_all(connection, [table for table in ADDED if table.name not in there], checkfirst=False)
    lacking = ADDED_INDICES - dialect.index_names(connection)
    for index in (index for table in metadata.sorted_tables for index in table.indexes):
        if index.name in lacking:
            index.create(connection)
