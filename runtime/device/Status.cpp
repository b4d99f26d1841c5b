//===- Status.cpp - Errors of the runtime ---------------------------------===//

#include "odyssey/runtime/Status.h"

namespace odyssey::runtime {

const char *statusCodeName(StatusCode code) {
  switch (code) {
  case StatusCode::Ok:
    return "ok";
  case StatusCode::InvalidArgument:
    return "invalid argument";
  case StatusCode::NotFound:
    return "not found";
  case StatusCode::DataLoss:
    return "damaged data";
  case StatusCode::Unsupported:
    return "unsupported";
  case StatusCode::ResourceExhausted:
    return "resource exhausted";
  case StatusCode::FailedPrecondition:
    return "failed precondition";
  case StatusCode::DeviceFault:
    return "device fault";
  case StatusCode::IoError:
    return "input/output error";
  case StatusCode::Internal:
    return "internal error";
  }
  return "unknown";
}

} // namespace odyssey::runtime
