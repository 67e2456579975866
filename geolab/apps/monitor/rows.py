"""What the monitor says of a pipeline, as rows of tables and words: no widget, no kernel."""

from __future__ import annotations

from typing import Any

from geolab.apps import words
from geolab.apps.parts import Column
from geolab.pipeline.watch import Figures, Running

STAGES = (
    Column("name", "Stage"),
    Column("part", "Done", "bar"),
    Column("counts", "Runs"),
    Column("rate", "Rate", "short"),
    Column("mean", "Each", "short"),
    Column("eta", "Left", "short"),
)
RUNNING = (
    Column("cell", "Runs now"),
    Column("progress", "Progress", "bar"),
    Column("doing", "Does"),
    Column("took", "For", "short"),
    Column("uses", "Uses"),
    Column("host", "On"),
)
FAILED = (
    Column("cell", "Failed"),
    Column("error", "Why"),
    Column("attempts", "Attempts", "number"),
)


def progress(figures: Figures) -> str:
    """41 of 48 done, 4 running, 3 failed."""
    done = f"{figures.done:,} of {figures.total:,} done"
    others = [f"{count:,} {state}" for state, count in figures.counts.items() if state != "succeeded"]
    return ", ".join([done, *others])


def stages(figures: Figures) -> list[dict[str, Any]]:
    """One row a stage."""
    return [
        {
            "id": one.name,
            "name": one.name,
            "part": one.done / one.total if one.total else 0,
            "counts": ", ".join(f"{count:,} {state}" for state, count in one.counts.items()),
            "rate": f"{one.rate_per_min:.1f} per min" if one.rate_per_min else "",
            "mean": words.duration(one.mean_s),
            "eta": words.duration(one.eta_s) if one.eta_s else "",
        }
        for one in figures.stages
    ]


def failures(figures: Figures) -> list[dict[str, Any]]:
    """One row a node that failed; its id is that of the newest run."""
    return [
        {
            "id": row.run_id or f"{row.stage}/{row.cell}",
            "cell": " ".join(filter(None, [row.stage, row.cell])),
            "error": row.error,
            "attempts": row.attempts,
        }
        for row in figures.failures
    ]


def state(figures: Figures) -> str:
    """running while somebody drives it; else what is wanted of it."""
    if figures.state != "active":
        return figures.state or "new"
    return "running" if figures.driven else "done" if figures.done == figures.total else "idle"


def actions(figures: Figures) -> list[str]:
    """The names of the buttons that make sense, in order."""
    open_work = figures.done < figures.total
    names = list[str]()
    if figures.state == "paused":
        names.append("resume")
    elif figures.driven:
        names.append("pause")
    if not figures.driven and open_work and figures.state != "paused":
        names.append("run")
    if any(figures.counts.get(state) for state in ("failed", "cancelled", "lost")):
        names.append("retry")
    if figures.driven or figures.running or figures.counts.get("queued"):
        names.append("stop")
    return names


def running(one: Running) -> dict[str, Any]:
    used = {"cpu_pct": one.cpu_pct, "memory_mb": one.memory_mb, "gpu_pct": one.gpu_pct}
    return {
        "id": one.run_id,
        "cell": " ".join(filter(None, [one.stage, one.cell])),
        "progress": one.progress,
        "doing": one.doing,
        "took": words.duration(one.seconds),
        "uses": words.usage(used),
        "host": one.host,
    }
