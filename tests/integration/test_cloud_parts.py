"""What a cloud consists of, by its manifest alone: stores and a host, an image's next version, and back, on a real API server."""

from tests.integration.existing_cloud import next_address

from sovereigncloud.api.common.base import FINALIZER

SETTINGS = {"sweep_interval": "1", "settle_interval": "0.3"}

STORES = [
    {
        "name": "exchange",
        "type": "Marketplace",
        "location": {"country": "FR"},
        "s3": {"endpoint": "https://s3.example.fr", "bucket": "one", "credentialsSecretRef": {"name": "s3"}},
    },
    {"name": "backups", "type": "Backup", "restic": {"sftpServer": "b", "passwordSecretRef": {"name": "restic"}}},
]


def test_stores_and_hosts_are_made_wait_for_who_uses_them_and_go(stage, make_cloud):
    lyon = make_cloud("parts")
    new = stage.address(next_address())
    keys = (
        lyon.secret("s3", accessKeyId="AKIA-parts", secretAccessKey="s3cr3t-parts"),
        lyon.secret("restic", password="p4ss-parts"),
    )
    declared = {
        "stores": STORES,
        "hosts": [{"name": new, "cluster": "gpu"}],
        "clusters": [{"name": "gpu", "datastores": ["default"]}],
    }
    stage.apply([lyon.credentials(), keys[0], lyon.cloud(**declared)])
    lyon.says("sovereigncloud", "parts", "Reconciling", "WaitingForDependency", "there is no Secret restic")

    stage.apply(keys[1])
    found = lyon.ready("sovereigncloud", "parts")["status"]
    assert found["storesReady"] == "2/2"
    assert [(one["name"], one["type"], one["state"]) for one in found["stores"]] == [
        ("exchange", "Marketplace", "Ready"),
        ("backups", "Backup", "Ready"),
    ]
    assert found["stores"][0]["country"] == "FR"
    assert {host["name"] for host in found["hosts"]} == {*lyon.hosts, new}
    assert FINALIZER in lyon.get("secret", "restic")["metadata"]["finalizers"]
    assert "p4ss-parts" not in str(lyon.get("sovereigncloud", "parts"))

    lyon.swept(4)
    writes = stage.writing_calls("parts")
    lyon.swept(3)
    assert stage.writing_calls("parts") == writes, "at rest nothing is written"

    stage.apply(lyon.cloud())
    lyon.wait("sovereigncloud", "parts", "without stores", lambda one: not one["status"].get("stores"))
    lyon.wait("sovereigncloud", "parts", "without the host", lambda one: len(one["status"]["hosts"]) == len(lyon.hosts))
    lyon.wait("secret", "restic", "let go", lambda one: FINALIZER not in one["metadata"].get("finalizers", ()))


def test_the_next_version_of_an_image_is_made_beside_the_one_before(stage, make_cloud):
    lyon = make_cloud("versions")
    stage.apply([*lyon.foundation(), lyon.network("lan"), lyon.image("base", name="alpine"), lyon.instance("web")])
    lyon.ready("hostedinstance", "web")
    stage.apply(lyon.image("base", app="Ubuntu 24.04", name="ubuntu"))
    image = lyon.ready("machineimage", "base")
    (there,) = image["status"]["clouds"]
    assert there["state"] == "Ready"
    assert [line.partition(" (")[0] for line in there["previous"]] == ["alpine"]
    assert "HostedInstance versions/web" in there["previous"][0]

    lyon.delete("hostedinstance", "web")
    lyon.gone("hostedinstance", "web")
    lyon.wait("machineimage", "base", "one version", lambda one: not one["status"]["clouds"][0].get("previous"))
