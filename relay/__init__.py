"""Trục: a federated relay for signed government documents on RabbitMQ."""

__version__ = "0.1.0"
