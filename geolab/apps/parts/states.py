"""Which colour a state has; its word is always shown beside it."""

from __future__ import annotations

_KINDS = {
    "ok": ("ok", "succeeded", "done", "active", "production", "served"),
    "run": ("running", "run", "started"),
    "warn": ("warn", "cancelled", "low", "paused", "outdated", "blocked", "rejected", "lost"),
    "fail": ("fail", "failed", "broken", "error"),
}  # fmt: skip
KIND = {word: kind for kind, words in _KINDS.items() for word in words}


def kind_of(state: str) -> str:
    """ok, run, warn, fail or soft."""
    return KIND.get(str(state).lower(), "soft")
