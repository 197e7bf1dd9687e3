"""one.market.* and one.marketapp.*."""

import hashlib
from collections.abc import Mapping

from sovereigncloud_sandbox.opennebula import contents, downloads, federation, render, storage
from sovereigncloud_sandbox.opennebula.access import ADMIN, MANAGE, authorize_create
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.calls.shared import Kind, lock_calls, owned_calls, whole_call
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import internal, not_allocated, refused
from sovereigncloud_sandbox.opennebula.model_storage import AppState, Image, ImageState, MarketApp, Marketplace
from sovereigncloud_sandbox.opennebula.template import Template, parse

# The drivers that this front-end has, and the attributes that they need (OpenNebula: oned.conf, MARKET_MAD_CONF).
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    "one": (),
    "linuxcontainers": (),
    "http": ("BASE_URL", "PUBLIC_DIR"),
    "s3": ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "REGION", "BUCKET"),
}
_PUBLIC = frozenset({"one", "linuxcontainers"})  # apps come by monitoring; nobody makes or deletes one
_ROOM = 1_048_576  # MB of a marketplace
_APP_TYPES = ("UNKNOWN", "IMAGE", "VMTEMPLATE", "SERVICE_TEMPLATE")
# What an import fills in, and no user.
_FILLED = ("SOURCE", "SIZE", "MD5", "FORMAT", "REGTIME", "ZONE_ID")


def _problem(mad: str, template: Template) -> str:
    """Why a driver cannot work with this; empty where it can."""
    if not mad:
        return "No marketplace driver (MARKET_MAD) in template."
    if mad not in _REQUIRED:
        return f'MARKET_MAD_CONF named "{mad}" is not defined in oned.conf'
    missing = next((attribute for attribute in _REQUIRED[mad] if not template.get(attribute)), "")
    return f'MarketPlace template is missing the "{missing}" attribute or it\'s empty.' if missing else ""


def _market_changed(_: Cloud, one: Marketplace, template: Template) -> None:
    mad = template.get("MARKET_MAD")
    if mad:
        if problem := _problem(mad, template):
            raise internal(problem)
        one.market_mad = mad
    template.put("MARKET_MAD", one.market_mad)
    one.template = template


def _app_changed(_: Cloud, one: MarketApp, template: Template) -> None:
    for name in (*_FILLED, "ORIGIN_ID"):
        template.pop(name)
    one.description = template.get("DESCRIPTION")
    one.app_template = template.get("APPTEMPLATE64")
    one.version = template.get("VERSION") or "0.0"
    one.template = template


MARKETPLACE = Kind(
    kind="MARKETPLACE",
    prefix="one.market",
    root="MARKETPLACE_POOL",
    pool=lambda cloud: cloud.marketplaces,
    show=lambda _, one: render.marketplace(one),
    row=lambda _, one: render.marketplace(one),
    unique="cloud",
    changed=_market_changed,
)
APP = Kind(
    kind="MARKETPLACEAPP",
    prefix="one.marketapp",
    root="MARKETPLACEAPP_POOL",
    pool=lambda cloud: cloud.apps,
    show=render.market_app,
    row=render.market_app,
    changed=_app_changed,
)


# ------------------------------------------------------------------------------------------------------ marketplaces


def market_allocate(context: Context, text: str) -> Reply:
    cloud, caller = context.cloud, context.caller
    template = parse(text)
    authorize_create(cloud, caller, "MARKETPLACE")
    name = template.take("NAME")
    cloud.claim_name(cloud.marketplaces, "MARKETPLACE", name)
    mad = template.get("MARKET_MAD")
    if problem := _problem(mad, template):
        raise not_allocated("MARKETPLACE", problem)
    template.pop("ZONE_ID")
    owner = federation.home(cloud)
    one = Marketplace(
        owner.next_id("MARKETPLACE"),
        name,
        caller.uid,
        caller.gid,
        caller.user.name,
        caller.user.gname,
        template=template,
        zone_id=cloud.federation.zone_id,
        market_mad=mad,
        total_mb=0 if mad in _PUBLIC else _ROOM,
    )
    owner.marketplaces[one.oid] = one
    return one.oid


def market_delete(context: Context, oid: int) -> Reply:
    cloud = context.cloud
    one: Marketplace = MARKETPLACE.find(context, oid, MANAGE)
    if one.apps and one.market_mad not in _PUBLIC:
        raise refused(f"Cannot delete marketplace. marketplace  {oid} is not empty.")
    for app_id in one.apps:
        cloud.apps.pop(app_id, None)
    del cloud.marketplaces[oid]
    return oid


def market_enable(context: Context, oid: int, enable: bool) -> Reply:
    one: Marketplace = MARKETPLACE.find(context, oid, ADMIN)
    if one.enabled and not enable:  # its apps are gone; the next monitoring after enabling brings public ones back
        for app_id in one.apps:
            context.cloud.apps.pop(app_id, None)
        one.apps.clear()
    one.enabled = enable
    return oid


# -------------------------------------------------------------------------------------------------------------- apps


def app_allocate(context: Context, text: str, market_id: int) -> Reply:
    cloud, caller = context.cloud, context.caller
    template = parse(text)
    authorize_create(cloud, caller, "MARKETPLACEAPP")
    market = cloud.marketplaces.get(market_id)
    if market is None:
        raise internal(f"Cannot find associated MARKETPLACE ID = {market_id}")
    if market.market_mad in _PUBLIC:
        raise refused(f"Create disabled for market: {market.name}")
    if market.zone_id != cloud.federation.zone_id:
        raise refused("Marketplace is not in this OpenNebula zone")
    name, origin = template.take("NAME"), template.get("ORIGIN_ID")
    cloud.claim_name(cloud.apps, "MARKETPLACEAPP", name, caller.uid)
    if not origin.lstrip("-").isdecimal():
        raise not_allocated("MARKETPLACEAPP", "Missing ORIGIN_ID for the MARKETPLACEAPP")
    kind = template.get("TYPE").upper() or "IMAGE"
    owner = federation.home(cloud)
    market = owner.marketplaces[market_id]
    app = MarketApp(
        owner.next_id("MARKETPLACEAPP"),
        name,
        caller.uid,
        caller.gid,
        caller.user.name,
        caller.user.gname,
        zone_id=market.zone_id,
        market_id=market_id,
        regtime=cloud.second,
        origin_id=int(origin),
        type=_APP_TYPES.index(kind) if kind in _APP_TYPES else 0,
        state=AppState.LOCKED if kind == "IMAGE" else AppState.READY,
        format="",
    )
    _app_changed(cloud, app, template)
    owner.apps[app.oid] = app
    market.apps.add(app.oid)
    if kind == "IMAGE":
        _import(cloud, owner, market, app)
    elif kind not in _APP_TYPES:
        raise _broken(app, "Marketplace app type not supported.")
    return app.oid


def _import(cloud: Cloud, owner: Cloud, market: Marketplace, app: MarketApp) -> None:
    """Copy an image of this zone; who has the shared tables has the app."""
    image = cloud.images.get(app.origin_id)
    if image is None:
        raise _broken(app, "Image does not exist.")
    if image.state not in {ImageState.READY, ImageState.USED, ImageState.CLONE} or image.type == storage.BACKUP_TYPE:
        raise _broken(app, "Cannot clone image in current state")
    image.app_clones.add(app.oid)
    storage.mark_used(image)
    content = contents.of_image(image)

    def finish() -> None:
        image.app_clones.discard(app.oid)
        storage.mark_used(image)
        if app.oid not in owner.apps:
            return
        message = cloud.trip(app.name, "APP")
        if message is None and market.used_mb + image.size > market.total_mb:
            message = "No space left on device"
        if message is not None:
            _broken(app, f"Error importing app into marketplace: {message}")
        else:
            _fill(cloud, market, app, image, content)
        federation.note(owner)

    cloud.after(cloud.copying(image.size), finish)


def _fill(cloud: Cloud, market: Marketplace, app: MarketApp, image: Image, content: str) -> None:
    file = hashlib.sha256(f"{app.oid} {app.regtime}".encode()).hexdigest()[:32]
    if market.market_mad == "s3":
        app.source = f"s3://{market.template.get('BUCKET')}/{file}"
    else:
        app.source = f"{market.template.get('BASE_URL').rstrip('/')}/{file}"
    app.md5 = content
    app.size, app.format = image.size, image.format
    app.state = AppState.READY
    market.used_mb += image.size
    downloads.publish(cloud, market, app, content)


def _broken(app: MarketApp, reason: str) -> Exception:
    """The app stays, in ERROR; the call says why too."""
    app.state = AppState.ERROR
    app.template.put("ERROR", reason)
    return internal(reason)


def app_delete(context: Context, oid: int) -> Reply:
    cloud = context.cloud
    app: MarketApp = APP.find(context, oid, MANAGE)
    owner = federation.home(cloud)
    market = owner.marketplaces[app.market_id]
    if app.zone_id != cloud.federation.zone_id:
        raise refused(f"Cannot delete marketplaceapp. Marketapp can only be deleted from zone {app.zone_id}")
    if market.market_mad in _PUBLIC:
        raise refused(f"Cannot delete marketplaceapp. Delete disabled for market: {market.name}")
    market.apps.discard(oid)

    def vanish() -> None:
        if owner.apps.pop(oid, None) is not None and app.state is AppState.READY:
            market.used_mb -= app.size
            cloud.files.pop(app.source, None)
        federation.note(owner)

    cloud.after(cloud.speeds.vnet, vanish)
    return oid


def app_enable(context: Context, oid: int, enable: bool) -> Reply:
    app: MarketApp = APP.find(context, oid, MANAGE)
    if app.state in {AppState.READY, AppState.DISABLED}:  # whatever else it is, it stays, and the call succeeds
        app.state = AppState.READY if enable else AppState.DISABLED
    return oid


CALLS = (
    Call("one.market.allocate", "s", market_allocate),
    Call("one.market.delete", "i", market_delete),
    Call("one.market.enable", "i b", market_enable),
    *owned_calls(MARKETPLACE, whole_call),
    Call("one.marketapp.allocate", "s i", app_allocate),
    Call("one.marketapp.delete", "i", app_delete),
    Call("one.marketapp.enable", "i b", app_enable),
    *owned_calls(APP),
    *lock_calls(APP),
)
