//===- Status.h - Errors of the runtime -------------------------*- C++ -*-===//
//
// The runtime reports every failure as a value: nothing in its public API
// throws. A Status says what kind of failure it is (for programs) and what
// happened (for people); a Result<T> is a T or the Status that explains why
// there is none.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_STATUS_H
#define ODYSSEY_RUNTIME_STATUS_H

#include <cassert>
#include <string>
#include <utility>
#include <variant>

namespace odyssey::runtime {

/// The kinds of failure. A caller may branch on these; everything else about
/// an error is in its message.
enum class StatusCode {
  Ok,
  /// The caller passed something that can never work (a usage error).
  InvalidArgument,
  /// A file, function, kernel or device does not exist.
  NotFound,
  /// A file's content contradicts itself or its checksum.
  DataLoss,
  /// The input is well formed but uses something that is not implemented.
  Unsupported,
  /// Memory, context length or another bounded resource ran out.
  ResourceExhausted,
  /// The call is right, but not in this state (a bundle for another target).
  FailedPrecondition,
  /// The device reported a fault while it ran (an illegal address, a hazard).
  DeviceFault,
  /// An operating system call failed.
  IoError,
  /// A bug in the runtime itself.
  Internal,
};

/// The name of a code as it is printed, for example "invalid argument".
const char *statusCodeName(StatusCode code);

/// Success, or a code and a message. Messages are lower case, have no full
/// stop and name the thing that is wrong.
class [[nodiscard]] Status {
public:
  Status() = default;
  Status(StatusCode code, std::string message)
      : errorCode(code), text(std::move(message)) {
    assert(code != StatusCode::Ok && "an error needs an error code");
  }

  static Status success() { return Status(); }

  bool ok() const { return errorCode == StatusCode::Ok; }
  StatusCode code() const { return errorCode; }
  const std::string &message() const { return text; }

  /// The same error with `context` and ": " in front of its message.
  Status withContext(const std::string &context) const {
    return ok() ? *this : Status(errorCode, context + ": " + text);
  }

private:
  StatusCode errorCode = StatusCode::Ok;
  std::string text;
};

inline Status invalidArgument(std::string m) {
  return Status(StatusCode::InvalidArgument, std::move(m));
}
inline Status notFound(std::string m) {
  return Status(StatusCode::NotFound, std::move(m));
}
inline Status dataLoss(std::string m) {
  return Status(StatusCode::DataLoss, std::move(m));
}
inline Status unsupported(std::string m) {
  return Status(StatusCode::Unsupported, std::move(m));
}
inline Status resourceExhausted(std::string m) {
  return Status(StatusCode::ResourceExhausted, std::move(m));
}
inline Status failedPrecondition(std::string m) {
  return Status(StatusCode::FailedPrecondition, std::move(m));
}
inline Status deviceFault(std::string m) {
  return Status(StatusCode::DeviceFault, std::move(m));
}
inline Status ioError(std::string m) {
  return Status(StatusCode::IoError, std::move(m));
}
inline Status internalError(std::string m) {
  return Status(StatusCode::Internal, std::move(m));
}

/// A value of type T, or the Status that says why there is none.
template <typename T> class [[nodiscard]] Result {
public:
  Result(T value) : storage(std::in_place_index<0>, std::move(value)) {}
  Result(Status status) : storage(std::in_place_index<1>, std::move(status)) {
    assert(!std::get<1>(storage).ok() &&
           "a result without value needs an error");
  }

  bool ok() const { return storage.index() == 0; }
  explicit operator bool() const { return ok(); }

  /// Success, or the error.
  Status status() const { return ok() ? Status() : std::get<1>(storage); }

  T &value() & {
    assert(ok() && "no value");
    return std::get<0>(storage);
  }
  const T &value() const & {
    assert(ok() && "no value");
    return std::get<0>(storage);
  }
  T &&value() && {
    assert(ok() && "no value");
    return std::get<0>(std::move(storage));
  }
  T &operator*() & { return value(); }
  const T &operator*() const & { return value(); }
  T &&operator*() && { return std::move(*this).value(); }
  T *operator->() { return &value(); }
  const T *operator->() const { return &value(); }

private:
  std::variant<T, Status> storage;
};

} // namespace odyssey::runtime

/// Returns from the enclosing function with the error of `expression`, if any.
#define ODYSSEY_RETURN_IF_ERROR(expression)                                    \
  do {                                                                         \
    if (::odyssey::runtime::Status odysseyStatus = (expression);               \
        !odysseyStatus.ok())                                                   \
      return odysseyStatus;                                                    \
  } while (false)

#define ODYSSEY_CONCAT_INNER(a, b) a##b
#define ODYSSEY_CONCAT(a, b) ODYSSEY_CONCAT_INNER(a, b)

/// Assigns the value of a Result to `target`, or returns its error:
/// `ODYSSEY_ASSIGN_OR_RETURN(auto bundle, Bundle::open(path));`
#define ODYSSEY_ASSIGN_OR_RETURN(target, expression)                           \
  ODYSSEY_ASSIGN_OR_RETURN_IMPL(ODYSSEY_CONCAT(odysseyResult, __LINE__),       \
                                target, expression)
#define ODYSSEY_ASSIGN_OR_RETURN_IMPL(name, target, expression)                \
  auto name = (expression);                                                    \
  if (!name.ok())                                                              \
    return name.status();                                                      \
  target = std::move(name).value()

#endif // ODYSSEY_RUNTIME_STATUS_H
