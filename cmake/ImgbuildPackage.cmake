# What an outside project gets: libimgbuild, its headers, find_package(imgbuild) and pkg-config.
#
# The library is one archive of the facade and what it needs. The builder runs in another process, so neither libcurl nor
# SQLite nor OpenSSL is among its needs: only fmt and threads. Components: Program, Development.
include(CMakePackageConfigHelpers)

add_library(imgbuild_embed STATIC
  $<TARGET_OBJECTS:imgbuild_client> $<TARGET_OBJECTS:imgbuild_protocol>
  $<TARGET_OBJECTS:imgbuild_names> $<TARGET_OBJECTS:imgbuild_basics>)
add_library(imgbuild::imgbuild ALIAS imgbuild_embed)
set_target_properties(imgbuild_embed PROPERTIES OUTPUT_NAME imgbuild EXPORT_NAME imgbuild LINKER_LANGUAGE CXX)
target_compile_features(imgbuild_embed PUBLIC cxx_std_20)
target_link_libraries(imgbuild_embed PRIVATE fmt::fmt Threads::Threads)
target_sources(imgbuild_embed PUBLIC FILE_SET HEADERS
  BASE_DIRS "${PROJECT_SOURCE_DIR}/include"
  FILES
    "${PROJECT_SOURCE_DIR}/include/imgbuild/build.hpp" "${PROJECT_SOURCE_DIR}/include/imgbuild/digest.hpp"
    "${PROJECT_SOURCE_DIR}/include/imgbuild/error.hpp" "${PROJECT_SOURCE_DIR}/include/imgbuild/image_store.hpp"
    "${PROJECT_SOURCE_DIR}/include/imgbuild/imgbuild.hpp" "${PROJECT_SOURCE_DIR}/include/imgbuild/platform.hpp"
    "${PROJECT_SOURCE_DIR}/include/imgbuild/progress.hpp" "${PROJECT_SOURCE_DIR}/include/imgbuild/reference.hpp"
    "${PROJECT_SOURCE_DIR}/include/imgbuild/worker.hpp")
# Who links an archive with sanitizers has to bring their libraries.
set(IMGBUILD_SANITIZE_FLAG "")
if(IMGBUILD_SANITIZE)
  set(IMGBUILD_SANITIZE_FLAG "-fsanitize=${IMGBUILD_SANITIZE}")
  target_link_options(imgbuild_embed INTERFACE "${IMGBUILD_SANITIZE_FLAG}")
endif()

set(IMGBUILD_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/imgbuild")
install(TARGETS imgbuild_embed EXPORT imgbuild
  ARCHIVE COMPONENT Development
  FILE_SET HEADERS COMPONENT Development)
install(EXPORT imgbuild NAMESPACE imgbuild:: FILE imgbuildTargets.cmake
  DESTINATION "${IMGBUILD_PACKAGE_DIR}" COMPONENT Development)
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/imgbuildConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/imgbuildConfig.cmake" INSTALL_DESTINATION "${IMGBUILD_PACKAGE_DIR}")
# Before 1.0 a minor version may break what was there.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/imgbuildConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/imgbuildConfig.cmake" "${PROJECT_BINARY_DIR}/imgbuildConfigVersion.cmake"
  DESTINATION "${IMGBUILD_PACKAGE_DIR}" COMPONENT Development)
file(RELATIVE_PATH IMGBUILD_PC_TO_INCLUDE
  "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
configure_file("${PROJECT_SOURCE_DIR}/cmake/imgbuild.pc.in" "${PROJECT_BINARY_DIR}/imgbuild.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/imgbuild.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT Development)
