# Every library that we use, in one place, with the oldest version that we test (Debian 12).
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(CLI11 2.1 REQUIRED)

# imgbuild_pkg(<name> <pkg-config module> <minimum>): an imported target imgbuild::dep::<name>.
# With IMGBUILD_STATIC_DEPENDENCIES the archive is linked instead of the shared library, where there is one.
function(imgbuild_pkg name module minimum)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET GLOBAL "${module}>=${minimum}")
  add_library(imgbuild_dep_${name} INTERFACE)
  add_library(imgbuild::dep::${name} ALIAS imgbuild_dep_${name})
  target_include_directories(imgbuild_dep_${name} SYSTEM INTERFACE ${${name}_INCLUDE_DIRS})
  set(archives "")
  if(IMGBUILD_STATIC_DEPENDENCIES)
    foreach(library IN LISTS ${name}_LIBRARIES)
      unset(archive CACHE)
      find_library(archive "lib${library}.a" HINTS ${${name}_LIBDIR} NO_CACHE)
      if(archive)
        list(APPEND archives "${archive}")
      endif()
      unset(archive)
    endforeach()
  endif()
  if(archives)
    target_link_libraries(imgbuild_dep_${name} INTERFACE ${archives} ${CMAKE_DL_LIBS} Threads::Threads)
  else()
    target_link_libraries(imgbuild_dep_${name} INTERFACE PkgConfig::${name})
  endif()
endfunction()

imgbuild_pkg(crypto libcrypto 3.0)
imgbuild_pkg(sqlite sqlite3 3.40)
imgbuild_pkg(zstd libzstd 1.5)
imgbuild_pkg(deflate libdeflate 1.14)
imgbuild_pkg(zlib zlib 1.2.13)
imgbuild_pkg(seccomp libseccomp 2.5)
# libarchive is loaded at run time, when something is compressed by bzip2 or xz (layers/archive_library.hpp): it needs ten
# more libraries (lzma, xml2, icu, acl, …).
pkg_check_modules(archive REQUIRED "libarchive>=3.6")
# ISA-L, too, when something is inflated (layers/inflater.hpp).
pkg_check_modules(isal REQUIRED "libisal>=2.30")
# libcurl is loaded at run time, when a build really needs the network; only its headers are needed here.
pkg_check_modules(curl REQUIRED "libcurl>=7.88")
