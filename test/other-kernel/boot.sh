#!/bin/bash
# Tests the account, labels and the witness on another kernel than this machine's, in a virtual machine without acceleration.
#
#     test/other-kernel/boot.sh KERNEL [LOG [TEST…]]
#
# KERNEL is a Debian package (linux-image-…-cloud-amd64_….deb, fetched by `apt-get download`), or a bzImage that has virtio_blk and
# ext4 built in. Needs qemu-system-x86, busybox-static, e2fsprogs and cpio, 8 GB below TMPDIR, and the tree built. Takes some
# minutes; the machine's console goes to LOG. Of the tests that the guest can do, TEST… are run where they are given. What is there in the guest: a copy of this system's programs and libraries, this
# tree, 64 MB of swap, 16 huge pages.
set -euo pipefail
kernel=$(realpath "$1")
log=${2:-/dev/stdout}
tests=${*:3}
tree=$(realpath "$(dirname "$0")/../..")
work=$(mktemp -d "${TMPDIR:-/tmp}/offheap-kernel-XXXXXX")
trap 'rm -rf "$work"' EXIT

# The kernel, and the modules that it needs to find its disks; a kernel with all of it built in needs none.
mkdir -p "$work/initrd/bin" "$work/initrd/modules" "$work/initrd/root" "$work/initrd/proc" "$work/initrd/dev"
if [[ $kernel == *.deb ]]; then
    dpkg-deb --fsys-tarfile "$kernel" | tar -x -C "$work" --wildcards './boot/vmlinuz*' './lib/modules/*/kernel/drivers/*' \
        './usr/lib/modules/*/kernel/drivers/*' 2>/dev/null || true
    number=0
    for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk; do
        found=$(find "$work" -path "$work/initrd" -prune -o -name "$module.ko*" -print | head -1)
        [ -n "$found" ] || continue
        number=$((number + 1))
        case $found in
            *.xz) xz -dc "$found" ;;
            *) cat "$found" ;;
        esac >"$work/initrd/modules/$number-$module.ko"
    done
    kernel=$(echo "$work"/boot/vmlinuz*)
fi
cp /bin/busybox "$work/initrd/bin/busybox"
cat >"$work/initrd/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*.ko; do [ -e "$module" ] && /bin/busybox insmod "$module"; done
while [ ! -e /dev/vdb ]; do /bin/busybox usleep 100000; done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /inside.sh
INIT
chmod +x "$work/initrd/init"
(cd "$work/initrd" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd.gz"

# The disks. Links take no room here, and are files there.
mkdir -p "$work/root"/{dev,proc,sys,tmp,run,root,var/tmp,"$(dirname "${tree#/}")"}
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$work/root/$folder"; done
for path in usr/bin usr/sbin usr/lib/x86_64-linux-gnu usr/lib/gcc usr/lib/python3.11 usr/lib64 usr/include \
    etc/passwd etc/group etc/ld.so.conf etc/ld.so.conf.d etc/ld.so.cache etc/alternatives etc/nsswitch.conf; do
    [ -e "/$path" ] || continue
    mkdir -p "$work/root/$(dirname "$path")"
    cp -al "/$path" "$work/root/$path" 2>/dev/null || cp -a "/$path" "$work/root/$path"
done
cp -al "$tree" "$work/root$tree" 2>/dev/null || cp -a "$tree" "$work/root$tree"
printf '#!/bin/sh\nexec %s/test/other-kernel/inside.sh %s %s\n' "$tree" "$tree" "$tests" >"$work/root/inside.sh"
chmod +x "$work/root/inside.sh"
truncate -s 6G "$work/root.img"
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 -d "$work/root" "$work/root.img"
truncate -s 64M "$work/swap.img"
mkswap -q "$work/swap.img"

timeout "${LIMIT_S:-1500}" qemu-system-x86_64 -cpu max -smp 2 -m 3G -nographic -no-reboot -nodefaults -serial stdio \
    -kernel "$kernel" -initrd "$work/initrd.gz" -append 'console=ttyS0 panic=-1 quiet' \
    -drive "file=$work/root.img,format=raw,if=virtio,cache=unsafe" \
    -drive "file=$work/swap.img,format=raw,if=virtio,cache=unsafe" </dev/null | tee "$work/console" >"$log"
grep -q '^OTHER KERNEL: passed' "$work/console"
