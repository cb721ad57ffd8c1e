"""One document to two recipients, over the real relay. Usage: exchange.py SANDBOX.JSON FOLDER [SENDER RECIPIENT...]

Each recipient dies once between storing and acknowledging, drops the duplicate that follows, and answers 01.
"""

import sys
import uuid
from datetime import UTC, datetime

from edxml import NS, need
from gateway import Gateway


def exchange(sandbox, folder, code="H26", *to):
    sender, *recipients = (
        Gateway(sandbox, each, f"{folder}/{each}.db") for each in (code, *(to or ("H53", "G22")))
    )
    transport_id = str(uuid.uuid4())
    named = "".join(f"<To><OrganId>{each.code}</OrganId></To>" for each in recipients)
    number = f"{code},{datetime.now(UTC):%Y/%m/%d},{transport_id[:8]}/CV-{code}"
    document = sender.sign(f"<From><OrganId>{code}</OrganId></From>{named}<DocumentId>{number}</DocumentId>")
    sender.publish("normal", "edoc", document, transport_id)
    print(code, "sent", transport_id)

    told(sender, transport_id, "acknowledgement", "queued")
    for each in recipients:
        each.read(lambda *_: False, dies=transport_id)
        each.read(lambda properties, _: properties.message_id == transport_id)
    told(sender, transport_id, "outcome", "delivered")


def told(sender, transport_id, kind, state):
    """Wait for a receipt; its signature was checked when it was read."""
    receipt = sender.read(lambda that, root: that.correlation_id == transport_id and root.get("kind") == kind)
    lines = {each.get("code"): each.get("state") for each in receipt.iterfind("r:recipient", NS)}
    print(sender.code, "is told:", kind, receipt.get("result"), *(f"{each}={lines[each]}" for each in lines))
    need(set(lines.values()) == {state}, f"not all are {state}")


exchange(*sys.argv[1:])
