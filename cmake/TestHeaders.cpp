//===- TestHeaders.cpp - What a precompiled header belongs to -------------===//
