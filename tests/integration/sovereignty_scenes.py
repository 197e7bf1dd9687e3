"""The scenes of rules and of facts about providers: nothing outside is made of them, so much cannot come about."""

from tests.integration.scene import Scene, is_paused, says

from sovereigncloud.api.common.base import API_VERSION
from sovereigncloud_sandbox.stage import is_ready

_NOBODY = {"namespaceSelector": {"matchLabels": {"sovereignty-scenes": "nobody"}}}
_INSIDE = "nothing is asked but the API server itself"
_REFERS = "it refers to nothing"
_CHECKED = "it is only checked: nothing is made of it"


def _object(kind, name, spec):
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def policies(scenes):
    """They bind nobody: what else stands on the stage is none of their business."""
    kind = "sovereigntypolicy"

    def scene(row, *countries):
        residency = {"allowedCountries": [*(countries or ("EU",))]}
        return (_object("SovereigntyPolicy", f"policy-{row}", {"appliesTo": _NOBODY, "residency": residency}),)

    return {
        "new": Scene(scene("new"), late=True),
        "progress": Scene(why="a binding is made within a second"),
        "ready": Scene(scene("ready"), shows=is_ready),
        "unseen": Scene(
            scene("unseen"), shows=is_ready, last=scenes.patch(kind, "policy-unseen", enforcement="Enforce")
        ),
        "error": Scene(why=_INSIDE),
        "invalid": Scene(scene("invalid", "UK"), shows=says("Stalled", "InvalidSpec", "write GB")),
        "reference": Scene(why=_REFERS),
        "consent": Scene(why="no consent is asked for"),
        "paused": Scene(scene("paused"), until=is_ready, then=scenes.pause(kind, "policy-paused"), shows=is_paused),
        "paused change": Scene(
            scene("paused-change"),
            until=is_ready,
            then=scenes.pause(kind, "policy-paused-change", enforcement="Enforce"),
            shows=is_paused,
        ),
        "drifted": Scene(why="a binding that somebody changed is put right, and is no field of spec"),
        "lost": Scene(why="a binding that somebody deleted is made anew"),
        "deleting": Scene(scene("deleting"), shows=is_ready, last=scenes.delete(kind, "policy-deleting")),
    }


def profiles(scenes):
    kind = "providerprofile"

    def scene(row, country="FR"):
        return (
            _object("ProviderProfile", f"profile-{row}", {"legalEntity": {"name": "Ministry", "country": country}}),
        )

    unseen = scenes.patch(kind, "profile-unseen", ultimateParent={"name": "State", "country": "FR"})
    return {
        "new": Scene(scene("new"), late=True),
        "progress": Scene(why=_CHECKED),
        "ready": Scene(scene("ready"), shows=is_ready),
        "unseen": Scene(scene("unseen"), shows=is_ready, last=unseen),
        "error": Scene(why=_INSIDE),
        "invalid": Scene(scene("invalid", "UK"), shows=says("Stalled", "InvalidSpec", "write GB")),
        "reference": Scene(why=_REFERS),
        "consent": Scene(why=_CHECKED),
        "paused": Scene(scene("paused"), until=is_ready, then=scenes.pause(kind, "profile-paused"), shows=is_paused),
        "paused change": Scene(why=_CHECKED),
        "drifted": Scene(why=_CHECKED),
        "lost": Scene(why=_CHECKED),
        "deleting": Scene(why="nothing has to be ended, so it is gone at once"),
    }
