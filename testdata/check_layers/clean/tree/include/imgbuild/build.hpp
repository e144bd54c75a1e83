#pragma once
#include <imgbuild/digest.hpp>
