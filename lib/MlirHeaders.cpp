//===- MlirHeaders.cpp - Carries the precompiled header -------------------===//

#include "MlirHeaders.h"
