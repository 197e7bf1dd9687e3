"""Fault injection for federations: network partitions, and oned processes that end."""

from collections.abc import Callable, Mapping

from sovereigncloud_sandbox.opennebula import federation, raft
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.network import Network, network_of


def _network(cloud: Cloud) -> Network:
    network = network_of(cloud)
    if network is None:
        raise LookupError(f"{cloud.name} stands alone")
    return network


def _other(cloud: Cloud, name: str) -> Cloud:
    found = next((one for one in _network(cloud).clouds() if one.name == name), None)
    if found is None:
        raise LookupError(f"no cloud {name!r}")
    return found


def partition(cloud: Cloud, other: str) -> None:
    """Nothing passes between the front-ends of this cloud and those of another; clients reach both."""
    network = _network(cloud)
    federation.settle(network.clouds())
    network.cut(cloud, _other(cloud, other))


def heal(cloud: Cloud, other: str) -> None:
    """It passes again."""
    cloud.advance()
    _network(cloud).heal(cloud, _other(cloud, other), cloud.now)


def kill(cloud: Cloud) -> None:
    """The oned dies, and stays dead until it is restarted."""
    federation.kill(cloud)


def restart(cloud: Cloud) -> None:
    """Somebody restarts oned: it reads oned.conf, and a master takes its slaves to be current."""
    federation.restart(cloud)


def stop_server(cloud: Cloud, server: int) -> None:
    """The oned of one of several front-ends dies."""
    cloud.advance()
    raft.stop(cloud, server)


def start_server(cloud: Cloud, server: int) -> None:
    """The oned of one of several front-ends is started."""
    cloud.advance()
    raft.start(cloud, server)


FEDERATION_MISCHIEF: Mapping[str, Callable[..., None]] = {
    "partition": partition,
    "heal": heal,
    "kill": kill,
    "restart": restart,
    "server-stop": stop_server,
    "server-start": start_server,
}
