// Everything that a program which embeds imgbuild needs. docs/library.md has a walk through it.
#pragma once

#include <imgbuild/build.hpp>
#include <imgbuild/image_store.hpp>
