#pragma once
#include "registry/client.hpp"
