"""Trục: a federated relay for signed government documents on RabbitMQ."""
