#include "util/fd.hpp"

#include "layers/entry.hpp"
