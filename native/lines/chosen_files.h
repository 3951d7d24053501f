// Which files libbacktrace reads. It looks for the running program's own modules and for debug files at
// places of its own; here it gets the one module that was asked for and the alternate file that goes with it,
// and no other.
#pragma once

#include <string>

namespace offheap::lines {

// A regular file, open for reading. Whoever asks has checked that very file: another one that stands at its
// path by now is refused.
class ChosenFile {
  public:
    ChosenFile() = default;
    ChosenFile(const ChosenFile&) = delete;
    ChosenFile& operator=(const ChosenFile&) = delete;
    ~ChosenFile();

    // Empty on success, else why not. `identity` is "device:inode:bytes:modified in ns".
    std::string open(const std::string& path, const std::string& identity);
    bool is_open() const { return descriptor_ >= 0; }
    int descriptor() const { return descriptor_; }
    int duplicate() const;

  private:
    int descriptor_ = -1;
};

// Lets libbacktrace open `module` at the path `name`, and `alternate` where it looks for a file named
// `alternate_name`, as long as this lives.
class Choice {
  public:
    Choice(const std::string& name, const ChosenFile& module, const std::string& alternate_name,
           const ChosenFile& alternate);
    ~Choice();
    Choice(const Choice&) = delete;
    Choice& operator=(const Choice&) = delete;

    // The descriptor to read `path` by, or -1 where it isn't for libbacktrace.
    int open(const std::string& path) const;

  private:
    const std::string& name_;
    const ChosenFile& module_;
    const std::string& alternate_name_;
    const ChosenFile& alternate_;
};

}  // namespace offheap::lines
