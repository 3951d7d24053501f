// A folder of our own in shared memory, for channels; gone with the test.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "preload/runtime/configuration.h"

namespace offheap::test {

class PrivateFolder {
  public:
    PrivateFolder() {
        char name[] = "/dev/shm/offheap-test-XXXXXX";
        if (mkdtemp(name) != nullptr) path_ = name;
    }
    ~PrivateFolder() {
        std::error_code ignored;
        if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
    }
    PrivateFolder(const PrivateFolder&) = delete;
    PrivateFolder& operator=(const PrivateFolder&) = delete;

    const std::string& path() const { return path_; }

    runtime::Configuration configuration(uint64_t ring_events = 1024) const {
        return configuration_for(path_, ring_events);
    }

    static runtime::Configuration configuration_for(const std::string& path, uint64_t ring_events = 1024) {
        runtime::Configuration configuration;
        path.copy(configuration.directory, sizeof configuration.directory - 1);
        configuration.ring_events = ring_events;
        return configuration;
    }

  private:
    std::string path_;
};

}  // namespace offheap::test
