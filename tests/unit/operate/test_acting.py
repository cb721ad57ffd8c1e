"""Whose name stands in an audit row."""

from __future__ import annotations

import os
import pwd

import pytest

from relay.operate.acting import who


def test_behind_sudo_it_is_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "nga")
    assert who() == "nga"
    monkeypatch.delenv("SUDO_USER")
    assert who() == pwd.getpwuid(0).pw_name


def test_an_ordinary_user_cannot_wear_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4242424)
    monkeypatch.setenv("SUDO_USER", "nga")
    assert who() == "uid 4242424"
