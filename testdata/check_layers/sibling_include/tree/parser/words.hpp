#pragma once
#include "oci/manifest.hpp"
