"""``truc bench``: the whole path measured beside the bare loop, in the same run, over a broker of its own.

::

    run.py         the order of a run
      site.py      the sandbox, and who stands in the relay's place
      stock.py     signed documents, made beforehand
      legs.py      one system under both loads; the profile
      scrape.py    the workers' own metrics
      talk.py      questions to the load processes
    gateways.py    another question: publishing by gateways that serve few agencies and many
    sender.py      process: the sending gateway
    reader.py      process: the recipients' gateways
    profiled.py    process: a worker under a sampler
    stages.py      which code belongs to which stage (pure)
    figures.py     from notes to figures (pure)
    results.py     the figures as values
    report.py      Markdown and JSON
"""

from relay.sandbox.bench.plan import Plan
from relay.sandbox.bench.results import Report
from relay.sandbox.bench.run import run_bench

__all__ = ["Plan", "Report", "run_bench"]
