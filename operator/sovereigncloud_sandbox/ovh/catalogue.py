"""Data that all accounts share: regions, data centres, operating systems, public routing.

Regions, campuses and data centre codes are those of OVHcloud's schema; coordinates and years are rounded.
"""

from dataclasses import dataclass
from typing import Final

from sovereigncloud_sandbox.ovh.wire import Json


@dataclass(frozen=True, slots=True)
class Region:
    """A region as ``/v2/location`` and ``/ip/campus`` describe it."""

    name: str
    city: str
    country: str
    country_name: str
    cardinal: str
    campus: str
    datacenters: tuple[str, ...]
    latitude: float
    longitude: float
    year: int
    zones: tuple[str, ...] = ("a",)
    geography: tuple[str, str] = ("EU", "Europe")

    @property
    def availability_zones(self) -> list[str]:
        return [f"{self.name}-{zone}" for zone in self.zones]

    def location(self) -> Json:
        """A ``location.Location``."""
        return {
            "availabilityZones": self.availability_zones,
            "cardinalPoint": self.cardinal,
            "cityCode": self.campus,
            "cityLatitude": self.latitude,
            "cityLongitude": self.longitude,
            "cityName": self.city,
            "code": self.campus,
            "countryCode": self.country,
            "countryName": self.country_name,
            "geographyCode": self.geography[0],
            "geographyName": self.geography[1],
            "location": f"{self.geography[1]} ({self.country_name} - {self.city})",
            "name": self.name,
            "openingYear": self.year,
            "specificType": "STANDARD",
            "type": "REGION-3-AZ" if len(self.zones) > 1 else "REGION-1-AZ",
        }


_NA: Final = ("NA", "North America")
_APAC: Final = ("APAC", "Asia-Pacific")
_RBX: Final = tuple(f"rbx{number}" for number in range(1, 11))
_BHS: Final = tuple(f"bhs{number}" for number in range(1, 9))

REGIONS: Final = {
    region.name: region
    for region in (
        Region("eu-west-rbx", "Roubaix", "FR", "France", "WEST", "RBX", ("rbx", "rbx-hz", *_RBX), 50.69, 3.17, 2006),
        Region("eu-west-gra", "Gravelines", "FR", "France", "WEST", "GRA", ("gra1", "gra2", "gra3"), 50.99, 2.13, 2013),
        Region("eu-west-sbg", "Strasbourg", "FR", "France", "WEST", "SBG", ("sbg1", "sbg2", "sbg3"), 48.57, 7.75, 2012),
        Region("eu-west-par", "Paris", "FR", "France", "WEST", "PAR", (), 48.86, 2.35, 2024, ("a", "b", "c")),
        Region("eu-west-lim", "Limburg", "DE", "Germany", "WEST", "LIM", ("lim1", "lim2", "lim3"), 50.39, 8.06, 2017),
        Region("eu-central-waw", "Warsaw", "PL", "Poland", "CENTRAL", "WAW", ("waw1",), 52.23, 21.01, 2016),
        Region(
            "eu-south-mil", "Milan", "IT", "Italy", "SOUTH", "MIL", ("itmil01",), 45.46, 9.19, 2025, ("a", "b", "c")
        ),
        Region("eu-west-eri", "Erith", "GB", "United Kingdom", "WEST", "ERI", ("eri1", "eri2"), 51.48, 0.18, 2017),
        Region("ca-east-bhs", "Beauharnois", "CA", "Canada", "EAST", "BHS", _BHS, 45.31, -73.87, 2012, ("a",), _NA),
        Region("ca-east-tor", "Toronto", "CA", "Canada", "EAST", "YYZ", ("yyz01",), 43.65, -79.38, 2024, ("a",), _NA),
        Region(
            "ap-southeast-sgp",
            "Singapore",
            "SG",
            "Singapore",
            "SOUTHEAST",
            "SGP",
            ("sgp1", "sgp02"),
            1.35,
            103.82,
            2016,
            ("a",),
            _APAC,
        ),
        Region(
            "ap-southeast-syd",
            "Sydney",
            "AU",
            "Australia",
            "SOUTHEAST",
            "SYD",
            ("syd1", "syd2", "syd03"),
            -33.87,
            151.21,
            2016,
            ("a",),
            _APAC,
        ),
    )
}

# Blocks move between these three; every other region is closed (guide "Moving an Additional IP").
_OPEN_GROUP: Final = frozenset({"eu-west-rbx", "eu-west-gra", "eu-west-sbg"})


def may_be_announced_in(home: str, region: str) -> bool:
    """Whether a block of region `home` may be routed to something in `region`."""
    return home == region or {home, region} <= _OPEN_GROUP


def campuses() -> list[Json]:
    """The answer of ``GET /ip/campus``, the only machine-readable map from data centre to site."""
    return [
        {
            "name": region.campus,
            "description": f"{region.city} ({region.country})",
            "datacenters": list(region.datacenters),
            "bringYourOwnIpSupportedRirForIp": ["RIPE"] if region.geography[0] == "EU" else ["ARIN"],
        }
        for region in REGIONS.values()
    ]


def public_routing_regions() -> list[Json]:
    """The answer of ``GET /vrack/publicRoutingRegion``; limits in Mbit/s."""
    return [
        {
            "region": region.name,
            "publicRoutingType": "PUBLIC-ROUTING-3-AZ" if len(region.zones) > 1 else "PUBLIC-ROUTING-1-AZ",
            "defaultBandwidthLimit": 100 if region.geography == _APAC else 5000,
        }
        for region in REGIONS.values()
    ]


@dataclass(frozen=True, slots=True)
class Template:
    """An operating system that can be installed, and what its reinstallation accepts."""

    name: str
    description: str
    subfamily: str
    filesystems: tuple[str, ...]
    inputs: tuple[tuple[str, str], ...]
    raid_levels: tuple[int, ...] = (0, 1, 5, 6, 10)
    partitioning: bool = True
    lvm: bool = True
    schemes: tuple[str, ...] = ("default",)
    mandatory: frozenset[str] = frozenset()

    def document(self) -> Json:
        """A ``dedicated.installationTemplate.Templates``."""
        return {
            "bitFormat": "64",
            "category": "basic",
            "description": self.description,
            "distribution": self.name.removesuffix("_64"),
            "endOfInstall": "2036-04-01",
            "family": "linux",
            "filesystems": list(self.filesystems),
            "inputs": [
                {
                    "name": name,
                    "type": kind,
                    "description": name,
                    "default": "",
                    "mandatory": name in self.mandatory,
                    "enum": [],
                }
                for name, kind in self.inputs
            ],
            "license": {"os": None, "usage": None},
            "lvmReady": self.lvm,
            "noPartitioning": not self.partitioning,
            "project": None,
            "rootMountpoint": "/" if self.partitioning else None,
            "softRaidOnlyMirroring": False,
            "subfamily": self.subfamily,
            "templateName": self.name,
        }


_LINUX_FILESYSTEMS: Final = ("btrfs", "ext3", "ext4", "reiserfs", "swap", "xfs")
_LINUX_INPUTS: Final = (
    ("sshKey", "sshPubKey"),
    ("postInstallationScript", "text"),
    ("hostname", "hostname"),
    ("configDriveMetadata", "keyValue"),
    ("enableLacpBonding", "boolean"),
)
_IMAGE_INPUTS: Final = (
    *_LINUX_INPUTS,
    ("configDriveUserData", "text"),
    ("efiBootloaderPath", "string"),
    ("httpHeaders", "keyValue"),
    ("imageCheckSum", "string"),
    ("imageCheckSumType", "enum"),
    ("imageType", "enum"),
    ("imageURL", "url"),
)

_OWN_IMAGE: Final = frozenset({"imageURL", "imageType"})

TEMPLATES: Final = {
    template.name: template
    for template in (
        Template("ubuntu2404-server_64", "Ubuntu Server 24.04 LTS", "ubuntu", _LINUX_FILESYSTEMS, _LINUX_INPUTS),
        Template("ubuntu2204-server_64", "Ubuntu Server 22.04 LTS", "ubuntu", _LINUX_FILESYSTEMS, _LINUX_INPUTS),
        Template("debian12_64", "Debian 12 (Bookworm)", "debian", _LINUX_FILESYSTEMS, _LINUX_INPUTS),
        Template(
            "byolinux_64", "Bring Your Own Linux", "byolinux", (), _IMAGE_INPUTS, (), False, False, (), _OWN_IMAGE
        ),
    )
}

# The real installer reports 21 steps (ovhcloud-cli issue 253); their wording is invented.
INSTALL_STEPS: Final = (
    "Preparing installation",
    "Waiting for the server to reboot",
    "Booting the installation system",
    "Checking hardware",
    "Checking network",
    "Retrieving configuration",
    "Clearing hardware RAID",
    "Wiping disks",
    "Creating partition tables",
    "Creating software RAID",
    "Creating file systems",
    "Mounting file systems",
    "Downloading operating system",
    "Unpacking operating system",
    "Configuring network",
    "Configuring boot loader",
    "Configuring users and keys",
    "Writing configuration drive",
    "Running post-installation script",
    "Rebooting on the installed system",
    "Finishing installation",
)
