#include <imgbuild/build.hpp>

#include "util/fd.hpp"

#include <nlohmann/json.hpp>
