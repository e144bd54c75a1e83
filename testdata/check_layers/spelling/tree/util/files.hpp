#pragma once
#include "fd.hpp"
#include "../util/fd.hpp"
#include <util/fd.hpp>
#include "imgbuild/digest.hpp"
#include <imgbuild/gone.hpp>
