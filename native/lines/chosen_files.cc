#include "native/lines/chosen_files.h"

#include <backtrace.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/lines/inlined_calls.h"

namespace offheap::lines {
namespace {

const Choice* present = nullptr;

std::string identity_of(const struct stat& status) {
    const auto modified_ns = status.st_mtim.tv_sec * 1'000'000'000LL + status.st_mtim.tv_nsec;
    return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino) + ":" +
           std::to_string(status.st_size) + ":" + std::to_string(modified_ns);
}

}  // namespace

ChosenFile::~ChosenFile() {
    if (descriptor_ >= 0) close(descriptor_);
}

std::string ChosenFile::open(const std::string& path, const std::string& identity) {
    // Opening a FIFO that took the file's place would wait for its writer.
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (descriptor_ < 0) return std::string("it can't be opened: ") + strerror(errno);
    struct stat status = {};
    if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) return "it is no regular file";
    return identity_of(status) == identity ? "" : "another file has taken its place";
}

int ChosenFile::duplicate() const { return fcntl(descriptor_, F_DUPFD_CLOEXEC, 0); }

Choice::Choice(const std::string& name, const ChosenFile& module, const std::string& alternate_name,
               const ChosenFile& alternate)
    : name_(name), module_(module), alternate_name_(alternate_name), alternate_(alternate) {
    present = this;
}

Choice::~Choice() { present = nullptr; }

int Choice::open(const std::string& path) const {
    if (path == name_) return module_.duplicate();
    // A relative name is looked for in several folders.
    if (alternate_.is_open() && path.ends_with(alternate_name_)) return alternate_.duplicate();
    return -1;
}

}  // namespace offheap::lines

extern "C" {

// The linker puts these in the place of what libbacktrace calls (--wrap).

int __wrap_backtrace_open(const char* path, backtrace_error_callback, void*, int* does_not_exist) {
    const int descriptor = offheap::lines::present == nullptr ? -1 : offheap::lines::present->open(path);
    if (descriptor < 0 && does_not_exist != nullptr) *does_not_exist = 1;
    return descriptor;
}

// One object without a name, loaded at address 0: the file itself, by its own addresses.
int __wrap_dl_iterate_phdr(int (*callback)(dl_phdr_info*, size_t, void*), void* data) {
    dl_phdr_info info = {};
    info.dlpi_name = "";
    const int result = callback(&info, sizeof info, data);
    offheap::lines::inlined_calls::units_read();
    return result;
}
}
