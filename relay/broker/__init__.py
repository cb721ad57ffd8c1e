"""The only room that speaks AMQP: names, topology, connections, confirmed publishing, an in-memory double."""
