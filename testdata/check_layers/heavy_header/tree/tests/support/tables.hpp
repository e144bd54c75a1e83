#pragma once
#include "tests/support/catch.hpp"
#include <catch2/catch.hpp>
