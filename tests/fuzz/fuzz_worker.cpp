// Lines of the worker protocol, from either side. What is accepted is written as it was understood.
#include "tests/fuzz/fuzz.hpp"

#include "builder/worker/protocol.hpp"
#include "builder/worker/translate.hpp"
#include "util/assert.hpp"

using namespace imgbuild;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto text = fuzz::text_of(data, size);
    fuzz::attempt([&] {
        const std::string line = encode(worker::decode_from_host(text));
        IMGBUILD_ASSERT(encode(worker::decode_from_host(line)) == line);
    });
    fuzz::attempt([&] {
        const worker::FromWorker message = worker::decode_from_worker(text);
        const std::string line = encode(message);
        IMGBUILD_ASSERT(encode(worker::decode_from_worker(line)) == line);
        if (const auto* event = std::get_if<worker::WireEvent>(&message)) worker::from_wire(*event, nullptr);
        if (const auto* failure = std::get_if<worker::Failure>(&message)) worker::rethrow(*failure, nullptr);
    });
    return 0;
}
