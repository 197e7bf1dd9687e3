"""one.image.* and one.template.*."""

from sovereigncloud_sandbox.opennebula import contents, machines, quota, render, storage
from sovereigncloud_sandbox.opennebula.access import MANAGE, USE, authorize, authorize_create
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.calls.shared import Kind, lock_calls, owned_calls
from sovereigncloud_sandbox.opennebula.errors import OneError, internal, not_allocated, refused, unauthorized
from sovereigncloud_sandbox.opennebula.model_storage import IMAGE_TYPES, Image, ImageState, VmTemplate
from sovereigncloud_sandbox.opennebula.template import Template, parse

IMAGE = Kind(
    kind="IMAGE",
    prefix="one.image",
    root="IMAGE_POOL",
    pool=lambda cloud: cloud.images,
    show=lambda _, one: render.image(one),
    row=lambda _, one: render.image(one),
    takes=lambda one: {("DATASTORE", str(one.datastore_id)): {"IMAGES": 1, "SIZE": one.size}},
)
TEMPLATE = Kind(
    kind="TEMPLATE",
    prefix="one.template",
    root="VMTEMPLATE_POOL",
    pool=lambda cloud: cloud.templates,
    show=lambda _, one: render.vm_template(one),
    row=lambda _, one: render.vm_template(one),
)

# Types that an image may be changed between.
_COMPATIBLE = (frozenset({"OS", "DATABLOCK", "CDROM"}), frozenset({"KERNEL", "RAMDISK", "CONTEXT"}))


# ------------------------------------------------------------------------------------------------------------ images


def image_allocate(context: Context, text: str, ds_id: int, skip_capacity_check: bool) -> Reply:
    return keep_image(context, parse(text), ds_id, skip_capacity_check=skip_capacity_check)


def keep_image(context: Context, template: Template, ds_id: int, *, skip_capacity_check: bool) -> int:
    """Register an image for the caller.

    Raises:
        OneError: 0x200, 0x800 no space, 0x2000 or 0x4000 what makes no image.
    """
    cloud, caller = context.cloud, context.caller
    datastore = cloud.find(cloud.datastores, ds_id, "DATASTORE")
    if not caller.admin and "SOURCE" in template:
        raise unauthorized(caller.uid, "Template includes a restricted attribute SOURCE")
    storage.check_space(datastore, 0)
    size = storage.size_of(cloud, template)
    if not (skip_capacity_check and caller.admin):
        storage.check_space(datastore, size)
    authorize_create(cloud, caller, "IMAGE")
    authorize(cloud, caller, USE, datastore)
    use: quota.Use = {("DATASTORE", str(ds_id)): {"IMAGES": 1, "SIZE": size}}
    quota.check(cloud, caller, quota.Owner(caller.uid, caller.gid), use)
    name = template.get("NAME")
    cloud.claim_name(cloud.images, "IMAGE", name, caller.uid)
    image = _new(context, name)
    try:
        storage.register(cloud, image, template, datastore, size)
    except OneError as error:
        raise not_allocated("IMAGE", error.message.removeprefix("Error allocating a new image. ")) from error
    cloud.images[image.oid] = image
    return image.oid


def _new(context: Context, name: str) -> Image:
    caller = context.caller
    oid = context.cloud.next_id("IMAGE")
    return Image(oid, name, caller.uid, caller.gid, caller.user.name, caller.user.gname)


def image_clone(context: Context, oid: int, name: str, ds_id: int) -> Reply:
    cloud, caller = context.cloud, context.caller
    source: Image = IMAGE.find(context, oid, USE)
    datastore = cloud.find(cloud.datastores, ds_id if ds_id >= 0 else source.datastore_id, "DATASTORE")
    storage.check_space(datastore, source.size)
    authorize_create(cloud, caller, "IMAGE")
    cloud.claim_name(cloud.images, "IMAGE", name, caller.uid)
    if source.type == storage.BACKUP_TYPE:
        raise not_allocated("IMAGE", "Cannoe clone backup images")  # as oned spells it
    if source.state not in {ImageState.READY, ImageState.USED, ImageState.CLONE}:
        raise not_allocated("IMAGE", f"Cannot clone image in state: {source.state.name}")
    image = _new(context, name)
    image.type, image.size, image.format, image.fs = source.type, source.size, source.format, source.fs
    image.persistent = source.persistent
    image.template = source.template.copy()
    image.path = source.source
    image.regtime = image.modtime = cloud.second
    image.datastore_id, image.datastore = datastore.oid, datastore.name
    image.cloning_id = oid
    source.clones.add(image.oid)
    image.content = contents.of_image(source)
    storage.mark_used(source)
    cloud.images[image.oid] = image
    datastore.images.add(image.oid)
    datastore.used_mb += image.size

    def copied() -> None:
        image.cloning_id = -1
        source.clones.discard(image.oid)
        storage.mark_used(source)

    storage.copy(cloud, image, copied)
    return image.oid


def image_delete(context: Context, oid: int, force: bool) -> Reply:
    image: Image = IMAGE.find(context, oid, MANAGE)
    storage.delete(context.cloud, image, force=force)
    return oid


def image_enable(context: Context, oid: int, enable: bool) -> Reply:
    image: Image = IMAGE.find(context, oid, MANAGE)
    word = "enable" if enable else "disable"
    if image.type == storage.BACKUP_TYPE:
        raise internal(f"Could not {word} image: Backup images cannot be enabled or disabled.")
    allowed = (
        {ImageState.DISABLED, ImageState.ERROR, ImageState.READY}
        if enable
        else {ImageState.READY, ImageState.ERROR, ImageState.DISABLED}
    )
    if image.state not in allowed:
        raise internal(f"Could not {word} image: Image cannot be in state {image.state.name}.")
    image.state = ImageState.READY if enable else ImageState.DISABLED
    return oid


def image_persistent(context: Context, oid: int, persistent: bool) -> Reply:
    image: Image = IMAGE.find(context, oid, MANAGE)
    kind = IMAGE_TYPES[image.type]
    if kind in {"KERNEL", "RAMDISK", "CONTEXT"}:
        raise refused("KERNEL, RAMDISK and CONTEXT must be non-persistent")
    if kind == "BACKUP":
        raise refused("BACKUP images must be persistent")
    if image.vms:
        word = "persistent" if persistent else "non-persistent"
        raise internal(f"Could not make image {word}: Image cannot be in state {image.state.name}.")
    image.persistent = persistent
    return oid


def image_chtype(context: Context, oid: int, kind: str) -> Reply:
    image: Image = IMAGE.find(context, oid, MANAGE)
    if kind.upper() not in IMAGE_TYPES:
        raise internal(f"Unknown type {kind}")
    compatible = next((one for one in _COMPATIBLE if IMAGE_TYPES[image.type] in one), frozenset())
    if not compatible:
        raise refused(f"Cannot change type for{IMAGE_TYPES[image.type]} images.")
    if kind.upper() not in compatible:
        raise refused("Cannot change image type to an incompatible type for the current datastore.")
    image.type = IMAGE_TYPES.index(kind.upper())
    return oid


# --------------------------------------------------------------------------------------------------------- templates


def template_allocate(context: Context, text: str) -> Reply:
    cloud, caller = context.cloud, context.caller
    template = parse(text)
    machines.check_restricted(caller, template, "VM Template")
    authorize_create(cloud, caller, "TEMPLATE")
    return keep_template(context, template, template.take("NAME"))


def keep_template(context: Context, template: Template, name: str) -> int:
    """Keep a template for the caller.

    Raises:
        OneError: 0x2000, the name is taken or none.
    """
    cloud, caller = context.cloud, context.caller
    oid = cloud.next_id("TEMPLATE")
    named = name or f"template-{oid}"
    cloud.claim_name(cloud.templates, "TEMPLATE", named, caller.uid)
    one = VmTemplate(
        oid,
        named,
        caller.uid,
        caller.gid,
        caller.user.name,
        caller.user.gname,
        template=template,
        regtime=cloud.second,
    )
    cloud.templates[oid] = one
    return oid


def template_clone(context: Context, oid: int, name: str, _recursive: bool) -> Reply:
    source: VmTemplate = TEMPLATE.find(context, oid, USE)
    authorize_create(context.cloud, context.caller, "TEMPLATE")
    return keep_template(context, source.template.copy(), name)


def template_delete(context: Context, oid: int, recursive: bool) -> Reply:
    cloud = context.cloud
    one: VmTemplate = TEMPLATE.find(context, oid, MANAGE)
    if recursive:
        for disk in one.template.vectors("DISK"):
            image = cloud.images.get(int(disk.get("IMAGE_ID", "-1")))
            if image is not None:
                storage.delete(cloud, image, force=False)
    del cloud.templates[oid]
    return oid


def template_info(context: Context, oid: int, _extended: bool, _decrypt: bool) -> Reply:
    return render.vm_template(TEMPLATE.find(context, oid, USE, locks=False))


def template_instantiate(context: Context, oid: int, name: str, hold: bool, extra: str, persistent: bool) -> Reply:
    one: VmTemplate = TEMPLATE.find(context, oid, USE)
    template = one.template.copy()
    change = parse(extra) if extra else Template()
    machines.check_restricted(context.caller, change, "User Template", template)
    template.merge(change)
    if persistent:
        raise refused("Instantiate as persistent is not part of this sandbox")
    template.put("TEMPLATE_NAME", one.name)
    if name:
        template.put("NAME", name)
    vm = machines.allocate(context.cloud, context.caller, machines.Request(template, hold, oid, checked=True))
    return vm.oid


CALLS = (
    Call("one.image.allocate", "s i b=0", image_allocate),
    Call("one.image.clone", "i s i=-1", image_clone),
    Call("one.image.delete", "i b=0", image_delete),
    Call("one.image.enable", "i b", image_enable),
    Call("one.image.persistent", "i b", image_persistent),
    Call("one.image.chtype", "i s", image_chtype),
    *owned_calls(IMAGE),
    *lock_calls(IMAGE),
    Call("one.template.allocate", "s", template_allocate),
    Call("one.template.clone", "i s b=0", template_clone),
    Call("one.template.delete", "i b=0", template_delete),
    Call("one.template.instantiate", "i s b=0 s= b=0", template_instantiate),
    *(call for call in owned_calls(TEMPLATE) if call.name != "one.template.info"),
    *lock_calls(TEMPLATE),
    Call("one.template.info", "i b=0 b=0", template_info),
)
