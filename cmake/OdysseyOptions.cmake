# What every part of Odyssey, compiler and runtime alike, is built with.
# The runtime's own CMakeLists.txt includes this too, so that it configures
# alone.
include_guard(GLOBAL)

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

option(ODYSSEY_BUILD_TESTS "Build the unit tests" ON)

# No multiply-add may be contracted and nothing reassociated: the emulator and
# the reference promise bit-exact results.
add_compile_options(-ffp-contract=off -Wall -Wextra -Wno-unused-parameter)

set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")

find_program(ODYSSEY_CCACHE ccache)
if(ODYSSEY_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # What ccache must be told to work with precompiled headers.
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CMAKE_COMMAND}" -E env
      "CCACHE_SLOPPINESS=pch_defines,time_macros" "${ODYSSEY_CCACHE}")
  set(CMAKE_C_COMPILER_LAUNCHER "${ODYSSEY_CCACHE}")
endif()

# Packages that one folder finds are there for all.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)
find_package(Threads REQUIRED)
if(ODYSSEY_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()

# odyssey_link_portably(NAME)
#
# Links a program so that it also runs on distributions with another C++ library:
# only the C library, which is compatible upwards, stays dynamic.
function(odyssey_link_portably name)
  target_link_options(${name} PRIVATE -static-libstdc++ -static-libgcc)
endfunction()

# odyssey_add_unittest(NAME source... LIBS library... [HEADERS MLIR])
#
# A GoogleTest program. It lands in <build>/test/unit/NAME, where lit finds it
# by the "Tests" at the end of its name. HEADERS MLIR for sources that include
# more of MLIR than of GoogleTest.
function(odyssey_add_unittest name)
  cmake_parse_arguments(ARG "" "HEADERS" "LIBS" ${ARGN})
  if(NOT ODYSSEY_BUILD_TESTS)
    return()
  endif()
  if(NOT TARGET OdysseyTestHeaders)
    set(folder "${CMAKE_CURRENT_FUNCTION_LIST_DIR}")
    add_library(OdysseyTestHeaders OBJECT "${folder}/TestHeaders.cpp")
    target_link_libraries(OdysseyTestHeaders PRIVATE GTest::gmock GTest::gtest)
    target_precompile_headers(OdysseyTestHeaders PRIVATE
                              "${folder}/TestHeaders.h")
    # As an executable is compiled, which Clang compares.
    target_compile_options(OdysseyTestHeaders PRIVATE -fPIE)
  endif()
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} GTest::gmock GTest::gtest
                                        GTest::gtest_main)
  if(ARG_HEADERS STREQUAL "MLIR")
    odyssey_use_mlir_headers(${name})
  else()
    target_precompile_headers(${name} REUSE_FROM OdysseyTestHeaders)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY
                                           "${CMAKE_BINARY_DIR}/test/unit")
  set_property(GLOBAL APPEND PROPERTY ODYSSEY_UNITTESTS ${name})
endfunction()
