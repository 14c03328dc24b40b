"""What the media of a request may be, and where they may come from: nowhere but the request itself, unless it is said here.

Everything is a ceiling of the server; nothing in a request raises it.
"""

from pydantic import Field, field_validator

from deepsport.config import Config
from deepsport.serve.media.addresses import read_network
from deepsport.serve.media.hosts import read_rule


class MediaPolicy(Config):
    """Which media a request may bring."""

    folders: tuple[str, ...] = ()
    """Folders whose files a request may name, as `file:///...`. None: no local file is shown."""
    hosts: tuple[str, ...] = ()
    """Hosts that media are fetched from: `videos.example.org`, or `*.example.org` for every name below it. A port other than 80
    and 443 is written out: `videos.example.org:8443`. None: nothing is fetched."""
    networks: tuple[str, ...] = ()
    """Private networks that these hosts may stand in, as `10.20.0.0/16`. None: only addresses of the public internet are
    connected to. The metadata services of clouds are refused whatever is listed."""
    max_bytes: int = Field(default=256 * 2**20, ge=1)
    """Bytes of all media of a request together, once decoded from base64."""
    max_images: int = Field(default=64, ge=1)
    """Pictures of a request, the frames of a `data:video/jpeg` included."""
    max_pixels: int = Field(default=2**26, ge=1)
    """Pixels of all pictures of a request together; 2^26 is 72 of 1280x720, and 200 MB of memory.
    As many requests have theirs in memory as are played at once."""
    fetch_s: float = Field(default=30.0, gt=0)
    """Seconds in which all media of a request must be here."""
    max_redirects: int = Field(default=5, ge=0)
    """Redirects that are followed, each checked as if it were the first address."""

    @field_validator("hosts")
    @classmethod
    def _hosts_are_names(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            read_rule(host)
        return hosts

    @field_validator("networks")
    @classmethod
    def _networks_are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            read_network(network)
        return networks
