# Flags ride on one interface target, so that a project which embeds us keeps its own.
add_library(imgbuild_options INTERFACE)
add_library(imgbuild::options ALIAS imgbuild_options)

target_compile_features(imgbuild_options INTERFACE cxx_std_23)
target_include_directories(imgbuild_options INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
target_compile_definitions(imgbuild_options INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
target_compile_options(imgbuild_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast -Woverloaded-virtual
  -Wno-missing-field-initializers
  -fno-strict-aliasing
  # g++ 12 at -O3 takes its own std::string and std::function for overlapping and uninitialised.
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:-Wno-restrict>
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:Release>>:-Wno-maybe-uninitialized>
  $<$<CXX_COMPILER_ID:Clang>:-Wno-c99-designator>
  $<$<BOOL:${IMGBUILD_DEVELOPER}>:-Werror>)

if(IMGBUILD_SANITIZE)
  target_compile_options(imgbuild_options INTERFACE
    -fsanitize=${IMGBUILD_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(imgbuild_options INTERFACE -fsanitize=${IMGBUILD_SANITIZE})
endif()
if(IMGBUILD_SANITIZE MATCHES "thread")
  # g++ 12 with the thread sanitizer takes copies within its own std::string for out of bounds.
  target_compile_options(imgbuild_options INTERFACE
    $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow>)
endif()

# Fuzzing is led by coverage, so all rooms are instrumented; the targets bring the driver (tests/fuzz).
if(IMGBUILD_FUZZ)
  target_compile_options(imgbuild_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

find_program(IMGBUILD_CCACHE ccache)
if(IMGBUILD_CCACHE AND PROJECT_IS_TOP_LEVEL)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${IMGBUILD_CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER "${IMGBUILD_CCACHE}")
endif()
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
