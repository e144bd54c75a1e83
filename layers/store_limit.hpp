// Keeps a store within the size that its owner allows. For the store's sources.
//
// What counts is what has been published: layers and blobs by their recorded sizes, with the cache mounts, logs and own
// files as they were when the process began its first lease. Before something is published that would not fit any more,
// what has not been used for longest and nobody needs is moved aside, in the same transaction; if the rest does not
// suffice, nothing is touched and the publisher gets an error. Bytes of blobs that are being written count as well.
#pragma once

#include "layers/store_data.hpp"

namespace imgbuild::layers {

/// Prunes down to the limit, if there is one, and measures what lies outside of the index. Cache mounts and old logs go
/// as well, if it is their turn.
void enforce_limit(StoreData& store);

/// Makes room for `bytes` more. Returns what was moved aside into tmp/, to be removed after the commit.
/// Throws Error ("resources.store-limit").
std::vector<std::string> make_room(StoreData& store, Tables& tables, std::uint64_t bytes);

/// Room for something that is being written: taken in steps, each before its bytes are written, and given back when the
/// object goes, since by then it is published or removed. One thread.
class WorkRoom {
public:
    explicit WorkRoom(StoreData& store) : store_(store) {}
    WorkRoom(const WorkRoom&) = delete;
    WorkRoom& operator=(const WorkRoom&) = delete;
    ~WorkRoom() { store_.end_work(taken_); }

    /// Call before `bytes` more are written. Throws Error ("resources.store-limit").
    void need(std::uint64_t bytes) {
        needed_ += bytes;
        if (needed_ > taken_ && store_.limit() > 0) take();
    }

    /// The first so many of the bytes to come are claimed now. Throws as need().
    void reserve(std::uint64_t bytes);

private:
    void take();

    StoreData& store_;
    std::uint64_t needed_ = 0;
    std::uint64_t taken_ = 0;
};

/// As make_room(), in a transaction of its own; removes what it moved aside. Does nothing without a limit.
void require_room(StoreData& store, std::uint64_t bytes);

}  // namespace imgbuild::layers
