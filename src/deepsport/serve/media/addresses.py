"""Which addresses may be connected to: those of the public internet, and of networks that are named on purpose.

Decided on the parsed address, never on its spelling. What carries an IPv4 address inside (mapped, NAT64) is judged by what it
carries as well; 6to4 and Teredo, which nobody needs any more, are refused. The metadata services of clouds hand out keys to
whoever asks from within: they are refused even in a network that is named.
"""

from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Reachable = Callable[[Address], bool]

NEVER = tuple(
    ip_network(network)
    for network in (
        "169.254.0.0/16",  # link-local: AWS, Azure, Google
        "fe80::/10",
        "fd00:ec2::/32",  # AWS over IPv6
        "100.100.100.200/32",  # Alibaba
        "168.63.129.16/32",  # Azure's host, a public address
        "192.0.0.192/32",  # Oracle
    )
)
GLOBAL_V6 = IPv6Network("2000::/3")
"""All that is given out of IPv6; the rest is special or nobody's."""
NAT64 = IPv6Network("64:ff9b::/96")
SPECIAL = (IPv4Network("192.88.99.0/24"), IPv4Network("192.0.0.0/24"), IPv6Network("2001::/23"), IPv6Network("2002::/16"))
"""6to4, Teredo, and addresses for protocols, which the standard library takes for public."""


def read_network(text: str) -> Network:
    """A network as `10.20.0.0/16`. Raises ValueError for anything else, and for one that can only be a metadata service's."""
    network = ip_network(text)
    if any(network.network_address in never and network.prefixlen >= never.prefixlen for never in NEVER):
        raise ValueError(f"{text} is never connected to: it belongs to the metadata services of clouds")
    return network


def reachable(networks: Iterable[str]) -> Reachable:
    """Says of an address whether it may be connected to. `networks` are private ones that are allowed."""
    named = [read_network(network) for network in networks]

    def allowed(address: Address) -> bool:
        return all(_allowed(form, named) for form in _forms(address))

    return allowed


def _allowed(address: Address, named: Iterable[Network]) -> bool:
    if any(address in never for never in NEVER):
        return False
    return any(address in network for network in named) or _is_public(address)


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or any(address in special for special in SPECIAL):
        return False
    return isinstance(address, IPv4Address) or address in GLOBAL_V6 or address in NAT64


def _forms(address: Address) -> Iterator[Address]:
    """The address, and the one that it carries."""
    yield address
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            yield address.ipv4_mapped
        elif address in NAT64:
            yield IPv4Address(address.packed[-4:])


def as_address(text: str) -> Address | None:
    """An address in its plain spelling; None if the text is none, a name for example."""
    try:
        return ip_address(text)
    except ValueError:
        return None
