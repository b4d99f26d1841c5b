//===- DecoderPlan.h - Reading the "model" of a plan ------------*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_SESSION_DECODERPLAN_H
#define ODYSSEY_RUNTIME_SESSION_DECODERPLAN_H

#include "JsonReader.h"
#include "odyssey/runtime/Plan.h"

namespace odyssey::runtime {

/// Reads "model" and checks that the two functions it names have the inputs,
/// outputs and states that docs/bundle.md gives a decoder. `plan` has its
/// functions and states. Errors are reported on the node.
DecoderPlan readDecoderPlan(const JsonNode &node, const Plan &plan);

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_SESSION_DECODERPLAN_H
