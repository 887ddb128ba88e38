"""Run the command line with one function slowed down, so that the process can be killed in the midst of it.

Usage: python slowed.py <module>:<function> <seconds> <arguments of igc>
"""

import importlib
import sys
import time
from typing import Any


def slow_down(place: str, seconds: float) -> None:
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, last = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    whole = getattr(owner, last)

    def slowed(*arguments: Any, **named: Any) -> Any:
        result = whole(*arguments, **named)
        time.sleep(seconds)
        return result

    setattr(owner, last, slowed)


if __name__ == "__main__":
    slow_down(sys.argv[1], float(sys.argv[2]))
    sys.argv = ["igc", *sys.argv[3:]]
    from igc.cli import main

    main()
