"""Who is at the keyboard: the name for an audit row."""

from __future__ import annotations

import os
import pwd


def who() -> str:
    """Return the operating-system user who acts: behind ``sudo`` the one who called it; ``uid N`` if it has no name.

    ``SUDO_USER`` is believed of root alone: in anybody else's environment it is only a wish.
    """
    user = os.getuid()
    called_by = os.environ.get("SUDO_USER", "")
    if user == 0 and called_by:
        return called_by
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid {user}"
