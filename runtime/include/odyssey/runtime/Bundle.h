//===- Bundle.h - A compiled model on disk ----------------------*- C++ -*-===//
//
// Opens the file that odyssey-compile wrote, checks it, and gives access to
// its parts. The file is mapped: weights are read when they are used, and the
// file must not be changed while a Bundle is open. docs/bundle.md describes
// the format.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_BUNDLE_H
#define ODYSSEY_RUNTIME_BUNDLE_H

#include "odyssey/runtime/Plan.h"
#include "odyssey/runtime/Status.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace odyssey::runtime {

struct BundleOptions {
  /// Compare the hash of the weights, which reads all of them once. All other
  /// sections are always checked.
  bool checkWeights = true;
};

/// An open bundle. Immutable, so it may be shared between threads.
class Bundle {
public:
  /// NotFound or IoError when the file cannot be read, DataLoss, naming what is
  /// wrong, when it is not a sound bundle of this version.
  static Result<std::shared_ptr<const Bundle>>
  open(const std::string &path, const BundleOptions &options = {});

  ~Bundle();

  const std::string &path() const;
  const Plan &plan() const;

  /// The bytes of a section, or nothing when the bundle has none of that name.
  std::optional<std::span<const std::byte>>
  section(std::string_view name) const;

  /// False for a bundle that was compiled with --weights=none.
  bool hasWeights() const;
  /// The bytes of Plan::weights[index], aligned to 256. Needs `hasWeights`.
  std::span<const std::byte> weight(size_t index) const;

  /// The code of Plan::modules[index]; it refers to the mapped file.
  ModuleImage moduleImage(size_t index) const;

  /// FailedPrecondition when the device is not of the target's compute
  /// capability (a later one will do, unless the target ends in "a").
  Status checkRunsOn(const DeviceProperties &device) const;

private:
  struct Content;
  explicit Bundle(std::unique_ptr<Content> content);

  std::unique_ptr<Content> content;
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_BUNDLE_H
