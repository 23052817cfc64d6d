"""A Ray cluster to work on: joined at an address, or begun on this machine and ended with the work.

Ray is an extra (`pip install 'wardlaw[ray]'`) and is imported here and in the modules that run on it, nowhere else.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rules.errors import WardlawError

_log = logging.getLogger(__name__)

_STORE = 256 * 2**20
"""Bytes of shared memory that a cluster begun here sets aside. What passes through it is a few hundred prompts."""
_KNOCK_S = 10.0


class ClusterError(WardlawError):
    """There is no Ray, no cluster at the address, or it cannot do the work."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that this process is joined to."""

    cpus: int
    """Processors it has for workers."""
    gpus: int
    driver: str
    """Id of the node on which this process runs; its files are there, those of other nodes may not be."""
    begun: bool
    """Whether it was begun here, and ends with the work."""

    @property
    def driver_only(self) -> dict[str, str]:
        """The label selector of what must run on this process's node, since it reads its files."""
        return {"ray.io/node-id": self.driver}

    def share(self, workers: int) -> float:
        """Processors for each of so many workers, so that all of them fit: Ray counts in ten thousandths."""
        return 1.0 if self.cpus >= workers else math.floor(10_000 * self.cpus / workers) / 10_000


@contextmanager
def connected(address: str | None = None, *, cpus: int | None = None) -> Iterator[Cluster]:
    """Join the cluster at `address`, or begin one of this machine's processors, until the block ends.

    Where this process is joined to one already, that one is used and stays.

    Args:
        address: `HOST:PORT` of a head node, or `auto` for the one that runs on this machine.
        cpus: processors of a cluster that is begun here; all there are by default.

    Raises:
        ClusterError: Ray is not installed, nobody answers at the address, or its version is another.
    """
    ray = _ray()
    if ray.is_initialized():
        yield _seen(ray, begun=False)
        return
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        options |= {
            "address": "local",
            "num_cpus": cpus or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cpus,
            "include_dashboard": False,
            "object_store_memory": _STORE,
        }
    else:
        _knock(address)
        options["address"] = address
    heard = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**options)
    except (ConnectionError, TimeoutError, ValueError, RuntimeError, OSError) as error:
        raise _explained(address, error) from error
    finally:
        if heard is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, heard)  # Ray sets one that ends the process without a word
    _divert(ray)
    try:
        with warnings.catch_warnings():
            # It warns of a pool that has more actors than work, as every small run has.
            warnings.filterwarnings("ignore", category=UserWarning, module=r"ray\.")
            yield _seen(ray, begun=address is None)
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Ray itself tries for minutes to reach a head that is not there.

    Raises:
        ClusterError: nobody listens at HOST:PORT.
    """
    host, colon, port = address.rpartition(":")
    if not (colon and port.isdigit() and "://" not in address):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK_S).close()
    except (OSError, OverflowError) as error:
        raise _explained(address, error) from error


def _ray() -> Any:
    logging.getLogger("ray").setLevel(logging.ERROR)  # it speaks while it is imported, and at every start
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")  # what outlives the end must not begin another
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ClusterError("`--engine ray` needs the package `ray`", "pip install 'wardlaw[ray]'") from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return ray


def _divert(ray: Any) -> None:
    """Send what nodes say of dead workers to the log: Ray prints it on standard output, where results may stand."""

    def log(data: Any, ignore_prefix: bool) -> None:
        _log.info("%s", " ".join(map(str, data.get("lines", ()))))

    if hasattr(ray._private.worker, "print_to_stdstream"):  # no public switch turns it off
        ray._private.worker.print_to_stdstream = log


def _seen(ray: Any, *, begun: bool) -> Cluster:
    resources = ray.cluster_resources()
    return Cluster(
        cpus=int(resources.get("CPU", 0)),
        gpus=int(resources.get("GPU", 0)),
        driver=ray.get_runtime_context().get_node_id(),
        begun=begun,
    )


def _explained(address: str | None, error: Exception) -> ClusterError:
    what = " ".join(str(error).split())[:300] or type(error).__name__
    if address is None:
        return ClusterError(f"no Ray cluster could be begun on this machine: {what}", "see /tmp/ray for its logs")
    if "ersion mismatch" in what:
        return ClusterError(
            f"the cluster at `{address}` runs another version: {what}",
            "run this command with the Python and Ray of the cluster's nodes",
        )
    return ClusterError(
        f"no Ray cluster answers at `{address}`: {what}",
        "begin one with `ray start --head` and give its HOST:PORT, or leave --address out to work on this machine",
    )
