"""The Ray cluster that work goes to: without Ray, shared out, and with the process's signals left alone."""

from __future__ import annotations

import signal
import sys

import pytest

from guard.cluster import Cluster, ClusterError, connected


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match="needs the package `ray`") as caught, connected():
        pass
    assert caught.value.hint == "pip install 'wardlaw[ray]'"


@pytest.mark.parametrize(("cpus", "workers", "share"), [(4, 2, 1.0), (2, 2, 1.0), (2, 3, 0.6666), (1, 7, 0.1428)])
def test_more_workers_than_processors_share_them_so_that_all_fit(cpus, workers, share):
    """Rounded up, as Ray rounds, the last one would wait for ever."""
    found = Cluster(cpus=cpus, gpus=0, driver="n", begun=True).share(workers)
    assert found == share
    assert round(found * 10_000) * workers <= cpus * 10_000 or cpus >= workers


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_joining_twice_uses_the_cluster_that_is_joined_and_leaves_the_processs_signals_as_they_were(ray_cluster):
    heard = signal.getsignal(signal.SIGTERM)
    with connected(ray_cluster.address) as outer:
        assert signal.getsignal(signal.SIGTERM) is heard
        with connected("127.0.0.1:1") as inner:
            assert inner.driver == outer.driver
            assert not inner.begun
        import ray

        assert ray.is_initialized()
    assert not ray.is_initialized()
