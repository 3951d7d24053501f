// old_kernel.so: preloaded to a collector, it answers as a kernel before 6.7 and 6.11 does, which knows
// neither PAGEMAP_SCAN nor PROCMAP_QUERY. Says at the end, on standard error, how often it was asked.
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static int refused;

int ioctl(int file, unsigned long request, ...) {
    va_list arguments;
    va_start(arguments, request);
    void* argument = va_arg(arguments, void*);
    va_end(arguments);
    if (_IOC_TYPE(request) == 'f' && (_IOC_NR(request) == 16 || _IOC_NR(request) == 17)) {
        __atomic_fetch_add(&refused, 1, __ATOMIC_RELAXED);
        errno = ENOTTY;
        return -1;
    }
    return (int)syscall(SYS_ioctl, file, request, argument);
}

__attribute__((destructor)) static void say(void) { fprintf(stderr, "refused %d\n", refused); }
