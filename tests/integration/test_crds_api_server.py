"""The CRDs on a real API server: what it accepts, what it refuses and in which words, and what kubectl shows."""

import copy
import json
import os
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from sovereigncloud.api import KINDS
from sovereigncloud.api.schema.crd import resource_schema
from sovereigncloud.cli import app

REPOSITORY = Path(__file__).parents[2]
CRDS = REPOSITORY / "crds"
SHARED = Path(os.environ.get("SOVEREIGN_SHARED", REPOSITORY / "../shared"))
NAMESPACE = "language"
GONE = object()

# Each kind as a user would write it: OVHcloud's guide in one manifest, the same adopted, an endpoint elsewhere, self-service.
MANIFESTS = """
hosted:
  kind: SovereignCloud
  metadata: {name: ovh-rbx}
  spec:
    hosted:
      ovh:
        endpoint: ovh-eu
        credentialsSecretRef: {name: ovh-account}
        vrack: pn-123456
        servers:
        - name: one-1
          serviceName: ns3012345.ip-57-131-167.eu
          roles: [Frontend, Node]
          reinstall: {request: first, operatingSystem: ubuntu2404-server_64, wipeAllDisks: true}
        - name: one-2
          serviceName: ns3012346.ip-57-131-167.eu
          roles: [Node]
          reinstall: {request: first, operatingSystem: ubuntu2404-server_64, wipeAllDisks: true}
      openNebula:
        install: {architecture: Basic, version: "7.0"}
      networks:
      - {name: vm_public, publicBlock: 57.131.167.176/28}
      - {name: vm_vlan100, vlanID: 100, addressRanges: [{ip: 10.100.0.10, size: 200}]}
adopted:
  kind: SovereignCloud
  metadata: {name: ovh-gra}
  spec:
    management: Observe
    hosted:
      ovh:
        endpoint: ovh-eu
        credentialsSecretRef: {name: ovh-account}
        vrack: pn-123457
        servers:
        - {name: one-1, serviceName: ns3012347.ip-57-131-167.eu, roles: [Frontend]}
        - {name: one-2, serviceName: ns3012348.ip-57-131-167.eu, roles: [Node]}
      openNebula:
        adopt: {endpoint: "https://one-gra.example.fr/RPC2", credentialsSecretRef: {name: one-admin}}
existing:
  kind: SovereignCloud
  metadata: {name: onprem-paris}
  spec:
    management: Observe
    existing:
      endpoint: https://one.example.gouv.fr/RPC2
      credentialsSecretRef: {name: onprem-one}
      caSecretRef: {name: ministry-ca}
server:
  kind: BareMetalServer
  metadata: {name: one-1}
  spec:
    ovh:
      endpoint: ovh-eu
      credentialsSecretRef: {name: ovh-account}
      serviceName: ns3012345.ip-57-131-167.eu
      vrack: pn-123456
    roles: [Frontend, Node]
    reinstall: {request: first, operatingSystem: ubuntu2404-server_64}
tagged:
  kind: BareMetalServer
  metadata: {name: one-2}
  spec:
    ovh:
      endpoint: ovh-eu
      credentialsSecretRef: {name: ovh-account}
      tagSelector: {matchTags: {rack: "7", team/role: one-2}}
ordered:
  kind: BareMetalServer
  metadata: {name: one-3}
  spec:
    ovh:
      endpoint: ovh-eu
      credentialsSecretRef: {name: ovh-account}
      order:
        planCode: 24scale01-v1
        datacenter: rbx
        duration: P1M
        pricingMode: degressivity12
        options: [ram-256g-ecc-4800-24scale01]
        credentialsSecretRef: {name: ovh-orders}
        approval: {maxPrice: "1200.00", currency: EUR}
public:
  kind: VirtualNetwork
  metadata: {name: vm-public}
  spec:
    name: vm_public
    cloudRef: {name: ovh-rbx}
    publicBlock: 57.131.167.176/28
    addressRanges: [{ip: 57.131.167.177, size: 13}]
    gateway: 57.131.167.190
    dns: [213.186.33.99]
vlan:
  kind: VirtualNetwork
  metadata: {name: vm-vlan100}
  spec:
    cloudRef: {name: ovh-rbx}
    vlanID: 100
    addressRanges: [{ip: 10.100.0.10, size: 200}, {ip: 10.100.1.10, size: 20}]
    mtu: 9000
parts:
  kind: SovereignCloud
  metadata: {name: onprem-lyon}
  spec:
    existing: {endpoint: "https://one-lyon.example.gouv.fr/RPC2", credentialsSecretRef: {name: onprem-one}}
    stores:
    - {name: exchange, type: Marketplace, location: {country: FR}, s3: {endpoint: "https://s3.example.fr", bucket: one-exchange, credentialsSecretRef: {name: exchange-s3}}}
    - {name: mirror, type: Marketplace, http: {baseURL: "https://market.example.fr", publicDir: /var/local/market-http, bridgeList: [web-1]}}
    - {name: backups, type: Backup, location: {country: FR}, restic: {sftpServer: backup.example.fr, passwordSecretRef: {name: restic}}, attributes: {RESTIC_BWLIMIT: "10240"}}
    - {name: copies, type: Backup, rsync: {host: backup-2.example.fr, user: oneadmin}}
    clusters:
    - {name: gpu, hosts: [node-1], datastores: [default, fast], reserved: {cpu: 2, memory: 8Gi}}
    hosts:
    - {name: node-1, cluster: gpu, vmm: kvm, im: kvm}
    datastores:
    - {name: fast, type: Image, transfer: ceph, driver: ceph, clusters: [default, gpu], attributes: {POOL_NAME: one}}
    - {name: scratch, type: System, transfer: ssh}
image:
  kind: MachineImage
  metadata: {name: ubuntu}
  spec:
    name: ubuntu-24.04
    cloudRefs: [{name: ovh-rbx}, {name: onprem-paris}]
    source: {marketplaceApp: Ubuntu 24.04}
vxlan:
  kind: VirtualNetwork
  metadata: {name: vxlan}
  spec:
    cloudRef: {name: ovh-rbx}
    vxlanID: 4711
    physicalDevice: bond1
    addressRanges: [{ip: 10.200.0.10, size: 200}]
    held: [10.200.0.10]
    securityGroups: [web]
bridged:
  kind: VirtualNetwork
  metadata: {name: bridged}
  spec:
    cloudRef: {name: onprem-paris}
    bridge: br0
    addressRanges: [{ip: 192.168.1.10, size: 50}]
reserved:
  kind: VirtualNetwork
  metadata: {name: reserved}
  spec:
    cloudRef: {name: onprem-paris}
    reservation: {from: bridged}
    addressRanges: [{ip: 192.168.1.20, size: 5}]
group:
  kind: SecurityGroup
  metadata: {name: web}
  spec:
    cloudRefs: [{name: ovh-rbx}]
    rules:
    - {direction: Inbound, protocol: TCP, range: "22,443", cidr: 10.0.0.0/8}
    - {direction: Inbound, protocol: ICMP, icmpType: 8}
    - {direction: Outbound, protocol: ALL, network: vm_public}
instance:
  kind: HostedInstance
  metadata: {name: web}
  spec:
    source: {image: ubuntu-24.04}
    vcpu: 2
    cpu: "1"
    memory: 4Gi
    power: Running
    networks: [{name: vm_public, address: 57.131.167.180, securityGroups: [web]}]
    sshAuthorizedKeys: ["ssh-ed25519 AAAA me@prefecture"]
    cloudInit: {userDataSecretRef: {name: web-user-data}}
    disks: [{name: root, size: 20Gi}, {name: old, image: web-old}]
    placement: {cloudRef: {name: ovh-rbx}}
    updatePolicy: {powerCycle: Allow}
    driftPolicy: {default: Report, fields: [{path: spec.memory, action: Correct}]}
tenant:
  kind: Tenant
  metadata: {name: town}
  spec:
    namespaces: [prefecture]
    clouds:
    - cloudRef: {name: ovh-rbx, namespace: platform}
      quota: {vms: 20, cpu: "40", memory: 128Gi, networks: [{name: vm_public, leases: 4}], datastores: [{name: default, images: 10, size: 1Ti}]}
      clusters: [default]
    - cloudRef: {name: onprem-paris, namespace: platform}
    externalUsers: [{name: alice@prefecture, driver: saml}]
policy:
  kind: SovereigntyPolicy
  metadata: {name: border}
  spec:
    appliesTo:
      namespaceSelector: {matchLabels: {data-class: restricted}, matchExpressions: [{key: team, operator: In, values: [a]}]}
      clouds: [{name: ovh-rbx, namespace: platform}]
    enforcement: Audit
    onViolation: Hold
    residency: {allowedCountries: [FR, DE, EU, EEA], covers: [compute, storage, images, backups, controlPlane], minGrade: Declared}
    jurisdiction: {allowed: [EU], foreignAffiliates: Disclose}
    certifications: [{anyOf: [ISO27001], scope: Datacenter, minGrade: Attested}]
    exit: {rehearsalMaxAge: 8760h, maxDuration: 720h}
    exceptions:
    - {rule: residency.backups, namespace: prefecture, name: web, reason: ticket 4711, approvedBy: dpo@example.fr, expires: "2027-06-30"}
profile:
  kind: ProviderProfile
  metadata: {name: ministry}
  spec:
    legalEntity: {name: Ministry, country: FR}
    ultimateParent: {name: State, country: FR}
    foreignAffiliates: [{name: Elsewhere Inc., country: CA, note: a ruling}]
    datacenters: [{name: PARIS-1, country: FR, grade: Attested, validUntil: "2027-06-30", evidence: {url: "https://example.fr/a.pdf", sha256: 0000000000000000000000000000000000000000000000000000000000000abc}}]
    certifications: [{scheme: ISO27001, datacenters: [PARIS-1], product: all, validUntil: "2027-05-01", grade: Attested}]
zone:
  kind: FederatedZone
  metadata: {name: rbx}
  spec:
    cloudRef: {name: ovh-rbx}
    role: Slave
    masterRef: {name: paris}
    join: {request: join-1, replaceUsersGroupsVDCs: Accept}
    endpoint: https://one-rbx.example.fr/RPC2
    state: Enabled
    servers: [{name: server-0, endpoint: "http://10.1.0.11:2633/RPC2"}]
master:
  kind: FederatedZone
  metadata: {name: paris}
  spec:
    cloudRef: {name: onprem-paris}
    role: Master
move:
  kind: InstanceMigration
  metadata: {name: web-to-paris}
  spec:
    instanceRef: {name: web}
    to: {cloudRef: {name: onprem-paris, namespace: platform}}
    mode: Execute
    networkMap: [{from: vm_public, to: lan-dmz}]
    marketplace: way-out
    gracePeriod: 24h
saved:
  kind: InstanceMigration
  metadata: {name: db-to-paris}
  spec:
    instanceRef: {name: db}
    to: {cloudRef: {name: onprem-paris, namespace: platform}}
    mode: Execute
    sourceState: Lost
    fencing: {confirmedBy: oncall@example.fr, outage: "2027-03-01T04:05:06Z"}
exit:
  kind: ExitPlan
  metadata: {name: leave-ovh}
  spec:
    from: {providerRef: {name: ovhcloud-eu}}
    to: [{cloudRef: {name: onprem-paris}}]
    mode: Rehearse
    sourceState: Reachable
    order: [{matchLabels: {tier: database}}, {}]
    maxConcurrent: 4
    networkMap: [{from: vm_public, to: lan-dmz}]
    rehearsalSchedule: "0 4 1 * *"
least:
  kind: HostedInstance
  metadata: {name: least}
  spec:
    source: {template: small}
"""
BASES = {
    name: {
        "apiVersion": "sovereigncloud.io/v1alpha1",
        **manifest,
        "metadata": manifest["metadata"]
        | ({} if manifest["kind"] in {"Tenant", "SovereigntyPolicy", "ProviderProfile"} else {"namespace": NAMESPACE}),
    }
    for name, manifest in yaml.safe_load(MANIFESTS).items()
}


def part(mount_point, file_system="ext4", **more):
    """A partition."""
    return {"mountPoint": mount_point, "fileSystem": file_system, **more}


def changed(base, **changes):
    """A manifest with values set or taken away (GONE); `__` separates the steps of a path, numbers index lists."""
    manifest = copy.deepcopy(BASES[base])
    for path, value in changes.items():
        *parents, last = [int(step) if step.isdigit() else step for step in path.split("__")]
        node = manifest
        for step in parents:
            node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
        if value is GONE:
            del node[last]
        else:
            node[last] = value
    return manifest


@pytest.fixture(scope="module")
def api(control_plane):
    """The control plane with the CRDs and the namespaces of the examples."""
    files = [f"--filename={path}" for path in sorted(CRDS.glob("sovereigncloud.io_*.yaml"))]
    control_plane.kubectl("apply", "--server-side", *files)
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *files)
    for namespace in (NAMESPACE, "platform", "prefecture"):
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        control_plane.kubectl("apply", "--server-side", "--filename=-", input=json.dumps(manifest))
    return control_plane


@pytest.fixture(scope="module")
def stored(api):
    """One object of each manifest, for transitions; tests change none of them for good."""
    items = {"apiVersion": "v1", "kind": "List", "items": list(BASES.values())}
    api.kubectl("create", "--filename=-", input=json.dumps(items))
    # There is a machine, and a front-end that answered.
    for kind, base, status in (
        ("hostedinstance", "instance", {"id": "7"}),
        ("sovereigncloud", "hosted", {"endpoint": "https://one-rbx.example.fr/RPC2"}),
        ("machineimage", "image", {"cloudsReady": "1/2"}),
    ):
        name, patch = BASES[base]["metadata"]["name"], json.dumps({"status": status})
        where = (f"--namespace={NAMESPACE}", "--subresource=status", "--type=merge", f"--patch={patch}")
        api.kubectl("patch", kind, name, *where)
    yield api
    api.kubectl("delete", "--filename=-", input=json.dumps(items))


def asked(api, verb, manifest):
    return api.kubectl(verb, "--dry-run=server", "--filename=-", input=json.dumps(manifest), check=False)


def assert_refused(result, why, field, words):
    assert result.returncode != 0, f"accepted: {why}"
    assert words in result.stderr, why
    assert any(words in line and f" {field}: " in line for line in result.stderr.splitlines()), why


# --- the definitions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_server_takes_the_definition_without_a_warning(api, kind):
    file = CRDS / f"sovereigncloud.io_{kind.crd.plural}.yaml"
    for command in (("apply", "--server-side"), ("replace",)):  # the second compiles and prices every rule anew
        result = api.kubectl(*command, f"--filename={file}")
        assert "Warning" not in result.stderr
    conditions = {
        c["type"]: c["status"] for c in api.get("crd", f"{kind.crd.plural}.sovereigncloud.io")["status"]["conditions"]
    }
    assert conditions["Established"] == conditions["NamesAccepted"] == "True"
    assert "NonStructuralSchema" not in conditions
    assert "KubernetesAPIApprovalPolicyConformant" not in conditions


def test_the_directory_is_a_kustomization(api):
    result = api.kubectl("apply", "--server-side", "--dry-run=server", f"--kustomize={CRDS}")
    assert result.stdout.count("serverside-applied") == len(KINDS)


def test_what_the_command_prints_can_be_applied(api):
    printed = CliRunner().invoke(app, ["crds"]).stdout
    result = api.kubectl("apply", "--server-side", "--dry-run=server", "--filename=-", input=printed)
    assert result.stdout.count("serverside-applied") == len(KINDS)


# --- creation --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", BASES)
def test_what_a_user_writes_is_accepted(api, base):
    assert asked(api, "create", BASES[base]).stderr == ""


HOSTED = "spec__hosted__"
SERVERS = HOSTED + "ovh__servers__"
EXISTING = {"endpoint": "https://one.example.fr/RPC2", "credentialsSecretRef": {"name": "one"}}
ADOPT = {"adopt": EXISTING}
THREE = [{"name": f"one-{n}", "serviceName": f"ns{n}.example", "roles": ["Frontend"]} for n in (1, 2, 3)]
AVAILABLE = {
    "architecture": "HighlyAvailable",
    "version": "7.0",
    "virtualIP": {"address": "10.1.0.10", "cidr": 24, "interface": "vrack_bond.200"},
}
ACCESS = {
    "fqdn": "one-rbx.example.fr",
    "tls": {"secretRef": {"name": "one-rbx-tls"}},
    "allowedSourceRanges": ["192.0.2.0/24", "2001:db8::/32"],
    "dnsZone": "example.fr",
    "bastion": {"host": "b.example.fr", "user": "jump", "port": 2222, "hostKey": "ssh-ed25519 AAAAC3Nz"},
}
WHOLE_MIB = "must be a whole number of MiB from"
IN_BLOCK = "every range must lie inside publicBlock"
BLOCK = "must be an IPv4 block from /24 to /30 that begins with its first address"


@pytest.mark.parametrize(
    ("why", "manifest"),
    [
        ("memory in bytes", changed("instance", spec__memory=4294967296)),
        ("1.5Gi is 1536Mi", changed("instance", spec__memory="1.5Gi")),
        ("the least memory", changed("instance", spec__memory="16Mi")),
        ("the most memory", changed("instance", spec__memory="16Ti")),
        ("the smallest share of a processor", changed("instance", spec__cpu="10m")),
        ("a share as a number", changed("instance", spec__cpu=4)),
        ("a large disk", changed("instance", spec__disks__0__size="64Ti")),
        (
            "room that is just enough",
            changed(
                "instance", spec__vcpu=4, spec__memory="4Gi", spec__hotResize={"maxVcpu": 4, "maxMemory": 4294967296}
            ),
        ),
        (
            "all of a machine's surroundings",
            changed(
                "instance",
                spec__cpuModel="host-passthrough",
                spec__pciDevices=[{"name": "gpu", "vendor": "10de", "device": "2236", "class": "0302"}],
                spec__group={"name": "web", "policy": "Apart"},
                spec__placement__hosts=["one-1", "one-2"],
                spec__recovery="Manual",
            ),
        ),
        (
            "somewhere in two countries, apart from its like",
            changed(
                "instance",
                spec__placement={
                    "countries": ["FR", "EEA"],
                    "labels": {"tier": "gold"},
                    "spread": {"by": "Country", "matchLabels": {"app": "web"}},
                },
            ),
        ),
        (
            "a data disk that goes with the machine",
            changed("instance", spec__disks=[{"name": "d", "size": "1Gi", "deletionPolicy": "Delete"}]),
        ),
        (
            "a machine from a backup",
            changed("instance", spec__source={"backup": "12 28-Nov 02.00.04"}, spec__memory=GONE),
        ),
        (
            "all of backups",
            changed(
                "instance",
                spec__backup={"store": "b", "schedule": "0 2 * * *", "keepLast": 7, "mode": "Full", "request": "a"},
            ),
        ),
        ("a rehearsal that keeps its copy", changed("move", spec__mode="Rehearse", spec__keepCopy=True)),
        ("a move that keeps none", changed("move", spec__keepCopy=False)),
        ("an exit whose rehearsals keep copies", changed("exit", spec__keepCopy=True)),
        (
            "a cloud that a person says is dead",
            changed("hosted", spec__fencing={"confirmedBy": "oncall@example.fr", "outage": "2027-03-01T04:05:06Z"}),
        ),
        (
            "servers that may be switched off, and are to run again",
            changed("hosted", spec__hosted__fencing={"powerOff": "Allow", "startAgain": "2027-03-01T04:05:06Z"}),
        ),
        (
            "a snapshot and the way back",
            changed("instance", spec__snapshot={"request": "a"}, spec__restore={"request": "b"}),
        ),
        (
            "all of a /24",
            changed(
                "public",
                spec__publicBlock="57.131.167.0/24",
                spec__addressRanges__0={"ip": "57.131.167.1", "size": 253},
            ),
        ),
        (
            "the one address of a /30",
            changed(
                "public",
                spec__publicBlock="57.131.167.176/30",
                spec__gateway=GONE,
                spec__addressRanges__0={"ip": "57.131.167.177", "size": 1},
            ),
        ),
        ("ranges follow from the block", changed("public", spec__addressRanges=GONE)),
        (
            "up to the end of all addresses",
            changed("vlan", spec__addressRanges__0={"ip": "255.255.255.250", "size": 6}),
        ),
        (
            "the front-end alone",
            changed("hosted", **{HOSTED + "ovh__servers": [BASES["hosted"]["spec"]["hosted"]["ovh"]["servers"][0]]}),
        ),
        (
            "three front-ends",
            changed("hosted", **{HOSTED + "ovh__servers": THREE, HOSTED + "openNebula__install": AVAILABLE}),
        ),
        (
            "a host elsewhere",
            changed("hosted", **{SERVERS + "1__site": "lyon", HOSTED + "openNebula__install__architecture": "Edge"}),
        ),
        ("all of access", changed("hosted", **{HOSTED + "access": ACCESS})),
        (
            "a name for an adopted cloud",
            changed("adopted", **{HOSTED + "access": {"fqdn": "one.example.fr", "dnsZone": "example.fr"}}),
        ),
        ("no networks yet", changed("hosted", **{HOSTED + "networks": GONE})),
        ("a machine to adopt, and nothing said of it", changed("least", spec__source=GONE, spec__adopt={"id": "0"})),
        (
            "a machine to adopt, with its image and no size",
            changed("instance", spec__memory=GONE, spec__adopt={"id": "42"}),
        ),
        ("a network to adopt", changed("vlan", spec__adopt={"id": "4294967295"})),
        ("images to adopt", changed("image", spec__source=GONE, spec__cloudRefs=[{"name": "a", "adopt": {"id": "7"}}])),
        ("an image by address", changed("image", spec__source={"url": "https://images.example.fr/a.qcow2"})),
        ("a long name with another outside", changed("least", metadata__name="a" * 200, spec__name="least")),
    ],
)
def test_the_edge_of_what_is_accepted(api, why, manifest):
    assert asked(api, "create", manifest).stderr == "", why


@pytest.mark.parametrize(
    ("why", "manifest", "field", "words"),
    [
        ("two kinds of cloud", changed("hosted", spec__existing=EXISTING), "spec", "exactly one of hosted and existing must be set"),
        ("no kind of cloud", changed("existing", spec__existing=GONE), "spec", "exactly one of hosted and existing must be set"),
        ("no provider", changed("hosted", **{HOSTED + "ovh": GONE}), "spec.hosted", "exactly one provider must be set: set ovh"),
        ("install and adopt", changed("hosted", **{HOSTED + "openNebula__adopt": EXISTING}), "spec.hosted.openNebula", "exactly one of install and adopt must be set"),
        ("neither of them", changed("hosted", **{HOSTED + "openNebula": {}}), "spec.hosted.openNebula", "exactly one of install and adopt must be set"),
        ("an adopted server reinstalled", changed("hosted", **{HOSTED + "openNebula": ADOPT}), "spec.hosted.ovh.servers", "a server of an adopted cloud is never reinstalled: remove reinstall"),
        ("no front-end", changed("hosted", **{SERVERS + "0__roles": ["Node"]}), "spec.hosted.ovh.servers", "exactly one front-end: give the role Frontend to one server"),
        ("two front-ends", changed("hosted", **{SERVERS + "1__roles": ["Frontend"]}), "spec.hosted.ovh.servers", "exactly one front-end: give the role Frontend to one server"),
        ("two of three front-ends", changed("hosted", **{HOSTED + "ovh__servers": THREE[:2], HOSTED + "openNebula__install": AVAILABLE}), "spec.hosted.ovh.servers", "exactly three front-ends: give the role Frontend to three servers"),
        ("three without an address", changed("hosted", **{HOSTED + "ovh__servers": THREE, HOSTED + "openNebula__install": {"architecture": "HighlyAvailable", "version": "7.0"}}), "spec.hosted.openNebula.install.virtualIP", "virtualIP belongs to the architecture HighlyAvailable"),
        ("one with an address", changed("hosted", **{HOSTED + "openNebula__install__virtualIP": AVAILABLE["virtualIP"]}), "spec.hosted.openNebula.install.virtualIP", "virtualIP belongs to the architecture HighlyAvailable"),
        ("a site without Edge", changed("hosted", **{SERVERS + "1__site": "lyon"}), "spec.hosted.ovh.servers", "a server with a site is one of the architecture Edge"),
        ("Edge without a site", changed("hosted", **{HOSTED + "openNebula__install__architecture": "Edge"}), "spec.hosted.ovh.servers", "a server with a site is one of the architecture Edge"),
        ("a front-end elsewhere", changed("hosted", **{SERVERS + "0__site": "lyon", HOSTED + "openNebula__install__architecture": "Edge"}), "spec.hosted.ovh.servers", "a front-end has no site"),
        ("no word for a site", changed("hosted", **{SERVERS + "1__site": "Lyon 1"}), "spec.hosted.ovh.servers[1].site", "must be a word of lower case letters"),
        ("a certificate for no name", changed("hosted", **{HOSTED + "access": {"tls": ACCESS["tls"]}}), "spec.hosted.access.tls", "a certificate is for a name: set access.fqdn"),
        ("a name outside its zone", changed("hosted", **{HOSTED + "access__fqdn": "one.example.com", HOSTED + "access__dnsZone": "example.fr"}), "spec.hosted.access.dnsZone", "dnsZone is the zone that fqdn is in"),
        ("a name that only ends like its zone", changed("hosted", **{HOSTED + "access__fqdn": "one.myexample.fr", HOSTED + "access__dnsZone": "example.fr"}), "spec.hosted.access.dnsZone", "dnsZone is the zone that fqdn is in"),
        ("no domain name", changed("hosted", **{HOSTED + "access": {"fqdn": "one"}}), "spec.hosted.access.fqdn", "must be a full domain name"),
        ("an address for a name", changed("hosted", **{HOSTED + "access": {"fqdn": "127.0.0.1"}}), "spec.hosted.access.fqdn", "must be a full domain name"),
        ("no block of addresses", changed("hosted", **{HOSTED + "access": {"allowedSourceRanges": ["192.0.2.1/24"]}}), "spec.hosted.access.allowedSourceRanges[0]", "must be a block of addresses that begins with its first one"),
        ("a bastion that anybody may be", changed("hosted", **{HOSTED + "access": {"bastion": {"host": "b.example.fr", "user": "jump"}}}), "spec.hosted.access.bastion.hostKey", "Required"),
        ("no key of a host", changed("hosted", **{HOSTED + "access": {"bastion": {"host": "b.example.fr", "user": "jump", "hostKey": "b.example.fr ssh-ed25519 AAAA"}}}), "spec.hosted.access.bastion.hostKey", "must be one public key as ssh-keyscan prints it"),
        ("a name with a space for a user", changed("hosted", **{HOSTED + "access": {"bastion": {**ACCESS["bastion"], "user": "Jump Host"}}}), "spec.hosted.access.bastion.user", "must be the name of a Unix user"),
        ("no interface", changed("hosted", **{HOSTED + "ovh__servers": THREE, HOSTED + "openNebula__install": {**AVAILABLE, "virtualIP": {**AVAILABLE["virtualIP"], "interface": "0 bond"}}}), "spec.hosted.openNebula.install.virtualIP.interface", "must be the name of a network interface"),
        ("a firewall for an adopted cloud", changed("adopted", **{HOSTED + "access": {"allowedSourceRanges": ["192.0.2.0/24"]}}), "spec.hosted.access", "set up by the installer, which an adopted cloud does not have"),
        ("one machine twice", changed("hosted", **{SERVERS + "1__serviceName": "ns3012345.ip-57-131-167.eu"}), "spec.hosted.ovh.servers", "two servers have the same serviceName: name each machine once"),
        ("one name for two machines", changed("hosted", **{SERVERS + "1__name": "one-1"}), "spec.hosted.ovh.servers[1]", "Duplicate value"),
        ("a verification at no time", changed("hosted", spec__verification={"suite": "API"}), "spec.verification", "nothing says when: set request"),
        ("a suite without a place for its report", changed("hosted", spec__verification={"request": "a", "suite": "OneDeployValidation"}), "spec.verification.suite", "suite OneDeployValidation needs reportClaimRef"),
        ("a suite that reaches no server", changed("existing", spec__verification={"request": "a", "suite": "OneDeployValidation", "reportClaimRef": {"name": "r"}}), "spec.verification", "suite OneDeployValidation reaches the servers by the installer's SSH key"),
        ("no such check", changed("hosted", spec__verification={"request": "a", "disabled": [{"check": "Nothing", "justification": "x"}]}), "spec.verification.disabled", "no such check in this suite"),
        ("a check of the other suite", changed("hosted", spec__verification={"request": "a", "disabled": [{"check": "OneFlow", "justification": "x"}]}), "spec.verification.disabled", "no such check in this suite"),
        ("one host of all", changed("hosted", spec__verification={"request": "a", "disabled": [{"check": "CoreVersion/x", "justification": "x"}]}), "spec.verification.disabled", "only VMOnHost and VMOnNetwork have one check for each object"),
        ("no name of a check", changed("hosted", spec__verification={"request": "a", "disabled": [{"check": "1", "justification": "x"}]}), "spec.verification.disabled[0].check", "must be the name of a check as status.verification.checks shows it"),
        ("no justification", changed("hosted", spec__verification={"request": "a", "disabled": [{"check": "CoreVersion", "justification": "  "}]}), "spec.verification.disabled[0].justification", "must say why the check is not run"),
        ("no schedule", changed("hosted", spec__verification={"schedule": "0 25 * * *"}), "spec.verification.schedule", "must be five fields of cron"),
        ("a role twice", changed("hosted", **{SERVERS + "1__roles": ["Node", "Node"]}), "spec.hosted.ovh.servers[1].roles[1]", "Duplicate value"),
        ("no servers", changed("hosted", **{HOSTED + "ovh__servers": []}), "spec.hosted.ovh.servers", "should have at least 1 items"),
        ("networks that become one object", changed("hosted", **{HOSTED + "networks__1__name": "vm-Public"}), "spec.hosted.networks", "two names are the same once written as the name of a VirtualNetwork"),
        ("a network of no kind", changed("hosted", **{HOSTED + "networks__0__publicBlock": GONE}), "spec.hosted.networks[0]", "exactly one of publicBlock and vlanID must be set"),
        ("a name for an address of another block", changed("hosted", **{HOSTED + "networks__0__reverseDNS": [{"ip": "57.131.168.2", "name": "mail.example.fr"}]}), "spec.hosted.networks[0].reverseDNS", "each ip must be an address of publicBlock"),
        ("no full name for an address", changed("hosted", **{HOSTED + "networks__0__reverseDNS": [{"ip": "57.131.167.178", "name": "mail"}]}), "spec.hosted.networks[0].reverseDNS[0].name", "must be a full domain name"),
        ("a consent to move a block that there is not", changed("hosted", **{HOSTED + "networks": [{"name": "v", "vlanID": 5, "addressRanges": [{"ip": "10.0.0.1", "size": 2}], "moveFrom": "pn-2"}]}), "spec.hosted.networks[0].moveFrom", "moveFrom speaks of a publicBlock"),
        ("a range outside the block of a hosted network", changed("hosted", **{HOSTED + "networks__0__addressRanges": [{"ip": "57.131.168.1", "size": 1}]}), "spec.hosted.networks[0].addressRanges", IN_BLOCK),
        ("user and password in an address", changed("existing", spec__existing__endpoint="https://oneadmin:secret@one.example.fr/RPC2"), "spec.existing.endpoint", "without user and password, which belong in the Secret"),
        ("a cloud name too long for its children", changed("hosted", metadata__name="a" * 129, spec__name="short"), "<nil>", "metadata.name is longer than 128 characters"),
        ("a name too long outside", changed("least", metadata__name="a" * 129), "<nil>", "set spec.name or use a shorter name"),
        ("a server of no provider", changed("server", spec__ovh=GONE), "spec", "exactly one provider must be set: set ovh"),
        ("an unknown API", changed("server", spec__ovh__endpoint="kimsufi-eu"), "spec.ovh.endpoint", 'supported values: "ovh-eu", "ovh-ca", "ovh-us"'),
        ("no machine at all", changed("server", spec__ovh__serviceName=GONE), "spec.ovh", "exactly one of serviceName, tagSelector and order must be set"),
        ("a machine by its name and by its tags", changed("tagged", spec__ovh__serviceName="ns9.eu"), "spec.ovh", "exactly one of serviceName, tagSelector and order must be set"),
        ("a server of a cloud without a machine", changed("hosted", **{SERVERS + "1__serviceName": GONE}), "spec.hosted.ovh.servers[1]", "exactly one of serviceName, tagSelector and order must be set"),
        ("a tag key that OVHcloud does not have", changed("tagged", spec__ovh__tagSelector__matchTags={"my rack": "7"}), "spec.ovh.tagSelector.matchTags", "a tag key has 1 to 128 letters, digits or"),
        ("no tag", changed("tagged", spec__ovh__tagSelector__matchTags={}), "spec.ovh.tagSelector.matchTags", "should have at least 1 properties"),
        ("a plan code with a space", changed("ordered", spec__ovh__order__planCode="24 scale"), "spec.ovh.order.planCode", "must be a plan code of OVHcloud's catalogue"),
        ("a datacentre in capitals", changed("ordered", spec__ovh__order__datacenter="RBX"), "spec.ovh.order.datacenter", "must be a code of OVHcloud's datacentres in lower case"),
        ("a duration in words", changed("ordered", spec__ovh__order__duration="1mon"), "spec.ovh.order.duration", "must be a duration of the catalogue, for example P1M"),
        ("a pricing mode with a space", changed("ordered", spec__ovh__order__pricingMode="up front"), "spec.ovh.order.pricingMode", "must be a pricing mode of the catalogue"),
        ("a price with a comma", changed("ordered", spec__ovh__order__approval__maxPrice="1200,00"), "spec.ovh.order.approval.maxPrice", "must be an amount in quotes with a dot before the cents"),
        ("a price without a currency", changed("ordered", spec__ovh__order__approval__currency=GONE), "spec.ovh.order.approval.currency", "Required value"),
        ("a currency by its sign", changed("ordered", spec__ovh__order__approval__currency="€"), "spec.ovh.order.approval.currency", "must be the three capital letters of a currency"),
        *[
            (why, changed("server", spec__reinstall__partitioning=parts), f"spec.reinstall.partitioning{at}", words)
            for why, parts, at, words in [
                ("nothing at /", [part("/boot", size="1Gi")], "", "nothing is mounted at /: add for example"),
                ("two that take the rest", [part("/"), part("/var")], "", "only one partition can have all that the others leave"),
                ("swap space on a file system", [part("/"), part("swap", size="8Gi")], "[1].mountPoint", "swap space has both: mountPoint: swap and fileSystem: swap"),
                ("swap space in stripes", [part("/"), part("swap", "swap", size="8Gi", raidLevel=0)], "[1].raidLevel", "swap space is always mirrored: remove raidLevel"),
                ("a path that ends with /", [part("/"), part("/var/", size="8Gi")], "[1].mountPoint", "must be a path without a / at its end"),
            ]
        ],
        ("a name that OVHcloud does not show", changed("hosted", **{SERVERS + "1__displayName": "one 1"}), "spec.hosted.ovh.servers[1].displayName", "must be letters, digits, - and ., for example ns"),
        ("a block and a VLAN", changed("public", spec__vlanID=5), "spec", "exactly one of publicBlock, vlanID, vxlanID, bridge and reservation must be set"),
        ("neither", changed("public", spec__publicBlock=GONE), "spec", "exactly one of publicBlock, vlanID, vxlanID, bridge and reservation must be set"),
        ("a VLAN and a VXLAN", changed("vlan", spec__vxlanID=5), "spec", "exactly one of publicBlock, vlanID, vxlanID, bridge and reservation must be set"),
        ("a reservation of a bridge", changed("reserved", spec__bridge="br0"), "spec", "exactly one of publicBlock, vlanID, vxlanID, bridge and reservation must be set"),
        ("a VLAN without ranges", changed("vlan", spec__addressRanges=GONE), "spec", "a network without publicBlock needs addressRanges"),
        ("a VLAN with no range", changed("vlan", spec__addressRanges=[]), "spec", "a network without publicBlock needs addressRanges"),
        ("a reservation of nothing", changed("reserved", spec__addressRanges=GONE), "spec", "a network without publicBlock needs addressRanges"),
        ("a marketplace for what is lost", changed("saved", spec__marketplace="way-out"), "spec", "sourceState: Lost goes over no marketplace"),
        ("a copy of a move", changed("move", spec__keepCopy=True), "spec.keepCopy", "only a rehearsal of a machine that can be reached leaves a copy"),
        ("a copy of what is lost", changed("saved", spec__mode="Rehearse", spec__keepCopy=True), "spec.keepCopy", "only a rehearsal of a machine that can be reached leaves a copy"),
        ("an exit that keeps copies of what is lost", changed("exit", spec__sourceState="Lost", spec__keepCopy=True), "spec.keepCopy", "nothing is copied of what is lost"),
        ("a word of death for what answers", changed("saved", spec__sourceState=GONE), "spec", "fencing is for nothing else"),
        ("no time of an outage", changed("saved", spec__fencing__outage="yesterday"), "spec.fencing.outage", "must be a time in UTC as status.lostSince shows it"),
        ("a device for a bridge", changed("bridged", spec__physicalDevice="bond0"), "spec.physicalDevice", "physicalDevice is for publicBlock, vlanID and vxlanID"),
        ("a VXLAN that does not exist", changed("vxlan", spec__vxlanID=16777216), "spec.vxlanID", "should be less than or equal to 16777215"),
        ("no name of a bridge", changed("bridged", spec__bridge="br 0"), "spec.bridge", "must be the name of a bridge as the hosts have it"),
        ("no address to hold", changed("vxlan", spec__held=["10.0.0.300"]), "spec.held[0]", "must be an IPv4 address"),
        ("an address held twice", changed("vxlan", spec__held=["10.0.0.3", "10.0.0.3"]), "spec.held[1]", "Duplicate value"),
        ("a hosted network of a VLAN without ranges", changed("hosted", **{HOSTED + "networks__1__addressRanges": GONE}), "spec.hosted.networks[1]", "a network with vlanID needs addressRanges"),
        ("no rules", changed("group", spec__rules=[]), "spec.rules", "should have at least 1 items"),
        ("ports of a ping", changed("group", spec__rules__1__range="8"), "spec.rules[1]", "range is for TCP and UDP only"),
        ("a type of TCP", changed("group", spec__rules__0__icmpType=8), "spec.rules[0]", "icmpType is for ICMP and ICMPv6 only"),
        ("two other ends", changed("group", spec__rules__0__network="lan"), "spec.rules[0]", "cidr and network both name the other end"),
        ("a block that begins elsewhere, for a rule", changed("group", spec__rules__0__cidr="10.0.0.1/8"), "spec.rules[0].cidr", "must be an IPv4 network that begins with its first address"),
        ("IPv6, which OpenNebula's rules cannot say", changed("group", spec__rules__0__cidr="2001:db8::/64"), "spec.rules[0].cidr", "must be an IPv4 network that begins with its first address"),
        ("ports in words", changed("group", spec__rules__0__range="https"), "spec.rules[0].range", "must be ports and ranges of ports with commas between them"),
        ("an unknown protocol", changed("group", spec__rules__0__protocol="GRE"), "spec.rules[0].protocol", 'supported values: "TCP", "UDP", "ICMP", "ICMPv6", "IPsec", "ALL"'),
        ("no address of a card", changed("instance", spec__networks__0__address="57.131.167.300"), "spec.networks[0].address", "must be an IPv4 address"),
        ("one group twice", changed("instance", spec__networks__0__securityGroups=["a", "a"]), "spec.networks[0].securityGroups[1]", "Duplicate value"),
        ("a marketplace of restic", changed("parts", spec__stores__0={"name": "a", "type": "Marketplace", "restic": {"sftpServer": "b", "passwordSecretRef": {"name": "c"}}}), "spec.stores[0]", "a Marketplace has exactly one of s3 and http"),
        ("backups in a bucket", changed("parts", spec__stores__0__type="Backup"), "spec.stores[0]", "a Backup exactly one of restic and rsync"),
        ("a store of two kinds", changed("parts", spec__stores__0__http={"baseURL": "https://a", "publicDir": "/b"}), "spec.stores[0]", "a Marketplace has exactly one of s3 and http"),
        ("a store without a place", changed("parts", spec__stores__2__restic=GONE), "spec.stores[2]", "a Backup exactly one of restic and rsync"),
        ("two stores of one name", changed("parts", spec__stores__1__name="exchange"), "spec.stores[1]", "Duplicate value"),
        ("no country", changed("parts", spec__stores__0__location__country="France"), "spec.stores[0].location.country", "Too long"),
        ("a country in small letters", changed("parts", spec__stores__0__location__country="fr"), "spec.stores[0].location.country", "must be a code of two capital letters"),
        ("a bucket with a capital", changed("parts", spec__stores__0__s3__bucket="One"), "spec.stores[0].s3.bucket", "must be the name of a bucket"),
        ("a password in an address", changed("parts", spec__stores__0__s3__endpoint="https://a:b@s3.example.fr"), "spec.stores[0].s3.endpoint", "must be an http or https address without user and password"),
        ("a directory that is no path", changed("parts", spec__stores__1__http__publicDir="market"), "spec.stores[1].http.publicDir", "must be an absolute path"),
        ("a server with a space", changed("parts", spec__stores__2__restic__sftpServer="my server"), "spec.stores[2].restic.sftpServer", "must be the name or address of a machine"),
        ("no user of Unix", changed("parts", spec__stores__3__rsync__user="One Admin"), "spec.stores[3].rsync.user", "must be the name of a Unix user, for example oneadmin"),
        ("no driver", changed("parts", spec__datastores__0__transfer="my driver"), "spec.datastores[0].transfer", "must be the name of a driver of OpenNebula"),
        ("images in a system datastore", changed("parts", spec__datastores__1__driver="fs"), "spec.datastores[1].driver", "a datastore of type System keeps no images"),
        ("half a MiB for a host", changed("parts", spec__clusters__0__reserved__memory="512Ki"), "spec.clusters[0].reserved.memory", WHOLE_MIB),
        ("a cloud that is dead for ever", changed("hosted", spec__fencing={"confirmedBy": "oncall@example.fr"}), "spec.fencing", "set outage to status.lostSince"),
        ("an outage that is no time", changed("hosted", spec__fencing={"confirmedBy": "oncall@example.fr", "outage": "now"}), "spec.fencing.outage", "must be a time in UTC as status.lostSince shows it"),
        ("hosts beside servers", changed("hosted", spec__hosts=[{"name": "node-1"}]), "spec.hosts", "the hosts of a hosted cloud follow from its servers"),
        ("a sum that OpenNebula does not check", changed("image", spec__source={"url": "https://a.example/i", "checksum": "sha256:" + "0" * 40}), "spec.source.checksum", "OpenNebula, which downloads the image, checks no other sums"),
        ("a sum of an appliance", changed("image", spec__source__checksum="md5:" + "0" * 32), "spec.source.checksum", "checksum is that of a download: remove it"),
        ("a VLAN that does not exist", changed("vlan", spec__vlanID=4095), "spec.vlanID", "should be less than or equal to 4094"),
        ("the network's own address", changed("public", spec__addressRanges__0={"ip": "57.131.167.176", "size": 1}), "spec.addressRanges", IN_BLOCK),
        ("up to the gateway", changed("public", spec__addressRanges__0={"ip": "57.131.167.177", "size": 14}), "spec.addressRanges", IN_BLOCK),
        ("the same last number in another block", changed("public", spec__addressRanges__0={"ip": "57.131.168.177", "size": 2}), "spec.addressRanges", IN_BLOCK),
        ("the second range alone", changed("public", spec__addressRanges=[{"ip": "57.131.167.177", "size": 2}, {"ip": "57.131.167.188", "size": 5}]), "spec.addressRanges", IN_BLOCK),
        ("a block that begins elsewhere", changed("public", spec__publicBlock="57.131.167.177/28"), "spec.publicBlock", BLOCK),
        ("a block that OVHcloud does not route", changed("public", spec__publicBlock="57.131.167.0/23"), "spec.publicBlock", BLOCK),
        ("a block of two", changed("public", spec__publicBlock="57.131.167.176/31"), "spec.publicBlock", BLOCK),
        ("no block at all", changed("public", spec__publicBlock="57.131.167/28"), "spec.publicBlock", BLOCK),
        ("no number of an address", changed("public", spec__publicBlock="57.131.467.176/28"), "spec.publicBlock", BLOCK),
        ("no address in a range", changed("vlan", spec__addressRanges__0__ip="10.100.0.300"), "spec.addressRanges[0].ip", "must be an IPv4 address"),
        ("beyond all addresses", changed("vlan", spec__addressRanges__0={"ip": "255.255.255.250", "size": 7}), "spec.addressRanges[0]", "size reaches beyond 255.255.255.255"),
        ("one first address twice", changed("vlan", spec__addressRanges__1__ip="10.100.0.10"), "spec.addressRanges[1]", "Duplicate value"),
        ("a gateway elsewhere", changed("public", spec__gateway="10.0.0.1"), "spec.gateway", "gateway lies outside publicBlock: leave it out"),
        ("no gateway address", changed("vlan", spec__gateway="10.0.0.300"), "spec.gateway", "must be an IPv4 address"),
        ("a resolver by name", changed("public", spec__dns=["dns.example.fr"]), "spec.dns[0]", "must be an IP address"),
        ("an image from two places", changed("image", spec__source__url="https://x.example.fr/a"), "spec.source", "exactly one of marketplaceApp and url must be set"),
        ("an image to adopt in one cloud and to make from nothing in another", changed("image", spec__source=GONE, spec__cloudRefs__0__adopt={"id": "7"}), "spec", "source is needed: a marketplaceApp or a url"),
        ("an image to adopt by its name", changed("image", spec__cloudRefs__0__adopt={"id": "base"}), "spec.cloudRefs[0].adopt.id", "must be a number in quotes as OpenNebula shows it"),
        ("an image from nowhere", changed("image", spec__source={}), "spec.source", "exactly one of marketplaceApp and url must be set"),
        ("an image for no cloud", changed("image", spec__cloudRefs=[]), "spec.cloudRefs", "should have at least 1 items"),
        ("a cloud twice", changed("image", spec__cloudRefs__1__name="ovh-rbx"), "spec.cloudRefs[1]", "Duplicate value"),
        ("two sources", changed("instance", spec__source__template="x"), "spec.source", "exactly one of image, template and backup must be set"),
        ("no source", changed("instance", spec__source={}), "spec.source", "exactly one of image, template and backup must be set"),
        ("source forgotten", changed("instance", spec__source=GONE), "spec", "source is needed: an image or a template to make the machine from; or adopt"),
        ("a machine to adopt by its name", changed("least", spec__adopt={"id": "web"}), "spec.adopt.id", "must be a number in quotes as OpenNebula shows it"),
        ("a network to adopt by a number that is none", changed("public", spec__adopt={"id": "007"}), "spec.adopt.id", "must be a number in quotes as OpenNebula shows it"),
        ("an image without memory", changed("instance", spec__memory=GONE), "spec", "a machine made from an image needs vcpu and memory: set both"),
        ("an image without processors", changed("instance", spec__vcpu=GONE), "spec", "a machine made from an image needs vcpu and memory: set both"),
        ("no processors", changed("instance", spec__vcpu=0), "spec.vcpu", "should be greater than or equal to 1"),
        ("no memory", changed("instance", spec__memory=0), "spec.memory", WHOLE_MIB),
        ("no memory in words", changed("instance", spec__memory="0"), "spec.memory", WHOLE_MIB),
        ("a thousandth of a byte", changed("instance", spec__memory="1m"), "spec.memory", WHOLE_MIB),
        ("4 that were meant as Gi", changed("instance", spec__memory=4), "spec.memory", WHOLE_MIB),
        ("not whole MiB", changed("instance", spec__memory="4G"), "spec.memory", WHOLE_MIB),
        ("not whole MiB by one byte", changed("instance", spec__memory=4294967297), "spec.memory", WHOLE_MIB),
        ("too little to start", changed("instance", spec__memory="15Mi"), "spec.memory", WHOLE_MIB),
        ("more than there is", changed("instance", spec__memory="17Ti"), "spec.memory", WHOLE_MIB),
        ("more than a number holds", changed("instance", spec__memory="99999999999999999999P"), "spec.memory", WHOLE_MIB),
        ("less than nothing", changed("instance", spec__memory="-4Gi"), "spec.memory", WHOLE_MIB),
        ("no quantity", changed("instance", spec__memory="4 GB"), "spec.memory", "must be a quantity without a space"),
        ("no name of an object", changed("public", spec__cloudRef__name="ovh_rbx"), "spec.cloudRef.name", "must be the name of a Kubernetes object"),
        ("no driver", changed("tenant", spec__externalUsers__0__driver="SAML 2"), "spec.externalUsers[0].driver", "must be the name of an authentication driver"),
        ("a quota of no whole MiB", changed("tenant", spec__clouds__0__quota__datastores__0__size="1500k"), "spec.clouds[0].quota.datastores[0].size", "must be a whole number of MiB from 1Mi to 1024Ti"),
        ("a cloud of no namespace", changed("tenant", spec__clouds__0__cloudRef__namespace=GONE), "spec.clouds[0].cloudRef.namespace", "Required value"),
        ("no country", changed("policy", spec__residency__allowedCountries=["fr"]), "spec.residency.allowedCountries[0]", "must be EU, EEA or a code of two capital letters"),
        ("no law", changed("policy", spec__jurisdiction__allowed=["eu"]), "spec.jurisdiction.allowed[0]", "must be EU, EEA or a code of two capital letters"),
        ("one country twice", changed("policy", spec__residency__allowedCountries=["FR", "FR"]), "spec.residency.allowedCountries[1]", "Duplicate value"),
        ("a part of nothing", changed("policy", spec__residency__covers=["logs"]), "spec.residency.covers[0]", "supported values"),
        ("an observed certificate", changed("policy", spec__certifications__0__minGrade="Observed"), "spec.certifications[0].minGrade", "supported values"),
        ("a scheme of two words", changed("policy", spec__certifications__0__anyOf=["ISO 27001"]), "spec.certifications[0].anyOf[0]", "must be one word, as a ProviderProfile names it"),
        ("no label", changed("policy", spec__appliesTo__namespaceSelector__matchExpressions__0__key="data class"), "spec.appliesTo.namespaceSelector.matchExpressions[0].key", "must be the key of a label"),
        ("no value of a label", changed("policy", spec__appliesTo__namespaceSelector__matchLabels={"data-class": "very restricted"}), "spec.appliesTo.namespaceSelector.matchLabels[data-class]", "must be the value of a label"),
        ("an exception from nothing", changed("policy", spec__exceptions__0__rule="backups"), "spec.exceptions[0].rule", "must be a rule as the condition Compliant names it"),
        ("an exception that nobody approved", changed("policy", spec__exceptions__0__approvedBy=GONE), "spec.exceptions[0].approvedBy", "Required value"),
        ("an exception for ever", changed("policy", spec__exceptions__0__expires=GONE), "spec.exceptions[0].expires", "Required value"),
        ("until some day", changed("policy", spec__exceptions__0__expires="next year"), "spec.exceptions[0].expires", "must be a day in quotes"),
        ("a company of no country", changed("profile", spec__legalEntity__country="Fr"), "spec.legalEntity.country", "must be a code of two capital letters"),
        ("a datacenter of two words", changed("profile", spec__datacenters__0__name="PARIS 1"), "spec.datacenters[0].name", "must be one word: for example PARIS-1"),
        ("a datacenter observed by a person", changed("profile", spec__datacenters__0__grade="Observed"), "spec.datacenters[0].grade", "supported values"),
        ("evidence from nowhere", changed("profile", spec__datacenters__0__evidence__url="certificate.pdf"), "spec.datacenters[0].evidence.url", "must be an http or https address"),
        ("half a digest", changed("profile", spec__datacenters__0__evidence__sha256="abc"), "spec.datacenters[0].evidence.sha256", "must be 64 digits from 0 to 9 or a to f"),
        ("no word", changed("server", spec__reinstall__request="now, please"), "spec.reinstall.request", "must be one word of letters, digits"),
        ("no host name", changed("hosted", **{SERVERS + "0__name": "One_1"}), "spec.hosted.ovh.servers[0].name", "must be a host name"),
        ("no version", changed("hosted", **{HOSTED + "openNebula__install__version": "7"}), "spec.hosted.openNebula.install.version", "must be a version of two numbers"),
        ("no name of a network", changed("hosted", **{HOSTED + "networks__0__name": "vm public"}), "spec.hosted.networks[0].name", "must be words of letters and digits"),
        ("no address of an image", changed("image", spec__source={"url": "/tmp/a.qcow2"}), "spec.source.url", "must be an http or https address: for example https://images"),
        ("no share", changed("instance", spec__cpu="0"), "spec.cpu", "must be from 10m to 512 processors"),
        ("too much of a share", changed("instance", spec__cpu="4Gi"), "spec.cpu", "must be from 10m to 512 processors"),
        ("more processors than there is room for", changed("instance", spec__vcpu=8, spec__hotResize={"maxVcpu": 4}), "spec.vcpu", "set maxVcpu to at least vcpu"),
        ("more memory than there is room for", changed("instance", spec__memory="8Gi", spec__hotResize={"maxMemory": "4096Mi"}), "spec.memory", "set maxMemory to at least memory"),
        ("room for nothing", changed("instance", spec__hotResize={}), "spec.hotResize", "set maxVcpu or maxMemory or both"),
        ("room that is not whole MiB", changed("instance", spec__hotResize={"maxMemory": "4G"}), "spec.hotResize.maxMemory", WHOLE_MIB),
        ("any device at all", changed("instance", spec__pciDevices=[{"name": "gpu"}]), "spec.pciDevices[0]", "set at least one of vendor, device and class"),
        ("a vendor in words", changed("instance", spec__pciDevices=[{"name": "gpu", "vendor": "10DE"}]), "spec.pciDevices[0].vendor", "four hexadecimal digits in lower case"),
        ("one device twice", changed("instance", spec__pciDevices=[{"name": "gpu", "vendor": "10de"}] * 2), "spec.pciDevices[1]", "Duplicate value"),
        ("no model of a processor", changed("instance", spec__cpuModel="host passthrough"), "spec.cpuModel", "must be one word as virsh cpu-models prints them"),
        ("a third way to move", changed("move", spec__mode="Try"), "spec.mode", "Unsupported value"),
        ("an exit from nothing", changed("exit", spec__from={}), "spec.from", "exactly one of cloudRef and providerRef must be set"),
        ("an exit from two things", changed("exit", spec__from__cloudRef={"name": "ovh-rbx"}), "spec.from", "exactly one of cloudRef and providerRef must be set"),
        ("an exit to nowhere", changed("exit", spec__to=[]), "spec.to", "should have at least 1 items"),
        ("an exit that is tried", changed("exit", spec__mode="Try"), "spec.mode", "Unsupported value"),
        ("an exit from what is lost, of which nobody says so", changed("exit", spec__mode="Execute", spec__sourceState="Lost"), "spec.fencing", "say in fencing.confirmedBy who answers for it"),
        ("an exit of none at once", changed("exit", spec__maxConcurrent=0), "spec.maxConcurrent", "should be greater than or equal to 1"),
        ("an exit every so often", changed("exit", spec__rehearsalSchedule="monthly"), "spec.rehearsalSchedule", "must be five fields of cron"),
        ("a network that becomes two", changed("move", spec__networkMap=[{"from": "a", "to": "b"}, {"from": "a", "to": "c"}]), "spec.networkMap[1]", "Duplicate value"),
        ("a slave of nobody", changed("zone", spec__masterRef=GONE), "spec.masterRef", "masterRef belongs to the role Slave: set both or neither"),
        ("a master with a master", changed("master", spec__masterRef={"name": "rbx"}), "spec.masterRef", "masterRef belongs to the role Slave"),
        ("half a consent", changed("zone", spec__join__replaceUsersGroupsVDCs="Yes"), "spec.join.replaceUsersGroupsVDCs", "Unsupported value"),
        ("a server twice", changed("zone", spec__servers=[{"name": "s", "endpoint": "http://a/RPC2"}, {"name": "s", "endpoint": "http://b/RPC2"}]), "spec.servers[1]", "Duplicate value"),
        ("a password in an address", changed("zone", spec__endpoint="http://me:secret@one/RPC2"), "spec.endpoint", "must be an http or https address without user and password"),
        ("a group that wants nothing", changed("instance", spec__group={"name": "web"}), "spec.group.policy", "Required value"),
        ("a group with dots", changed("instance", spec__group={"name": "web.x", "policy": "Apart"}), "spec.group.name", "must be lower case letters, digits and -"),
        ("no host at all", changed("instance", spec__placement__hosts=[]), "spec.placement.hosts", "should have at least 1 items"),
        ("a cloud, and countries to choose one from", changed("instance", spec__placement={"cloudRef": {"name": "x"}, "countries": ["FR"]}), "spec.placement.cloudRef", "set cloudRef or those, not both"),
        ("a cloud, and labels to choose one by", changed("instance", spec__placement={"cloudRef": {"name": "x"}, "labels": {"a": "b"}}), "spec.placement.cloudRef", "set cloudRef or those, not both"),
        ("a country in small letters", changed("instance", spec__placement={"countries": ["fr"]}), "spec.placement.countries[0]", "must be EU, EEA or a code of two capital letters"),
        ("no country at all", changed("instance", spec__placement={"countries": []}), "spec.placement.countries", "should have at least 1 items"),
        ("spread by nothing", changed("instance", spec__placement={"spread": {"matchLabels": {"app": "web"}}}), "spec.placement.spread.by", "Required value"),
        ("spread from nobody", changed("instance", spec__placement={"spread": {"by": "Cloud", "matchLabels": {}}}), "spec.placement.spread.matchLabels", "should have at least 1 properties"),
        ("one host twice", changed("instance", spec__placement__hosts=["one-1", "one-1"]), "spec.placement.hosts[1]", "Duplicate value"),
        ("no disk", changed("instance", spec__disks__0__size="0"), "spec.disks[0].size", WHOLE_MIB),
        ("half a MiB", changed("instance", spec__disks__0__size="512Ki"), "spec.disks[0].size", WHOLE_MIB),
        ("a root disk without size", changed("instance", spec__disks__0__size=GONE), "spec.disks[0]", "root has size and nothing else"),
        ("a data disk of no size", changed("instance", spec__disks__1__image=GONE), "spec.disks[1]", "a data disk needs size"),
        ("an image that was there is deleted", changed("instance", spec__disks__1__deletionPolicy="Delete"), "spec.disks[1].deletionPolicy", "is always kept"),
        ("a disk in capitals", changed("instance", spec__disks__1__name="Data"), "spec.disks[1].name", "must be lower case letters, digits and -"),
        ("a schedule in words", changed("instance", spec__backup={"store": "b", "schedule": "daily"}), "spec.backup.schedule", "must be five fields of cron"),
        ("a request of two words", changed("instance", spec__snapshot={"request": "a b"}), "spec.snapshot.request", "must be one word"),
        ("more than a disk", changed("instance", spec__disks__0__size="65Ti"), "spec.disks[0].size", WHOLE_MIB),
        ("one network twice", changed("instance", spec__networks=[{"name": "a"}, {"name": "a"}]), "spec.networks[1]", "Duplicate value"),
        ("a wrong word", changed("instance", spec__power="On"), "spec.power", 'supported values: "Running", "Stopped", "Suspended"'),
        ("a wrong type", changed("instance", spec__vcpu="two"), "spec.vcpu", "must be of type integer"),
        ("a truth for a size", changed("instance", spec__memory=True), "spec.memory", "must be of type integer,string"),
        ("two policies for one field", changed("instance", spec__driftPolicy__fields=[{"path": "spec.vcpu", "action": "Report"}] * 2), "spec.driftPolicy.fields[1]", "Duplicate value"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_the_field_and_the_remedy(api, why, manifest, field, words):
    assert_refused(asked(api, "create", manifest), why, field, words)


@pytest.mark.parametrize(
    ("why", "manifest", "field", "server_side"),
    [
        ("a typing error", changed("instance", spec__memmory="4Gi"), "spec.memmory", ".spec.memmory"),
        (
            "deep inside",
            changed("hosted", **{SERVERS + "0__role": "Node"}),
            "spec.hosted.ovh.servers[0].role",
            '.spec.hosted.ovh.servers[name="one-1"].role',
        ),
        (
            "of a later version",
            changed("instance", spec__placement__price="Low"),
            "spec.placement.price",
            ".spec.placement.price",
        ),
    ],
)
def test_unknown_fields_are_refused_in_the_servers_own_words(api, why, manifest, field, server_side):
    result = asked(api, "apply", manifest)
    assert result.returncode != 0, why
    assert f'unknown field "{field}"' in result.stderr
    declared = api.kubectl(
        "apply", "--server-side", "--dry-run=server", "--filename=-", input=json.dumps(manifest), check=False
    )
    assert declared.returncode != 0, why
    assert f"{server_side}: field not declared in schema" in declared.stderr


# --- changes ---------------------------------------------------------------------------------------------------------

ONE_SERVER = changed("hosted", **{SERVERS + "1": GONE})
CANNOT = "cannot be changed"


@pytest.mark.parametrize(
    ("why", "manifest", "field", "words"),
    [
        ("from hosted to existing", changed("hosted", spec__hosted=GONE, spec__existing=EXISTING), "spec", "hosted and existing cannot be exchanged: make a new SovereignCloud"),
        ("from existing to hosted", changed("existing", spec__existing=GONE, spec__hosted=BASES["hosted"]["spec"]["hosted"]), "spec", "hosted and existing cannot be exchanged"),
        ("from installed to adopted", changed("hosted", **{HOSTED + "openNebula": ADOPT, SERVERS + "0__reinstall": GONE, SERVERS + "1__reinstall": GONE}), "spec.hosted.openNebula", "install and adopt cannot be exchanged"),
        ("from adopted to installed", changed("adopted", **{HOSTED + "openNebula": {"install": {"architecture": "Basic", "version": "7.0"}}}), "spec.hosted.openNebula", "install and adopt cannot be exchanged"),
        ("another version", changed("hosted", **{HOSTED + "openNebula__install__version": "7.2"}), "spec.hosted.openNebula.install.version", CANNOT),
        ("another architecture", changed("hosted", **{HOSTED + "openNebula__install__architecture": "Edge", SERVERS + "1__site": "lyon"}), "spec.hosted.openNebula.install.architecture", CANNOT),
        ("another API", changed("hosted", **{HOSTED + "ovh__endpoint": "ovh-ca"}), "spec.hosted.ovh.endpoint", CANNOT),
        ("the provider taken away", changed("hosted", **{HOSTED + "ovh": GONE}), "spec.hosted", "exactly one provider must be set"),
        ("another machine of the same name", changed("hosted", **{SERVERS + "1__serviceName": "ns9.eu"}), "spec.hosted.ovh.servers[1].serviceName", CANNOT),
        ("the front-end off the list", changed("hosted", **{SERVERS + "0__name": "one-9"}), "spec.hosted.ovh.servers", "it cannot be taken off the list, nor lose that role"),
        ("the front-end a mere node", changed("hosted", **{SERVERS + "0__roles": ["Node"], SERVERS + "1__roles": ["Frontend", "Node"]}), "spec.hosted.ovh.servers", "it cannot be taken off the list, nor lose that role"),
        ("another block", changed("hosted", **{HOSTED + "networks__0__publicBlock": "57.131.167.192/28"}), "spec.hosted.networks[0].publicBlock", CANNOT),
        ("another VLAN", changed("hosted", **{HOSTED + "networks__1__vlanID": 101}), "spec.hosted.networks[1].vlanID", CANNOT),
        ("another cloud of a zone", changed("zone", spec__cloudRef__name="onprem-paris"), "spec.cloudRef", CANNOT),
        ("a slave that is to be master", changed("zone", spec__role="Master", spec__masterRef=GONE), "spec.role", "role cannot be changed"),
        ("another master", changed("zone", spec__masterRef__name="lyon"), "spec.masterRef", "masterRef cannot be changed"),
        ("another machine of a move", changed("move", spec__instanceRef__name="db"), "spec.instanceRef", CANNOT),
        ("another aim of a move", changed("move", spec__to__cloudRef__name="rbx"), "spec.to", CANNOT),
        ("a move instead of a rehearsal", changed("move", spec__mode="Rehearse"), "spec.mode", CANNOT),
        ("other networks of a move", changed("move", spec__networkMap=GONE), "spec.networkMap", CANNOT),
        ("another way of a move", changed("move", spec__marketplace="other"), "spec.marketplace", CANNOT),
        ("an exit from elsewhere", changed("exit", spec__from={"cloudRef": {"name": "ovh-rbx"}}), "spec.from", CANNOT),
        ("an exit from what is lost by now", changed("exit", spec__sourceState=GONE), "spec.sourceState", CANNOT),
        ("a copy of a move after all", changed("move", spec__keepCopy=False), "spec.keepCopy", CANNOT),
        ("another exit of a move", changed("move", spec__exitPlanRef={"name": "leave"}), "spec.exitPlanRef", CANNOT),
        ("a move of what answers after all", changed("saved", spec__sourceState="Reachable", spec__fencing=GONE), "spec.sourceState", CANNOT),
        ("another machine", changed("server", spec__ovh__serviceName="ns9.eu"), "spec.ovh.serviceName", CANNOT),
        ("other tags", changed("tagged", spec__ovh__tagSelector__matchTags={"rack": "8"}), "spec.ovh.tagSelector", CANNOT),
        ("a name instead of tags", changed("tagged", spec__ovh__tagSelector=GONE, spec__ovh__serviceName="ns9.eu"), "spec.ovh.serviceName", CANNOT),
        ("a name instead of an order", changed("ordered", spec__ovh__order=GONE, spec__ovh__serviceName="ns9.eu"), "spec.ovh.order", "order cannot be added or removed: make another BareMetalServer"),
        ("an order in a cloud instead of a name", changed("hosted", **{SERVERS + "1__serviceName": GONE, SERVERS + "1__order": {"planCode": "x", "datacenter": "rbx"}}), "spec.hosted.ovh.servers[1].order", "order cannot be added or removed: remove this server from the list"),
        *[
            (f"another {name} of an order", changed("ordered", **{f"spec__ovh__order__{name}": value}), f"spec.ovh.order.{name}", CANNOT)
            for name, value in [("planCode", "x"), ("datacenter", "gra"), ("duration", "P1Y"), ("pricingMode", "default"), ("options", GONE)]
        ],
        ("another API of a server", changed("server", spec__ovh__endpoint="ovh-ca"), "spec.ovh.endpoint", CANNOT),
        ("the machine taken away, to be set anew", changed("server", spec__ovh=GONE), "spec", "exactly one provider must be set"),
        ("a network in another cloud", changed("public", spec__cloudRef__name="other"), "spec.cloudRef", CANNOT),
        ("a network in the cloud of another namespace", changed("public", spec__cloudRef__namespace="platform"), "spec.cloudRef", CANNOT),
        ("another block of a network", changed("public", spec__publicBlock="57.131.167.192/28", spec__addressRanges=GONE, spec__gateway=GONE), "spec.publicBlock", CANNOT),
        ("the block taken away, to be set anew", changed("public", spec__publicBlock=GONE, spec__addressRanges=GONE), "spec.publicBlock", CANNOT),
        ("the VLAN taken away, to be set anew", changed("vlan", spec__vlanID=GONE), "spec.vlanID", CANNOT),
        ("a block becomes a VLAN", changed("public", spec__publicBlock=GONE, spec__vlanID=5), "spec.vlanID", CANNOT),
        ("another VLAN of a network", changed("vlan", spec__vlanID=101), "spec.vlanID", CANNOT),
        ("another VXLAN", changed("vxlan", spec__vxlanID=5), "spec.vxlanID", CANNOT),
        ("another bridge", changed("bridged", spec__bridge="br1"), "spec.bridge", CANNOT),
        ("reserved from elsewhere", changed("reserved", spec__reservation={"from": "lan"}), "spec.reservation", CANNOT),
        ("a store becomes one of another kind", changed("parts", spec__stores__2__restic=GONE, spec__stores__2__rsync={"host": "a"}), "spec.stores[2]", "a store does not become one of another kind"),
        ("another bucket", changed("parts", spec__stores__0__s3__bucket="other"), "spec.stores[0].s3.bucket", CANNOT),
        ("another driver of a datastore", changed("parts", spec__datastores__0__transfer="ssh"), "spec.datastores[0]", "type, transfer and driver cannot be changed"),
        ("another source of an image", changed("image", spec__source={"marketplaceApp": "Debian 13"}), "spec.source", "source cannot be changed alone"),
        ("the source of an image taken away", changed("image", spec__source=GONE), "spec", "source is needed: a marketplaceApp or a url to make the image from; or adopt in each"),
        ("another image of an instance", changed("instance", spec__source__image="debian-13"), "spec.source", "set updatePolicy.replace: Allow"),
        ("a template instead of an image", changed("instance", spec__source={"template": "x"}), "spec.source", "set updatePolicy.replace: Allow"),
        ("another image, replacing denied", changed("instance", spec__source__image="debian-13", spec__updatePolicy__replace="Deny"), "spec.source", "set updatePolicy.replace: Allow"),
        ("another image of a disk", changed("instance", spec__disks__1__image="x"), "spec.disks[1].image", "image of a disk cannot be changed"),
        ("a disk shrinks", changed("instance", spec__disks__0__size="19Gi"), "spec.disks[0].size", "a disk can grow, never shrink"),
    ],
)  # fmt: skip
def test_what_never_changes(stored, why, manifest, field, words):
    assert_refused(asked(stored, "replace", manifest), why, field, words)


@pytest.mark.parametrize(
    ("why", "manifest"),
    [
        ("the same again", changed("instance")),
        ("the name outside", changed("instance", spec__name="www")),
        ("more memory", changed("instance", spec__memory="8Gi")),
        ("less memory", changed("instance", spec__memory="2Gi")),
        ("a field that is no longer declared", changed("instance", spec__power=GONE)),
        ("a larger disk", changed("instance", spec__disks__0__size="21Gi")),
        ("the same disk in other words", changed("instance", spec__disks__0__size="20480Mi")),
        ("a disk that is no longer declared", changed("instance", spec__disks=GONE)),
        ("another image with consent", changed("instance", spec__source__image="x", spec__updatePolicy__replace="Allow")),
        ("placement is a constraint, never a record", changed("instance", spec__placement__cloudRef__name="other")),
        ("a server less", ONE_SERVER),
        ("a server more", changed("hosted", **{SERVERS + "1__name": "one-3", SERVERS + "1__serviceName": "ns9.eu"})),
        ("servers in another order", changed("hosted", **{HOSTED + "ovh__servers": BASES["hosted"]["spec"]["hosted"]["ovh"]["servers"][::-1]})),
        ("another request to reinstall", changed("hosted", **{SERVERS + "0__reinstall__request": "second"})),
        ("other ranges", changed("vlan", spec__addressRanges=[{"ip": "10.100.0.10", "size": 100}])),
        ("addresses on hold and groups of a network", changed("vxlan", spec__held=GONE, spec__securityGroups=["db"])),
        ("another address and other groups of a card", changed("instance", spec__networks__0={"name": "vm_public", "securityGroups": ["db"]})),
        ("other rules", changed("group", spec__rules=[{"direction": "Inbound", "protocol": "ALL"}])),
        ("every cloud of the namespace", changed("group", spec__cloudRefs=GONE)),
        ("other credentials", changed("server", spec__ovh__credentialsSecretRef__name="other")),
        ("consent to pay more", changed("ordered", spec__ovh__order__approval__maxPrice="1300")),
        ("consent taken back", changed("ordered", spec__ovh__order__approval=GONE)),
        ("another credential to order with", changed("ordered", spec__ovh__order__credentialsSecretRef__name="other")),
        ("another vRack", changed("server", spec__ovh__vrack="pn-9")),
        ("a new version of an image", changed("image", spec__name="debian-13", spec__source={"marketplaceApp": "Debian 13"})),
        ("a store less", changed("parts", spec__stores=BASES["parts"]["spec"]["stores"][1:])),
        ("a repository that moved", changed("parts", spec__stores__2__restic__sftpServer="backup-3.example.fr")),
        ("a cloud more for an image", changed("image", spec__cloudRefs=[{"name": "ovh-rbx"}, {"name": "third"}])),
        ("an endpoint that moved", changed("existing", spec__existing__endpoint="https://two.example.fr/RPC2")),
        ("from Observe to Manage", changed("existing", spec__management="Manage")),
    ],
)  # fmt: skip
def test_what_may_change(stored, why, manifest):
    assert asked(stored, "replace", manifest).stderr == "", why


def test_the_source_of_a_machine_that_was_never_made_is_corrected(stored):
    misspelt = changed("instance", metadata__name="misspelt", spec__source__image="ubunto")
    stored.kubectl("create", "--filename=-", input=json.dumps(misspelt))
    correct = changed("instance", metadata__name="misspelt")
    assert asked(stored, "replace", correct).stderr == "", "else a typo in Git could not be mended by a commit"
    stored.kubectl("delete", "--filename=-", input=json.dumps(misspelt))


def test_every_rule_is_broken_by_a_row_above():
    rows = [
        row
        for test in (test_bad_input_is_refused_with_the_field_and_the_remedy, test_what_never_changes)
        for row in test.pytestmark[0].args[1]
    ]
    words = [row[-1] for row in rows]
    untested = [
        message for kind in KINDS for message in messages(resource_schema(kind)) if not any(w in message for w in words)
    ]
    assert untested == []


def messages(schema):
    """Those of all rules in a schema."""
    yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", ()))
    for child in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
        yield from messages(child)


# --- what a person sees ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "manifest",
    [one for base, one in BASES.items() if base not in {"instance", "hosted", "image"}],
    ids=lambda one: one["kind"],
)
def test_a_new_object_says_that_nobody_has_looked_at_it(stored, manifest):
    found = stored.get(manifest["kind"], manifest["metadata"]["name"], f"--namespace={NAMESPACE}")
    assert found["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_short_names(stored, kind):
    for name in kind.crd.short_names:
        names = stored.kubectl("get", name, f"--namespace={NAMESPACE}", "--output=name").stdout.split()
        assert names
        assert {line.split("/")[0] for line in names} == {f"{kind.crd.kind.lower()}.sovereigncloud.io"}


def test_one_word_for_all_kinds(stored):
    lines = stored.kubectl("get", "sovereign", f"--namespace={NAMESPACE}", "--output=name").stdout.split()
    assert len(lines) == len(BASES)


STATUS = {
    "observedGeneration": 1,
    "conditions": [
        {"type": "Ready", "status": "False", "reason": "Drifted", "message": "spec.memory is 2Gi, not 4Gi"},
        {"type": "Stalled", "status": "True", "reason": "Consent", "message": "other"},
    ],
    "driftCount": 1,
    "drift": [{"path": "spec.memory", "desired": "4Gi", "observed": "2Gi", "action": "Reported", "since": "now"}],
    "plan": {"hash": "abc", "steps": [{"action": "Update", "target": "VM 12", "disruption": "Restart"}]},
    "external": {"vm": "12"},
}
OWN_STATUS = {
    "instance": {"state": "Running", "primaryAddress": "57.131.167.177", "placement": {"cloud": "a/b", "host": "h"}},
    "hosted": {
        "exit": "287/300",
        "hostsReady": "2/2",
        "storesReady": "3/4",
        "version": "7.0.1",
        "endpoint": "https://one/RPC2",
    },
    "server": {"address": "57.131.167.2", "operatingSystem": "ubuntu2404-server_64", "region": "eu-west-rbx"},
    "public": {"addresses": "57.131.167.177-189", "id": "7"},
    "image": {"cloudsReady": "1/2"},
    "group": {"cloudsReady": "1/1", "machines": "12/12"},
    "move": {"phase": "Grace", "source": {"cloud": "a/b", "id": "1"}, "downtimeSeconds": 42},
    "exit": {"phase": "Rehearsed", "movable": "287/300", "lastRehearsal": {"endedAt": "2027-01-01T04:05:06Z"}},
    "zone": {"zoneID": "100", "endpoint": "https://one/RPC2", "commands": ["systemctl restart opennebula"]},
}
COLUMNS = {
    "instance": (["READY", "REASON", "STATE", "ADDRESS", "DRIFT", "AGE"], ["VM", "VCPU", "MEMORY", "IMAGE", "CLOUD", "HOST", "COUNTRY", "FAILOVER", "COMPLIANT", "PLAN", "MESSAGE"]),
    "hosted": (["READY", "REASON", "HOSTS", "VERSION", "EXIT", "DRIFT", "AGE"], ["COUNTRY", "COMPLIANT", "VERIFIED", "PHASE", "LOSTSINCE", "STORES", "ZONE", "ENDPOINT", "PLAN", "MESSAGE"]),
    "server": (["READY", "REASON", "ADDRESS", "OS", "DRIFT", "AGE"], ["SERVICE", "VRACK", "REGION", "POWER", "PLAN", "MESSAGE"]),
    "public": (["READY", "REASON", "CLOUD", "ADDRESSES", "DRIFT", "AGE"], ["ID", "BLOCK", "VLAN", "GATEWAY", "PLAN", "MESSAGE"]),
    "group": (["READY", "REASON", "MACHINES", "DRIFT", "AGE"], ["CLOUDS", "PLAN", "MESSAGE"]),
    "image": (["READY", "REASON", "CLOUDS", "DRIFT", "AGE"], ["APP", "URL", "COMPLIANT", "PLAN", "MESSAGE"]),
    "move": (["READY", "REASON", "PHASE", "INSTANCE", "FROM", "TO", "DRIFT", "AGE"], ["MODE", "DOWNTIME", "EXITPROVEN", "PLAN", "MESSAGE"]),
    "exit": (["READY", "REASON", "MODE", "MOVABLE", "DRIFT", "AGE"], ["PHASE", "EXITPROVEN", "REHEARSED", "NEXT", "PLAN", "MESSAGE"]),
    "zone": (["READY", "REASON", "ROLE", "ZONE", "INSYNC", "DRIFT", "AGE"], ["CLOUD", "REACHABLE", "ENDPOINT", "PLAN", "MESSAGE"]),
}  # fmt: skip


@pytest.mark.parametrize("base", COLUMNS)
def test_columns(api, base):
    manifest = changed(base, metadata__name=f"{base}-columns")
    resource = f"{manifest['kind'].lower()}.sovereigncloud.io/{base}-columns"
    api.kubectl("create", "--filename=-", input=json.dumps(manifest))
    patch = json.dumps({"status": STATUS | OWN_STATUS[base]})
    at = f"--namespace={NAMESPACE}"
    api.kubectl("patch", resource, at, "--subresource=status", "--type=merge", f"--patch={patch}")
    usual, wide = COLUMNS[base]
    header, row = api.kubectl("get", resource, at).stdout.splitlines()
    assert header.split() == ["NAME", *usual]
    assert row.split()[1:3] == ["False", "Drifted"]
    assert row.split()[-2] == "1", "the number of drifted fields"
    header, row = api.kubectl("get", resource, at, "--output=wide").stdout.splitlines()
    assert header.split() == ["NAME", *usual, *wide]
    assert row.endswith("spec.memory is 2Gi, not 4Gi"), "the message of Ready, not of another condition"
    assert all(str(value) in row for value in OWN_STATUS[base].values() if isinstance(value, str))
    kept = api.get(resource, at)["status"]
    assert kept == STATUS | OWN_STATUS[base], "the schema of status knows every field"
    api.kubectl("delete", resource, at)


def test_status_is_written_only_through_its_subresource(stored):
    """Else a user's apply of a manifest with a stale status would undo what the operator found."""
    at = f"--namespace={NAMESPACE}"
    stored.kubectl("patch", "hinst", "web", at, "--type=merge", '--patch={"status": {"state": "Running"}}')
    assert "state" not in stored.get("hinst", "web", at)["status"]


def test_a_required_condition_field_is_missed_in_the_servers_words(stored):
    patch = json.dumps({"status": {"conditions": [{"type": "Ready", "status": "Maybe", "reason": "x"}]}})
    result = stored.kubectl(
        "patch", "hinst", "web", f"--namespace={NAMESPACE}", "--subresource=status", "--type=merge", f"--patch={patch}",
        check=False,
    )  # fmt: skip
    assert_refused(result, "an unknown status", "status.conditions[0].status", "Unsupported value")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("hostedinstance", "A virtual machine in a SovereignCloud"),
        ("hinst.spec.memory", "Memory in whole MiB, for example 4Gi or 512Mi."),
        ("hinst.spec.management", "Approve: a plan waits until spec.approvedPlan"),
        ("scloud.spec", "Exactly one of hosted and existing."),
        ("scloud.spec.hosted.ovh.servers", "each entry becomes a BareMetalServer CLOUD-NAME"),
        ("scloud.spec.hosted.openNebula.install.version", "Refused if changed."),
        ("onevnet.spec.publicBlock", "penultimate: gateway; last: broadcast"),
        ("bms.status.interfaces.mode", "vrack_aggregation"),
        ("mimg.status", "What the operator found and did."),
        ("mimg.status.drift.observed", "What was found outside."),
    ],
)
def test_kubectl_explain(api, path, words):
    text = " ".join(api.kubectl("explain", path).stdout.split())
    assert words in text


# --- the language as it is meant to become ---------------------------------------------------------------------------


def known(schema, value):
    """The part of a value that the schema knows: later issues add the rest."""
    if isinstance(value, dict) and "properties" in schema:
        fields = schema["properties"]
        return {
            name: known(fields[name], child)
            for name, child in value.items()
            if name in fields and ("enum" not in fields[name] or child in fields[name]["enum"])
        }
    if isinstance(value, list) and "items" in schema:
        items = [known(schema["items"], child) for child in value]
        required = schema["items"].get("required", ())
        return [item for item in items if not isinstance(item, dict) or all(name in item for name in required)]
    return value


def test_the_examples_of_the_language(api):
    """Their fields that exist are accepted under the names and in the shapes that the examples give them."""
    file = SHARED / "api-examples.yaml"
    if not file.exists():
        pytest.skip("the examples of the language are not beside the repository: set SOVEREIGN_SHARED")
    models = {kind.crd.kind: kind for kind in KINDS}
    ours = [document for document in yaml.safe_load_all(file.read_text()) if document["kind"] in models]
    assert {document["kind"] for document in ours} >= {"SovereignCloud", "HostedInstance"}
    for document in ours:
        schema = resource_schema(models[document["kind"]])
        kept = document | {"spec": known(schema["properties"]["spec"], document["spec"])}
        assert kept["spec"], document["metadata"]["name"]
        assert asked(api, "create", kept).stderr == "", document["metadata"]["name"]
