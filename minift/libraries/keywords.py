"""Keywords of the libraries that change nothing here: taken at the values that scripts pass, then dropped. One table.

They are kept out of the signatures that people read: `@drops_keywords` above a function takes those that the table
lists for it. This module imports none of minift, so that every room may use it.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

ANY = "any value"

# function -> keyword -> the values at which it is taken
WITHOUT_EFFECT: dict[str, dict[str, tuple[Any, ...] | str]] = {
    # optim
    "AdamW.__init__": {
        "amsgrad": (False,),
        "capturable": (False,),
        "differentiable": (False,),
        "foreach": (None, False),
        "fused": (None, False),
        "maximize": (False,),
        "no_deprecation_warning": ANY,
    },
    # model
    "StoredModel.from_pretrained": {
        "device_map": (None, "cpu"),
        "force_download": (False,),
        "from_flax": (False,),
        "from_tf": (False,),
        "low_cpu_mem_usage": ANY,
        "proxies": (None,),
        "resume_download": ANY,
        "trust_remote_code": (None, False),
        "use_auth_token": (None,),
        "use_safetensors": (None, True),
    },
    "StoredModel.save_pretrained": {
        "push_to_hub": (False,),
        "safe_serialization": (True,),
    },
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
    called = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        for keyword in taken.keys() & options.keys():
            value, values = options.pop(keyword), taken[keyword]
            if values is not ANY and value not in values:
                allowed = " or ".join(map(repr, values))
                raise ValueError(f"{called} does not support {keyword}={value!r}, only {allowed}")
        return function(*args, **options)

    return call
