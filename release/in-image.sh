#!/bin/sh
# Runs a command as the image does, without an engine: not as root, without capabilities, the root file system read-only, /tmp empty
# and writable. As root, in a mount namespace of its own:
#
#   unshare --mount --propagation private release/in-image.sh PREFIX COMMAND...    PREFIX: of the Python that the tree was made with
set -eu
prefix=$1
shift
# A Python in somebody's home is not for everybody to enter: it is shown at the same path under folders that are.
hold=$(mktemp -d /var/tmp/hold.XXXXXX)
top=/$(echo "$prefix" | cut -d/ -f2)
mount --bind "$prefix" "$hold"
if [ "$top" = /root ] || [ "$top" = /home ]; then
    mount -t tmpfs -o mode=755 tmpfs "$top"
    mkdir -p "$prefix"
    mount --bind "$hold" "$prefix"
    mount -o remount,bind,ro "$top"
fi
umount "$hold"
rmdir "$hold"
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -o remount,bind,ro /
cd /tmp
exec setpriv --reuid 65532 --regid 65532 --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all "$@"
