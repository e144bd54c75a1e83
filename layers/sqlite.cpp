#include "layers/sqlite.hpp"

#include <imgbuild/error.hpp>

#include "util/text.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace imgbuild::layers::sqlite {
namespace {

constexpr int kBusyMilliseconds = 30'000;

// SQLITE_TRANSIENT, which the header spells with an old-style cast: SQLite copies what it is given.
sqlite3_destructor_type transient() {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): it is no address
    return reinterpret_cast<sqlite3_destructor_type>(std::intptr_t{-1});
}

bool is_disk_full(int result, int error_number) {
    const int kind = result & 0xff;
    if (kind == SQLITE_FULL) return true;
    // Its log's index is shared memory, and for lack of room there is no code of its own.
    const bool by_system = kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN;
    return by_system && (error_number == ENOSPC || error_number == EDQUOT);
}

// `error_number`: of the system call that failed, if there was one.
ErrorInfo describe(int result, const std::string& path, const char* message, int error_number = 0) {
    ErrorInfo info{.code = "store.failed",
                   .message = fmt::format("use the index {}: {}", util::quote(path), message),
                   .hint = {},
                   .where = {}};
    if (is_disk_full(result, error_number)) {
        info.code = "resources.disk-full";
        info.hint =
            "make room there: `imgbuild du` tells what the store takes, `imgbuild prune` removes what nobody needs";
        return info;
    }
    switch (result & 0xff) {
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            info.code = "store.damaged";
            info.hint = "`imgbuild fsck --repair` puts a new index in its place; what it loses can be made again";
            break;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            info.code = "store.busy";
            info.hint = "another process has kept the index locked for long; is one of them stopped?";
            break;
        case SQLITE_CANTOPEN:
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH:
            info.code = "io.permission";
            info.hint = "set IMGBUILD_ROOT or --root to a directory that you may write to";
            break;
        default:
            break;
    }
    return info;
}

}  // namespace

Statement::~Statement() {
    // Both repeat an error that next() reported already.
    sqlite3_reset(handle_);
    sqlite3_clear_bindings(handle_);
}

void Statement::check_bound(int result) const {
    if (result != SQLITE_OK) database_.fail(result);
}

Statement& Statement::bind(std::int64_t value) {
    check_bound(sqlite3_bind_int64(handle_, ++bound_, value));
    return *this;
}

Statement& Statement::bind(std::string_view text) {
    // An empty view may have no address, which would bind NULL.
    const char* data = text.empty() ? "" : text.data();
    check_bound(sqlite3_bind_text64(handle_, ++bound_, data, text.size(), transient(), SQLITE_UTF8));
    return *this;
}

Statement& Statement::bind(const Digest& digest) {
    const auto& bytes = digest.bytes();
    check_bound(sqlite3_bind_blob64(handle_, ++bound_, bytes.data(), bytes.size(), transient()));
    return *this;
}

Statement& Statement::bind_bytes(std::string_view bytes) {
    const char* data = bytes.empty() ? "" : bytes.data();
    check_bound(sqlite3_bind_blob64(handle_, ++bound_, data, bytes.size(), transient()));
    return *this;
}

Statement& Statement::bind_null() {
    check_bound(sqlite3_bind_null(handle_, ++bound_));
    return *this;
}

bool Statement::next() {
    const int result = sqlite3_step(handle_);
    if (result == SQLITE_ROW) return true;
    if (result != SQLITE_DONE) database_.fail(result);
    return false;
}

int Statement::run() {
    while (next()) {
    }
    return sqlite3_changes(database_.handle_);
}

std::int64_t Statement::integer(int column) const {
    return sqlite3_column_int64(handle_, column);
}

std::string Statement::text(int column) const {
    return bytes(column);
}

std::string Statement::bytes(int column) const {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(handle_, column));
    const int size = sqlite3_column_bytes(handle_, column);
    return data == nullptr ? std::string() : std::string(data, static_cast<std::size_t>(size));
}

Digest Statement::digest(int column) const {
    const std::string raw = bytes(column);
    Digest::Bytes out{};
    if (raw.size() != out.size()) {
        throw Error(describe(SQLITE_CORRUPT, database_.path_, "a digest does not have 32 bytes"));
    }
    std::memcpy(out.data(), raw.data(), out.size());
    return Digest(out);
}

bool Statement::is_null(int column) const {
    return sqlite3_column_type(handle_, column) == SQLITE_NULL;
}

Database::Database(const std::string& path) : path_(path) {
    // Without SQLite's own mutex: whoever shares us holds one anyway.
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    const int result = sqlite3_open_v2(path.c_str(), &handle_, flags, nullptr);
    if (result != SQLITE_OK) {
        const ErrorInfo info =
            describe(result, path_, sqlite3_errstr(result), handle_ == nullptr ? 0 : sqlite3_system_errno(handle_));
        sqlite3_close(handle_);
        throw Error(info);
    }
    sqlite3_busy_timeout(handle_, kBusyMilliseconds);
    // The last connection to go would move the log into the database and sync both, at the end of every build. The log
    // is moved anyway whenever it has grown.
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

Database::~Database() {
    for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
    sqlite3_close(handle_);
}

void Database::fail(int result) const {
    throw Error(describe(result, path_, sqlite3_errmsg(handle_), sqlite3_system_errno(handle_)));
}

Statement Database::prepare(std::string_view sql) {
    auto found = statements_.find(sql);
    if (found == statements_.end()) {
        sqlite3_stmt* statement = nullptr;
        const int result = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()),
                                              SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
        if (result != SQLITE_OK) fail(result);
        found = statements_.emplace(std::string(sql), statement).first;
    }
    return {*this, found->second};
}

void Database::execute(const std::string& sql) {
    const int result = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
    if (result != SQLITE_OK) fail(result);
}

std::int64_t Database::query_integer(std::string_view sql) {
    auto statement = prepare(sql);
    return statement.next() ? statement.integer(0) : 0;
}

Transaction::Transaction(Database& database) : database_(database) {
    database_.prepare("BEGIN IMMEDIATE").run();
}

Transaction::~Transaction() {
    if (!open_) return;
    // Some errors (a full disk) have rolled back already; then this one fails, and there is nothing left to undo.
    sqlite3_exec(database_.handle_, "ROLLBACK", nullptr, nullptr, nullptr);
}

void Transaction::commit() {
    database_.prepare("COMMIT").run();
    open_ = false;
}

}  // namespace imgbuild::layers::sqlite
