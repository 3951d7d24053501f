#include "native/addon/channel_object.h"

#include <unistd.h>

#include <algorithm>
#include <string>

#include "native/addon/clock.h"
#include "native/addon/thrown.h"

namespace offheap::addon {
namespace {

// Bounds what one call copies, whatever a damaged file claims.
constexpr uint64_t kCopyLimitBytes = 64ULL << 20;

// A whole number from 0 to 2^53; false where the argument is none.
bool unsigned_argument(const Napi::CallbackInfo& info, size_t index, uint64_t& value) {
    if (!info[index].IsNumber()) return false;
    const double number = info[index].As<Napi::Number>().DoubleValue();
    if (!(number >= 0 && number <= 9007199254740992.0)) return false;
    value = static_cast<uint64_t>(number);
    return static_cast<double>(value) == number;
}

Napi::Value bytes_of(Napi::Env env, const void* data, size_t bytes) {
    return Napi::Buffer<uint8_t>::Copy(env, static_cast<const uint8_t*>(data), bytes);
}

Napi::Number number(Napi::Env env, uint64_t value) {
    return Napi::Number::New(env, static_cast<double>(value));
}

}  // namespace

Napi::Function ChannelObject::define(Napi::Env env) {
    return DefineClass(env, "Channel",
                       {
                           InstanceMethod<&ChannelObject::header>("header"),
                           InstanceMethod<&ChannelObject::claim>("claim"),
                           InstanceMethod<&ChannelObject::lock>("lock"),
                           InstanceMethod<&ChannelObject::unlock>("unlock"),
                           InstanceMethod<&ChannelObject::drain>("drain"),
                           InstanceMethod<&ChannelObject::skip>("skip"),
                           InstanceMethod<&ChannelObject::free>("free"),
                           InstanceMethod<&ChannelObject::beat>("beat"),
                           InstanceMethod<&ChannelObject::nodes>("nodes"),
                           InstanceMethod<&ChannelObject::sites>("sites"),
                           InstanceMethod<&ChannelObject::backlog>("backlog"),
                           InstanceMethod<&ChannelObject::announce_checkpoint>("announceCheckpoint"),
                           InstanceMethod<&ChannelObject::clear_backlog>("clearBacklog"),
                           InstanceMethod<&ChannelObject::text>("text"),
                           InstanceMethod<&ChannelObject::text_bytes>("textBytes"),
                           InstanceMethod<&ChannelObject::ask>("ask"),
                           InstanceMethod<&ChannelObject::withdraw>("withdraw"),
                           InstanceMethod<&ChannelObject::close>("close"),
                       });
}

ChannelObject::ChannelObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<ChannelObject>(info) {
    Napi::Env env = info.Env();
    if (!info[0].IsString()) {
        misuse(env, "Channel(path): path is a string");
        return;
    }
    MaybeFailure failure = file_.open(info[0].As<Napi::String>().Utf8Value());
    if (!failure) failure = ring_.rewind();
    if (failure) fail(env, *failure);
}

bool ChannelObject::usable(Napi::Env env) const {
    if (file_.is_open()) return true;
    fail(env, {kChannelMissing, "the channel was closed"});
    return false;
}

Napi::Value ChannelObject::header(const Napi::CallbackInfo& info) {
    if (!usable(info.Env())) return info.Env().Undefined();
    wire::Header header;
    if (auto failure = file_.read_header(header)) return fail(info.Env(), *failure);
    return bytes_of(info.Env(), &header, sizeof header);
}

Napi::Value ChannelObject::claim(const Napi::CallbackInfo& info) {
    uint64_t expected = 0;
    if (!usable(info.Env())) return info.Env().Undefined();
    if (!unsigned_argument(info, 0, expected) || expected > UINT32_MAX) {
        return misuse(info.Env(), "claim(expected): a process id or 0");
    }
    uint32_t found = 0;
    if (auto failure = ring_.claim(static_cast<uint32_t>(expected), static_cast<uint32_t>(getpid()), found)) {
        return fail(info.Env(), *failure);
    }
    return number(info.Env(), found);
}

Napi::Value ChannelObject::lock(const Napi::CallbackInfo& info) {
    uint64_t expected = 0;
    if (!usable(info.Env())) return info.Env().Undefined();
    if (!unsigned_argument(info, 0, expected) || expected > UINT32_MAX) {
        return misuse(info.Env(), "lock(expected): a process id or 0");
    }
    uint32_t found = 0;
    if (auto failure = ring_.lock(static_cast<uint32_t>(expected), found)) return fail(info.Env(), *failure);
    return number(info.Env(), found);
}

Napi::Value ChannelObject::unlock(const Napi::CallbackInfo& info) {
    if (!usable(info.Env())) return info.Env().Undefined();
    if (auto failure = ring_.unlock()) return fail(info.Env(), *failure);
    return info.Env().Undefined();
}

Napi::Value ChannelObject::drain(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!usable(env)) return env.Undefined();
    if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) {
        return misuse(env, "drain(buffer): buffer is a Uint8Array");
    }
    auto buffer = info[0].As<Napi::Uint8Array>();
    Drained drained;
    if (auto failure = ring_.drain(buffer.Data(), buffer.ByteLength() / sizeof(wire::Event), drained)) {
        return fail(env, *failure);
    }
    Napi::Object result = Napi::Object::New(env);
    result.Set("events", number(env, drained.events));
    result.Set("lost", number(env, drained.lost));
    result.Set("position", number(env, drained.position));
    result.Set("waiting", number(env, drained.waiting));
    result.Set("hole", number(env, drained.hole));
    result.Set("blocked", drained.blocked);
    return result;
}

Napi::Value ChannelObject::skip(const Napi::CallbackInfo& info) {
    uint64_t position = 0, count = 0;
    if (!unsigned_argument(info, 0, position) || !unsigned_argument(info, 1, count) ||
        position != ring_.position() || count > file_.ring().capacity) {
        return misuse(info.Env(), "skip(position, count): only from the position that drain() stopped at");
    }
    ring_.skip(count);
    return info.Env().Undefined();
}

Napi::Value ChannelObject::free(const Napi::CallbackInfo& info) {
    return at_position(info, &RingReader::free_until);
}

Napi::Value ChannelObject::beat(const Napi::CallbackInfo& info) {
    if (!usable(info.Env())) return info.Env().Undefined();
    if (auto failure = ring_.beat(monotonic_ns())) return fail(info.Env(), *failure);
    return info.Env().Undefined();
}

Napi::Value ChannelObject::entries(const Napi::CallbackInfo& info, const Section& section,
                                   size_t entry_bytes) {
    if (!usable(info.Env())) return info.Env().Undefined();
    uint64_t from = 0, to = 0;
    if (!unsigned_argument(info, 0, from) || !unsigned_argument(info, 1, to)) {
        return misuse(info.Env(), "(from, to): two numbers");
    }
    to = std::min(to, section.capacity);
    from = std::min(from, to);
    to = std::min(to, from + kCopyLimitBytes / entry_bytes);
    auto buffer = Napi::Buffer<uint8_t>::New(info.Env(), (to - from) * entry_bytes);
    if (auto failure =
            file_.read(section.offset_bytes + from * entry_bytes, buffer.Data(), buffer.ByteLength())) {
        return fail(info.Env(), *failure);
    }
    return buffer;
}

Napi::Value ChannelObject::nodes(const Napi::CallbackInfo& info) {
    return entries(info, file_.nodes(), sizeof(wire::StackNode));
}

Napi::Value ChannelObject::sites(const Napi::CallbackInfo& info) {
    return entries(info, file_.sites(), sizeof(wire::Site));
}

Napi::Value ChannelObject::backlog(const Napi::CallbackInfo& info) {
    return entries(info, file_.backlog(), sizeof(wire::Event));
}

Napi::Value ChannelObject::at_position(const Napi::CallbackInfo& info,
                                       MaybeFailure (RingReader::*act)(uint64_t)) {
    if (!usable(info.Env())) return info.Env().Undefined();
    uint64_t position = 0;
    if (!unsigned_argument(info, 0, position) || position > ring_.position()) {
        return misuse(info.Env(), "(position): nothing behind the position that drain() has reached");
    }
    if (auto failure = (ring_.*act)(position)) return fail(info.Env(), *failure);
    return info.Env().Undefined();
}

Napi::Value ChannelObject::announce_checkpoint(const Napi::CallbackInfo& info) {
    return at_position(info, &RingReader::announce_checkpoint);
}

Napi::Value ChannelObject::clear_backlog(const Napi::CallbackInfo& info) {
    return at_position(info, &RingReader::clear_backlog);
}

Napi::Value ChannelObject::text_bytes(const Napi::CallbackInfo& info) {
    uint64_t offset = 0, length = 0;
    if (!unsigned_argument(info, 0, offset) || !unsigned_argument(info, 1, length)) {
        return misuse(info.Env(), "textBytes(offset, length): two numbers");
    }
    Section section = file_.text();
    if (offset > section.capacity || length > section.capacity - offset || length > kCopyLimitBytes) {
        return fail(info.Env(), damaged("the channel is damaged: a text lies outside of its section"));
    }
    if (!usable(info.Env())) return info.Env().Undefined();
    auto buffer = Napi::Buffer<uint8_t>::New(info.Env(), length);
    if (auto failure = file_.read(section.offset_bytes + offset, buffer.Data(), length)) {
        return fail(info.Env(), *failure);
    }
    return buffer;
}

Napi::Value ChannelObject::text(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    uint64_t offset = 0;
    if (!unsigned_argument(info, 0, offset)) return misuse(env, "text(offset): a number");
    if (!usable(env)) return env.Undefined();
    const Section section = file_.text();
    // An entry is its length, 16 bits little endian, then its bytes; 0 stands for "none".
    uint16_t length = 0;
    if (offset == 0) return env.Null();
    if (section.capacity < sizeof length || offset > section.capacity - sizeof length) {
        return fail(env, damaged("the channel is damaged: a text lies outside of its section"));
    }
    if (auto failure = file_.read(section.offset_bytes + offset, &length, sizeof length)) {
        return fail(env, *failure);
    }
    if (length > section.capacity - sizeof length - offset) {
        return fail(env, damaged("the channel is damaged: a text is longer than its section"));
    }
    std::string bytes(length, '\0');
    if (auto failure = file_.read(section.offset_bytes + offset + sizeof length, bytes.data(), length)) {
        return fail(env, *failure);
    }
    return Napi::String::New(env, bytes);
}

Napi::Value ChannelObject::ask(const Napi::CallbackInfo& info) {
    if (!usable(info.Env())) return info.Env().Undefined();
    uint64_t kind = 0, argument = 0, request = 0;
    if (!unsigned_argument(info, 0, kind) || !unsigned_argument(info, 1, argument) ||
        kind >= static_cast<uint64_t>(wire::RequestKind::kCount)) {
        return misuse(info.Env(), "ask(kind, argument): a kind of request and a number");
    }
    if (auto failure = requests_.send(static_cast<wire::RequestKind>(kind), argument, request)) {
        return fail(info.Env(), *failure);
    }
    return number(info.Env(), request);
}

Napi::Value ChannelObject::withdraw(const Napi::CallbackInfo& info) {
    if (!usable(info.Env())) return info.Env().Undefined();
    bool withdrawn = false;
    if (auto failure = requests_.withdraw(withdrawn)) return fail(info.Env(), *failure);
    return Napi::Boolean::New(info.Env(), withdrawn);
}

Napi::Value ChannelObject::close(const Napi::CallbackInfo& info) {
    // Nothing is left to release in a file that was truncated meanwhile.
    if (file_.is_open()) static_cast<void>(ring_.release());
    file_.close();
    return info.Env().Undefined();
}

}  // namespace offheap::addon
