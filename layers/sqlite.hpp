// SQLite in as few words as the store needs: a connection, its statements, a transaction.
//
//     Database db(path);
//     Transaction transaction(db);                        // BEGIN IMMEDIATE
//     auto statement = db.prepare("SELECT size FROM blobs WHERE digest = ?");
//     if (statement.bind(digest).next()) use(statement.integer(0));
//     transaction.commit();                               // else: rolled back
//
// One user at a time; who shares a Database holds a mutex (layers/index_db.hpp does). Never carry one across fork().
// Throws Error: "store.damaged" (not a database, or a broken one), "store.busy" (locked by others for longer than the
// busy timeout), "io.permission", "resources.disk-full", "store.failed" for the rest.
#pragma once

#include <imgbuild/digest.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace imgbuild::layers::sqlite {

class Database;

/// One use of a prepared statement, which the Database keeps. Parameters are bound in order, columns count from 0.
/// At most one use of the same text at a time.
class Statement {
public:
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;
    ~Statement();

    Statement& bind(std::int64_t value);
    Statement& bind(std::string_view text);
    Statement& bind(const Digest& digest);
    Statement& bind_bytes(std::string_view bytes);
    Statement& bind_null();

    /// The next row, if there is one.
    bool next();
    /// For statements that yield nothing; returns how many rows were changed.
    int run();

    std::int64_t integer(int column) const;
    std::string text(int column) const;
    std::string bytes(int column) const;
    /// Throws Error ("store.damaged") unless it is 32 bytes.
    Digest digest(int column) const;
    bool is_null(int column) const;

private:
    friend class Database;
    Statement(Database& database, sqlite3_stmt* handle) : database_(database), handle_(handle) {}
    void check_bound(int result) const;

    Database& database_;
    sqlite3_stmt* handle_;
    int bound_ = 0;
};

class Database {
public:
    /// Creates the file if need be. Waits up to 30 s for other connections' locks.
    explicit Database(const std::string& path);
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;
    ~Database();

    Statement prepare(std::string_view sql);
    /// Any number of statements without parameters and results.
    void execute(const std::string& sql);
    /// The only value of a pragma or query.
    std::int64_t query_integer(std::string_view sql);

private:
    friend class Statement;
    friend class Transaction;
    [[noreturn]] void fail(int result) const;

    std::string path_;
    sqlite3* handle_ = nullptr;
    std::map<std::string, sqlite3_stmt*, std::less<>> statements_;
};

/// Takes the write lock at once: a transaction that reads first and wants to write later fails, instead of waiting, if
/// somebody else wrote in between.
class Transaction {
public:
    explicit Transaction(Database& database);
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;
    ~Transaction();
    void commit();

private:
    Database& database_;
    bool open_ = true;
};

}  // namespace imgbuild::layers::sqlite
