"""python -m geolab_hub trial | apps PROJECT"""

from __future__ import annotations

import os
import sys

from geolab_hub import apps, trial
from geolab_hub.problem import Problem
from geolab_hub.surroundings import look

USAGE = "usage: python -m geolab_hub trial | apps PROJECT"


def main(words: list[str]) -> int:
    if words == ["trial"]:
        return trial.main()
    if len(words) == 2 and words[0] == "apps":
        return _apps(words[1])
    print(USAGE, file=sys.stderr)  # noqa: T201
    return 2


def _apps(name: str) -> int:
    try:
        around = look(os.environ)
        if name not in around.projects.by_name:
            raise Problem(f"there is no project {name!r}; there are {', '.join(around.projects.by_name)}")
        apps.become(around, name)
    except Problem as problem:
        print(f"error: {problem}", file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
