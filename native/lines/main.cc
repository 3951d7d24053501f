// offheap-lines: the worker process that reads debug information for the collector. A file that makes it
// crash, hang or grow costs this process and no other. It answers requests from its input on its output,
// until the input ends.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "native/lines/answer.h"
#include "native/lines/message.h"

namespace {

constexpr rlim_t kMostMemoryBytes = 4ULL << 30;

void limit(__rlimit_resource resource, rlim_t most) {
    const rlimit bounds = {most, most};
    setrlimit(resource, &bounds);
}

}  // namespace

int main() {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_DATA, kMostMemoryBytes);
    signal(SIGPIPE, SIG_IGN);

    offheap::lines::Answers answers;
    std::vector<uint8_t> message;
    while (offheap::lines::read_message(STDIN_FILENO, message)) {
        if (!offheap::lines::write_message(STDOUT_FILENO, answers.to(message))) break;
    }
    // What libbacktrace has mapped goes with the process: nothing is worth tearing down first.
    _exit(0);
}
