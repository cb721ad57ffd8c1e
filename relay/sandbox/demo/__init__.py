"""``truc demo``: a sandbox of its own, what happens in it, and an honest count at the end.

::

    run.py          the order of events: sandbox up, story, crowd, deadline, take-back, judgement, sandbox down
      scenario.py   what is sent, and what must come of it (pure)
      office.py     one gateway at work: signs, sends, receives, answers
      spoil.py      the wrong ones
      reader.py     taps what the queues give to the gateways, and keeps the book
      judge.py      lost and duplicated, from what was sent and what the readers saw (pure)
      story.py      one document hop by hop, and the table, for people

The count rests on the readers alone: nothing here knows the registry or the pipeline of the relay.
"""

from relay.sandbox.demo.run import run_demo

__all__ = ["run_demo"]
