#include <imgbuild/build.hpp>
