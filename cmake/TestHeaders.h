//===- TestHeaders.h - Headers that are compiled once for tests -*- C++ -*-===//
//
// The precompiled header of unit tests: GoogleTest and what it includes take
// most of the time that a small test takes to compile. Every file still
// includes what it uses.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_CMAKE_TESTHEADERS_H
#define ODYSSEY_CMAKE_TESTHEADERS_H

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#endif // ODYSSEY_CMAKE_TESTHEADERS_H
