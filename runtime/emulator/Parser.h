//===- Parser.h - PTX text to a module --------------------------*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_PARSER_H
#define ODYSSEY_RUNTIME_EMULATOR_PARSER_H

#include "Ptx.h"
#include "odyssey/runtime/Status.h"

#include <memory>

namespace odyssey::runtime::emulator {

/// Parses a module. Errors name the line. What an instruction means, and
/// whether its modifiers exist, is not looked at here.
Result<std::unique_ptr<PtxModule>> parsePtx(std::string_view text);

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_PARSER_H
