"""Outside worlds behind the relay's ports, each replaceable and none importing another."""
