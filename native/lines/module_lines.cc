#include "native/lines/module_lines.h"

#include <backtrace.h>
#include <string.h>

#include "native/lines/inlined_calls.h"

namespace offheap::lines {
namespace {

// Calls inlined into one another at one address; a file that claims more isn't believed.
constexpr size_t kDeepestInlining = 256;

}  // namespace

void ModuleLines::find(uint64_t file_address, std::vector<SourceFrame>& frames) {
    const Choice choice(name_, module_, alternate_name_, alternate_);
    if (state_ == nullptr) {
        inlined_calls::module_begun();
        state_ = backtrace_create_state(name_.c_str(), 0, on_error, this);
    }
    if (state_ == nullptr) return;
    frames_ = &frames;
    const size_t first = frames.size();
    most_frames_ = first + kDeepestInlining;
    backtrace_pcinfo(state_, file_address, on_frame, on_error, this);
    if (inlined_calls::repair()) {
        frames.resize(first);
        backtrace_pcinfo(state_, file_address, on_frame, on_error, this);
    }
    for (size_t i = first; i < frames.size(); ++i) complete(file_address, frames[i]);
}

void ModuleLines::complete(uint64_t file_address, SourceFrame& frame) {
    if (frame.file == nullptr || frame.file[0] == '/') return;
    if (folders_ == nullptr) {
        sections_ = std::make_unique<Sections>(module_.descriptor(), state_);
        folders_ = std::make_unique<UnitFolders>(*sections_);
    }
    const std::string_view folder = folders_->folder_of(file_address);
    const std::string_view name = frame.file;
    // A folder that is relative itself may have been put before it already.
    if (folder.empty() || (name.starts_with(folder) && name.substr(folder.size()).starts_with('/'))) return;
    std::string& whole = whole_names_[{folder.data(), frame.file}];
    if (whole.empty()) whole = std::string(folder).append("/").append(name);
    frame.file = whole.c_str();
}

int ModuleLines::on_frame(void* self, uintptr_t, const char* file, int line, const char* function) {
    auto& lines = *static_cast<ModuleLines*>(self);
    if (file == nullptr && function == nullptr) return 0;
    if (lines.frames_->size() == lines.most_frames_) return 1;
    lines.frames_->push_back({function, file, line > 0 ? static_cast<uint32_t>(line) : 0});
    return 0;
}

void ModuleLines::on_error(void* self, const char* message, int number) {
    auto& problem = static_cast<ModuleLines*>(self)->problem_;
    if (!problem.empty()) return;
    problem = message;
    // -1 stands for debug information that is absent.
    if (number > 0) problem += std::string(": ") + strerror(number);
}

}  // namespace offheap::lines
