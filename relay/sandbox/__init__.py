"""The sandbox: a private broker, development certificates, sample agencies and the processes that serve them.

::

    up.py / down.py        what ``truc up`` and ``truc down`` do
      supervisor.py        starts, watches and restarts; keeps ``sandbox.json`` true
        node.py            one private RabbitMQ node
        provision.py       topology, users and certificates of the sandbox
        config.py          the settings files of worker and keeper
      home.py              the folder: layout, kept secrets, ``sandbox.json``
      ca.py agencies.py    development certificates, sample agencies
      process.py ports.py  processes and ports of this machine, told apart without relying on names
"""
