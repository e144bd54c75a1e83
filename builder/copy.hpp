// `imgbuild copy`: an image from one place to another, without building anything.
//
//   store:NAME                  an image of this store, by name or id
//   docker://NAME               a registry
//   oci:DIR[:TAG]               an OCI layout in a directory
//   oci-archive:FILE[:TAG]      the same in a tar
//   docker-archive:FILE[:NAME]  what `docker save` writes and `docker load` reads
//
// As with skopeo, whose names these are, a path ends at the first colon; "@sha256:…" may stand in place of a tag.
//
// The manifest stays byte for byte as it is wherever the destination can hold it: always for registries, and for
// layouts and archives if it is OCI's. Layers are never packed anew, except that the plain ones of docker archives are
// compressed. Layers go through the store, where they stay for the next use, and are not fetched if the destination has
// them.
#pragma once

#include "builder/build.hpp"

#include <string>
#include <string_view>

namespace imgbuild::builder {

struct ImagePlace {
    enum class Kind { store, registry, oci_layout, oci_archive, docker_archive };
    Kind kind = Kind::store;
    /// Of layouts and archives. "-" for an archive is standard input or output.
    std::string path;
    /// A reference, a tag or a digest; may be empty for layouts and archives.
    std::string name;
};

/// Throws UsageError ("usage.bad-place") with the kinds that there are.
ImagePlace parse_image_place(std::string_view text);

struct CopyRequest {
    ImagePlace from;
    ImagePlace to;
    /// Which image of an index.
    Platform platform;
    /// For layers that are not compressed yet.
    layers::Codec codec;
};

/// Returns the digest of the manifest, or the id of the image if it went to the store. Throws what reading, the network
/// and writing throw; nothing is visible at the destination before all of it is there.
Digest copy_image(const CopyRequest& request, const Services& services, std::stop_token stop);

}  // namespace imgbuild::builder
