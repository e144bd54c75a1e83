#pragma once
#include <nlohmann/json_fwd.hpp>
#include <sqlite3.h>
