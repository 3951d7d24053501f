// A cgo program: Go's heap grows and shrinks, and C maps memory below Go frames. Go's runtime makes its memory calls with
// instructions of its own where it doesn't go through libc.
package main

/*
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>

static void* c_map(size_t bytes) {
    char* block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) abort();
    block[0] = 1;
    return block;
}

static void c_unmap(void* block, size_t bytes) {
    if (munmap(block, bytes) != 0) abort();
}
*/
import "C"

import (
	"fmt"
	"runtime/debug"
	"sync"
	"unsafe"
)

const (
	blockBytes = 256 << 10
	rounds     = 200
	keptBlocks = 8
)

func churnGo() int {
	total := 0
	for i := 0; i < rounds; i++ {
		block := make([]byte, 1<<20+i*4096)
		for j := 0; j < len(block); j += 4096 {
			block[j] = 1
		}
		total += len(block)
	}
	return total
}

func mapInC() unsafe.Pointer { return C.c_map(blockBytes) }

func main() {
	var group sync.WaitGroup
	for i := 0; i < 4; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			churnGo()
		}()
	}
	group.Wait()
	for i := 0; i < rounds; i++ {
		C.c_unmap(mapInC(), blockBytes)
	}
	for i := 0; i < keptBlocks; i++ {
		mapInC()
	}
	debug.FreeOSMemory() // the runtime gives pages back by madvise
	fmt.Printf("kept_bytes %d\nREADY\n", keptBlocks*blockBytes)
}
