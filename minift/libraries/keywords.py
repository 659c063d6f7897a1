"""Keywords of the libraries that change nothing here: taken at the values that scripts pass, then dropped. One table.

They are kept out of the signatures that people read: `@drops_keywords` above a function takes those that the table
lists for it. This module imports none of minift, so that every room may use it.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

ANY = "any value"

# function -> keyword -> the values at which it is taken; rooms in the order of the README, functions by name
WITHOUT_EFFECT: dict[str, dict[str, tuple[Any, ...] | str]] = {
    # pipelines
    "pipeline": {
        "device_map": (None, "auto"),  # "auto" is what device=None does; another device is given as device=
        "framework": (None, "pt"),
        "trust_remote_code": (None, False),
        "use_fast": (None, True),
    },
}


def drops_keywords(function: Callable) -> Callable:
    """Take the keywords that the table lists for `function`, and call it without them.

    Raises:
        ValueError: from the call, when a keyword has a value that would have an effect in the library.
    """
    taken = WITHOUT_EFFECT[function.__qualname__]

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        for keyword in taken.keys() & options.keys():
            value, values = options.pop(keyword), taken[keyword]
            if values is not ANY and value not in values:
                allowed = " or ".join(map(repr, values))
                raise ValueError(f"{function.__name__}: {keyword}={value!r} is not supported; only {allowed} is")
        return function(*args, **options)

    return call
