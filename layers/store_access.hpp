// The insides of the public classes, for the store's sources.
#pragma once

#include "layers/store_data.hpp"

namespace imgbuild::layers {

struct Store::State {
    explicit State(std::shared_ptr<StoreData> opened) : data(std::move(opened)) {}
    std::shared_ptr<StoreData> data;
};

struct Lease::State {
    explicit State(std::shared_ptr<LeaseHold> held) : hold(std::move(held)) {}
    std::shared_ptr<LeaseHold> hold;
};

}  // namespace imgbuild::layers
