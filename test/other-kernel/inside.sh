#!/bin/sh
# The first process in the guest of boot.sh: sets up what the tests need, runs them, and switches the machine off.
cd "$1" || exit 1
shift
export PATH=/usr/bin:/usr/sbin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/shm /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp
mount -t devpts pts /dev/pts
mount -t tracefs tracing /sys/kernel/tracing 2>/dev/null
swapon /dev/vdb
echo 16 >/proc/sys/vm/nr_hugepages
echo madvise >/sys/kernel/mm/transparent_hugepage/enabled
echo always >/sys/kernel/mm/transparent_hugepage/defrag
echo 1 >/sys/kernel/mm/ksm/run
echo "OTHER KERNEL: $(uname -r)"
# One process for all files: each would take a minute to load. The whole names of tests, and why one failed, on the console.
tests() {
    OFFHEAP_OTHER_KERNEL=1 CI=1 node node_modules/vitest/vitest.mjs run --root . --maxWorkers 1 --no-isolate --no-color \
        --reporter verbose "$@" </dev/null 2>&1
}
# Once Yama forbids what the last test has it forbid, no other one can run.
last=test/other-kernel/unattachable.test.ts
if [ $# -eq 0 ]; then
    set -- test/other-kernel/kinds.test.ts test/account-kernel.test.ts test/unreadable.test.ts test/kernel-witness.test.ts \
        test/labels.test.ts test/self-audit.test.ts
else
    last=
fi
if tests "$@" && { [ -z "$last" ] || tests "$last"; }; then
    echo 'OTHER KERNEL: passed'
else
    echo 'OTHER KERNEL: failed'
fi
sync
echo o >/proc/sysrq-trigger
sleep 60
