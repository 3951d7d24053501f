// heap_sites WORKLOAD: ten sites that allocate and free as the workload tells; at the end it prints, for
// each, what is live: `site N bytes B blocks C size S` for every size that it has (sizes are the same within
// a class). Random numbers are from a fixed seed, so that a workload is the same in every run.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kSites = 10, kClasses = 64 };

static uint64_t state = 0x2545f4914f6cdd1d;
static uint64_t next_random(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x9e3779b97f4a7c15ULL;
}
static double uniform(void) { return (double)(next_random() >> 11) * 0x1p-53; }

// Live blocks of each site by size.
static struct {
    size_t bytes;
    long blocks;
} live[kSites][kClasses];

static void note(int site, size_t bytes, long more) {
    for (int i = 0; i < kClasses; ++i) {
        if (live[site][i].bytes != bytes && live[site][i].blocks != 0) continue;
        if (live[site][i].bytes != bytes) live[site][i].bytes = bytes;
        live[site][i].blocks += more;
        return;
    }
    abort();
}

#define SITE(n)                                                                   \
    __attribute__((noinline)) static void* site_##n(void* old, size_t bytes) {    \
        void* volatile block = old == NULL ? malloc(bytes) : realloc(old, bytes); \
        return block;                                                             \
    }
SITE(0);
SITE(1);
SITE(2);
SITE(3);
SITE(4);
SITE(5);
SITE(6);
SITE(7);
SITE(8);
SITE(9);
static void* (*const sites[kSites])(void*, size_t) = {site_0, site_1, site_2, site_3, site_4,
                                                      site_5, site_6, site_7, site_8, site_9};

static size_t power_of_two(size_t least, int steps) { return least << (int)(uniform() * steps); }

static size_t size_of(int workload, int site) {
    switch (workload) {
        case 0:
            return 16;
        case 1:
            return 100 + (size_t)site * 10;
        case 2:
            return 4096;
        case 3:
            return power_of_two(16, 13);
        case 4:
            return site < 8 ? 24 : 100000;
        case 5:
            return (size_t)1 << (4 + site);
        case 6:
            return uniform() < 0.999 ? 48 : 1 << 20;
        case 7:
            return 1000 + 1000 * (size_t)(uniform() * 8);
        case 8:
            return power_of_two(32, 9);
        default:
            return 300000;
    }
}

int main(int argc, char** argv) {
    const int workload = argc > 1 ? atoi(argv[1]) : 0;
    static const long kBlocks[] = {2000000, 400000, 20000, 20000, 50000, 100000, 100000, 30000, 60000, 1500};
    const long blocks = kBlocks[workload % 10];
    struct {
        void* block;
        size_t bytes;
        int site;
    }* all = calloc((size_t)blocks, sizeof *all);
    for (long i = 0; i < blocks; ++i) {
        const int site = (int)(next_random() >> 40) % kSites;
        const size_t bytes = size_of(workload, site);
        all[i].block = sites[site](NULL, bytes);
        all[i].bytes = bytes;
        all[i].site = site;
        note(site, bytes, 1);
        // A third goes again, of any age.
        if (uniform() < 0.33) {
            const long victim = (long)(uniform() * (double)(i + 1));
            if (all[victim].block == NULL) continue;
            note(all[victim].site, all[victim].bytes, -1);
            // Some go by way of another size.
            if (workload == 8 && uniform() < 0.5) {
                const int new_site = (all[victim].site + 3) % kSites;
                all[victim].block = sites[new_site](all[victim].block, 2048);
                all[victim].bytes = 2048;
                all[victim].site = new_site;
                note(new_site, 2048, 1);
                continue;
            }
            free(all[victim].block);
            all[victim].block = NULL;
        }
    }
    for (int site = 0; site < kSites; ++site) {
        for (int i = 0; i < kClasses; ++i) {
            if (live[site][i].blocks > 0)
                printf("site %d size %zu blocks %ld\n", site, live[site][i].bytes, live[site][i].blocks);
        }
    }
    return 0;
}
