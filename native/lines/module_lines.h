// The functions and lines of one file's addresses, by libbacktrace. It never frees what it has read of a
// file: whoever minds ends the process.
#pragma once

#include <stdint.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "native/lines/chosen_files.h"
#include "native/lines/unit_folders.h"

struct backtrace_state;

namespace offheap::lines {

// Null where unknown. The texts live as long as the module.
struct SourceFrame {
    const char* function;
    const char* file;
    uint32_t line;
};

class ModuleLines {
  public:
    // The file and its alternate one (of dwz), empty where there is none, are opened as soon as an address is
    // asked for.
    ModuleLines(std::string name, std::string alternate_name)
        : name_(std::move(name)), alternate_name_(std::move(alternate_name)) {}

    ChosenFile& module() { return module_; }
    ChosenFile& alternate() { return alternate_; }

    // Appends the frames at an address, innermost first; none where nothing is known.
    void find(uint64_t file_address, std::vector<SourceFrame>& frames);

    // What libbacktrace complained of first, empty where of nothing.
    const std::string& problem() const { return problem_; }

  private:
    static int on_frame(void* self, uintptr_t address, const char* file, int line, const char* function);
    static void on_error(void* self, const char* message, int number);
    void complete(uint64_t file_address, SourceFrame& frame);

    const std::string name_;
    const std::string alternate_name_;
    ChosenFile module_;
    ChosenFile alternate_;
    backtrace_state* state_ = nullptr;
    std::vector<SourceFrame>* frames_ = nullptr;
    size_t most_frames_ = 0;
    std::string problem_;
    // Read when the first relative name comes.
    std::unique_ptr<Sections> sections_;
    std::unique_ptr<UnitFolders> folders_;
    // By folder and name.
    std::map<std::pair<const char*, const char*>, std::string> whole_names_;
};

}  // namespace offheap::lines
