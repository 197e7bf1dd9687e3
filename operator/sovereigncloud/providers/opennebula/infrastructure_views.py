"""The parts of a cloud out of oned's XML: datastores, clusters, marketplaces."""

from __future__ import annotations

from sovereigncloud.core.identity import mark_from_opennebula
from sovereigncloud.ports.opennebula.infrastructure import Marketplace
from sovereigncloud.ports.opennebula.views import Cluster, Datastore
from sovereigncloud.providers.opennebula.xml_elements import Element, ids, number, singles, text, unmarked


def attributes(element: Element) -> dict[str, str]:
    """The single attributes of its template but for the mark."""
    return unmarked(singles(element.find("TEMPLATE")))


def datastore(element: Element) -> Datastore:
    return Datastore(
        id=number(element, "ID"),
        name=text(element, "NAME"),
        type=number(element, "TYPE"),
        state=number(element, "STATE"),
        total=number(element, "TOTAL_MB"),
        free=number(element, "FREE_MB"),
        owner=number(element, "UID"),
        driver=text(element, "DS_MAD"),
        transfer=text(element, "TM_MAD"),
        clusters=frozenset(ids(element, "CLUSTERS/ID")),
        images=ids(element, "IMAGES/ID"),
        mark=mark_from_opennebula(singles(element.find("TEMPLATE"))),
        attributes=attributes(element),
    )


def cluster(element: Element) -> Cluster:
    return Cluster(
        id=number(element, "ID"),
        name=text(element, "NAME"),
        datastores=frozenset(ids(element, "DATASTORES/ID")),
        networks=frozenset(ids(element, "VNETS/ID")),
        hosts=frozenset(ids(element, "HOSTS/ID")),
        mark=mark_from_opennebula(singles(element.find("TEMPLATE"))),
        attributes=attributes(element),
    )


def marketplace(element: Element) -> Marketplace:
    return Marketplace(
        id=number(element, "ID"),
        name=text(element, "NAME"),
        owner=number(element, "UID"),
        state=number(element, "STATE"),
        driver=text(element, "MARKET_MAD"),
        apps=ids(element, "MARKETPLACEAPPS/ID"),
        mark=mark_from_opennebula(singles(element.find("TEMPLATE"))),
        attributes=attributes(element),
        free=number(element, "FREE_MB") if number(element, "TOTAL_MB") > 0 else None,
        zone=max(0, number(element, "ZONE_ID")),
    )
