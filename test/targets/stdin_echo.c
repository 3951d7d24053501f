// stdin_echo [STATUS]: copies its standard input to its standard output byte for byte, a line about it to
// standard error, and ends with STATUS, or by itself with 128+n where signal n came.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void on_signal(int signal) { _exit(128 + signal); }

int main(int argc, char** argv) {
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGHUP, on_signal);
    fprintf(stderr, "READY\n");
    char bytes[4096];
    long total = 0;
    for (ssize_t n; (n = read(STDIN_FILENO, bytes, sizeof bytes)) > 0; total += n) {
        if (write(STDOUT_FILENO, bytes, (size_t)n) != n) return 1;
    }
    fprintf(stderr, "echoed %ld bytes\n", total);
    return argc > 1 ? atoi(argv[1]) : 0;
}
