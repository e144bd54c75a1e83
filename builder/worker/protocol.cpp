#include "builder/worker/protocol.hpp"

#include "builder/worker/message_fields.hpp"
#include "oci/json_object.hpp"

#include <nlohmann/json.hpp>

#include "builder/worker/json_codec.hpp"

namespace imgbuild::worker {
namespace {

// Members in the order of the tables, for people who read along.
using Writer = codec::Codec<nlohmann::ordered_json>;
using Reader = codec::Codec<nlohmann::json>;

template <class Message>
Message decode(std::string_view line, std::string_view what) {
    return Reader::make<Message>(oci::parse_json(line, kMaxLine, what, "worker.bad-message"), "message");
}

}  // namespace

std::string encode(const FromHost& message) {
    return Writer::write(message).dump();
}

std::string encode(const FromWorker& message) {
    return Writer::write(message).dump();
}

FromHost decode_from_host(std::string_view line) {
    return decode<FromHost>(line, "a line from the host");
}

FromWorker decode_from_worker(std::string_view line) {
    return decode<FromWorker>(line, "a line from the worker");
}

}  // namespace imgbuild::worker
