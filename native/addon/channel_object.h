// A channel as a JavaScript object. Positions and offsets are numbers; failures are thrown with their `code`.
#pragma once

#include <napi.h>

#include "native/addon/channel_file.h"
#include "native/addon/request_sender.h"
#include "native/addon/ring_reader.h"

namespace offheap::addon {

class ChannelObject : public Napi::ObjectWrap<ChannelObject> {
  public:
    static Napi::Function define(Napi::Env env);
    explicit ChannelObject(const Napi::CallbackInfo& info);

  private:
    Napi::Value header(const Napi::CallbackInfo& info);
    Napi::Value claim(const Napi::CallbackInfo& info);
    Napi::Value lock(const Napi::CallbackInfo& info);
    Napi::Value unlock(const Napi::CallbackInfo& info);
    Napi::Value drain(const Napi::CallbackInfo& info);
    Napi::Value skip(const Napi::CallbackInfo& info);
    Napi::Value free(const Napi::CallbackInfo& info);
    Napi::Value beat(const Napi::CallbackInfo& info);
    Napi::Value nodes(const Napi::CallbackInfo& info);
    Napi::Value sites(const Napi::CallbackInfo& info);
    Napi::Value backlog(const Napi::CallbackInfo& info);
    Napi::Value announce_checkpoint(const Napi::CallbackInfo& info);
    Napi::Value clear_backlog(const Napi::CallbackInfo& info);
    Napi::Value at_position(const Napi::CallbackInfo& info, MaybeFailure (RingReader::*act)(uint64_t));
    Napi::Value text(const Napi::CallbackInfo& info);
    Napi::Value text_bytes(const Napi::CallbackInfo& info);
    Napi::Value ask(const Napi::CallbackInfo& info);
    Napi::Value withdraw(const Napi::CallbackInfo& info);
    Napi::Value close(const Napi::CallbackInfo& info);

    // False, with a JavaScript exception pending, when the channel was closed.
    bool usable(Napi::Env env) const;
    // Entries [from, to) of a section, clamped to what it can hold, as raw bytes.
    Napi::Value entries(const Napi::CallbackInfo& info, const Section& section, size_t entry_bytes);

    ChannelFile file_;
    RingReader ring_{file_};
    RequestSender requests_{file_};
};

}  // namespace offheap::addon
