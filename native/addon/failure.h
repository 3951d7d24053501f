// Why a channel or a file of ours can't be used, as a value: the addon is built without exceptions.
#pragma once

#include <optional>
#include <string>
#include <utility>

namespace offheap::addon {

// `code` is stable and seen by users (`error.code`); `message` is one line.
struct Failure {
    const char* code;
    std::string message;
};

using MaybeFailure = std::optional<Failure>;

inline constexpr char kChannelMissing[] = "CHANNEL_MISSING";    // gone
inline constexpr char kChannelRefused[] = "CHANNEL_REFUSED";    // another user's, or writable by others
inline constexpr char kChannelStarting[] = "CHANNEL_STARTING";  // its creator hasn't finished the header
inline constexpr char kChannelDamaged[] = "CHANNEL_DAMAGED";    // truncated or garbage
inline constexpr char kChannelVersion[] = "CHANNEL_VERSION";    // another layout
inline constexpr char kChannelBusy[] = "CHANNEL_BUSY";          // another collector holds it
inline constexpr char kSymbolsUnkept[] = "SYMBOLS_UNKEPT";      // a symbol table can't be written to disk

inline Failure damaged(std::string what) { return {kChannelDamaged, std::move(what)}; }

}  // namespace offheap::addon
