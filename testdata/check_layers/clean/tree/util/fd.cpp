#include "util/fd.hpp"

#include <imgbuild/digest.hpp>
