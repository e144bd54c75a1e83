// One file that lies behind a URL, as a source of files (ADD). It is downloaded when somebody first needs it.
#pragma once

#include <imgbuild/digest.hpp>

#include "builder/context/local_tree.hpp"
#include "builder/context/source_tree.hpp"
#include "layers/store.hpp"
#include "registry/client.hpp"
#include "registry/url.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace imgbuild::builder {

/// What to download, and under which name and with which contents it is known here.
struct UrlFile {
    std::string url;
    std::string name;
    /// Verified. With it the file is known before it is there: its layer is found without asking the server, and so its
    /// time is not the server's to say.
    std::optional<Digest> checksum;
};

/// How to ask servers.
struct UrlAccess {
    registry::HttpTransport& transport;
    registry::RetryPolicy retry;
    /// Value of the Authorization header for a URL; nothing: none.
    std::function<std::optional<std::string>(const registry::Url& url)> authorization;
};

/// The tree has `name` and nothing else: mode 0600, owned by root, with the server's Last-Modified as its time.
class UrlTree final : public SourceTree {
public:
    /// `lease` and `access.transport` must outlive it.
    UrlTree(UrlFile what, layers::Lease& lease, UrlAccess access);

    /// Downloads, once. Throws what registry::download() throws; CorruptData ("source.checksum").
    void prepare(const Work& work) const override;
    std::optional<Digest> identity() const override;
    /// These and the others: after prepare().
    bool keeps_times() const override;
    std::optional<SourceFileInfo> find(std::string_view path) const override { return tree_->find(path); }
    std::string resolve(std::string_view path) const override { return tree_->resolve(path); }
    std::vector<SourceFileInfo> children(std::string_view path) const override { return tree_->children(path); }
    layers::OpenContent open(const SourceFileInfo& file) const override { return tree_->open(file); }
    std::string why_absent(std::string_view) const override { return {}; }

private:
    void fetch(const Work& work) const;

    UrlFile what_;
    layers::Lease& lease_;
    UrlAccess access_;

    mutable std::mutex mutex_;
    mutable std::optional<layers::UnfinishedLayer> place_;
    mutable std::unique_ptr<const LocalTree> tree_;
    mutable bool has_time_ = false;
};

/// A URL that can be fetched, in pieces. Throws Error ("source.bad-url").
registry::Url parse_source_url(const std::string& text);
/// The name that a URL gives its file: the last component of its path, unescaped; "__unnamed__" if there is none.
std::string name_of_url(const std::string& url);

}  // namespace imgbuild::builder
