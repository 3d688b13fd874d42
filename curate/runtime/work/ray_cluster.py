"""A cluster of Ray: reached or started, and kept from speaking and from handling signals for itself.

Imported only for ``--engine ray``.
"""

import os
import signal
import socket
from contextlib import suppress
from typing import Any

from curate.errors import EngineError
from curate.runtime.work import threads
from curate.runtime.work.engines import ADDRESS, EngineOptions
from curate.runtime.work.interrupts import list_signals

CONNECT_SECONDS = 10
"""How long somebody who listens at an address may take to answer."""
OBJECT_STORE_BYTES = 1_000_000_000
"""Of a cluster that is started here, at most: what items share goes through it, such as the index of eval sets."""


def connect_ray(options: EngineOptions) -> tuple[Any, bool]:
    """Return Ray, connected, and whether the connection is to be closed in the end.

    Raises EngineError where Ray is not installed, or the cluster is not to be reached.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = options.address or os.environ.get("RAY_ADDRESS")
    check_reachable(address)
    if address is not None and has_token():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # which Ray does by itself for address auto alone, if at all
    try:
        import ray
    except ImportError as error:
        raise EngineError(f"--engine ray: {error}", "pip install 'curate[ray]'") from None
    if ray.is_initialized():
        return ray, False
    known: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        cores = max(threads.count_cores(), round((options.workers or 1) * (options.cpus_per_worker or 1)))
        known |= {"include_dashboard": False, "num_cpus": cores, "object_store_memory": OBJECT_STORE_BYTES}
    handlers = list_handlers()
    try:
        ray.init(address=address or "local", **known)  # with None, Ray would take a cluster that runs here
    except Exception as error:
        if address is None:
            raise EngineError(f"Ray does not start here: {describe_death(error)}", "ray stop") from error
        hint = "ray start --head on one machine, ray start --address=HEAD:6379 on the others"
        raise EngineError(f"no cluster of Ray at {address}: {describe_death(error)}", hint) from error
    finally:
        restore_handlers(handlers)
    silence_ray()
    return ray, True


def check_reachable(address: str | None) -> None:
    """Raise EngineError where nobody listens at an address: Ray tries for minutes, and ends in a message of its own."""
    found = ADDRESS.fullmatch(address or "auto")
    if found is None or found["host"] is None:
        return
    try:
        socket.create_connection((found["host"].strip("[]"), int(found["port"])), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        hint = "ray start --head on one machine, ray start --address=HEAD:6379 on the others; see RAY_ADDRESS too"
        raise EngineError(f"no cluster of Ray at {address}: {error}", hint) from None


def has_token() -> bool:
    """Return whether there is a token for clusters of Ray that ask for one, as those that it starts do.

    A cluster that asks for none takes no notice of it.
    """
    if "RAY_AUTH_TOKEN" in os.environ:
        return True
    path = os.environ.get("RAY_AUTH_TOKEN_PATH", os.path.join(os.path.expanduser("~"), ".ray", "auth_token"))
    return os.path.exists(path)


def list_handlers() -> dict[Any, Any]:
    """Return the handlers of the signals that ask to stop: Ray sets one of its own."""
    return {each: signal.getsignal(each) for each in list_signals()}


def restore_handlers(handlers: dict[Any, Any]) -> None:
    """Set the handlers of signals as they were, where this thread may."""
    for each, handler in handlers.items():
        if handler is not None:
            with suppress(ValueError):
                signal.signal(each, handler)


def silence_ray() -> None:
    """Keep Ray from printing the deaths of workers and machines to stdout, where the summary goes: the pool says them.

    Ray has no option for it.
    """
    with suppress(Exception):
        from ray._private import worker

        printing = worker.print_to_stdstream
        if not hasattr(printing, "is_of_curate"):

            def print_others(batch: dict[str, Any], *options: Any, **named: Any) -> None:
                if batch.get("pid") != "raylet":
                    printing(batch, *options, **named)

            print_others.is_of_curate = True  # type: ignore[attr-defined]
            worker.print_to_stdstream = print_others


def count_workers(options: EngineOptions, total: dict[str, float], uses_gpu: bool) -> int:
    """Return the workers that are wished for, else those that fit into what a cluster has by the kind; at least 1."""
    if options.workers is not None:
        return options.workers
    gpus = options.gpus_per_worker
    gpus = float(uses_gpu and total.get("GPU", 0) >= 1) if gpus is None else gpus
    fitting = total.get("CPU", 0) / (options.cpus_per_worker or 1)
    if gpus:
        fitting = min(fitting, total.get("GPU", 0) / gpus)
    return max(1, int(fitting))


def describe_death(error: Exception) -> str:
    """Return what Ray says of a worker or a cluster, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    missing = next((line for line in lines if "ModuleNotFoundError" in line), None)
    return missing or (lines[0] if lines else type(error).__name__)
