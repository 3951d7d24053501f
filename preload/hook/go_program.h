// Go's runtime makes its system calls by instructions of its own; a program with one is told by its notes.
#pragma once

namespace offheap::hook {

struct Module;

// Whether the file carries the note with which Go's linker marks what it makes.
bool is_go_program(const Module& module);

}  // namespace offheap::hook
