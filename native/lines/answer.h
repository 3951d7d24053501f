// Answers requests about addresses of files.
#pragma once

#include <stdint.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "native/lines/module_lines.h"

namespace offheap::lines {

class Answers {
  public:
    // The answer to one request, both as message.h says.
    std::vector<uint8_t> to(const std::vector<uint8_t>& request);

  private:
    // By their identity.
    std::map<std::string, std::unique_ptr<ModuleLines>> modules_;
};

}  // namespace offheap::lines
