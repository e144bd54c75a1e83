#include "oci/chain.hpp"

#include "util/assert.hpp"
#include "util/bytes.hpp"

namespace imgbuild::oci {

ChainId chain_id(const ChainId& parent, const DiffId& diff_id) {
    return ChainId(util::Sha256::of(parent.text() + " " + diff_id.text()));
}

ChainId chain_id(std::span<const DiffId> diff_ids) {
    IMGBUILD_ASSERT(!diff_ids.empty());
    ChainId id(diff_ids.front().digest());
    for (const DiffId& next : diff_ids.subspan(1)) id = chain_id(id, next);
    return id;
}

std::vector<ChainId> chain_ids(std::span<const DiffId> diff_ids) {
    std::vector<ChainId> out;
    for (const DiffId& diff_id : diff_ids) {
        out.push_back(out.empty() ? ChainId(diff_id.digest()) : chain_id(out.back(), diff_id));
    }
    return out;
}

}  // namespace imgbuild::oci
