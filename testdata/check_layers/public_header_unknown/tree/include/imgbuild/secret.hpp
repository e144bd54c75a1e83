#pragma once
#include "util/fd.hpp"
